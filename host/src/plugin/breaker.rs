//! A breaker on a plugin version that keeps faulting: it is not called for a while, so that its faults cost
//! nothing and `on_error` answers at once.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Calls in a window before the share of faults says anything.
const ENOUGH_FAULTS: u32 = 20;
const WINDOW: Duration = Duration::from_secs(10);
const FIRST_SUSPENSION: Duration = Duration::from_secs(1);
const LONGEST_SUSPENSION: Duration = Duration::from_secs(60);

/// Counts calls and faults of one version, shared by all workers.
///
/// Closed, it costs a relaxed load a call. It opens when a window of 10 s has at least 20 faults and they are at
/// least half of its calls; it lets one call through after 1 s, and doubles that to 60 s while those fail.
#[derive(Debug)]
pub struct Breaker {
    started: Instant,
    /// Nanoseconds since `started` until which calls are refused; 0 when closed.
    open_until: AtomicU64,
    window_started: AtomicU64,
    calls: AtomicU32,
    faults: AtomicU32,
    suspensions: AtomicU32,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            open_until: AtomicU64::new(0),
            window_started: AtomicU64::new(0),
            calls: AtomicU32::new(0),
            faults: AtomicU32::new(0),
            suspensions: AtomicU32::new(0),
        }
    }
}

impl Breaker {
    /// Whether a call may be made now. When a suspension has run out, one caller is let through to try.
    pub fn allows(&self) -> bool {
        let until = self.open_until.load(Ordering::Relaxed);
        if until == 0 {
            return true;
        }
        let now = self.now();
        // The one that moves the mark is the probe; the others wait for its outcome, or for the next turn.
        let next = now + self.suspension().as_nanos() as u64;
        now >= until && self.open_until.compare_exchange(until, next, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Whether calls are refused at present.
    pub fn is_open(&self) -> bool {
        self.open_until.load(Ordering::Relaxed) != 0
    }

    /// Notes a call that went well. Only faults are counted one by one: a good call closes an open breaker and is
    /// otherwise counted in bulk by [`Breaker::count_calls`].
    pub fn succeeded(&self) {
        if self.open_until.load(Ordering::Relaxed) != 0 {
            self.suspensions.store(0, Ordering::Relaxed);
            self.faults.store(0, Ordering::Relaxed);
            self.calls.store(0, Ordering::Relaxed);
            self.open_until.store(0, Ordering::Release);
        }
    }

    /// Adds calls that a worker made since it last said so.
    pub fn count_calls(&self, calls: u32) {
        self.calls.fetch_add(calls, Ordering::Relaxed);
    }

    /// Notes a fault. `recent_calls` are the calls of this worker that [`Breaker::count_calls`] has not been told yet.
    pub fn faulted(&self, recent_calls: u32) {
        self.roll_window();
        let calls = self.calls.fetch_add(recent_calls, Ordering::Relaxed) + recent_calls;
        let faults = self.faults.fetch_add(1, Ordering::Relaxed) + 1;
        let half_open = self.is_open();
        if half_open || (faults >= ENOUGH_FAULTS && faults.saturating_mul(2) >= calls) {
            self.suspend();
        }
    }

    fn suspend(&self) {
        let suspension = self.suspension();
        self.suspensions.fetch_add(1, Ordering::Relaxed);
        self.open_until.store(self.now() + suspension.as_nanos() as u64, Ordering::Release);
    }

    fn suspension(&self) -> Duration {
        let doublings = self.suspensions.load(Ordering::Relaxed).min(6);
        (FIRST_SUSPENSION * (1 << doublings)).min(LONGEST_SUSPENSION)
    }

    fn roll_window(&self) {
        let (now, started) = (self.now(), self.window_started.load(Ordering::Relaxed));
        let over = now.saturating_sub(started) > WINDOW.as_nanos() as u64;
        if over && self.window_started.compare_exchange(started, now, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            self.calls.store(0, Ordering::Relaxed);
            self.faults.store(0, Ordering::Relaxed);
        }
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_after_twenty_faults_that_are_half_of_the_calls() {
        let breaker = Breaker::default();
        for _ in 0..19 {
            breaker.faulted(1);
        }
        assert!(breaker.allows(), "nineteen faults are not enough");
        breaker.faulted(1);
        assert!(!breaker.allows(), "the twentieth suspends the version");
    }

    #[test]
    fn stays_closed_while_most_calls_go_well() {
        let breaker = Breaker::default();
        for _ in 0..100 {
            breaker.faulted(10);
        }
        assert!(breaker.allows(), "one fault in ten is for the log, not for the breaker");
    }

    #[test]
    fn a_good_call_closes_it() {
        let breaker = Breaker::default();
        (0..20).for_each(|_| breaker.faulted(1));
        assert!(breaker.is_open());
        breaker.succeeded();
        assert!(breaker.allows(), "the probe went well");
    }
}
