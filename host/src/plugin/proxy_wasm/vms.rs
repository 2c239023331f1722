//! The instances of one worker: one for each plugin with a configuration that met a request there.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use tokio::sync::watch;

use crate::plugin::capability::http::FetchSender;
use crate::plugin::fault::Fault;
use crate::plugin::usage::Usage;

use super::guest::Guest;
use super::vm::Vm;

/// Requests that a worker counts before it tells the version's breaker about them.
const REPORT_CALLS: u32 = 64;

/// What became of an instance that is being made; None as long as it is.
type Made = Option<Result<(), Fault>>;

/// The instances of one worker.
pub struct Vms {
    slots: RefCell<Vec<Slot>>,
    fetch: FetchSender,
}

#[derive(Default)]
struct Slot {
    /// Which usage this is; an index is used again after its usage is gone.
    serial: u64,
    usage: Weak<Usage>,
    vm: Option<Rc<Vm>>,
    making: Option<watch::Receiver<Made>>,
    /// Requests that the breaker has not heard of.
    calls: u32,
}

impl Vms {
    /// None yet. Calls go out through `fetch`.
    pub fn new(fetch: FetchSender) -> Rc<Self> {
        Rc::new(Self { slots: RefCell::default(), fetch })
    }

    /// The instance for a request: the one that is there, or one that is made now.
    pub async fn get(self: &Rc<Self>, usage: &Arc<Usage>) -> Result<Rc<Vm>, Fault> {
        if !usage.breaker.allows() {
            return Err(Fault::Suspended);
        }
        loop {
            if let Some(vm) = self.at_hand(usage) {
                return Ok(vm);
            }
            let mut making = self.make(usage);
            match making.wait_for(Option::is_some).await.map(|made| made.clone()) {
                Ok(Some(Err(fault))) => return Err(fault),
                Ok(_) => {}
                Err(_) => return Err(Fault::NoInstance("the worker is on its way out".into())),
            }
        }
    }

    /// Makes the instance before there is a request, for what it does on its own.
    pub fn start(self: &Rc<Self>, usage: &Arc<Usage>) {
        if self.at_hand(usage).is_none() {
            self.make(usage);
        }
    }

    /// Lets go of instances whose plugin is gone. Those that still have a request go with it.
    pub fn sweep(&self) {
        let gone: Vec<Slot> =
            self.slots.borrow_mut().iter_mut().filter(|slot| slot.usage.strong_count() == 0).map(std::mem::take).collect();
        drop(gone);
    }

    /// Tells of each plugin whether its instance is idle or has requests: `report(usage, idle, busy)`.
    pub fn report(&self, report: &impl Fn(&Usage, usize, usize)) {
        for slot in self.slots.borrow().iter() {
            if let (Some(usage), Some(vm)) = (slot.usage.upgrade(), &slot.vm) {
                let busy = usize::from(vm.load() > 0);
                report(&usage, 1 - busy, busy);
            }
        }
    }

    fn at_hand(&self, usage: &Arc<Usage>) -> Option<Rc<Vm>> {
        let spent = self.with_slot(usage, |slot| {
            slot.calls += 1;
            if slot.calls >= REPORT_CALLS {
                usage.breaker.count_calls(std::mem::take(&mut slot.calls));
            }
            match &slot.vm {
                Some(vm) if !vm.is_spent() => Ok(Rc::clone(vm)),
                _ => Err(slot.vm.take()),
            }
        });
        match spent {
            Ok(vm) => Some(vm),
            // Dropped out here, as its end is the guest's own code.
            Err(_spent) => self.adopt(usage, usage.proxy_wasm()?.ready.pop()?),
        }
    }

    fn adopt(&self, usage: &Arc<Usage>, guest: Box<Guest>) -> Option<Rc<Vm>> {
        let vm = Vm::new(guest, self.fetch.clone());
        self.with_slot(usage, |slot| slot.vm = Some(Rc::clone(&vm)));
        Some(vm)
    }

    /// Has an instance made, on a thread of its own, unless one is being made.
    fn make(self: &Rc<Self>, usage: &Arc<Usage>) -> watch::Receiver<Made> {
        if let Some(making) = self.with_slot(usage, |slot| slot.making.clone()) {
            return making;
        }
        let (made, making) = watch::channel(None);
        self.with_slot(usage, |slot| slot.making = Some(making.clone()));
        let (vms, usage) = (Rc::clone(self), Arc::clone(usage));
        tokio::task::spawn_local(async move {
            let maker = Arc::clone(&usage);
            let guest = tokio::task::spawn_blocking(move || maker.new_guest()).await;
            let outcome = match guest.unwrap_or_else(|error| Err(Fault::NoInstance(error.to_string()))) {
                Ok(guest) => {
                    vms.adopt(&usage, Box::new(guest));
                    Ok(())
                }
                Err(fault) => Err(fault),
            };
            vms.with_slot(&usage, |slot| slot.making = None);
            made.send_replace(Some(outcome));
        });
        making
    }

    fn with_slot<R>(&self, usage: &Arc<Usage>, act: impl FnOnce(&mut Slot) -> R) -> R {
        let mut slots = self.slots.borrow_mut();
        if slots.len() <= usage.index {
            slots.resize_with(usage.index + 1, Slot::default);
        }
        let slot = &mut slots[usage.index];
        if slot.serial != usage.serial {
            *slot = Slot { serial: usage.serial, usage: Arc::downgrade(usage), ..Slot::default() };
        }
        act(slot)
    }
}
