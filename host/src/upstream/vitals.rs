//! The vital signs of one endpoint: whether it is ready, its requests in flight, its latency, its failures. Plain atomics
//! on cache lines of their own. Who ejects, checks and picks is elsewhere.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

/// The latency of an endpoint that nobody has asked yet, when its siblings have none either.
pub const SEED: Duration = Duration::from_millis(30);

/// How long it takes until a latency counts for little more than a third of what it did.
const DECAY: f64 = 10e9;
/// No latency counts as less, so that requests in flight always count for something.
const LEAST: f64 = 1_000.0;
/// Below this age a latency has lost less than a thousandth, which is not worth an exponential.
const FRESH: f64 = DECAY / 1_000.0;
/// The share of its requests that an endpoint begins its slow start with.
const FIRST_SHARE: f64 = 0.1;

/// Out of use after failures of real requests.
const EJECTED: u32 = 1;
/// Out of use after failed checks.
const UNHEALTHY: u32 = 2;
/// In its slow start.
const RAMPING: u32 = 4;

/// What is known of an endpoint at the moment, shared by all who use it.
pub struct Vitals {
    born: Instant,
    hot: CachePadded<Hot>,
    failures: CachePadded<Failures>,
}

/// What each pick reads. Times are nanoseconds since birth.
struct Hot {
    flags: AtomicU32,
    in_flight: AtomicU32,
    /// Requests that have waited for the head of an answer for longer than is usual.
    waiting: AtomicU32,
    /// Nanoseconds, the bits of a float.
    latency: AtomicU64,
    /// When the latency was last learned.
    learned: AtomicU64,
    /// When the slow start began.
    ramp: AtomicU64,
    /// When it last answered anything.
    answered: AtomicU64,
    /// When the first of those that wait began to.
    asked: AtomicU64,
}

/// What outlier detection counts.
#[derive(Default)]
pub struct Failures {
    /// 5xx in a row.
    pub consecutive_5xx: AtomicU32,
    /// Of those that the gateway made, or would have made, in a row.
    pub consecutive_gateway: AtomicU32,
    /// Good answers in a row whose bodies broke off.
    pub broken: AtomicU32,
    /// Requests of this interval.
    pub requests: AtomicU32,
    /// Those of them that were no 5xx.
    pub successes: AtomicU32,
    /// Whether it is out because it answered nothing, so that an answer brings it back.
    pub silent: AtomicBool,
    /// By how much the next ejection is longer than the first.
    pub times: AtomicU32,
    /// Ejections ever.
    ejections: AtomicU32,
    ejected_until: AtomicU64,
    checked: AtomicBool,
}

/// Whether an endpoint may take requests; cheap to copy, read once for a pick.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Flags(u32);

impl Failures {
    /// How often it was ejected ever.
    pub fn ejections(&self) -> u32 {
        self.ejections.load(Ordering::Relaxed)
    }
}

impl Flags {
    /// Nothing speaks against it.
    #[inline]
    pub fn is_clear(self) -> bool {
        self.0 == 0
    }

    /// Neither ejected nor unhealthy.
    #[inline]
    pub fn is_ready(self) -> bool {
        self.0 & (EJECTED | UNHEALTHY) == 0
    }

    /// Out of use after failures of real requests.
    pub fn is_ejected(self) -> bool {
        self.0 & EJECTED != 0
    }

    /// Out of use after failed checks.
    pub fn is_unhealthy(self) -> bool {
        self.0 & UNHEALTHY != 0
    }

    /// In its slow start.
    pub fn is_ramping(self) -> bool {
        self.0 & RAMPING != 0
    }
}

impl Vitals {
    /// Of an endpoint that is ready, with this latency to begin with; in its slow start if it `ramps`.
    pub fn new(born: Instant, latency: Duration, ramps: bool) -> Self {
        let hot = Hot {
            flags: AtomicU32::new(if ramps { RAMPING } else { 0 }),
            in_flight: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            latency: AtomicU64::new((latency.as_nanos() as f64).to_bits()),
            learned: AtomicU64::new(0),
            ramp: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            asked: AtomicU64::new(0),
        };
        Self { born, hot: CachePadded::new(hot), failures: CachePadded::default() }
    }

    // === readiness ===

    /// Whether it may take requests.
    #[inline]
    pub fn flags(&self) -> Flags {
        Flags(self.hot.flags.load(Ordering::Acquire))
    }

    /// Takes it out of use until then. False if it was already.
    pub fn eject(&self, until: Instant) -> bool {
        self.failures.ejected_until.store(self.age(until), Ordering::Relaxed);
        self.failures.ejections.fetch_add(1, Ordering::Relaxed);
        self.hot.flags.fetch_or(EJECTED, Ordering::AcqRel) & EJECTED == 0
    }

    /// Whether the time of its ejection is over.
    pub fn is_ejection_over(&self, now: Instant) -> bool {
        self.age(now) >= self.failures.ejected_until.load(Ordering::Relaxed)
    }

    /// Ends its ejection. False if there was none.
    pub fn pardon(&self) -> bool {
        self.hot.flags.fetch_and(!EJECTED, Ordering::AcqRel) & EJECTED != 0
    }

    /// Keeps what a check decided. True if that is a change.
    pub fn set_healthy(&self, healthy: bool) -> bool {
        self.failures.checked.store(true, Ordering::Relaxed);
        let before = match healthy {
            true => self.hot.flags.fetch_and(!UNHEALTHY, Ordering::AcqRel),
            false => self.hot.flags.fetch_or(UNHEALTHY, Ordering::AcqRel),
        };
        (before & UNHEALTHY == 0) != healthy
    }

    /// What checks have decided, if there were any.
    pub fn healthy(&self) -> Option<bool> {
        self.failures.checked.load(Ordering::Relaxed).then(|| !self.flags().is_unhealthy())
    }

    /// Nobody checks it any more. True if that makes a difference.
    pub fn forget_checks(&self) -> bool {
        self.failures.checked.store(false, Ordering::Relaxed);
        self.hot.flags.fetch_and(!UNHEALTHY, Ordering::AcqRel) & UNHEALTHY != 0
    }

    /// Begins a slow start, with this latency.
    pub fn ramp(&self, now: Instant, latency: Duration) {
        let age = self.age(now);
        self.hot.ramp.store(age, Ordering::Relaxed);
        self.hot.learned.store(age, Ordering::Relaxed);
        self.hot.latency.store((latency.as_nanos() as f64).to_bits(), Ordering::Relaxed);
        self.hot.flags.fetch_or(RAMPING, Ordering::AcqRel);
    }

    /// The share of its requests that it takes while it starts, between 0.1 and 1. At 1 the start is over.
    pub fn share(&self, now: Instant, slow_start: Duration) -> f64 {
        let since = self.age(now).saturating_sub(self.hot.ramp.load(Ordering::Relaxed));
        if since >= slow_start.as_nanos() as u64 {
            self.hot.flags.fetch_and(!RAMPING, Ordering::AcqRel);
            return 1.0;
        }
        (since as f64 / slow_start.as_nanos() as f64).max(FIRST_SHARE)
    }

    // === requests in flight ===

    /// Requests in flight.
    #[inline]
    pub fn in_flight(&self) -> u32 {
        self.hot.in_flight.load(Ordering::Relaxed)
    }

    /// One more.
    #[inline]
    pub(super) fn enter(&self) {
        self.hot.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    #[inline]
    pub(super) fn leave(&self) {
        self.hot.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    // === silence ===

    /// Requests that have waited for the head of an answer for longer than is usual.
    pub fn waiting(&self) -> u32 {
        self.hot.waiting.load(Ordering::Relaxed)
    }

    /// One more, which was sent then.
    pub(super) fn wait(&self, sent: Instant) {
        if self.waiting() == 0 {
            self.hot.asked.store(self.age(sent), Ordering::Relaxed);
        }
        self.hot.waiting.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub(super) fn wait_no_more(&self) {
        self.hot.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// It gave an answer of some kind.
    #[inline]
    pub fn answered(&self, now: Instant) {
        self.hot.answered.store(self.age(now), Ordering::Relaxed);
    }

    /// For how long it has answered nothing since then.
    pub fn silence(&self, since: Instant, now: Instant) -> Duration {
        let since = self.age(since).max(self.hot.answered.load(Ordering::Relaxed));
        Duration::from_nanos(self.age(now).saturating_sub(since))
    }

    /// Whether it has answered anything since then.
    pub fn has_answered_since(&self, since: Instant) -> bool {
        self.hot.answered.load(Ordering::Relaxed) > self.age(since)
    }

    /// What the next answer is expected to take, in nanoseconds: the latency, or as long as one was waited for in vain, so
    /// that an endpoint that has stopped attracts less with each moment, and not only once a time-out has told.
    #[inline]
    pub fn expected(&self, now: Instant) -> f64 {
        let latency = self.latency(now);
        if self.waiting() == 0 {
            return latency;
        }
        let since = self.hot.asked.load(Ordering::Relaxed).max(self.hot.answered.load(Ordering::Relaxed));
        latency.max(self.age(now).saturating_sub(since) as f64)
    }

    // === latency ===

    /// The latency in nanoseconds, less the longer nothing was learned: one that nobody asks gets another chance.
    #[inline]
    pub fn latency(&self, now: Instant) -> f64 {
        let age = self.age(now).saturating_sub(self.hot.learned.load(Ordering::Relaxed)) as f64;
        let latency = f64::from_bits(self.hot.latency.load(Ordering::Relaxed));
        (if age < FRESH { latency } else { latency * (-age / DECAY).exp() }).max(LEAST)
    }

    /// Learns how long an answer took. A longer one counts at once, since it means a queue; a shorter one bit by bit.
    #[inline]
    pub fn learn(&self, took: Duration, now: Instant) {
        let (took, kept) = (took.as_nanos() as f64, self.kept(now));
        self.update(|latency| if took > latency { took } else { latency * kept + took * (1.0 - kept) });
    }

    /// Learns of a failure, as if it had taken all the time there was: `penalty`. One failure is not a queue, so it counts
    /// for as much as any answer: endpoints of equal error rates stay equal, and one that only fails soon attracts nothing.
    pub fn learn_failure(&self, took: Duration, penalty: Duration, now: Instant) {
        let (took, kept) = (took.as_nanos() as f64, self.kept(now));
        let penalty = took.max(penalty.as_nanos() as f64);
        self.update(|latency| (latency * kept + penalty * (1.0 - kept)).max(latency).max(took));
    }

    /// How much of what was known still counts.
    fn kept(&self, now: Instant) -> f64 {
        let age = self.age(now);
        // Whoever comes between the two takes a part of the time and leaves the rest, so that no time counts twice.
        let before = self.hot.learned.fetch_max(age, Ordering::Relaxed);
        (-(age.saturating_sub(before) as f64) / DECAY).exp()
    }

    fn update(&self, learn: impl Fn(f64) -> f64) {
        let step = |bits| Some(learn(f64::from_bits(bits)).to_bits());
        let _ = self.hot.latency.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step);
    }

    // === failures ===

    /// What outlier detection counts.
    #[inline]
    pub fn failures(&self) -> &Failures {
        &self.failures
    }

    fn age(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.born).as_nanos() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vitals() -> (Vitals, Instant) {
        let born = Instant::now();
        (Vitals::new(born, SEED, false), born)
    }

    fn millis(vitals: &Vitals, now: Instant) -> f64 {
        vitals.latency(now) / 1e6
    }

    #[test]
    fn a_longer_answer_counts_at_once_and_a_shorter_one_bit_by_bit() {
        let (vitals, born) = vitals();
        vitals.learn(Duration::from_millis(200), born);
        assert!((millis(&vitals, born) - 200.0).abs() < 0.1, "the peak is there");
        let mut now = born;
        for _ in 0..1_000 {
            now += Duration::from_millis(10);
            vitals.learn(Duration::from_millis(1), now);
        }
        // After one decay time the peak has lost all but 1/e, which is 0.368: 1 + 199 * 0.368 = 74.2.
        assert!((millis(&vitals, now) - 74.2).abs() < 1.0, "{}", millis(&vitals, now));
    }

    #[test]
    fn a_latency_nobody_renews_fades() {
        let (vitals, born) = vitals();
        vitals.learn(Duration::from_secs(1), born);
        let later = millis(&vitals, born + Duration::from_secs(20));
        assert!((later - 135.3).abs() < 1.0, "1 s / e²: {later}");
        assert!(vitals.latency(born + Duration::from_secs(3_600)) >= LEAST, "but never to nothing");
    }

    #[test]
    fn one_failure_of_a_hundred_is_a_hundredth_of_the_penalty() {
        let (vitals, mut now) = vitals();
        for number in 0..10_000 {
            now += Duration::from_millis(10);
            match number % 100 {
                0 => vitals.learn_failure(Duration::from_millis(1), Duration::from_secs(15), now),
                _ => vitals.learn(Duration::from_millis(5), now),
            }
        }
        let latency = millis(&vitals, now);
        assert!((140.0..180.0).contains(&latency), "about 155 ms: {latency}");
    }

    #[test]
    fn an_endpoint_that_only_fails_is_soon_worse_than_any() {
        let (vitals, mut now) = vitals();
        for _ in 0..100 {
            now += Duration::from_millis(10);
            vitals.learn_failure(Duration::from_millis(1), Duration::from_secs(15), now);
        }
        assert!(millis(&vitals, now) > 1_000.0, "{}", millis(&vitals, now));
    }

    #[test]
    fn the_longer_an_answer_is_waited_for_the_less_is_expected_of_an_endpoint() {
        let (vitals, born) = vitals();
        let at = |after| born + Duration::from_millis(after);
        vitals.learn(Duration::from_millis(10), at(0));
        vitals.wait(at(100));
        vitals.wait(at(150));
        assert!((vitals.expected(at(105)) / 1e6 - 30.0).abs() < 1.0, "no worse than it was, as yet");
        assert!((vitals.expected(at(600)) / 1e6 - 500.0).abs() < 0.1, "counted from the first");
        vitals.answered(at(580));
        assert!((vitals.expected(at(600)) / 1e6 - 30.0).abs() < 2.0, "any answer is a sign of life");
        assert_eq!(vitals.silence(at(100), at(600)), Duration::from_millis(20));
        vitals.wait_no_more();
        vitals.wait_no_more();
        assert!(vitals.expected(at(5_000)) / 1e6 < 31.0, "and nobody waits now");
        vitals.wait(at(9_000));
        assert_eq!(vitals.silence(at(9_000), at(9_100)), Duration::from_millis(100), "a quiet hour is no silence");
    }

    #[test]
    fn a_slow_start_rises_from_a_tenth_to_the_whole() {
        let (vitals, born) = vitals();
        let (begin, slow_start) = (born + Duration::from_secs(100), Duration::from_secs(30));
        vitals.ramp(begin, SEED);
        for (after, share) in [(0, 0.1), (3, 0.1), (15, 0.5), (27, 0.9), (30, 1.0)] {
            let got = vitals.share(begin + Duration::from_secs(after), slow_start);
            assert!((got - share).abs() < 1e-9, "{got} after {after} s");
        }
        assert!(vitals.flags().is_clear(), "after that, nothing is left of it");
    }

    #[test]
    fn ejected_and_unhealthy_are_two_things() {
        let (vitals, born) = vitals();
        assert!(vitals.eject(born + Duration::from_secs(1)), "it was not");
        assert!(!vitals.eject(born + Duration::from_secs(1)), "it was");
        assert!(vitals.set_healthy(false), "a change");
        assert!(vitals.pardon() && !vitals.flags().is_ready(), "still unhealthy");
        assert!(vitals.set_healthy(true) && vitals.flags().is_ready());
        assert!(!vitals.is_ejection_over(born) && vitals.is_ejection_over(born + Duration::from_secs(1)));
    }
}
