use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::{Admission, Circuit, Rules, State};

const QUICK: Duration = Duration::from_millis(1);
/// Longer than the first rest with its jitter, 5 s and a fifth.
const REST: Duration = Duration::from_millis(6_001);

/// A circuit with a clock that is moved by hand.
struct Bench {
    circuit: Arc<Circuit>,
    rules: Rules,
    now: Instant,
}

impl Bench {
    fn new(rules: Rules) -> Self {
        let now = Instant::now();
        Self { circuit: Arc::new(Circuit::new("orders".into(), now)), rules, now }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn admit(&self) -> Result<Admission, Duration> {
        self.circuit.admit(&self.rules, self.now)
    }

    #[track_caller]
    fn admitted(&self) -> Admission {
        self.admit().expect("let through")
    }

    fn answer(&self, admission: &Admission, status: u16, took: Duration) {
        self.circuit.learn(&self.rules, admission, status, took, self.now);
    }

    /// So many requests that are let through, with this answer.
    #[track_caller]
    fn requests(&self, count: u32, status: u16) {
        for _ in 0..count {
            self.answer(&self.admitted(), status, QUICK);
        }
    }

    /// How many of so many requests are let through; each is answered well.
    fn share(&self, count: u32) -> u32 {
        (0..count).filter(|_| self.admit().inspect(|admission| self.answer(admission, 200, QUICK)).is_ok()).count() as u32
    }

    /// Opens it, and waits until it may be tried.
    #[track_caller]
    fn open_and_rest(&mut self) {
        self.requests(20, 503);
        self.assert_state(State::Open);
        self.pass(REST);
    }

    #[track_caller]
    fn assert_state(&self, state: State) {
        assert_eq!(self.circuit.state(), state);
    }
}

fn bench() -> Bench {
    Bench::new(Rules::default())
}

// === closed ===

#[test]
fn half_of_twenty_opens() {
    let bench = bench();
    bench.requests(10, 200);
    bench.requests(9, 502);
    bench.assert_state(State::Closed);
    bench.requests(1, 502);
    bench.assert_state(State::Open);
    assert_eq!(bench.circuit.transitions(State::Open), 1);
}

#[test]
fn fewer_than_the_least_are_not_judged() {
    let bench = bench();
    bench.requests(19, 503);
    bench.assert_state(State::Closed);
    bench.requests(1, 503);
    bench.assert_state(State::Open);
}

#[test]
fn less_than_half_does_not_open() {
    let bench = bench();
    for _ in 0..1_000 {
        bench.requests(51, 200);
        bench.requests(49, 504);
    }
    bench.assert_state(State::Closed);
}

#[test]
fn only_failures_of_a_gateway_count() {
    #[track_caller]
    fn check(count_500: bool, status: u16, expected: State) {
        let bench = Bench::new(Rules { count_500, ..Rules::default() });
        bench.requests(20, status);
        assert_eq!(bench.circuit.state(), expected, "{status}, 500s counting: {count_500}");
    }
    for status in [502, 503, 504] {
        check(false, status, State::Open);
    }
    for status in [200, 304, 400, 401, 404, 408, 429, 499, 500, 501, 505] {
        check(false, status, State::Closed);
    }
    check(true, 500, State::Open);
    check(true, 501, State::Closed);
}

#[test]
fn what_is_older_than_the_window_is_forgotten() {
    let mut bench = bench();
    bench.requests(19, 503);
    bench.pass(Duration::from_secs(10));
    bench.requests(19, 503);
    bench.assert_state(State::Closed);
    bench.pass(Duration::from_secs(5));
    bench.requests(1, 503);
    bench.assert_state(State::Open);
}

#[test]
fn a_window_slides_by_tenths() {
    let mut bench = bench();
    bench.requests(15, 503);
    bench.pass(Duration::from_millis(8_900));
    bench.requests(4, 503);
    bench.assert_state(State::Closed);
    // The first slot has passed out of it by now, the second has not.
    bench.pass(Duration::from_millis(1_200));
    bench.requests(15, 503);
    bench.assert_state(State::Closed);
    bench.requests(1, 503);
    bench.assert_state(State::Open);
}

#[test]
fn another_window_counts_what_the_former_did() {
    let mut bench = bench();
    bench.requests(15, 503);
    bench.pass(Duration::from_secs(2));
    bench.rules.window = Duration::from_secs(60);
    bench.requests(5, 503);
    bench.assert_state(State::Open);
}

#[test]
fn slow_answers_open_where_a_threshold_is_given() {
    let rules = Rules { slow_threshold: Some(Duration::from_millis(100)), ..Rules::default() };
    let (bench, without) = (Bench::new(rules), bench());
    for _ in 0..20 {
        bench.answer(&bench.admitted(), 200, Duration::from_millis(101));
        without.answer(&without.admitted(), 200, Duration::from_secs(10));
    }
    bench.assert_state(State::Open);
    without.assert_state(State::Closed);
}

#[test]
fn the_share_of_slow_answers_is_its_own() {
    let rules = Rules { slow_threshold: Some(Duration::from_millis(100)), slow_ratio: 0.8, ..Rules::default() };
    let bench = Bench::new(rules);
    bench.requests(5, 200);
    for number in 1..=20 {
        bench.assert_state(State::Closed);
        bench.answer(&bench.admitted(), 200, Duration::from_millis(150));
        assert!(number < 20 || bench.circuit.state() == State::Open, "20 of 25 are 80 %");
    }
}

#[test]
fn a_ratio_of_nothing_turns_it_off() {
    let rules = Rules { failure_ratio: 0.0, ..Rules::default() };
    assert!(!rules.may_open() && Rules::default().may_open());
    let bench = Bench::new(Rules { slow_threshold: Some(QUICK), ..rules });
    assert!(bench.rules.may_open(), "slow answers still do");
    bench.requests(100, 503);
    bench.assert_state(State::Closed);
}

// === open ===

#[test]
fn open_refuses_and_says_how_long() {
    let mut bench = bench();
    bench.requests(20, 503);
    let wait = bench.admit().err().expect("refused");
    assert!((Duration::from_secs(4)..=Duration::from_secs(6)).contains(&wait), "5 s, give or take a fifth: {wait:?}");
    assert_eq!(bench.circuit.open_for(bench.now), Some(wait));
    bench.pass(wait - QUICK);
    assert_eq!(bench.admit().err(), Some(QUICK), "to the end");
    bench.pass(QUICK);
    assert!(bench.admitted().is_probe(), "then it is tried");
    assert_eq!((bench.circuit.refusals(), bench.circuit.open_for(bench.now)), (2, None));
}

#[test]
fn rests_are_spread() {
    let rests: Vec<Duration> = (0..50)
        .map(|_| {
            let bench = bench();
            bench.requests(20, 503);
            bench.admit().err().expect("refused")
        })
        .collect();
    let (least, most) = (rests.iter().min().expect("fifty"), rests.iter().max().expect("fifty"));
    assert!(*most - *least > Duration::from_millis(500), "gateways do not come back in step: {least:?} to {most:?}");
}

#[test]
fn each_further_rest_is_twice_as_long_up_to_the_longest() {
    let mut bench = bench();
    bench.requests(20, 503);
    for nominal in [5, 10, 20, 40, 60, 60] {
        let wait = bench.admit().err().expect("refused").as_secs_f64();
        assert!((0.8..=1.2).contains(&(wait / f64::from(nominal))), "{nominal} s, give or take a fifth: {wait}");
        bench.pass(Duration::from_secs_f64(wait + 0.001));
        bench.requests(1, 503);
        bench.assert_state(State::Open);
    }
}

#[test]
fn answers_to_what_was_sent_before_it_opened_decide_nothing() {
    let mut bench = bench();
    let early: Vec<Admission> = (0..100).map(|_| bench.admitted()).collect();
    bench.open_and_rest();
    let probe = bench.admitted();
    early[..50].iter().for_each(|admission| bench.answer(admission, 504, QUICK));
    bench.assert_state(State::HalfOpen);
    bench.answer(&probe, 200, QUICK);
    bench.requests(4, 200);
    bench.assert_state(State::Closed);
    early[50..].iter().for_each(|admission| bench.answer(admission, 504, QUICK));
    bench.assert_state(State::Closed);
}

// === half-open ===

#[test]
fn only_the_probes_are_let_through() {
    let mut bench = bench();
    bench.open_and_rest();
    let mut probes: Vec<Admission> = (0..5).map(|_| bench.admitted()).collect();
    bench.assert_state(State::HalfOpen);
    assert_eq!(bench.admit().err(), Some(Duration::from_secs(1)), "the sixth comes back soon");
    let last = probes.pop().expect("five");
    for probe in &probes {
        bench.answer(probe, 200, QUICK);
        assert!(bench.admit().is_err(), "four successes and one under way are five");
    }
    bench.answer(&last, 404, QUICK);
    bench.assert_state(State::Closed);
}

#[test]
fn one_failure_of_the_probes_opens() {
    let mut bench = bench();
    bench.open_and_rest();
    let probes: Vec<Admission> = (0..5).map(|_| bench.admitted()).collect();
    probes[..4].iter().for_each(|probe| bench.answer(probe, 200, QUICK));
    bench.answer(&probes[4], 504, QUICK);
    bench.assert_state(State::Open);
    bench.pass(REST);
    assert!(bench.admit().is_err(), "and for longer than before");
    bench.pass(REST);
    assert_eq!((0..10).filter_map(|_| bench.admit().ok().map(std::mem::forget)).count(), 5, "then as many as the first time");
}

#[test]
fn a_slow_probe_does_not_close() {
    let mut bench = Bench::new(Rules { slow_threshold: Some(Duration::from_millis(100)), ..Rules::default() });
    bench.open_and_rest();
    bench.answer(&bench.admitted(), 200, Duration::from_millis(101));
    bench.assert_state(State::Open);
}

#[test]
fn a_probe_whose_client_went_away_gives_its_place_back() {
    let mut bench = bench();
    bench.open_and_rest();
    for _ in 0..100 {
        drop((0..5).map(|_| bench.admitted()).collect::<Vec<_>>());
    }
    bench.assert_state(State::HalfOpen);
    bench.requests(5, 200);
    bench.assert_state(State::Closed);
}

#[test]
fn the_first_try_decides_for_a_probe() {
    let mut bench = bench();
    bench.open_and_rest();
    let probe = bench.admitted();
    bench.answer(&probe, 503, QUICK);
    bench.answer(&probe, 200, QUICK);
    bench.assert_state(State::Open);
}

#[test]
fn a_place_of_an_earlier_trial_is_not_given_back_twice() {
    let mut bench = bench();
    bench.open_and_rest();
    let (late, failing) = (bench.admitted(), bench.admitted());
    bench.answer(&failing, 503, QUICK);
    bench.pass(REST * 2);
    let probes: Vec<Admission> = (0..5).map(|_| bench.admitted()).collect();
    drop(late);
    assert!(bench.admit().is_err(), "its place was another one");
    drop(probes);
}

#[test]
fn probes_that_come_to_no_end_do_not_keep_it_half_open() {
    let mut bench = bench();
    bench.open_and_rest();
    let stuck: Vec<Admission> = (0..5).map(|_| bench.admitted()).collect();
    bench.pass(Duration::from_secs(59));
    assert!(bench.admit().is_err(), "they still may");
    bench.pass(Duration::from_secs(1));
    bench.requests(5, 200);
    bench.assert_state(State::Closed);
    stuck.iter().for_each(|probe| bench.answer(probe, 504, QUICK));
    bench.assert_state(State::Closed);
}

/// Whatever probes come to, and in whatever order: never more than five are under way, and no trial lets through more.
#[test]
fn half_open_never_lets_more_through_than_its_probes() {
    for seed in 0..300 {
        let (mut random, mut bench) = (fastrand::Rng::with_seed(seed), bench());
        bench.open_and_rest();
        let (mut under_way, mut good): (Vec<Admission>, u32) = (Vec::new(), 0);
        for _ in 0..200 {
            match random.u32(..10) {
                0..=5 => under_way.extend(bench.admit()),
                _ if under_way.is_empty() => {}
                6 | 7 => drop(under_way.swap_remove(random.usize(..under_way.len()))),
                _ => {
                    bench.answer(&under_way.swap_remove(random.usize(..under_way.len())), 200, QUICK);
                    good += 1;
                }
            }
            if bench.circuit.state() == State::Closed {
                break;
            }
            assert!(under_way.iter().all(Admission::is_probe), "seed {seed}: nothing else is let through");
            assert!(under_way.len() as u32 + good <= 5, "seed {seed}: {} under way and {good} good", under_way.len());
        }
    }
}

#[test]
fn threads_share_the_probes() {
    let (under_way, most) = (AtomicU32::new(0), AtomicU32::new(0));
    let mut bench = bench();
    // So that they never close it, and go on.
    bench.rules.probes = 7;
    bench.open_and_rest();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5_000 {
                    let Ok(probe) = bench.admit() else { continue };
                    most.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::yield_now();
                    under_way.fetch_sub(1, Ordering::SeqCst);
                    drop(probe);
                }
            });
        }
    });
    assert!((1..=7).contains(&most.into_inner()));
    bench.assert_state(State::HalfOpen);
    bench.requests(7, 200);
    bench.assert_state(State::Closed);
}

#[test]
fn threads_open_it_once() {
    let bench = bench();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    bench.admit().into_iter().for_each(|admission| bench.answer(&admission, 503, QUICK));
                }
            });
        }
    });
    assert_eq!(bench.circuit.transitions(State::Open), 1, "whoever finds out");
}

// === ramp ===

#[test]
fn a_ramp_lets_a_growing_share_through() {
    let mut bench = bench();
    bench.open_and_rest();
    bench.requests(5, 200);
    for (second, share) in [(0, 100), (1, 100), (2, 200), (4, 400), (7, 700), (9, 900), (10, 1_000), (11, 1_000)] {
        let since = Duration::from_secs(second);
        bench.pass(since);
        let through = bench.share(1_000);
        assert!(through.abs_diff(share) <= 1, "{through} of 1,000 after {second} s, not {share}");
        bench.now -= if second < 10 { since } else { Duration::ZERO };
    }
}

#[test]
fn the_first_request_of_a_ramp_is_let_through() {
    let mut bench = bench();
    bench.open_and_rest();
    bench.requests(5, 200);
    assert!(bench.admit().is_ok() && bench.admit().is_err(), "one of ten");
}

#[test]
fn failures_in_a_ramp_open_for_longer() {
    let mut bench = bench();
    bench.open_and_rest();
    bench.requests(5, 200);
    bench.pass(Duration::from_secs(9));
    for _ in 0..30 {
        bench.admit().into_iter().for_each(|admission| bench.answer(&admission, 503, QUICK));
    }
    bench.assert_state(State::Open);
    let wait = bench.admit().err().expect("refused");
    assert!(wait >= Duration::from_secs(8), "10 s, give or take a fifth: {wait:?}");
}

#[test]
fn after_the_ramp_the_next_rest_is_a_first_one() {
    let mut bench = bench();
    bench.open_and_rest();
    bench.requests(5, 200);
    bench.pass(Duration::from_secs(10));
    bench.requests(1, 200);
    bench.pass(Duration::from_secs(10));
    bench.requests(20, 503);
    let wait = bench.admit().err().expect("refused");
    assert!(wait <= Duration::from_secs(6), "5 s, give or take a fifth: {wait:?}");
}

#[test]
fn what_a_ramp_let_through_counts_when_it_is_over() {
    let mut bench = bench();
    bench.open_and_rest();
    bench.requests(5, 200);
    bench.pass(Duration::from_millis(9_999));
    let late: Vec<Admission> = (0..30).filter_map(|_| bench.admit().ok()).collect();
    bench.pass(QUICK);
    bench.requests(1, 200);
    late.iter().for_each(|admission| bench.answer(admission, 503, QUICK));
    bench.assert_state(State::Open);
}

#[test]
fn no_ramp_lets_everything_through_at_once() {
    let mut bench = Bench::new(Rules { ramp: Duration::ZERO, ..Rules::default() });
    bench.open_and_rest();
    bench.requests(5, 200);
    assert_eq!(bench.share(1_000), 1_000);
}

// === odd settings ===

#[test]
fn the_longest_times_there_are_do_no_harm() {
    let long = Duration::from_micros(u64::MAX);
    let mut bench = Bench::new(Rules { window: long, open: long, max_open: long, ramp: long, ..Rules::default() });
    bench.requests(20, 503);
    bench.assert_state(State::Open);
    bench.pass(Duration::from_secs(1 << 32));
    assert!(bench.admit().is_err(), "for centuries");
}

#[test]
fn the_shortest_times_there_are_do_no_harm() {
    let short = Duration::from_nanos(1);
    let mut bench = Bench::new(Rules { window: short, open: short, max_open: short, ramp: short, probes: 1, ..Rules::default() });
    bench.requests(20, 503);
    bench.assert_state(State::Open);
    bench.pass(QUICK);
    bench.requests(1, 200);
    bench.pass(QUICK);
    assert_eq!(bench.share(100), 100);
}
