//! When a circuit opens, and for how long: what is configured, and what an answer is taken for.

use std::time::Duration;

use super::window::Totals;

/// How far from what is configured it may stay open, so that gateways do not come back in step.
const JITTER: f64 = 0.2;

/// When a circuit opens, and how it closes again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// The time over which requests are counted.
    pub window: Duration,
    /// The fewest requests of a window that are judged.
    pub min_requests: u32,
    /// The share of failed requests that opens it; 0 for never.
    pub failure_ratio: f64,
    /// Answers slower than this are slow; None for never.
    pub slow_threshold: Option<Duration>,
    /// The share of slow answers that opens it; 0 for never.
    pub slow_ratio: f64,
    /// Whether a 500 is a failure.
    pub count_500: bool,
    /// How long it stays open at first, give or take a fifth; each further time is twice as long.
    pub open: Duration,
    /// The longest that it stays open, give or take a fifth.
    pub max_open: Duration,
    /// How many requests find out whether it may close: all of them have to succeed.
    pub probes: u32,
    /// How long it takes until all requests are let through again.
    pub ramp: Duration,
}

/// What an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) failed: bool,
    pub(super) slow: bool,
}

impl Rules {
    /// Whether anything ever opens it.
    pub fn may_open(&self) -> bool {
        self.failure_ratio > 0.0 || self.counts_slow()
    }

    /// No connection and a broken one are 502 here, and no answer in time is 504.
    #[inline]
    pub(super) fn judge(&self, status: u16, took: Duration) -> Outcome {
        let failed = matches!(status, 502..=504) || status == 500 && self.count_500;
        let slow = self.slow_threshold.is_some_and(|threshold| took > threshold);
        Outcome { failed: failed && self.failure_ratio > 0.0, slow: slow && self.slow_ratio > 0.0 }
    }

    pub(super) fn are_broken(&self, totals: &Totals) -> bool {
        let is_reached = |count: u64, ratio: f64| ratio > 0.0 && count as f64 >= totals.requests as f64 * ratio;
        let is_broken = is_reached(totals.failures, self.failure_ratio) || self.counts_slow() && is_reached(totals.slow, self.slow_ratio);
        is_broken && totals.requests >= u64::from(self.min_requests)
    }

    /// How long it stays open after it did so often before; `chance` is between 0 and 1.
    pub(super) fn rest(&self, times: u32, chance: f64) -> Duration {
        let most = self.max_open.max(self.open);
        let doubled = self.open.saturating_mul(1 << times.min(16)).min(most);
        doubled.mul_f64(1.0 - JITTER + 2.0 * JITTER * chance)
    }

    fn counts_slow(&self) -> bool {
        self.slow_threshold.is_some() && self.slow_ratio > 0.0
    }
}

impl Outcome {
    #[inline]
    pub(super) fn is_bad(self) -> bool {
        self.failed || self.slow
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(10),
            min_requests: 20,
            failure_ratio: 0.5,
            slow_threshold: None,
            slow_ratio: 0.5,
            count_500: false,
            open: Duration::from_secs(5),
            max_open: Duration::from_secs(60),
            probes: 5,
            ramp: Duration::from_secs(10),
        }
    }
}
