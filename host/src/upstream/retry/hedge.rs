//! Hedging: a request that takes longer than most is asked of a second endpoint, and the first good answer is taken. When
//! that is, and how long most take; how it is done is in `tries`.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// The share of the requests of the last ten seconds that may be hedged.
pub const SHARE: f64 = 0.05;
/// Answers that have to be known before a quantile means something.
const ENOUGH: u32 = 100;
/// By how much of itself an estimate moves with the first answers, and later.
const COARSE: f64 = 0.5;
const FINE: f64 = 0.05;

/// When a second endpoint is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Hedge {
    /// After as long as this share of the answers takes at most; between 0 and 1.
    Quantile(f64),
    /// After this time.
    After(Duration),
}

/// How long the answers of an upstream take at most, but for a few: an estimate that each answer moves a little, up if it
/// took longer and down, by less, if not, so that it comes to rest where the share of those above is right. Two that learn
/// in the same moment may lose a step, which the next makes good.
#[derive(Default)]
pub struct Latency {
    nanos: AtomicU64,
    learned: AtomicU32,
}

impl Hedge {
    /// How long to wait for the first endpoint; None while that is not known.
    pub fn wait(&self, latency: &Latency) -> Option<Duration> {
        match self {
            Hedge::After(time) => Some(*time),
            Hedge::Quantile(_) => latency.estimate(),
        }
    }

    /// Learns from an answer that took so long, or longer.
    pub fn learn(&self, latency: &Latency, took: Duration) {
        if let Hedge::Quantile(share) = self {
            latency.learn(took, *share);
        }
    }
}

impl Latency {
    fn estimate(&self) -> Option<Duration> {
        let known = self.learned.load(Ordering::Relaxed) >= ENOUGH;
        known.then(|| Duration::from_nanos(self.nanos.load(Ordering::Relaxed)))
    }

    fn learn(&self, took: Duration, share: f64) {
        let (took, learned) = (took.as_nanos() as f64, self.learned.load(Ordering::Relaxed));
        let before = self.nanos.load(Ordering::Relaxed) as f64;
        let step = (10.0 / f64::from(learned + 1)).clamp(FINE, COARSE);
        let after = match took > before {
            _ if learned == 0 => took,
            true => before * (1.0 + step * share),
            false => before * (1.0 - step * (1.0 - share)),
        };
        self.nanos.store(after.max(1.0) as u64, Ordering::Relaxed);
        if learned < u32::MAX / 2 {
            self.learned.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(latency: &Latency, answers: u64, slowest: u64) {
        // Every time once in some order, which a step that shares no factor with the number of times gives.
        let time = |answer: u64| Duration::from_micros(answer * 7919 % slowest + 1);
        (0..answers).for_each(|answer| latency.learn(time(answer), 0.95));
    }

    #[track_caller]
    fn check(latency: &Latency, about: u64) {
        let estimate = latency.estimate().expect("enough is known").as_micros() as u64;
        assert!((about * 8 / 10..=about * 12 / 10).contains(&estimate), "{estimate} us, about {about} is right");
    }

    #[test]
    fn it_finds_the_quantile_and_follows_it() {
        let latency = Latency::default();
        spread(&latency, 2_000, 10_000);
        check(&latency, 9_500);
        spread(&latency, 2_000, 100_000);
        check(&latency, 95_000);
        spread(&latency, 5_000, 1_000);
        check(&latency, 950);
    }

    #[test]
    fn nothing_is_hedged_before_enough_is_known() {
        let (hedge, latency) = (Hedge::Quantile(0.95), Latency::default());
        (0..ENOUGH - 1).for_each(|_| hedge.learn(&latency, Duration::from_millis(1)));
        assert_eq!(hedge.wait(&latency), None);
        hedge.learn(&latency, Duration::from_millis(1));
        assert!(hedge.wait(&latency).is_some());
    }

    #[test]
    fn a_time_that_is_given_needs_no_learning() {
        let (hedge, latency) = (Hedge::After(Duration::from_millis(50)), Latency::default());
        hedge.learn(&latency, Duration::from_secs(9));
        assert_eq!(hedge.wait(&latency), Some(Duration::from_millis(50)));
        assert_eq!(latency.learned.load(Ordering::Relaxed), 0, "and costs none");
    }
}
