//! A breaker on an introspection endpoint: once it fails again and again it is left alone, so that requests are refused
//! at once instead of after a time-out each.

use std::time::Duration;

use tokio::time::Instant;

/// Closed until five questions in a row failed; then open for 5 s, 10 s, … 60 s, with one question let through after each.
#[derive(Debug, Default)]
pub struct Breaker {
    failures: u32,
    rounds: u32,
    open_until: Option<Instant>,
}

/// The right to ask one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    // Asked to see whether the endpoint is back.
    probe: bool,
}

impl Breaker {
    /// Failures in a row that open it.
    pub const FAILURES: u32 = 5;

    const FIRST_REST: Duration = Duration::from_secs(5);
    const LONGEST_REST: Duration = Duration::from_secs(60);

    /// Whether a question may be asked now. Once a rest is over, the first to come is let through.
    pub fn admit(&mut self, now: Instant) -> Option<Pass> {
        match self.open_until {
            None => Some(Pass { probe: false }),
            Some(until) if now < until => None,
            Some(_) => {
                // Should the probe be lost, another one is let through after another rest.
                self.open_until = Some(now + self.rest());
                Some(Pass { probe: true })
            }
        }
    }

    /// The endpoint answered. True if it is back after a rest.
    pub fn succeeded(&mut self) -> bool {
        let was_open = self.open_until.is_some();
        *self = Self::default();
        was_open
    }

    /// The endpoint failed. The rest that begins with it, if one does; stragglers of before begin none.
    pub fn failed(&mut self, pass: Pass, now: Instant) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        match self.open_until {
            Some(_) if pass.probe => self.rounds = self.rounds.saturating_add(1),
            None if self.failures >= Self::FAILURES => {}
            _ => return None,
        }
        let rest = self.rest();
        self.open_until = Some(now + rest);
        Some(rest)
    }

    /// Failures since the last answer.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    fn rest(&self) -> Duration {
        (Self::FIRST_REST * (1 << self.rounds.min(4))).min(Self::LONGEST_REST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRAGGLER: Pass = Pass { probe: false };

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for failure in 1..=Breaker::FAILURES {
            let pass = breaker.admit(now).expect("it is closed");
            let rest = breaker.failed(pass, now);
            assert_eq!(rest.is_some(), failure == Breaker::FAILURES, "failure {failure}");
        }
        breaker
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_an_answer_between_them_does_not() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..20 {
            (1..Breaker::FAILURES).for_each(|_| assert_eq!(breaker.failed(STRAGGLER, now), None));
            assert!(!breaker.succeeded(), "it was never open");
        }
        assert_eq!(opened(now).admit(now), None);
    }

    #[test]
    fn rests_double_up_to_a_minute_and_one_question_goes_through_after_each() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        for rest in [5, 10, 20, 40, 60, 60, 60].map(Duration::from_secs) {
            assert_eq!(breaker.admit(now + rest - Duration::from_millis(1)), None, "the rest of {rest:?} is not over");
            now += rest;
            let probe = breaker.admit(now).expect("it is over");
            assert_eq!(breaker.admit(now), None, "one probe at a time");
            assert!(breaker.failed(probe, now).is_some(), "the next rest begins");
        }
        now += Duration::from_secs(60);
        breaker.admit(now).expect("the rest is over");
        assert!(breaker.succeeded(), "the probe was answered");
        assert_eq!(breaker.admit(now), Some(Pass { probe: false }), "closed again");
        assert_eq!(breaker.failures(), 0);
    }

    #[test]
    fn stragglers_make_a_rest_no_longer() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert_eq!(breaker.failed(STRAGGLER, now + Duration::from_secs(4)), None);
        assert!(breaker.admit(now + Duration::from_secs(5)).is_some(), "5 s after it opened");
    }

    #[test]
    fn a_lost_probe_is_followed_by_another() {
        let now = Instant::now();
        let mut breaker = opened(now);
        breaker.admit(now + Duration::from_secs(5)).expect("the probe");
        assert!(breaker.admit(now + Duration::from_secs(10)).is_some(), "the next one");
    }
}
