//! A worker's idle connections, by endpoint. Owned by the worker alone: no lock, and a connection never changes thread.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hyper::client::conn::http1::SendRequest;

use crate::body::Body;

use super::Endpoint;

/// Idle connections that a worker keeps to one endpoint.
const MAX_IDLE: usize = 512;

/// The idle connections of one worker.
#[derive(Default)]
pub struct Connections {
    slots: RefCell<Vec<Slot>>,
}

#[derive(Default)]
struct Slot {
    /// Which endpoint this is; an index is used again after its endpoint is gone.
    serial: u64,
    keep_alive: Duration,
    idle: Vec<Idle>,
}

struct Idle {
    sender: SendRequest<Body>,
    since: Instant,
}

/// Where a connection goes back to.
#[derive(Clone)]
pub struct Home {
    connections: Rc<Connections>,
    index: usize,
    serial: u64,
    keep_alive: Duration,
}

impl Home {
    /// The place of this endpoint's connections.
    pub fn of(connections: &Rc<Connections>, endpoint: &Endpoint, keep_alive: Duration) -> Self {
        Self { connections: Rc::clone(connections), index: endpoint.index, serial: endpoint.serial, keep_alive }
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

    /// Keeps a connection for the next request.
    pub fn give_back(&self, sender: SendRequest<Body>) {
        if sender.is_closed() {
            return;
        }
        self.with_slot(|slot| {
            slot.keep_alive = self.keep_alive;
            if slot.idle.len() < MAX_IDLE {
                slot.idle.push(Idle { sender, since: Instant::now() });
            }
        });
    }

    fn with_slot<R>(&self, act: impl FnOnce(&mut Slot) -> R) -> R {
        let mut slots = self.connections.slots.borrow_mut();
        if slots.len() <= self.index {
            slots.resize_with(self.index + 1, Slot::default);
        }
        let slot = &mut slots[self.index];
        if slot.serial != self.serial {
            *slot = Slot { serial: self.serial, ..Slot::default() };
        }
        act(slot)
    }
}

impl Connections {
    /// Drops what was idle for too long. To be called now and then.
    pub fn sweep(&self) {
        for slot in self.slots.borrow_mut().iter_mut() {
            let keep_alive = slot.keep_alive;
            slot.idle.retain(|idle| !idle.sender.is_closed() && idle.since.elapsed() < keep_alive);
        }
    }
}
