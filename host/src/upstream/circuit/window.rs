//! Requests, failures and slow answers of the last while, in a few slots that are used in turn.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::rules::Outcome;

/// So much of a window passes out of it at once: a tenth.
const SLOTS: u64 = 10;
/// A slot that has counted nothing yet. No window reaches so far.
const NEVER: u64 = u64::MAX;

/// What happened lately. Times are nanoseconds since some birth; how long the window is comes with each call, since it may
/// change while requests are under way.
#[derive(Default)]
pub(super) struct Window {
    slots: [Slot; SLOTS as usize],
    turning: Mutex<()>,
}

/// Sums over the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Totals {
    pub(super) requests: u64,
    pub(super) failures: u64,
    pub(super) slow: u64,
}

struct Slot {
    began: AtomicU64,
    requests: AtomicU32,
    failures: AtomicU32,
    slow: AtomicU32,
}

// === impl Window ===

impl Window {
    /// Counts an answer.
    #[inline]
    pub(super) fn count(&self, span: Duration, at: u64, outcome: Outcome) {
        self.slot(span, at).count(outcome);
    }

    /// Counts a failure of something that was counted as a success.
    pub(super) fn spoil(&self, span: Duration, at: u64) {
        self.slot(span, at).failures.fetch_add(1, Ordering::Relaxed);
    }

    #[inline]
    fn slot(&self, span: Duration, at: u64) -> &Slot {
        let length = (nanos(span) / SLOTS).max(1);
        let turn = at / length;
        let slot = &self.slots[(turn % SLOTS) as usize];
        let began = turn * length;
        if slot.began.load(Ordering::Acquire) != began {
            self.turn(slot, began);
        }
        slot
    }

    /// What was counted within the window that ends then.
    pub(super) fn totals(&self, span: Duration, at: u64) -> Totals {
        let (span, mut totals) = (nanos(span), Totals::default());
        for slot in &self.slots {
            let age = at.checked_sub(slot.began.load(Ordering::Acquire));
            if age.is_some_and(|age| age < span) {
                slot.add_to(&mut totals);
            }
        }
        totals
    }

    /// Forgets it all.
    pub(super) fn clear(&self) {
        let _alone = self.turning.lock();
        self.slots.iter().for_each(|slot| slot.began.store(NEVER, Ordering::Release));
    }

    /// Has a slot begin anew. Once for each slot and turn, so the lock is free.
    #[cold]
    fn turn(&self, slot: &Slot, began: u64) {
        let _alone = self.turning.lock();
        let before = slot.began.load(Ordering::Relaxed);
        // Somebody else was here first, or even a later turn.
        if before != NEVER && before >= began {
            return;
        }
        slot.requests.store(0, Ordering::Relaxed);
        slot.failures.store(0, Ordering::Relaxed);
        slot.slow.store(0, Ordering::Relaxed);
        // Nobody counts here before it is empty.
        slot.began.store(began, Ordering::Release);
    }
}

// === impl Slot ===

impl Slot {
    #[inline]
    fn count(&self, outcome: Outcome) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if outcome.failed {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        if outcome.slow {
            self.slow.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn add_to(&self, totals: &mut Totals) {
        totals.requests += u64::from(self.requests.load(Ordering::Relaxed));
        totals.failures += u64::from(self.failures.load(Ordering::Relaxed));
        totals.slow += u64::from(self.slow.load(Ordering::Relaxed));
    }
}

impl Default for Slot {
    fn default() -> Self {
        Self { began: AtomicU64::new(NEVER), requests: AtomicU32::default(), failures: AtomicU32::default(), slow: AtomicU32::default() }
    }
}

impl Totals {
    /// Of one answer.
    pub(super) fn of(outcome: Outcome) -> Self {
        Self { requests: 1, failures: outcome.failed.into(), slow: outcome.slow.into() }
    }
}

/// Nanoseconds; what is longer than five centuries is as long as that.
#[inline]
pub(super) fn nanos(span: Duration) -> u64 {
    // Half the cost of a request in a closed circuit was the 128 bits of `as_nanos`.
    span.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(span.subsec_nanos()))
}
