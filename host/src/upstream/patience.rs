//! How long a try waits for the head of an answer before its endpoint is doubted. One that waits for longer than is usual
//! counts against the endpoint in the balancer's eyes; one that waits for far longer, where the endpoint has answered nobody
//! and others are not silent, too, is a failure, and whoever can asks another endpoint. What the time-outs are is in `send`.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::{Endpoint, InFlight, Upstream};

/// A wait is longer than usual after so many times the usual latency,
const LONG: f64 = 3.0;
/// but never before this: timers have a grain of a millisecond, and machines have hiccups.
const LEAST: Duration = Duration::from_millis(20);
/// An endpoint is doubted after so many times the usual latency, or after the upstream's own `silence` where that is more.
const FAR_TOO_LONG: f64 = 10.0;
/// So many others are looked at to see whether they answer, and how fast.
const OTHERS: usize = 16;
/// The longest that is ever waited between two looks; what is waited for may be a body on its way.
const LOOK: Duration = Duration::from_secs(1);

/// There is nothing more to look for, until the time-out.
const LATER: Duration = Duration::from_secs(3_600);

/// The patience of one try with its endpoint.
pub struct Patience<'a> {
    upstream: &'a Upstream,
    endpoint: &'a InFlight,
    /// Tells who sent it that another endpoint might be asked.
    is_silent: &'a Cell<bool>,
    /// How long until the first look; None where nobody looks.
    first: Option<Duration>,
    waits: Cell<bool>,
}

impl<'a> Patience<'a> {
    /// With that endpoint. `is_silent` becomes true once it is doubted.
    pub fn new(upstream: &'a Upstream, endpoint: &'a InFlight, is_silent: &'a Cell<bool>, now: Instant) -> Self {
        // With nobody to take its place there is nothing to gain.
        let looks = upstream.outlier.minds_silence() && endpoint.peers >= 2;
        let first = looks.then(|| usual(endpoint, now).mul_f64(LONG).clamp(LEAST, upstream.outlier.silence.max(LEAST)));
        Self { upstream, endpoint, is_silent, first, waits: Cell::new(false) }
    }

    /// How long to wait before the first look.
    pub fn first_wait(&self) -> Duration {
        self.first.unwrap_or(LATER)
    }

    /// Whether the try was counted as a failure already.
    pub fn is_over(&self) -> bool {
        self.first.is_some() && self.is_silent.get()
    }

    /// There is no answer as yet to what the endpoint has had since `sent`; None while it does not have all of it. The time
    /// until the next look.
    pub fn look(&self, sent: Option<Instant>, now: Instant) -> Duration {
        let Some(first) = self.first.filter(|_| !self.is_silent.get()) else { return LATER };
        let Some(sent) = sent else { return LOOK };
        if now < sent + first {
            return sent + first - now;
        }
        if !self.waits.replace(true) {
            self.endpoint.vitals.wait(sent);
        }
        let (others, limit) = self.others(sent, now);
        let silence = self.endpoint.vitals.silence(sent, now);
        if silence < limit {
            return (limit - silence).clamp(LEAST, LOOK);
        }
        if others == Others::Silent {
            return LOOK;
        }
        self.is_silent.set(true);
        self.upstream.outlier.count_silence(&self.upstream.balancer, self.endpoint, now);
        LATER
    }

    /// Whether one of the others has answered since then, and after what time of silence this one stands out.
    fn others(&self, since: Instant, now: Instant) -> (Others, Duration) {
        let set = self.upstream.balancer.set();
        let members = set.members();
        let begin = fastrand::usize(..members.len().max(1));
        let in_turn = members[begin..].iter().chain(&members[..begin]).map(|member| &member.endpoint);
        let ready = in_turn.filter(|other| other.serial != self.endpoint.serial && other.vitals.flags().is_ready());
        let (mut answer, mut latencies, mut count) = (Others::Silent, 0.0, 0);
        for other in ready.take(OTHERS) {
            // One that nobody waits for is taken to be well: without that, a lone request would have no other to go to.
            if other.vitals.waiting() == 0 || other.vitals.has_answered_since(since) {
                answer = Others::Answer;
            }
            latencies += other.vitals.latency(now);
            count += 1;
        }
        // One time-out, which counts as a latency, must not make an endpoint's silence usual.
        let theirs = if count == 0 { f64::MAX } else { latencies / f64::from(count) };
        let usual = Duration::from_nanos(self.endpoint.vitals.latency(now).min(theirs) as u64);
        (answer, usual.mul_f64(FAR_TOO_LONG).max(self.upstream.outlier.silence))
    }
}

impl Drop for Patience<'_> {
    fn drop(&mut self) {
        if self.waits.get() {
            self.endpoint.vitals.wait_no_more();
        }
    }
}

/// What the other endpoints do meanwhile.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Others {
    Answer,
    Silent,
}

fn usual(endpoint: &Endpoint, now: Instant) -> Duration {
    Duration::from_nanos(endpoint.vitals.latency(now) as u64)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::balance::Algorithm;
    use super::super::outlier::Reason;
    use super::super::testing::Group;
    use super::*;

    /// Requests that wait at the first of three endpoints, and a clock.
    struct Waiting {
        group: Group,
        sent: Instant,
    }

    impl Waiting {
        /// Usual is 30 ms, as nobody has been asked yet.
        fn new() -> Self {
            let group = Group::new(Algorithm::RoundRobin, &[1, 1, 1]);
            Self { sent: group.now, group }
        }

        /// So many wait for so long, looking when they are told to; `each` is called every 10 ms. How many were doubtful.
        fn wait(&self, requests: usize, millis: u64, each: impl Fn(&[Arc<Endpoint>], Instant)) -> usize {
            let endpoints = &self.group.endpoints;
            let in_flight: Vec<InFlight> = (0..requests).map(|_| InFlight::begin(Arc::clone(&endpoints[0]), endpoints.len())).collect();
            let silent = vec![Cell::new(false); requests];
            let begin = |(endpoint, silent)| Patience::new(&self.group.upstream, endpoint, silent, self.sent);
            let tries: Vec<Patience<'_>> = in_flight.iter().zip(&silent).map(begin).collect();
            let mut due: Vec<u64> = tries.iter().map(|one| one.first_wait().as_millis() as u64).collect();
            for elapsed in (0..millis).step_by(10) {
                let now = self.sent + Duration::from_millis(elapsed);
                each(endpoints, now);
                for (one, due) in tries.iter().zip(&mut due).filter(|(_, due)| elapsed >= **due) {
                    *due = elapsed.saturating_add(one.look(Some(self.sent), now).as_millis().min(1 << 40) as u64);
                }
            }
            drop(tries);
            assert_eq!(endpoints[0].vitals.waiting(), 0, "what waited is not counted for ever");
            silent.iter().filter(|silent| silent.get()).count()
        }

        fn is_out(&self) -> bool {
            !self.group.ready()[0]
        }
    }

    /// The second endpoint answers.
    fn other_answers(endpoints: &[Arc<Endpoint>], now: Instant) {
        endpoints[1].vitals.answered(now);
    }

    /// Somebody waits at the others, too.
    fn others_are_asked(waiting: &Waiting) {
        waiting.group.endpoints[1..].iter().for_each(|endpoint| endpoint.vitals.wait(waiting.sent));
    }

    #[test]
    fn two_who_wait_in_vain_while_others_answer_are_enough() {
        let waiting = Waiting::new();
        others_are_asked(&waiting);
        assert_eq!(waiting.wait(2, 990, other_answers), 0, "not yet");
        assert!(!waiting.is_out());
        assert_eq!(waiting.wait(2, 1_100, other_answers), 2);
        assert!(waiting.is_out());
        assert_eq!(waiting.group.upstream.balancer.siblings().ejections(Reason::Silence), 1);
    }

    #[test]
    fn one_who_waits_alone_is_a_failure_of_five() {
        let waiting = Waiting::new();
        for _ in 0..4 {
            assert_eq!(waiting.wait(1, 1_100, other_answers), 1);
            assert!(!waiting.is_out());
        }
        waiting.wait(1, 1_100, other_answers);
        assert!(waiting.is_out());
        assert_eq!(waiting.group.upstream.balancer.siblings().ejections(Reason::ConsecutiveGateway), 1);
    }

    #[test]
    fn where_all_are_silent_nobody_is_to_blame() {
        let waiting = Waiting::new();
        others_are_asked(&waiting);
        assert_eq!(waiting.wait(5, 10_000, |_, _| {}), 0);
        assert!(!waiting.is_out());
        let waiting = Waiting::new();
        assert_eq!(waiting.wait(5, 1_100, |_, _| {}), 5, "but those whom nobody asks are not silent");
    }

    #[test]
    fn one_that_answers_others_only_takes_its_time() {
        let waiting = Waiting::new();
        let both = |endpoints: &[Arc<Endpoint>], now| endpoints[..2].iter().for_each(|endpoint| endpoint.vitals.answered(now));
        assert_eq!(waiting.wait(5, 10_000, both), 0);
        assert!(!waiting.is_out());
    }

    #[test]
    fn what_is_slow_by_nature_is_given_ten_times_as_long() {
        let waiting = Waiting::new();
        for endpoint in &waiting.group.endpoints {
            endpoint.vitals.learn(Duration::from_millis(500), waiting.sent);
        }
        // Less than 5 s, since what nobody renews fades.
        assert_eq!(waiting.wait(2, 2_500, other_answers), 0);
        assert_eq!(waiting.wait(2, 5_000, other_answers), 2);
    }

    #[test]
    fn silence_can_be_allowed() {
        let mut waiting = Waiting::new();
        waiting.group.upstream.outlier.silence = Duration::ZERO;
        assert_eq!(waiting.wait(5, 10_000, other_answers), 0);
        waiting.group.upstream.outlier = super::super::Outlier { max_ejected: 0.0, ..Default::default() };
        assert_eq!(waiting.wait(5, 10_000, other_answers), 0);
    }

    #[test]
    fn a_request_that_is_still_on_its_way_waits_for_nothing() {
        let Waiting { group, sent } = Waiting::new();
        let (endpoint, silent) = (InFlight::begin(Arc::clone(&group.endpoints[0]), 3), Cell::new(false));
        let patience = Patience::new(&group.upstream, &endpoint, &silent, sent);
        other_answers(&group.endpoints, sent + Duration::from_secs(9));
        patience.look(None, sent + Duration::from_secs(10));
        assert!(!silent.get() && endpoint.vitals.waiting() == 0);
    }

    #[test]
    fn an_answer_ends_the_silence() {
        let mut waiting = Waiting::new();
        waiting.wait(2, 1_100, other_answers);
        assert!(waiting.is_out());
        waiting.group.answers(0, 500);
        assert!(waiting.is_out(), "a bad one does not");
        waiting.group.answers(0, 200);
        assert!(!waiting.is_out());
        waiting.group.answers(0, 500);
        assert!(!waiting.is_out(), "and it is not on probation");
    }
}
