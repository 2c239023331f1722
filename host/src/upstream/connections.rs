//! A worker's connections that can take a request, by endpoint. Owned by the worker alone: no lock, and a connection
//! never changes thread.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Weak;
use std::time::{Duration, Instant};

use hyper::client::conn::http1::SendRequest;
use tokio::sync::Notify;

use crate::body::Body;

use super::Endpoint;
use super::http2::{Http2, Stream};
use super::transport::Transport;

/// Idle connections that a worker keeps to one endpoint.
const MAX_IDLE: usize = 512;

/// The connections of one worker.
#[derive(Default)]
pub struct Connections {
    slots: RefCell<Vec<Slot>>,
}

#[derive(Default)]
struct Slot {
    /// Which endpoint this is; an index is used again after its endpoint is gone.
    serial: u64,
    /// Whether the endpoint is still there: if not, nobody will need these connections.
    life: Weak<()>,
    /// How it was spoken to.
    transport: u64,
    keep_alive: Duration,
    idle: Vec<Idle>,
    /// What speaks HTTP/2 is idle and in use at once.
    shared: Vec<Http2>,
    /// The connection that is being made, which others wait for.
    coming: Option<Rc<Coming>>,
    /// The endpoint chose HTTP/1.1 the last time, so that there is nothing to share and to wait for.
    chose_http1: bool,
}

struct Idle {
    sender: SendRequest<Body>,
    since: Instant,
}

/// A connection that is being made.
#[derive(Default)]
struct Coming {
    done: Notify,
    failed: RefCell<Option<String>>,
}

/// Where a connection goes back to.
#[derive(Clone)]
pub struct Home {
    connections: Rc<Connections>,
    index: usize,
    serial: u64,
    transport: u64,
    keep_alive: Duration,
}

/// What a request that found no connection does about it.
pub enum Turn {
    /// Make one, and say what became of it.
    Connect(Connecting),
    /// Wait for the one that is being made.
    Wait(Waiting),
}

/// The duty to make a connection. Dropped without a word, it falls to the next.
pub struct Connecting {
    home: Home,
    coming: Rc<Coming>,
}

/// A place among those who wait for a connection.
pub struct Waiting(Rc<Coming>);

impl Home {
    /// The place of this endpoint's connections of this transport.
    pub fn of(connections: &Rc<Connections>, endpoint: &Endpoint, transport: &Transport, keep_alive: Duration) -> Self {
        connections.make_room(endpoint);
        Self { connections: Rc::clone(connections), index: endpoint.index, serial: endpoint.serial, transport: transport.id, keep_alive }
    }

    /// The connection that came back last, and how long it was idle: its buffers are warm, and those not needed grow old.
    pub fn take(&self) -> Option<(SendRequest<Body>, Duration)> {
        self.with_slot(|slot| {
            while let Some(idle) = slot.idle.pop() {
                if !idle.sender.is_closed() {
                    return Some((idle.sender, idle.since.elapsed()));
                }
            }
            None
        })
    }

    /// Keeps a connection for the next request, idle since `now`.
    pub fn give_back(&self, sender: SendRequest<Body>, now: Instant) {
        if sender.is_closed() {
            return;
        }
        self.with_own_slot(|slot| {
            slot.keep_alive = self.keep_alive;
            if slot.idle.len() < MAX_IDLE {
                slot.idle.push(Idle { sender, since: now });
            }
        });
    }

    /// A stream on the first shared connection that takes one more, so that those not needed run dry.
    pub fn stream(&self) -> Option<Stream> {
        self.with_slot(|slot| {
            slot.shared.retain(|http2| !http2.is_closed());
            slot.shared.iter().find_map(Http2::open)
        })
    }

    /// Whose turn it is to connect: one at a time, where all may share what it makes.
    pub fn turn(&self) -> Turn {
        self.with_slot(|slot| match &slot.coming {
            Some(coming) if !slot.chose_http1 => Turn::Wait(Waiting(Rc::clone(coming))),
            _ => {
                let coming = Rc::<Coming>::default();
                slot.coming = Some(Rc::clone(&coming));
                Turn::Connect(Connecting { home: self.clone(), coming })
            }
        })
    }

    fn with_slot<R>(&self, act: impl FnOnce(&mut Slot) -> R) -> R {
        let mut slots = self.connections.slots.borrow_mut();
        let slot = &mut slots[self.index];
        if (slot.serial, slot.transport) != (self.serial, self.transport) {
            let life = std::mem::take(&mut slot.life);
            *slot = Slot { serial: self.serial, life, transport: self.transport, ..Slot::default() };
        }
        act(slot)
    }

    /// Like `with_slot`, but the place may have fallen to another endpoint or transport meanwhile, and stays with it.
    fn with_own_slot(&self, act: impl FnOnce(&mut Slot)) {
        let mut slots = self.connections.slots.borrow_mut();
        let slot = slots.get_mut(self.index);
        if let Some(slot) = slot.filter(|slot| (slot.serial, slot.transport) == (self.serial, self.transport)) {
            act(slot);
        }
    }
}

// === impl Connecting ===

impl Connecting {
    /// The endpoint chose HTTP/1.1: whoever waits makes a connection of its own.
    pub fn is_http1(self) {
        self.home.with_own_slot(|slot| slot.chose_http1 = true);
    }

    /// There is a connection to share.
    pub fn is_http2(self, http2: Http2) {
        self.home.with_own_slot(|slot| {
            slot.chose_http1 = false;
            slot.keep_alive = self.home.keep_alive;
            slot.shared.push(http2);
        });
    }

    /// There is none, which is true for all who waited.
    pub fn failed(self, cause: &str) {
        *self.coming.failed.borrow_mut() = Some(cause.to_owned());
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        self.home.with_own_slot(|slot| drop(slot.coming.take_if(|coming| Rc::ptr_eq(coming, &self.coming))));
        self.coming.done.notify_waiters();
    }
}

impl Waiting {
    /// Resolves when the connection was made, or was given up; fails if it could not be made.
    pub async fn over(self) -> Result<(), String> {
        self.0.done.notified().await;
        match self.0.failed.borrow().clone() {
            Some(cause) => Err(cause),
            None => Ok(()),
        }
    }
}

impl Connections {
    /// Drops what was idle for too long, or to an endpoint that is gone. To be called now and then.
    pub fn sweep(&self) {
        for slot in self.slots.borrow_mut().iter_mut() {
            if slot.serial != 0 && slot.life.strong_count() == 0 {
                *slot = Slot::default();
                continue;
            }
            let keep_alive = slot.keep_alive;
            slot.idle.retain(|idle| !idle.sender.is_closed() && idle.since.elapsed() < keep_alive);
            slot.shared.retain(|http2| !http2.is_closed() && !http2.is_idle_for(keep_alive));
        }
    }

    fn make_room(&self, endpoint: &Endpoint) {
        let mut slots = self.slots.borrow_mut();
        if slots.len() <= endpoint.index {
            slots.resize_with(endpoint.index + 1, Slot::default);
        }
        let slot = &mut slots[endpoint.index];
        if slot.serial != endpoint.serial {
            *slot = Slot { serial: endpoint.serial, life: endpoint.life(), ..Slot::default() };
        }
    }
}
