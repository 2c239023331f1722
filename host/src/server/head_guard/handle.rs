//! The service's side of the guard: which request was refused and why, and when a request or an upgrade is over.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;

use tokio::time::Instant;

use super::violation::Violation;

/// What the service of a connection asks its guard.
#[derive(Debug, Clone)]
pub struct GuardHandle {
    pub(super) shared: Rc<Shared>,
}

/// One request the guard let through. Keep it until the last byte of the response is handed to hyper: only then
/// does the connection count as idle, and an upgrade that was not accepted by then is declined.
#[derive(Debug)]
pub struct Admission {
    shared: Rc<Shared>,
    index: u64,
    finished_at: Option<Instant>,
}

/// What guard and handle know together; both live on one thread.
#[derive(Debug)]
pub(super) struct Shared {
    /// Heads let through to hyper.
    passed: Cell<u64>,
    /// Heads the service has asked about.
    received: Cell<u64>,
    /// Requests whose admission is over.
    finished: Cell<u64>,
    finished_at: Cell<Instant>,
    refused: Cell<Option<(u64, Violation)>>,
    pub(super) broken: Cell<Option<Violation>>,
    pub(super) upgrade: Cell<Upgrade>,
    waker: RefCell<Option<Waker>>,
}

/// Whether the connection may stop speaking HTTP after the request that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Upgrade {
    None,
    Offered { to: u64 },
    Accepted,
}

// === impl GuardHandle ===

impl GuardHandle {
    /// Admits the next request from hyper. Call it exactly once for each, first thing and in order.
    ///
    /// # Errors
    /// The violation, when the guard put this request in the place of a refused head; answer with it.
    pub fn admit(&self) -> Result<Admission, Violation> {
        let index = self.shared.received.get();
        self.shared.received.set(index + 1);
        match self.violation_for(index) {
            Some(violation) => Err(violation),
            None => Ok(Admission { shared: Rc::clone(&self.shared), index, finished_at: None }),
        }
    }

    /// Why the request with this number, counted from zero, was refused.
    #[must_use]
    pub fn violation_for(&self, index: u64) -> Option<Violation> {
        self.shared.refused.get().filter(|(refused, _)| *refused == index).map(|(_, violation)| violation)
    }

    /// Why the body under way cannot be read to its end, when its framing is the reason.
    #[must_use]
    pub fn body_violation(&self) -> Option<Violation> {
        self.shared.broken.get()
    }

    /// Lets every further byte through unread, since the connection speaks another protocol from here on.
    pub fn pass_through(&self) {
        self.shared.settle(Upgrade::Accepted);
    }
}

// === impl Admission ===

impl Admission {
    /// Whether the request asks for another protocol and has no answer yet.
    #[must_use]
    pub fn may_upgrade(&self) -> bool {
        self.shared.upgrade.get() == Upgrade::Offered { to: self.index }
    }

    /// Accepts the upgrade; call it before the 101 goes out.
    pub fn accept_upgrade(&self) {
        if self.may_upgrade() {
            self.shared.settle(Upgrade::Accepted);
        }
    }

    /// It is over, since `now`.
    pub fn finish(mut self, now: Instant) {
        self.finished_at = Some(now);
    }

    /// Declines the upgrade if it was not accepted. Nothing is read before that, not even that the client left, so
    /// call it early.
    pub fn decline_upgrade(&self) {
        if self.may_upgrade() {
            self.shared.settle(Upgrade::None);
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.decline_upgrade();
        self.shared.finished.set(self.shared.finished.get() + 1);
        self.shared.finished_at.set(self.finished_at.unwrap_or_else(Instant::now));
    }
}

// === impl Shared ===

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            passed: Cell::new(0),
            received: Cell::new(0),
            finished: Cell::new(0),
            finished_at: Cell::new(Instant::now()),
            refused: Cell::new(None),
            broken: Cell::new(None),
            upgrade: Cell::new(Upgrade::None),
            waker: RefCell::new(None),
        }
    }

    pub(super) fn pass(&self, may_upgrade: bool) {
        let index = self.passed.get();
        self.passed.set(index + 1);
        if may_upgrade {
            self.upgrade.set(Upgrade::Offered { to: index });
        }
    }

    /// Heads let through so far.
    #[cfg(test)]
    pub(super) fn passed(&self) -> u64 {
        self.passed.get()
    }

    pub(super) fn refuse(&self, violation: Violation) {
        self.refused.set(Some((self.passed.get(), violation)));
    }

    /// Since when no request is under way; `None` while one is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        (self.passed.get() == self.finished.get()).then(|| self.finished_at.get())
    }

    /// Whether no head has come through yet.
    pub(super) fn is_new(&self) -> bool {
        self.passed.get() == 0
    }

    /// Remembers whom to wake when the upgrade is settled.
    pub(super) fn wake_later(&self, waker: &Waker) {
        *self.waker.borrow_mut() = Some(waker.clone());
    }

    fn settle(&self, upgrade: Upgrade) {
        self.upgrade.set(upgrade);
        let waker = self.waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
