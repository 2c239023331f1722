//! All or none, by hand, against a model in every interleaving, and in every window of what threads were given.

use std::{sync::Barrier, thread, time::Duration};

use super::*;
use crate::limit::Clock;

fn policy(rate: f64, burst: u32) -> Policy {
    Policy::new(rate, burst).expect("a policy in range")
}

fn at(milliseconds: u64) -> Moment {
    Moment::after(Duration::from_millis(milliseconds))
}

fn charge<'a>(scope: &'a Scope, client: &'a [u8], policy: Policy, cost: u32) -> Charge<'a> {
    Charge { scope, client, policy, cost }
}

fn left(table: &Table, charge: &Charge<'_>, now: Moment) -> u32 {
    table.take(charge.scope, charge.client, &charge.policy, 0, now).remaining
}

#[test]
fn all_are_charged_when_all_have_enough() {
    let table = Table::default();
    let scope = table.scope("orders");
    let charges = [charge(&scope, b"second", policy(10.0, 5), 1), charge(&scope, b"day", policy(0.01, 100), 3)];
    let decisions = table.take_all(&charges, at(1));
    assert!(decisions.iter().all(|decision| decision.allowed), "both were full");
    assert_eq!([decisions[0].remaining, decisions[1].remaining], [4, 97]);
    assert_eq!(table.len(), 2, "each has a bucket of its own");
}

#[test]
fn none_is_charged_when_one_has_too_little() {
    let table = Table::default();
    let scope = table.scope("orders");
    let charges = [
        charge(&scope, b"first", policy(1.0, 10), 1),
        charge(&scope, b"empty", policy(1.0, 2), 1),
        charge(&scope, b"last", policy(1.0, 10), 1),
    ];
    assert!(table.take(&scope, b"empty", &charges[1].policy, 2, at(1)).allowed, "somebody empties one");
    let decisions = table.take_all(&charges, at(1));
    assert_eq!(decisions.iter().map(|decision| decision.allowed).collect::<Vec<_>>(), [true, false, true], "one refuses");
    assert_eq!(decisions.iter().map(|decision| decision.remaining).collect::<Vec<_>>(), [10, 0, 10], "and what is told is what is left");
    assert!(decisions[1].retry_after > Duration::from_millis(999), "a token takes a second");
    assert_eq!([left(&table, &charges[0], at(1)), left(&table, &charges[2], at(1))], [10, 10], "the others kept what they had");
}

#[test]
fn a_bucket_that_is_charged_twice_has_to_hold_both() {
    let table = Table::default();
    let scope = table.scope("orders");
    let twice = |cost| [charge(&scope, b"acme", policy(1.0, 5), cost), charge(&scope, b"acme", policy(1.0, 5), cost)];
    let refused = table.take_all(&twice(3), at(1));
    assert!(refused[0].allowed && !refused[1].allowed, "three and three are more than five");
    let decisions = table.take_all(&twice(2), at(1));
    assert!(decisions.iter().all(|decision| decision.allowed), "four are not");
    assert_eq!(decisions[1].remaining, 1);
}

#[test]
fn a_refusal_leaves_a_changed_policy_where_it_was() {
    let table = Table::default();
    let scope = table.scope("orders");
    assert!(table.take(&scope, b"acme", &policy(1.0, 10), 4, at(1)).allowed, "four of ten");
    assert!(table.take(&scope, b"empty", &policy(0.001, 1), 1, at(1)).allowed, "one of one");
    let charges = [charge(&scope, b"acme", policy(2.0, 20), 1), charge(&scope, b"empty", policy(0.001, 1), 1)];
    assert_eq!(table.take_all(&charges, at(1))[0].remaining, 16, "four are missing of twenty");
    assert_eq!(left(&table, &charge(&scope, b"acme", policy(1.0, 10), 0), at(1)), 6, "and of ten");
}

#[test]
fn a_charge_of_nothing_and_no_charge_at_all_are_allowed() {
    let table = Table::default();
    let scope = table.scope("orders");
    assert!(table.take_all(&[], at(1)).is_empty());
    assert!(table.take_all(&[charge(&scope, b"acme", policy(1.0, 1), 0)], at(1))[0].allowed);
}

#[test]
fn a_full_table_takes_all_or_none_too() {
    let table = Table::new(1);
    let scope = table.scope("orders");
    for client in 0..5_000u32 {
        let client = client.to_le_bytes();
        let charges = [charge(&scope, &client, policy(1.0, 2), 1), charge(&scope, b"all", policy(0.001, 1_000), 1)];
        table.take_all(&charges, at(1));
    }
    assert!(table.len() <= Table::SHARDS, "{} buckets are kept", table.len());
}

// What a worker asks of the buckets 0, 1 and 2: a cost for each.
type Ask = [u32; 3];

// Buckets of exact arithmetic, in thousandths of a token.
struct Model {
    tokens: [u64; 3],
    at: u64,
}

const RATES: [u32; 3] = [10, 4, 1];
const BURSTS: [u32; 3] = [3, 2, 4];

impl Model {
    fn full() -> Self {
        Self { tokens: BURSTS.map(|burst| u64::from(burst) * 1_000), at: 0 }
    }

    fn allows(&mut self, ask: &Ask, milliseconds: u64) -> bool {
        for (bucket, tokens) in self.tokens.iter_mut().enumerate() {
            let grown = *tokens + (milliseconds - self.at) * u64::from(RATES[bucket]);
            *tokens = grown.min(u64::from(BURSTS[bucket]) * 1_000);
        }
        self.at = milliseconds;
        let enough = self.tokens.iter().zip(ask).all(|(tokens, cost)| *tokens >= u64::from(*cost) * 1_000);
        if enough {
            self.tokens.iter_mut().zip(ask).for_each(|(tokens, cost)| *tokens -= u64::from(*cost) * 1_000);
        }
        enough
    }
}

#[test]
fn every_interleaving_of_two_workers_is_decided_as_by_exact_arithmetic() {
    for seed in 0..150 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut script = || [(); 4].map(|()| [random.u32(0..4), random.u32(0..3), random.u32(0..3)]);
        let scripts = [script(), script()];
        // Each bit is a turn: whose it is.
        for turns in (0..256u32).filter(|turns| turns.count_ones() == 4) {
            check_interleaving(&scripts, turns);
        }
    }
}

#[track_caller]
fn check_interleaving(scripts: &[[Ask; 4]; 2], turns: u32) {
    let table = Table::default();
    let scopes = ["a", "b", "c"].map(|name| table.scope(name));
    let mut model = Model::full();
    let mut next = [0, 0];
    for turn in 0..8u32 {
        let worker = (turns >> turn & 1) as usize;
        let ask = scripts[worker][next[worker]];
        next[worker] += 1;
        // No multiple of a token's time, where the rounding of one part in 10^15 would decide.
        let now = 1 + 51 * u64::from(turn);
        let charges = [0, 1, 2].map(|bucket| charge(&scopes[bucket], b"acme", policy(RATES[bucket].into(), BURSTS[bucket]), ask[bucket]));
        let allowed = table.take_all(&charges, at(now)).iter().all(|decision| decision.allowed);
        assert_eq!(allowed, model.allows(&ask, now), "turn {turn} of {turns:08b}, {ask:?} of {scripts:?}");
    }
}

#[test]
fn in_no_window_do_threads_together_get_more_than_the_rate_and_the_burst() {
    for seed in 0..12 {
        let mut random = fastrand::Rng::with_seed(seed);
        let policies = [(); 3].map(|()| policy(10f64.powf(3.0 + random.f64() * 5.0), random.u32(1..40)));
        check_windows(&policies, &mut random);
    }
}

// What one bucket gave: when, and how much.
type Given = Vec<(u64, u32)>;

// Four threads on one real clock, each taking from one bucket or from several in an order of its own.
#[track_caller]
fn check_windows(policies: &[Policy; 3], random: &mut fastrand::Rng) {
    let (table, clock, barrier) = (Table::default(), Clock::start(), Barrier::new(4));
    let scopes = ["a", "b", "c"].map(|name| table.scope(name));
    let given: Vec<[Given; 3]> = thread::scope(|threads| {
        let workers = [(); 4].map(|()| {
            let mut random = random.fork();
            let (table, scopes, barrier) = (&table, &scopes, &barrier);
            threads.spawn(move || {
                barrier.wait();
                let mut given = [const { Given::new() }; 3];
                (0..4_000).for_each(|_| take_some(table, scopes, policies, clock.now(), &mut random, &mut given));
                given
            })
        });
        workers.into_iter().map(|worker| worker.join().expect("a taker does not panic")).collect()
    });
    for (bucket, policy) in policies.iter().enumerate() {
        let mut given: Given = given.iter().flat_map(|worker| worker[bucket].iter().copied()).collect();
        given.sort_unstable();
        assert!(!given.is_empty(), "{policy:?} gave something");
        check_every_window(&given, policy);
    }
}

fn take_some(table: &Table, scopes: &[Scope; 3], policies: &[Policy; 3], now: Moment, random: &mut fastrand::Rng, given: &mut [Given; 3]) {
    let mut buckets = [0, 1, 2];
    random.shuffle(&mut buckets);
    let charges: Vec<_> =
        buckets[..random.usize(1..=3)].iter().map(|&bucket| charge(&scopes[bucket], b"acme", policies[bucket], random.u32(1..3))).collect();
    let allowed = match &charges[..] {
        [one] => table.take(one.scope, one.client, &one.policy, one.cost, now).allowed,
        several => table.take_all(several, now).iter().all(|decision| decision.allowed),
    };
    if allowed {
        buckets.iter().zip(&charges).for_each(|(&bucket, charge)| given[bucket].push((now.nanoseconds(), charge.cost)));
    }
}

// The fullest window that ends here is either this take alone or the fullest that ended before, with what has drained since.
// Buckets round time down to ticks, none longer than a nanosecond, so a window may seem to be that much longer.
#[track_caller]
fn check_every_window(given: &Given, policy: &Policy) {
    let (mut level, mut before) = (0f64, given[0].0);
    for (now, cost) in given {
        let drained = (now - before) as f64 * policy.rate() / 1e9;
        level = (level - drained).max(0.0) + f64::from(*cost);
        before = *now;
        assert!(level <= f64::from(policy.burst()) + policy.rate() / 1e9 + 1e-6, "{level} in a window, {policy:?}");
    }
}

#[test]
fn opposite_orders_neither_lock_up_nor_refuse_what_is_there() {
    const BURST: u32 = 20_000;
    let table = Table::default();
    let (a, b) = (table.scope("a"), table.scope("b"));
    let one = policy(0.001, BURST);
    let taken = |order: [&Scope; 2]| {
        let charges = order.map(|scope| charge(scope, b"acme", one, 1));
        (0..BURST).filter(|_| table.take_all(&charges, at(1)).iter().all(|decision| decision.allowed)).count()
    };
    let total: usize = thread::scope(|threads| {
        let workers = [threads.spawn(|| taken([&a, &b])), threads.spawn(|| taken([&b, &a]))];
        workers.into_iter().map(|worker| worker.join().expect("a taker does not panic")).sum()
    });
    assert_eq!(total, BURST as usize, "every token went to somebody, and none was refused while it was there");
}
