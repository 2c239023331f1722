//! An instance on its worker: what comes of its callbacks is seen to here, once each of them is over. A fault ends the
//! instance, and whoever it had streams of is told.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use tokio::task::AbortHandle;

use crate::plugin::capability::http::{FetchError, FetchSender, Fetched, Job};
use crate::plugin::fault::Fault;
use crate::plugin::verdict::Reply;

use super::abi::Action;
use super::calls::Asked;
use super::guest::{Callbacks, Guest};
use super::message::Head;
use super::rope::Rope;
use super::stream::{Direction, Exchange, Facts, ROOT};

/// Exchanges that are over and that the guest is not done with.
const MAX_LINGERING: usize = 1_000;

/// What becomes of what a callback was shown.
#[derive(Debug)]
pub enum Flow {
    /// It goes on.
    Continue,
    /// It waits.
    Pause,
    /// Its head waits, and its body may be shown where the operator says so.
    PauseHeaders,
    /// It is answered here.
    Reply(Reply),
}

/// An instance that serves.
pub struct Vm {
    me: Weak<Vm>,
    guest: RefCell<Box<Guest>>,
    fetch: FetchSender,
    /// What ended it, and in which context.
    death: RefCell<Option<(u32, Fault)>>,
    is_worn: Cell<bool>,
    tick: Cell<Duration>,
    ticker: RefCell<Option<AbortHandle>>,
}

/// One exchange of an instance. The guest hears of its end when this is dropped.
pub struct Stream {
    vm: Rc<Vm>,
    id: u32,
}

// === impl Vm ===

impl Vm {
    /// Takes an instance in, with whatever it asked for when it was configured.
    pub(super) fn new(guest: Box<Guest>, fetch: FetchSender) -> Rc<Self> {
        let vm = Rc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            guest: RefCell::new(guest),
            fetch,
            death: RefCell::default(),
            is_worn: Cell::new(false),
            tick: Cell::new(Duration::ZERO),
            ticker: RefCell::default(),
        });
        vm.attend();
        vm
    }

    /// Whether new requests should have another: it is dead, or near the end of its memory.
    pub(super) fn is_spent(&self) -> bool {
        self.is_worn.get() || self.death.borrow().is_some()
    }

    /// Exchanges at the moment.
    pub(super) fn load(&self) -> usize {
        self.guest.borrow().store.data().exchanges.len()
    }

    /// Begins an exchange.
    pub fn open(self: &Rc<Self>, facts: Facts) -> Result<Stream, Fault> {
        let id = self.enter(ROOT, |guest| {
            let id = guest.store.data_mut().exchanges.add(Box::new(Exchange::new(facts)));
            if let Some(create) = &guest.callbacks.context_create {
                Guest::call(&mut guest.store, id, create, (id, ROOT))?;
            }
            Ok(id)
        })?;
        Ok(Stream { vm: Rc::clone(self), id })
    }

    /// Makes callbacks on behalf of a context, and sees to what they led to.
    fn enter<R>(&self, context: u32, act: impl FnOnce(&mut Guest) -> Result<R, Fault>) -> Result<R, Fault> {
        if let Some((culprit, fault)) = &*self.death.borrow() {
            return Err(told(*culprit == context, fault));
        }
        let (outcome, has_news) = {
            let guest = &mut *self.guest.borrow_mut();
            let outcome = act(guest);
            if let Err(fault) = &outcome {
                self.die(guest, fault);
            }
            (outcome, guest.store.data().has_news)
        };
        if has_news && outcome.is_ok() {
            self.attend();
        }
        outcome
    }

    /// The same for what nobody waits for: its faults are told here.
    fn enter_alone(&self, act: impl FnOnce(&mut Guest) -> Result<(), Fault>) {
        let Err(fault) = self.enter(ROOT, act) else { return };
        let culprit = self.death.borrow().as_ref().map_or(ROOT, |(culprit, _)| *culprit);
        let guest = self.guest.borrow();
        let plugin = &guest.store.data().plugin;
        // Whose request it happened for says so itself.
        if culprit == ROOT {
            plugin.handle.fault(fault.label());
            tracing::warn!(plugin = %plugin.name, version = %plugin.version, reason = fault.reason().name(), "plugin {fault}");
        }
    }

    fn die(&self, guest: &mut Guest, fault: &Fault) {
        let host = guest.store.data_mut();
        *self.death.borrow_mut() = Some((host.effective, fault.clone()));
        host.exchanges.iter_mut().for_each(Exchange::wake);
        if let Some(ticker) = self.ticker.take() {
            ticker.abort();
        }
    }

    /// Sees to what the guest asked for: calls, ticks, queues, exchanges that it has finished.
    fn attend(&self) {
        // Callbacks that finish an exchange may ask for more.
        for _ in 0..MAX_LINGERING {
            let mut guest = self.guest.borrow_mut();
            let host = guest.store.data_mut();
            host.has_news = false;
            let (asked, done, tick) = (std::mem::take(&mut host.calls.asked), std::mem::take(&mut host.done), host.tick);
            let queue = host.queue_news.take();
            drop(guest);
            asked.into_iter().for_each(|asked| self.call(asked));
            if let Some(mut queue) = queue {
                let me = Weak::clone(&self.me);
                spawn(async move {
                    while let Some(queue) = queue.recv().await {
                        let Some(vm) = me.upgrade() else { return };
                        vm.queue_ready(queue);
                    }
                });
            }
            self.set_tick(tick);
            done.into_iter().for_each(|id| self.end(id));
            if !self.guest.borrow().store.data().has_news {
                return;
            }
        }
    }

    fn call(&self, asked: Asked) {
        let Asked { token, fetch, answer } = asked;
        // A worker that is gone drops the sender, which reads as a reset.
        let _ = self.fetch.send(Job::Fetch(fetch));
        let me = Weak::clone(&self.me);
        spawn(async move {
            let fetched = answer.await.unwrap_or(Err(FetchError::Reset));
            if let Some(vm) = me.upgrade() {
                vm.answered(token, fetched);
            }
        });
    }

    /// Shows the guest what came of a call. One that came to nothing has no headers.
    fn answered(&self, token: u32, fetched: Result<Fetched, FetchError>) {
        self.enter_alone(|guest| {
            let calls = &mut guest.store.data_mut().calls;
            calls.show(fetched);
            let (headers, body) = calls.answer.as_ref().map_or((0, 0), |answer| (answer.head.len(), answer.body.len()));
            let outcome = match &guest.callbacks.call_response {
                Some(callback) => Guest::call(&mut guest.store, ROOT, callback, (ROOT, token, headers as u32, body as u32, 0)),
                None => Ok(()),
            };
            guest.store.data_mut().calls.answer = None;
            outcome
        });
    }

    fn queue_ready(&self, queue: u32) {
        self.enter_alone(|guest| match &guest.callbacks.queue_ready {
            Some(callback) => Guest::call(&mut guest.store, ROOT, callback, (ROOT, queue)),
            None => Ok(()),
        });
    }

    fn set_tick(&self, period: Duration) {
        if self.tick.replace(period) == period {
            return;
        }
        let ticker = (!period.is_zero()).then(|| {
            let me = Weak::clone(&self.me);
            spawn(async move {
                loop {
                    tokio::time::sleep(period).await;
                    let Some(vm) = me.upgrade() else { return };
                    vm.ticked();
                }
            })
        });
        if let Some(old) = self.ticker.replace(ticker.flatten()) {
            old.abort();
        }
    }

    fn ticked(&self) {
        self.enter_alone(|guest| match &guest.callbacks.tick {
            Some(callback) => Guest::call(&mut guest.store, ROOT, callback, ROOT),
            None => Ok(()),
        });
    }

    /// Tells the guest that an exchange is over. It may say that it is not done with it.
    fn finish(&self, id: u32) {
        let finished = self.enter(id, |guest| {
            let done = match &guest.callbacks.done {
                Some(done) => Guest::call(&mut guest.store, id, done, id)? != 0,
                None => true,
            };
            let host = guest.store.data_mut();
            let lingers = !done && host.exchanges.len() < MAX_LINGERING;
            if let Some(exchange) = host.exchanges.get(id) {
                exchange.lingers = lingers;
            }
            Ok(!lingers)
        });
        match finished {
            Ok(true) => self.end(id),
            Ok(false) => {}
            Err(_) => self.guest.borrow_mut().store.data_mut().exchanges.remove(id),
        }
    }

    /// Log and delete: the guest's last callbacks for an exchange.
    fn end(&self, id: u32) {
        let ended = self.enter(id, |guest| {
            let Guest { store, callbacks: Callbacks { log, delete, .. }, .. } = guest;
            for callback in [log, delete].into_iter().flatten() {
                Guest::call(store, id, callback, id)?;
            }
            Ok(())
        });
        let guest = &mut *self.guest.borrow_mut();
        guest.store.data_mut().exchanges.remove(id);
        self.is_worn.set(guest.is_worn());
        if let (Err(fault), Some((culprit, _))) = (ended, &*self.death.borrow()) {
            if *culprit == id {
                let plugin = &guest.store.data().plugin;
                plugin.handle.fault(fault.label());
                tracing::warn!(plugin = %plugin.name, version = %plugin.version, reason = fault.reason().name(), "plugin {fault}");
            }
        }
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        if let Some(ticker) = self.ticker.take() {
            ticker.abort();
        }
    }
}

/// Starts a task of the worker's. A worker that is on its way out starts none.
fn spawn(task: impl Future<Output = ()> + 'static) -> Option<AbortHandle> {
    tokio::runtime::Handle::try_current().is_ok().then(|| tokio::task::spawn_local(task).abort_handle())
}

/// What ended an instance, as it is told to those it had exchanges with: all but one of them had no part in it.
fn told(is_culprit: bool, fault: &Fault) -> Fault {
    if is_culprit { fault.clone() } else { Fault::NoInstance(format!("the one that had the request {fault} on another")) }
}

// === impl Stream ===

impl Stream {
    /// Shows the guest a head. It stays with the guest until it is closed.
    pub fn headers(&self, direction: Direction, head: Head, ended: bool) -> Result<Flow, Fault> {
        let id = self.id;
        let action = self.vm.enter(id, |guest| {
            let count = head.len() as u32;
            let Some(exchange) = guest.store.data_mut().exchanges.get(id) else { return Ok(Some(Action::Continue)) };
            let side = exchange.side(direction);
            side.resumed = false;
            side.open(head);
            let callback = match direction {
                Direction::Request => &guest.callbacks.request_headers,
                Direction::Response => &guest.callbacks.response_headers,
            };
            match callback {
                Some(callback) => callback.call(&mut guest.store, id, count, ended).map(Action::of_headers),
                None => Ok(Some(Action::Continue)),
            }
        })?;
        self.flow(action)
    }

    /// Takes the head back. Whatever happened to the instance, there is one.
    pub fn close_headers(&self, direction: Direction) -> Option<Head> {
        let mut guest = self.vm.guest.borrow_mut();
        guest.store.data_mut().exchanges.get(self.id).map(|exchange| exchange.side(direction).close())
    }

    /// Whether the guest wants to see bodies.
    pub fn wants_body(&self, direction: Direction) -> bool {
        let callbacks = &self.vm.guest.borrow().callbacks;
        match direction {
            Direction::Request => callbacks.request_body.is_some() || callbacks.request_trailers.is_some(),
            Direction::Response => callbacks.response_body.is_some() || callbacks.response_trailers.is_some(),
        }
    }

    /// Shows the guest a piece of a body, with all that is held of it.
    pub fn body(&self, direction: Direction, piece: Bytes, ended: bool) -> Result<Flow, Fault> {
        let id = self.id;
        let action = self.vm.enter(id, |guest| {
            let Some(exchange) = guest.store.data_mut().exchanges.get(id) else { return Ok(Some(Action::Continue)) };
            let side = exchange.side(direction);
            side.received += piece.len() as u64;
            side.body.push(piece);
            (side.resumed, side.body_open) = (false, true);
            let held = side.body.len() as u32;
            let callback = match direction {
                Direction::Request => &guest.callbacks.request_body,
                Direction::Response => &guest.callbacks.response_body,
            };
            match callback {
                Some(callback) => Guest::call(&mut guest.store, id, callback, (id, held, u32::from(ended))).map(Action::of_body),
                None => Ok(Some(Action::Continue)),
            }
        })?;
        if action == Some(Action::Take) {
            self.take_body(direction);
        }
        self.flow(action)
    }

    /// Bytes that are held of a body.
    pub fn held(&self, direction: Direction) -> usize {
        let mut guest = self.vm.guest.borrow_mut();
        guest.store.data_mut().exchanges.get(self.id).map_or(0, |exchange| exchange.side(direction).body.len())
    }

    /// Takes what is held of a body.
    pub fn take_body(&self, direction: Direction) -> Rope {
        let mut guest = self.vm.guest.borrow_mut();
        let Some(exchange) = guest.store.data_mut().exchanges.get(self.id) else { return Rope::default() };
        let side = exchange.side(direction);
        side.body_open = false;
        std::mem::take(&mut side.body)
    }

    /// Shows the guest trailers.
    pub fn trailers(&self, direction: Direction, trailers: HeaderMap) -> Result<Flow, Fault> {
        let id = self.id;
        let action = self.vm.enter(id, |guest| {
            let count = trailers.len() as u32;
            let Some(exchange) = guest.store.data_mut().exchanges.get(id) else { return Ok(Some(Action::Continue)) };
            let side = exchange.side(direction);
            side.resumed = false;
            side.body_open = true;
            side.open_trailers(trailers);
            let callback = match direction {
                Direction::Request => &guest.callbacks.request_trailers,
                Direction::Response => &guest.callbacks.response_trailers,
            };
            match callback {
                Some(callback) => Guest::call(&mut guest.store, id, callback, (id, count)).map(Action::of_trailers),
                None => Ok(Some(Action::Continue)),
            }
        })?;
        self.flow(action)
    }

    /// Takes the trailers back.
    pub fn take_trailers(&self, direction: Direction) -> Option<HeaderMap> {
        let mut guest = self.vm.guest.borrow_mut();
        let trailers = guest.store.data_mut().exchanges.get(self.id)?.side(direction).trailers.take();
        trailers.map(|head| head.headers)
    }

    /// Waits until what was paused goes on, or is answered.
    pub fn poll_resumed(&self, direction: Direction, context: &mut Context<'_>) -> Poll<Result<Flow, Fault>> {
        if let Some((culprit, fault)) = &*self.vm.death.borrow() {
            return Poll::Ready(Err(told(*culprit == self.id, fault)));
        }
        let mut guest = self.vm.guest.borrow_mut();
        let Some(exchange) = guest.store.data_mut().exchanges.get(self.id) else { return Poll::Ready(Ok(Flow::Continue)) };
        if let Some(outcome) = outcome(exchange) {
            return Poll::Ready(outcome);
        }
        match std::mem::take(&mut exchange.side(direction).resumed) {
            true => Poll::Ready(Ok(Flow::Continue)),
            false => {
                exchange.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn flow(&self, action: Option<Action>) -> Result<Flow, Fault> {
        let mut guest = self.vm.guest.borrow_mut();
        let outcome = guest.store.data_mut().exchanges.get(self.id).and_then(outcome);
        match (outcome, action) {
            (Some(outcome), _) => outcome,
            (None, Some(Action::Continue)) => Ok(Flow::Continue),
            (None, Some(Action::Pause | Action::Take)) => Ok(Flow::Pause),
            (None, Some(Action::PauseHeaders)) => Ok(Flow::PauseHeaders),
            (None, None) => Err(Fault::Invalid("an action that is none".into())),
        }
    }
}

/// The guest's own end of an exchange, if it gave one.
fn outcome(exchange: &mut Exchange) -> Option<Result<Flow, Fault>> {
    if let Some(reply) = exchange.reply.take() {
        return Some(Ok(Flow::Reply(reply)));
    }
    exchange.closed.then(|| Err(Fault::Failed("it closed the stream".into())))
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.vm.finish(self.id);
    }
}
