//! A worker's instances: a free list for each reused plugin, owned by the worker alone, and the way to an instance
//! that was made ahead. What is not given back is dropped; that is how faults, time-outs and gone clients end.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use super::Isolation;
use super::capability::http::FetchSender;
use super::fault::Fault;
use super::instance::Instance;
use super::proxy_wasm::Vms;
use super::usage::Usage;

/// Idle instances that a worker keeps of one plugin.
const MAX_IDLE: usize = 16;
/// Calls a worker makes before it tells the version's breaker about them.
const REPORT_CALLS: u32 = 64;

/// The free lists of one worker.
pub struct Pools {
    slots: RefCell<Vec<Slot>>,
    /// Those of Proxy-Wasm filters, which have many requests each.
    pub vms: Rc<Vms>,
}

#[derive(Default)]
struct Slot {
    /// Which usage this is; an index is used again after its usage is gone.
    serial: u64,
    usage: Weak<Usage>,
    idle: Vec<Box<Instance>>,
    /// Instances on loan.
    busy: usize,
    /// Calls that the breaker has not heard of.
    calls: u32,
}

impl Slot {
    /// Counts a call; now and then the breaker hears of them.
    fn called(&mut self, usage: &Usage) {
        self.calls += 1;
        if self.calls >= REPORT_CALLS {
            usage.breaker.count_calls(std::mem::take(&mut self.calls));
        }
    }
}

/// An instance on loan.
pub struct Lease {
    instance: Option<Box<Instance>>,
    usage: Arc<Usage>,
    pools: Rc<Pools>,
}

impl Lease {
    /// The instance.
    pub fn instance(&mut self) -> &mut Instance {
        self.instance.as_mut().expect("an instance is on loan until it is given back")
    }

    /// Ends the loan after calls that went well. Otherwise just drop the lease.
    pub fn give_back(mut self) {
        if let Some(instance) = self.instance.take() {
            self.pools.keep(&self.usage, instance);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(instance) = self.instance.take() {
            self.pools.with_slot(&self.usage, |slot| slot.busy = slot.busy.saturating_sub(1));
            retire(&self.usage, instance);
        }
    }
}

impl Pools {
    /// No instances yet. What Proxy-Wasm filters call goes out through `fetch`.
    pub fn new(fetch: FetchSender) -> Rc<Self> {
        Rc::new(Self { slots: RefCell::default(), vms: Vms::new(fetch) })
    }

    /// An instance for one request: an idle one, one made ahead of time, or one made now. Waits only when the plugin
    /// has all its instances in use, and then as long as a call may take.
    pub async fn lease(self: &Rc<Self>, usage: &Arc<Usage>) -> Result<Lease, Fault> {
        if let Some(lease) = self.at_hand(usage)? {
            return Ok(lease);
        }
        let instance = Box::pin(make_now(usage)).await?;
        self.with_slot(usage, |slot| slot.busy += 1);
        Ok(self.lend(usage, instance))
    }

    /// The same without waiting or making one: None if there is none.
    pub fn at_hand(self: &Rc<Self>, usage: &Arc<Usage>) -> Result<Option<Lease>, Fault> {
        if !usage.breaker.allows() {
            return Err(Fault::Suspended);
        }
        let instance = match usage.isolation {
            Isolation::Reuse => self.idle(usage),
            Isolation::Request => self.ready(usage),
        };
        Ok(instance.map(|instance| self.lend(usage, instance)))
    }

    fn lend(self: &Rc<Self>, usage: &Arc<Usage>, instance: Box<Instance>) -> Lease {
        Lease { instance: Some(instance), usage: Arc::clone(usage), pools: Rc::clone(self) }
    }

    /// Tells the version's breaker about a call of an instance that is not from here, and went well.
    pub fn served(&self, usage: &Arc<Usage>) {
        usage.breaker.succeeded();
        self.with_slot(usage, |slot| slot.called(usage));
    }

    /// Tells the version's breaker about a fault.
    pub fn faulted(&self, usage: &Arc<Usage>) {
        let calls = self.with_slot(usage, |slot| std::mem::take(&mut slot.calls));
        usage.breaker.faulted(calls + 1);
    }

    /// Tells how many instances of each plugin are idle and busy here: `report(usage, idle, busy)`.
    pub fn report(&self, report: impl Fn(&Usage, usize, usize)) {
        self.vms.report(&report);
        for slot in self.slots.borrow().iter() {
            if let Some(usage) = slot.usage.upgrade().filter(|usage| usage.proxy_wasm().is_none()) {
                report(&usage, slot.idle.len(), slot.busy);
            }
        }
    }

    /// Drops what is old, and the lists of plugins that are gone. To be called now and then.
    pub fn sweep(&self) {
        self.vms.sweep();
        for slot in self.slots.borrow_mut().iter_mut() {
            match slot.usage.strong_count() {
                0 => *slot = Slot::default(),
                _ => slot.idle.retain(|instance| !instance.is_old()),
            }
            // A filling that was cut short, because instances were short just then, is taken up again.
            if let Some(usage) = slot.usage.upgrade().filter(|usage| usage.keeps_spares()) {
                top_up(&usage);
            }
        }
    }

    fn idle(&self, usage: &Arc<Usage>) -> Option<Box<Instance>> {
        self.with_slot(usage, |slot| {
            let idle = slot.idle.pop().or_else(|| spare(usage));
            slot.busy += usize::from(idle.is_some());
            idle
        })
    }

    fn ready(&self, usage: &Arc<Usage>) -> Option<Box<Instance>> {
        let ready = take_ready(usage);
        self.with_slot(usage, |slot| slot.busy += usize::from(ready.is_some()));
        ready
    }

    fn keep(&self, usage: &Arc<Usage>, instance: Box<Instance>) {
        usage.breaker.succeeded();
        let retired = self.with_slot(usage, |slot| {
            slot.busy = slot.busy.saturating_sub(1);
            slot.called(usage);
            let keep = usage.isolation == Isolation::Reuse && instance.is_fit() && slot.idle.len() < MAX_IDLE;
            match keep {
                true => {
                    slot.idle.push(instance);
                    None
                }
                false => Some(instance),
            }
        });
        if let Some(instance) = retired {
            retire(usage, instance);
        }
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

fn take_ready(usage: &Arc<Usage>) -> Option<Box<Instance>> {
    let instance = usage.ready.pop();
    if instance.is_none() {
        usage.deepen();
    }
    top_up(usage);
    instance
}

/// One that was made ahead, for a plugin whose instances are used again: of a version that was just rolled out there are
/// some, and always of one that starts slowly.
fn spare(usage: &Arc<Usage>) -> Option<Box<Instance>> {
    if usage.keeps_spares() { take_ready(usage) } else { usage.ready.pop() }
}

/// Parts with an instance. Its place may be what a refill was short of.
fn retire(usage: &Arc<Usage>, instance: Box<Instance>) {
    usage.maker.retire(instance);
    if usage.keeps_spares() {
        top_up(usage);
    }
}

fn top_up(usage: &Arc<Usage>) {
    if usage.ready.len() * 2 < usage.depth() {
        usage.maker.refill(usage);
    }
}

async fn make_now(usage: &Arc<Usage>) -> Result<Box<Instance>, Fault> {
    let permits = Arc::clone(&usage.permits);
    let permit = match Arc::clone(&permits).try_acquire_owned() {
        Ok(permit) => permit,
        Err(_) => tokio::time::timeout(usage.limits.wall, permits.acquire_owned())
            .await
            .ok()
            .and_then(Result::ok)
            .ok_or_else(|| Fault::NoInstance(format!("all {} are in use", usage.limits.instances)))?,
    };
    let (instance, _) = Instance::make(usage, permit).await?;
    Ok(Box::new(instance))
}
