//! How many retries an upstream bears: a share of its requests of the last ten seconds, and a few each second in any case.
//! Counted by the second on atomics, for all routes, workers and revisions together.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Seconds that are looked back on.
const WINDOW: u32 = 10;
/// Seconds that there is room for: some more, so that none is written over while it counts.
const ROOM: usize = 16;

/// What was sent to an upstream in the last seconds.
pub struct Budget {
    born: Instant,
    seconds: [Second; ROOM],
}

/// One second, all of it on one cache line.
#[derive(Default)]
#[repr(align(32))]
struct Second {
    requests: Count,
    retries: Count,
    /// Those of them that were hedges.
    hedges: Count,
}

/// A count, and above it the second that it is of.
#[derive(Default)]
struct Count(AtomicU64);

impl Budget {
    /// Nothing was sent yet.
    pub fn new(born: Instant) -> Self {
        Self { born, seconds: Default::default() }
    }

    /// A request is sent for the first time.
    #[inline]
    pub fn request(&self, now: Instant) {
        let second = self.second(now);
        self.at(second).requests.add(second);
    }

    /// The right to one retry: while those of the window are less than this share of its requests, or those of this second
    /// less than `least`.
    pub fn take(&self, now: Instant, share: f64, least: u32) -> bool {
        let second = self.second(now);
        let retries = &self.at(second).retries;
        let allowed = retries.of(second, second) < u64::from(least) || self.is_below(second, share, |each| &each.retries);
        if allowed {
            retries.add(second);
        }
        allowed
    }

    /// The right to one hedge: that to a retry, and while hedges are less than their own share.
    pub fn take_hedge(&self, now: Instant, hedges: f64, share: f64, least: u32) -> bool {
        let second = self.second(now);
        let allowed = self.is_below(second, hedges, |each| &each.hedges) && self.take(now, share, least);
        if allowed {
            self.at(second).hedges.add(second);
        }
        allowed
    }

    fn is_below(&self, second: u32, share: f64, what: fn(&Second) -> &Count) -> bool {
        let first = second.saturating_sub(WINDOW - 1);
        let total = |count: fn(&Second) -> &Count| self.seconds.iter().map(|each| count(each).of(first, second)).sum::<u64>();
        (total(what) as f64) < total(|each| &each.requests) as f64 * share
    }

    fn second(&self, now: Instant) -> u32 {
        now.saturating_duration_since(self.born).as_secs() as u32
    }

    fn at(&self, second: u32) -> &Second {
        &self.seconds[second as usize % ROOM]
    }
}

impl Count {
    fn add(&self, second: u32) {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            if (seen >> 32) as u32 == second {
                self.0.fetch_add(1, Ordering::Relaxed);
                return;
            }
            let first = u64::from(second) << 32 | 1;
            match self.0.compare_exchange_weak(seen, first, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(other) => seen = other,
            }
        }
    }

    /// The count, if it is of one of these seconds.
    fn of(&self, first: u32, last: u32) -> u64 {
        let seen = self.0.load(Ordering::Relaxed);
        match (first..=last).contains(&((seen >> 32) as u32)) {
            true => seen & u64::from(u32::MAX),
            false => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn taken(budget: &Budget, now: Instant, share: f64, least: u32) -> usize {
        (0..1_000).take_while(|_| budget.take(now, share, least)).count()
    }

    #[test]
    fn retries_are_a_share_of_the_requests() {
        let born = Instant::now();
        let budget = Budget::new(born);
        (0..100).for_each(|_| budget.request(born));
        assert_eq!(taken(&budget, born, 0.2, 0), 20);
        (0..50).for_each(|_| budget.request(born + Duration::from_secs(5)));
        assert_eq!(taken(&budget, born + Duration::from_secs(5), 0.2, 0), 10, "what was taken before still counts");
    }

    #[test]
    fn after_ten_seconds_a_request_counts_no_more() {
        let born = Instant::now();
        let budget = Budget::new(born);
        (0..100).for_each(|_| budget.request(born));
        assert!(budget.take(born + Duration::from_secs(9), 0.2, 0), "it still does after nine");
        assert!(!budget.take(born + Duration::from_secs(10), 0.2, 0));
        assert!(!budget.take(born + Duration::from_secs(1_000), 0.2, 0), "nor when its place comes round again");
    }

    #[test]
    fn a_few_are_made_each_second_in_any_case() {
        let born = Instant::now();
        let budget = Budget::new(born);
        for second in 0..40 {
            assert_eq!(taken(&budget, born + Duration::from_secs(second), 0.2, 3), 3);
        }
    }

    #[test]
    fn the_larger_of_both_holds_and_not_their_sum() {
        let born = Instant::now();
        let budget = Budget::new(born);
        (0..100).for_each(|_| budget.request(born));
        assert_eq!(taken(&budget, born, 0.2, 10), 20);
    }

    #[test]
    fn hedges_are_retries_with_a_share_of_their_own() {
        let born = Instant::now();
        let budget = Budget::new(born);
        (0..100).for_each(|_| budget.request(born));
        let hedges = (0..100).take_while(|_| budget.take_hedge(born, 0.05, 0.2, 0)).count();
        assert_eq!((hedges, taken(&budget, born, 0.2, 0)), (5, 15));
        assert!(!budget.take_hedge(born, 1.0, 0.2, 0), "the budget of both is spent");
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        let born = Instant::now();
        let budget = Budget::new(born);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| budget.request(born + Duration::from_secs(3))));
            }
        });
        assert_eq!(budget.at(3).requests.of(3, 3), 40_000);
    }
}
