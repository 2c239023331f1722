//! A candidate on trial: what it and the stable version did lately, second by second, and whether that is bad enough
//! to withdraw it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::plugin::Usage;
use crate::plugin::tally::Reading;

use super::comparison::Counts;
use super::record::AbortIf;

/// How long is looked back at most, where calls are few: ten minutes.
const LONGEST: usize = 600;

/// One candidate's trial.
#[derive(Default)]
pub struct Trial {
    seconds: VecDeque<Second>,
    /// Readings of the usages as they were last, by serial number.
    before: HashMap<u64, Reading>,
    compared_before: Counts,
}

/// What one look found, or several together.
#[derive(Clone, Default)]
pub struct Second {
    /// The stable version.
    pub stable: Reading,
    /// The candidate.
    pub candidate: Reading,
    /// What was compared.
    pub compared: Counts,
}

impl Trial {
    /// Reads the counts of both sides. To be called every second.
    pub fn look<'a>(
        &mut self,
        stable: impl Iterator<Item = &'a Arc<Usage>>,
        candidate: impl Iterator<Item = &'a Arc<Usage>>,
        compared: Counts,
    ) {
        let second = Second {
            stable: self.news(stable),
            candidate: self.news(candidate),
            compared: compared.since(std::mem::replace(&mut self.compared_before, compared)),
        };
        self.note(second);
    }

    /// What came since the last look; the first look at a usage finds nothing.
    fn news<'a>(&mut self, usages: impl Iterator<Item = &'a Arc<Usage>>) -> Reading {
        let mut news = Reading::default();
        for usage in usages {
            let now = usage.tally.read();
            if let Some(before) = self.before.insert(usage.serial, now.clone()) {
                news.add(&now.since(&before));
            }
        }
        news
    }

    fn note(&mut self, second: Second) {
        self.seconds.push_back(second);
        if self.seconds.len() > LONGEST {
            self.seconds.pop_front();
        }
    }

    /// What the last seconds came to: the window, or more where the candidate had too few calls in it. And how long
    /// that is.
    pub fn recently(&self, terms: &AbortIf) -> (Second, Duration) {
        let window = usize::try_from(terms.window.get().as_secs().max(1)).unwrap_or(LONGEST);
        let (mut sum, mut taken) = (Second::default(), 0);
        for second in self.seconds.iter().rev() {
            if taken >= window && sum.candidate.calls() >= terms.min_requests {
                break;
            }
            sum.stable.add(&second.stable);
            sum.candidate.add(&second.candidate);
            sum.compared = sum.compared.and(second.compared);
            taken += 1;
        }
        (sum, Duration::from_secs(taken as u64))
    }

    /// Why a version that serves alone has to go, if it has to: there is nothing to compare it with.
    pub fn faults(&self, terms: &AbortIf) -> Option<String> {
        let (recent, time) = self.recently(terms);
        too_many_faults(&recent, terms, time)
    }

    /// Whether there was time and traffic enough to see that nothing is wrong, or nobody comes to show it.
    pub fn is_over(&self, terms: &AbortIf) -> bool {
        let (recent, time) = self.recently(terms);
        let window = terms.window.get().max(Duration::from_secs(1));
        self.seconds.len() >= LONGEST || (time >= window && recent.candidate.calls() >= terms.min_requests)
    }

    /// Why the candidate has to go, if it has to.
    pub fn verdict(&self, terms: &AbortIf) -> Option<String> {
        let (recent, time) = self.recently(terms);
        let found = too_many_faults(&recent, terms, time).or_else(|| too_slow(&recent, terms, time));
        found.or_else(|| too_strict(&recent, terms, time)).or_else(|| too_different(&recent, terms, time))
    }
}

fn too_many_faults(recent: &Second, terms: &AbortIf, time: Duration) -> Option<String> {
    let (calls, faults) = (recent.candidate.calls(), recent.candidate.faults);
    let rate = recent.candidate.fault_rate();
    (calls >= terms.min_requests && rate > terms.fault_rate.ratio()).then(|| {
        format!("fault_rate is {} where {} is allowed: {faults} of {calls} calls in {} s", percent(rate), terms.fault_rate, time.as_secs())
    })
}

fn too_slow(recent: &Second, terms: &AbortIf, time: Duration) -> Option<String> {
    let allowed = terms.added_p99.filter(|_| both_have_enough(recent, terms))?;
    let (slow, usual) = (recent.candidate.quantile(0.99)?, recent.stable.quantile(0.99)?);
    let added = slow.checked_sub(usual).filter(|added| *added > allowed.get())?;
    Some(format!(
        "added_p99 is {} where {allowed} is allowed: {} instead of {}, over {} calls in {} s",
        millis(added),
        millis(slow),
        millis(usual),
        recent.candidate.calls(),
        time.as_secs()
    ))
}

fn too_strict(recent: &Second, terms: &AbortIf, time: Duration) -> Option<String> {
    let allowed = terms.added_refusals.filter(|_| both_have_enough(recent, terms))?;
    let (often, usual) = (recent.candidate.refusal_rate(), recent.stable.refusal_rate());
    (often - usual > allowed.ratio()).then(|| {
        format!(
            "added_refusals is {} where {allowed} is allowed: {} instead of {}, over {} calls in {} s",
            percent(often - usual),
            percent(often),
            percent(usual),
            recent.candidate.calls(),
            time.as_secs()
        )
    })
}

fn both_have_enough(recent: &Second, terms: &AbortIf) -> bool {
    recent.candidate.calls() >= terms.min_requests && recent.stable.calls() >= terms.min_requests
}

fn too_different(recent: &Second, terms: &AbortIf, time: Duration) -> Option<String> {
    let Counts { matched, mismatched, .. } = recent.compared;
    let compared = matched + mismatched;
    let rate = mismatched as f64 / compared.max(1) as f64;
    (compared >= terms.min_requests && rate > terms.mismatch.ratio()).then(|| {
        format!(
            "mismatch is {} where {} is allowed: {mismatched} of {compared} verdicts in {} s",
            percent(rate),
            terms.mismatch,
            time.as_secs()
        )
    })
}

fn percent(rate: f64) -> String {
    format!("{:.1}%", rate * 100.0)
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use crate::config::units::{Percent, Period};
    use crate::plugin::tally::Tally;

    use super::*;

    /// So many calls of so many microseconds, so many of them faults.
    fn reading(calls: u64, micros: u64, faults: u64) -> Reading {
        let tally = Tally::default();
        tally.count_calls(true);
        (0..calls).for_each(|_| tally.called(Duration::from_micros(micros)));
        (0..faults).for_each(|_| tally.faulted());
        tally.read()
    }

    fn second(stable: Reading, candidate: Reading, matched: u64, mismatched: u64) -> Second {
        Second { stable, candidate, compared: Counts { matched, mismatched, skipped: 0 } }
    }

    /// Whether a candidate with such seconds goes, and what is said of it.
    #[track_caller]
    fn check(terms: &AbortIf, seconds: Vec<Second>, said: Option<&str>) {
        let mut trial = Trial::default();
        seconds.into_iter().for_each(|second| trial.note(second));
        let verdict = trial.verdict(terms);
        match said {
            None => assert_eq!(verdict, None),
            Some(said) => assert!(verdict.as_deref().is_some_and(|verdict| verdict.contains(said)), "{verdict:?} should say {said:?}"),
        }
    }

    fn terms() -> AbortIf {
        AbortIf { added_p99: Some(Period::millis(10)), min_requests: 100, window: Period::secs(3), ..AbortIf::default() }
    }

    #[test]
    fn a_candidate_that_faults_too_often_goes() {
        let terms = terms();
        check(&terms, vec![second(reading(500, 10, 0), reading(100, 10, 2), 0, 0)], None);
        check(&terms, vec![second(reading(500, 10, 0), reading(100, 10, 3), 0, 0)], Some("3 of 100 calls in 1 s"));
        check(&terms, vec![second(reading(500, 10, 0), reading(99, 10, 50), 0, 0)], None);
        check(&AbortIf { fault_rate: Percent::of(100.0), ..terms }, vec![second(reading(0, 1, 0), reading(100, 10, 100), 0, 0)], None);
    }

    #[test]
    fn a_candidate_that_is_too_slow_goes() {
        let terms = terms();
        check(&terms, vec![second(reading(500, 1_000, 0), reading(100, 21_000, 0), 0, 0)], Some("added_p99"));
        check(&terms, vec![second(reading(500, 1_000, 0), reading(100, 8_000, 0), 0, 0)], None);
        check(&terms, vec![second(reading(9, 1_000, 0), reading(100, 21_000, 0), 0, 0)], None);
        check(&AbortIf { added_p99: None, ..terms }, vec![second(reading(500, 1_000, 0), reading(100, 21_000, 0), 0, 0)], None);
    }

    #[test]
    fn a_candidate_that_refuses_more_goes() {
        let refusing = |calls, refusals| {
            let mut reading = reading(calls, 10, 0);
            reading.refusals = refusals;
            reading
        };
        let terms = AbortIf { added_refusals: Some(Percent::of(10.0)), ..terms() };
        check(&terms, vec![second(refusing(200, 10), refusing(100, 15), 0, 0)], None);
        check(&terms, vec![second(refusing(200, 10), refusing(100, 16), 0, 0)], Some("added_refusals is 11.0%"));
        check(&terms, vec![second(refusing(99, 0), refusing(100, 100), 0, 0)], None);
    }

    #[test]
    fn a_shadow_that_says_something_else_goes() {
        let terms = terms();
        check(&terms, vec![second(reading(200, 10, 0), reading(200, 10, 0), 198, 2)], None);
        check(&terms, vec![second(reading(200, 10, 0), reading(200, 10, 0), 197, 3)], Some("3 of 200 verdicts"));
    }

    #[test]
    fn a_version_that_serves_alone_is_watched_until_it_had_time_and_calls_enough() {
        let terms = terms();
        let alone = |calls, faults| second(Reading::default(), reading(calls, 21_000, faults), 0, 0);
        let mut trial = Trial::default();
        trial.note(alone(200, 0));
        assert!(!trial.is_over(&terms), "the window is three seconds");
        (0..2).for_each(|_| trial.note(alone(0, 0)));
        assert!(trial.is_over(&terms) && trial.faults(&terms).is_none(), "slow as it is: nothing says how slow the one before was");
        trial.note(alone(100, 3));
        assert!(trial.faults(&terms).is_some_and(|said| said.contains("3 of 100 calls")), "looked back to enough of them");

        let mut quiet = Trial::default();
        (0..LONGEST - 1).for_each(|_| quiet.note(alone(0, 0)));
        assert!(!quiet.is_over(&terms), "it was not called yet");
        quiet.note(alone(0, 0));
        assert!(quiet.is_over(&terms), "nobody comes");
    }

    #[test]
    fn old_sins_are_forgotten_but_few_calls_are_looked_at_for_longer() {
        let (good, bad) =
            (|calls| second(reading(500, 10, 0), reading(calls, 10, 0), 0, 0), second(reading(500, 10, 0), reading(100, 10, 50), 0, 0));
        check(&terms(), vec![bad.clone(), good(100), good(100), good(100)], None);
        check(&terms(), vec![bad, good(10), good(10), good(10)], Some("50 of 130 calls in 4 s"));
    }
}
