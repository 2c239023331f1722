//! One token bucket by the generic cell rate algorithm: a single atomic number, no drift, no lock.
//! Where buckets live and how they are found is in `table`.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use thiserror::Error;

use crate::limit::Moment;

/// How fast a bucket fills and how much it holds.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    rate: f64,
    burst: u32,
    // A bucket counts in ticks, a fraction 2^-shift of a token, as fine as 64 bits allow for 36 years of this rate.
    shift: u32,
    // Ticks per nanosecond, as `multiplier / 2^scale`.
    multiplier: u64,
    scale: u32,
}

/// What a take said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// The tokens were there and are taken.
    pub allowed: bool,
    /// Whole tokens left.
    pub remaining: u32,
    /// Time until there is a whole token more; zero if the bucket is full.
    pub reset: Duration,
    /// Time until this take would be allowed: zero if it was, [`Decision::NEVER`] for a cost above the burst.
    pub retry_after: Duration,
    /// Who decided.
    pub source: Source,
}

/// Who decides about a take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The gateway's own bucket, the only one there is as long as gateways share no limits.
    Local,
}

/// Why a policy is none.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum PolicyError {
    /// The rate is not a number above 0 and up to a thousand million.
    #[error("rate {0} is not above 0 and at most 1e9 tokens a second")]
    Rate(f64),
    /// The burst is 0.
    #[error("burst is 0, so no call could ever be allowed")]
    Burst,
}

/// The state of one bucket: the tick at which it will be full again.
#[derive(Debug)]
pub(super) struct Bucket(AtomicU64);

// === impl Policy ===

impl Policy {
    /// The fastest rate, in tokens a second.
    pub const MAX_RATE: f64 = 1e9;

    // Coarser than 2^-30 of a token is never needed, and with it the largest burst stays below 2^62 ticks.
    const MAX_SHIFT: u32 = 30;

    /// A bucket that gains `rate` tokens a second and holds `burst`.
    pub fn new(rate: f64, burst: u32) -> Result<Self, PolicyError> {
        if !(rate > 0.0 && rate <= Self::MAX_RATE) {
            return Err(PolicyError::Rate(rate));
        }
        if burst == 0 {
            return Err(PolicyError::Burst);
        }
        let shift = Self::shift_for(rate);
        let (multiplier, scale) = fixed_point(rate * (1u64 << shift) as f64 / 1e9);
        Ok(Self { rate, burst, shift, multiplier, scale })
    }

    /// Tokens added each second.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Tokens the bucket holds.
    pub fn burst(&self) -> u32 {
        self.burst
    }

    fn shift_for(rate: f64) -> u32 {
        let tokens_until_end = rate * (Moment::END.nanoseconds() as f64 / 1e9);
        let spare_bits = 61 - tokens_until_end.log2().ceil().max(0.0) as u32;
        spare_bits.min(Self::MAX_SHIFT)
    }

    fn ticks(&self, tokens: u32) -> u64 {
        u64::from(tokens) << self.shift
    }

    // The ticks since the clock started. Always computed from the whole time, never added up, so nothing drifts.
    fn ticks_at(&self, now: Moment) -> u64 {
        ((u128::from(now.nanoseconds()) * u128::from(self.multiplier)) >> self.scale) as u64
    }

    // Rounded up, so that a caller who waits this long is not early.
    fn time_for(&self, ticks: u64) -> Duration {
        let seconds = (ticks + 1) as f64 / (self.rate * (1u64 << self.shift) as f64);
        let nanoseconds = (seconds * 1e9 * (1.0 + 4.0 * f64::EPSILON)).ceil() as u64;
        Duration::from_nanos(nanoseconds.saturating_add(1))
    }
}

impl PartialEq for Policy {
    fn eq(&self, other: &Self) -> bool {
        self.rate == other.rate && self.burst == other.burst
    }
}

// A rate as `multiplier / 2^scale`, the multiplier of 52 or 53 bits and rounded down: what is admitted stays below the
// true rate, by less than one part in 10^15.
fn fixed_point(ticks_per_nanosecond: f64) -> (u64, u32) {
    let exponent = ticks_per_nanosecond.log2().floor() as i32;
    let scale = (52 - exponent).clamp(0, 127);
    let multiplier = (ticks_per_nanosecond * 2f64.powi(scale)) as u64;
    (multiplier.saturating_sub(1), scale as u32)
}

// === impl Decision ===

impl Decision {
    /// The `retry_after` of a take that no waiting helps.
    pub const NEVER: Duration = Duration::MAX;
}

// === impl Bucket ===

impl Bucket {
    /// A full bucket. Full at every time, so it is the same for every policy.
    pub fn full() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Takes `cost` tokens if they are there; takes none if not.
    ///
    /// A clock that went backwards makes the bucket look emptier, never fuller, because the stored tick only grows.
    pub fn take(&self, policy: &Policy, cost: u32, now: Moment) -> Decision {
        let arrival = policy.ticks_at(now);
        let capacity = policy.ticks(policy.burst);
        if cost > policy.burst {
            return refused(policy, Decision::NEVER, self.debt(policy, now));
        }
        let mut full_at = self.0.load(Relaxed);
        loop {
            let debt = full_at.saturating_sub(arrival);
            let debt_after = debt + policy.ticks(cost);
            if debt_after > capacity {
                return refused(policy, policy.time_for(debt_after - capacity), debt);
            }
            // One variable alone decides, so its own modification order is all the ordering that is needed.
            match self.0.compare_exchange_weak(full_at, arrival + debt_after, Relaxed, Relaxed) {
                Ok(_) => return allowed(policy, debt_after),
                Err(newer) => full_at = newer,
            }
        }
    }

    /// True when nothing is missing, so that forgetting the bucket changes nothing.
    pub fn is_full(&self, policy: &Policy, now: Moment) -> bool {
        self.debt(policy, now) == 0
    }

    /// Time until nothing is missing.
    pub fn time_to_full(&self, policy: &Policy, now: Moment) -> Duration {
        match self.debt(policy, now) {
            0 => Duration::ZERO,
            debt => policy.time_for(debt),
        }
    }

    /// Re-reads the bucket under a changed policy: the tokens missing stay missing, as far as the new burst goes.
    ///
    /// A full bucket thus stays full, as it must, since full buckets are the ones forgotten.
    pub fn convert(&mut self, old: &Policy, new: &Policy, now: Moment) {
        let debt = self.debt(old, now);
        let debt = match new.shift.checked_sub(old.shift) {
            Some(finer) => debt.saturating_mul(1 << finer),
            None => debt.div_ceil(1 << (old.shift - new.shift)),
        };
        *self.0.get_mut() = new.ticks_at(now) + debt.min(new.ticks(new.burst));
    }

    fn debt(&self, policy: &Policy, now: Moment) -> u64 {
        self.0.load(Relaxed).saturating_sub(policy.ticks_at(now))
    }
}

impl Clone for Bucket {
    fn clone(&self) -> Self {
        Self(AtomicU64::new(self.0.load(Relaxed)))
    }
}

fn allowed(policy: &Policy, debt: u64) -> Decision {
    let (remaining, reset) = outlook(policy, debt);
    Decision { allowed: true, remaining, reset, retry_after: Duration::ZERO, source: Source::Local }
}

fn refused(policy: &Policy, retry_after: Duration, debt: u64) -> Decision {
    let (remaining, reset) = outlook(policy, debt);
    Decision { allowed: false, remaining, reset, retry_after, source: Source::Local }
}

fn outlook(policy: &Policy, debt: u64) -> (u32, Duration) {
    if debt == 0 {
        return (policy.burst, Duration::ZERO);
    }
    // After a clock went backwards the debt can be above the capacity.
    let left = policy.ticks(policy.burst).saturating_sub(debt);
    let whole = left >> policy.shift;
    let next_whole = policy.ticks(policy.burst) - ((whole + 1) << policy.shift);
    (whole as u32, policy.time_for(debt - next_whole))
}

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, thread};

    use super::*;

    fn at(seconds: f64) -> Moment {
        Moment::after(Duration::from_secs_f64(seconds))
    }

    fn policy(rate: f64, burst: u32) -> Policy {
        Policy::new(rate, burst).expect("a policy in range")
    }

    #[test]
    fn a_policy_out_of_range_is_refused() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1.000001e9] {
            assert!(matches!(Policy::new(rate, 1), Err(PolicyError::Rate(_))), "rate {rate}");
        }
        assert_eq!(Policy::new(1.0, 0), Err(PolicyError::Burst), "a burst of 0 admits nothing");
        for rate in [f64::MIN_POSITIVE, 0.001, 1e9] {
            assert!(Policy::new(rate, u32::MAX).is_ok(), "rate {rate}");
        }
    }

    #[test]
    fn a_bucket_starts_full_and_refills_at_its_rate() {
        let (bucket, policy) = (Bucket::full(), policy(10.0, 2));
        let start = at(100.0);
        assert_eq!(bucket.take(&policy, 1, start).remaining, 1, "one of two is left");
        assert_eq!(bucket.take(&policy, 1, start).remaining, 0, "none is left");
        let refused = bucket.take(&policy, 1, start);
        assert!(!refused.allowed, "the burst is spent");
        assert_close(refused.retry_after, Duration::from_millis(100));
        assert_close(refused.reset, Duration::from_millis(100));
        assert!(!bucket.take(&policy, 1, at(100.099)).allowed, "a token takes 100 ms");
        assert!(bucket.take(&policy, 1, at(100.100_001)).allowed, "and then it is there");
    }

    #[track_caller]
    fn assert_close(actual: Duration, expected: Duration) {
        let tolerance = Duration::from_micros(1);
        assert!(actual >= expected && actual < expected + tolerance, "{actual:?} is not {expected:?}");
    }

    #[test]
    fn a_cost_above_the_burst_is_never_allowed() {
        let bucket = Bucket::full();
        let decision = bucket.take(&policy(1.0, 5), 6, at(1.0));
        assert_eq!(
            decision,
            Decision { allowed: false, remaining: 5, reset: Duration::ZERO, retry_after: Decision::NEVER, source: Source::Local },
            "nothing was taken"
        );
    }

    #[test]
    fn a_cost_of_nothing_is_allowed_and_takes_nothing() {
        let (bucket, policy) = (Bucket::full(), policy(1.0, 1));
        bucket.take(&policy, 1, at(1.0));
        let decision = bucket.take(&policy, 0, at(1.0));
        assert!(decision.allowed && decision.remaining == 0, "a look at an empty bucket");
    }

    #[test]
    fn waiting_as_long_as_told_is_enough_at_any_rate() {
        for rate in [0.001, 0.3, 1.0, 7.0, 1_000.0 / 3.0, 1e6, 3e8, 1e9] {
            for burst in [1, 2, 1_000, u32::MAX] {
                check_retry_after(&policy(rate, burst), burst);
            }
        }
    }

    #[track_caller]
    fn check_retry_after(policy: &Policy, cost: u32) {
        let bucket = Bucket::full();
        let start = Duration::from_secs(86_400);
        assert!(bucket.take(policy, cost, Moment::after(start)).allowed, "a full bucket gives its burst");
        let refused = bucket.take(policy, 1, Moment::after(start));
        assert!(!refused.allowed, "{policy:?} was emptied");
        let half = start + refused.retry_after / 3;
        let whole = start + refused.retry_after;
        if refused.retry_after > Duration::from_nanos(30) {
            assert!(!bucket.take(policy, 1, Moment::after(half)).allowed, "{policy:?} gave early");
        }
        assert!(bucket.take(policy, 1, Moment::after(whole)).allowed, "{policy:?} lied about {refused:?}");
    }

    #[test]
    fn a_year_of_takes_does_not_drift() {
        for rate in [0.001, 1.0 / 3.0, 123.456, 9.87e5, 1e9] {
            check_drift(rate);
        }
    }

    #[track_caller]
    fn check_drift(rate: f64) {
        let (bucket, policy) = (Bucket::full(), policy(rate, u32::MAX));
        let (steps, year) = (10_000u32, 31_536_000.0);
        let mut admitted = 0f64;
        for step in 0..=steps {
            let now = at(year * f64::from(step) / f64::from(steps));
            let chunk = bucket.take(&policy, 0, now).remaining;
            assert!(bucket.take(&policy, chunk, now).allowed, "what remains can be taken");
            admitted += f64::from(chunk);
        }
        let step_gain = (rate * year / f64::from(steps)).min(f64::from(u32::MAX));
        let due = f64::from(u32::MAX) + step_gain * f64::from(steps);
        assert!(admitted <= due, "{admitted} is above {due} at {rate}/s");
        assert!(due - admitted <= 2.0 + due * 1e-12, "{admitted} is far below {due} at {rate}/s");
    }

    #[test]
    fn a_clock_going_backwards_admits_nothing_more() {
        let (bucket, policy) = (Bucket::full(), policy(10.0, 10));
        assert!(bucket.take(&policy, 10, at(100.0)).allowed, "the burst");
        for seconds in [99.0, 0.0, 50.0, 100.0] {
            let decision = bucket.take(&policy, 1, at(seconds));
            assert!(!decision.allowed, "at {seconds} s nothing was there");
            assert_eq!(decision.remaining, 0, "and nothing is claimed");
        }
        assert!(bucket.take(&policy, 10, at(101.1)).allowed, "time passed since the last take");
    }

    #[test]
    fn the_end_of_time_overflows_nothing() {
        for (rate, burst) in [(1e9, u32::MAX), (0.001, u32::MAX), (1e9, 1)] {
            let (bucket, policy) = (Bucket::full(), policy(rate, burst));
            assert!(bucket.take(&policy, burst, Moment::END).allowed, "a full bucket at {rate}/s");
            assert!(!bucket.take(&policy, 1, Moment::after(Duration::MAX)).allowed, "time stands still there");
        }
    }

    #[test]
    fn a_changed_policy_keeps_what_is_missing() {
        check_convert((10.0, 100), 40, (1e9, 200), 160);
        check_convert((10.0, 100), 40, (0.001, 50), 10);
        check_convert((10.0, 100), 80, (10.0, 50), 0);
        check_convert((1e9, 100), 0, (1.0, 7), 7);
    }

    #[track_caller]
    fn check_convert(old: (f64, u32), taken: u32, new: (f64, u32), left: u32) {
        let (old, new, now) = (policy(old.0, old.1), policy(new.0, new.1), at(1_000.0));
        let mut bucket = Bucket::full();
        bucket.take(&old, taken, now);
        bucket.convert(&old, &new, now);
        assert_eq!(bucket.take(&new, 0, now).remaining, left, "{taken} of {old:?} under {new:?}");
    }

    #[test]
    fn threads_together_admit_what_one_would() {
        for seed in 0..40 {
            let mut random = fastrand::Rng::with_seed(seed);
            let rate = 10f64.powf(random.f64() * 9.0);
            let policy = policy(rate, random.u32(1..2_000));
            check_interleaving(&policy, &mut random);
        }
    }

    // Each thread walks its own jittery, sometimes backward clock over the same span.
    #[track_caller]
    fn check_interleaving(policy: &Policy, random: &mut fastrand::Rng) {
        const THREADS: u64 = 4;
        const TAKES: u64 = 3_000;
        let span = Duration::from_secs_f64((f64::from(policy.burst()) * 3.0 / policy.rate()).min(1e6));
        let (bucket, barrier) = (Bucket::full(), Barrier::new(THREADS as usize));
        let admitted: u64 = thread::scope(|scope| {
            let workers: Vec<_> = (0..THREADS)
                .map(|_| {
                    let mut random = random.fork();
                    let (bucket, barrier) = (&bucket, &barrier);
                    scope.spawn(move || {
                        barrier.wait();
                        (0..TAKES).map(|step| step_take(bucket, policy, &mut random, span * step as u32 / TAKES as u32)).sum::<u64>()
                    })
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().expect("a taker does not panic")).sum()
        });
        let limit = policy.rate() * span.as_secs_f64() + f64::from(policy.burst());
        assert!(admitted as f64 <= limit + 1e-6, "{admitted} admitted, {limit} due by {policy:?}");
    }

    fn step_take(bucket: &Bucket, policy: &Policy, random: &mut fastrand::Rng, now: Duration) -> u64 {
        let back = now.mul_f64(random.f64() * 0.01);
        let cost = random.u32(0..4);
        let decision = bucket.take(policy, cost, Moment::after(now - back));
        u64::from(cost) * u64::from(decision.allowed)
    }

    #[test]
    fn contention_loses_no_token() {
        let (bucket, policy) = (Bucket::full(), policy(0.001, 40_000));
        let admitted: u32 = thread::scope(|scope| {
            let take = || (0..20_000).map(|_| u32::from(bucket.take(&policy, 1, at(1.0)).allowed)).sum::<u32>();
            let workers: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            workers.into_iter().map(|worker| worker.join().expect("a taker does not panic")).sum()
        });
        assert_eq!(admitted, 40_000, "every token of the burst went to somebody, and none twice");
    }
}
