//! What one version of a plugin did: its calls with their times, counted only while somebody compares versions, and
//! its faults. Shared by all workers.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Parts of each doubling of time: a time is known to an eighth.
const PARTS: usize = 8;
/// Doublings of a microsecond: up to 16 s.
const DOUBLINGS: usize = 24;
const BUCKETS: usize = PARTS * DOUBLINGS;

/// The counts of one usage.
#[derive(Default)]
pub struct Tally {
    on: AtomicBool,
    faults: AtomicU64,
    refusals: AtomicU64,
    times: OnceLock<Box<[AtomicU32; BUCKETS]>>,
}

/// Counts at one moment, or the difference of two.
#[derive(Clone)]
pub struct Reading {
    /// Calls that came to no answer.
    pub faults: u64,
    /// Requests that were answered with an error of the plugin's own.
    pub refusals: u64,
    times: [u32; BUCKETS],
}

impl Tally {
    /// Counts calls from now on, or no more. What was counted stays.
    pub fn count_calls(&self, on: bool) {
        self.on.store(on, Relaxed);
    }

    /// Notes a call, if calls are counted.
    #[inline]
    pub fn called(&self, took: Duration) {
        if self.on.load(Relaxed) {
            self.add(took);
        }
    }

    /// Notes that a call came to no answer. It is a call as well.
    pub fn faulted(&self) {
        self.faults.fetch_add(1, Relaxed);
    }

    /// Notes that a request was answered with an error of the plugin's own, if calls are counted.
    pub fn refused(&self) {
        if self.on.load(Relaxed) {
            self.refusals.fetch_add(1, Relaxed);
        }
    }

    /// What was counted so far.
    pub fn read(&self) -> Reading {
        let times = self.times.get().map_or([0; BUCKETS], |times| std::array::from_fn(|place| times[place].load(Relaxed)));
        Reading { faults: self.faults.load(Relaxed), refusals: self.refusals.load(Relaxed), times }
    }

    #[cold]
    fn add(&self, took: Duration) {
        let times = self.times.get_or_init(|| Box::new(std::array::from_fn(|_| AtomicU32::new(0))));
        times[bucket(took)].fetch_add(1, Relaxed);
    }
}

impl Default for Reading {
    fn default() -> Self {
        Self { faults: 0, refusals: 0, times: [0; BUCKETS] }
    }
}

impl Reading {
    /// All calls.
    pub fn calls(&self) -> u64 {
        self.times.iter().map(|count| u64::from(*count)).sum()
    }

    /// The share of calls that came to no answer; 0 without calls.
    pub fn fault_rate(&self) -> f64 {
        self.share(self.faults)
    }

    /// The share of calls that answered with an error of the plugin's own; 0 without calls.
    pub fn refusal_rate(&self) -> f64 {
        self.share(self.refusals)
    }

    fn share(&self, count: u64) -> f64 {
        count as f64 / self.calls().max(1) as f64
    }

    /// The time that this share of the calls stayed within. None without calls.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let wanted = (self.calls() as f64 * share).ceil() as u64;
        let mut seen = 0;
        let reached = |count: &u32| {
            seen += u64::from(*count);
            seen >= wanted && seen > 0
        };
        self.times.iter().position(reached).map(upper)
    }

    /// What was counted between an earlier reading of the same tally and this one.
    pub fn since(&self, earlier: &Reading) -> Reading {
        Reading {
            faults: self.faults.saturating_sub(earlier.faults),
            refusals: self.refusals.saturating_sub(earlier.refusals),
            times: std::array::from_fn(|place| self.times[place].wrapping_sub(earlier.times[place])),
        }
    }

    /// Adds another one's counts.
    pub fn add(&mut self, other: &Reading) {
        self.faults += other.faults;
        self.refusals += other.refusals;
        self.times.iter_mut().zip(&other.times).for_each(|(sum, count)| *sum = sum.saturating_add(*count));
    }
}

fn bucket(took: Duration) -> usize {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
    let doubling = micros.ilog2() as usize;
    // The three bits after the highest.
    let part = ((u128::from(micros) << 3) >> doubling) as usize - PARTS;
    (doubling * PARTS + part).min(BUCKETS - 1)
}

/// The longest time of a bucket.
fn upper(bucket: usize) -> Duration {
    let (doubling, part) = (bucket / PARTS, bucket % PARTS);
    Duration::from_nanos((((PARTS + part + 1) as u64) << doubling) * 1000 / PARTS as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(times: &[u64], share: f64, micros: f64) {
        let tally = Tally::default();
        tally.count_calls(true);
        times.iter().for_each(|micros| tally.called(Duration::from_micros(*micros)));
        let found = tally.read().quantile(share).map_or(0.0, |time| time.as_secs_f64() * 1e6);
        assert!(found >= micros && found <= micros * 1.13 + 1.0, "{found} is about {micros}");
    }

    #[test]
    fn quantiles_are_known_to_an_eighth() {
        check(&[], 0.99, 0.0);
        check(&[100], 0.99, 100.0);
        check(&[1, 2, 3, 4], 0.5, 2.0);
        check(&[10, 10, 10, 20_000], 0.99, 20_000.0);
        check(&[10, 10, 10, 20_000], 0.75, 10.0);
        check(&[15_999_999], 1.0, 15_999_999.0);
    }

    #[test]
    fn a_difference_has_what_came_between() {
        let tally = Tally::default();
        tally.called(Duration::from_millis(1));
        assert_eq!(tally.read().calls(), 0, "nobody asked for calls to be counted");
        tally.count_calls(true);
        tally.called(Duration::from_millis(1));
        let before = tally.read();
        tally.called(Duration::from_millis(8));
        tally.faulted();
        let between = tally.read().since(&before);
        assert_eq!((between.calls(), between.faults, between.fault_rate()), (1, 1, 1.0));
        assert!(between.quantile(0.99) > Some(Duration::from_millis(7)), "only the later call");
    }

    #[test]
    fn any_time_has_a_bucket() {
        for micros in [0, 1, u64::MAX] {
            assert!(bucket(Duration::from_micros(micros)) < BUCKETS, "{micros}");
        }
    }
}
