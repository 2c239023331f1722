//! Where picks go: spread and weights of each algorithm, what moves when an endpoint leaves, bounded load, slow start.

use std::sync::Arc;
use std::time::Duration;

use super::{Algorithm, Settings};
use crate::upstream::Admission;
use crate::upstream::testing::Group;

const ALL: [Algorithm; 6] =
    [Algorithm::RoundRobin, Algorithm::LeastRequest, Algorithm::PeakEwma, Algorithm::RingHash, Algorithm::Maglev, Algorithm::Random];

const PICKS: u64 = 20_000;

/// How far a share may be from what it should be, relative to that: the points of a ring are thrown at random, 512 for an
/// endpoint; a Maglev table is exact; what is left is chance, five standard deviations of it.
fn tolerance(algorithm: Algorithm) -> f64 {
    match algorithm {
        Algorithm::RoundRobin => 0.001,
        Algorithm::RingHash => 0.30,
        _ => 0.12,
    }
}

#[track_caller]
fn check_shares(algorithm: Algorithm, counts: &[u64], weights: &[u32]) {
    let (total, sum): (u64, u32) = (counts.iter().sum(), weights.iter().sum());
    for (count, weight) in counts.iter().zip(weights) {
        let expected = total as f64 * f64::from(*weight) / f64::from(sum);
        let off = (*count as f64 - expected).abs() / expected.max(1.0);
        assert!(off <= tolerance(algorithm), "{algorithm:?}: {counts:?} for the weights {weights:?}");
    }
}

#[test]
fn every_algorithm_spreads_evenly() {
    for algorithm in ALL {
        let group = Group::new(algorithm, &[1; 10]);
        check_shares(algorithm, &group.spread(PICKS), &[1; 10]);
    }
}

#[test]
fn every_algorithm_keeps_weights_when_idle() {
    for algorithm in ALL {
        let weights = [1, 2, 5];
        check_shares(algorithm, &Group::new(algorithm, &weights).spread(PICKS), &weights);
    }
}

#[test]
fn every_algorithm_keeps_weights_when_busy() {
    for algorithm in ALL {
        let weights = [1, 2, 5];
        let group = Group::new(algorithm, &weights);
        let held: Vec<_> = (0..20_000).map(|key| group.pick(key)).collect();
        let counts: Vec<u64> = group.endpoints.iter().map(|endpoint| u64::from(endpoint.vitals.in_flight())).collect();
        check_shares(algorithm, &counts, &weights);
        drop(held);
        assert!(group.endpoints.iter().all(|endpoint| endpoint.vitals.in_flight() == 0), "each guard gives back what it took");
    }
}

#[test]
fn a_weight_of_zero_gets_nothing() {
    for algorithm in ALL {
        assert_eq!(Group::new(algorithm, &[1, 0, 1]).spread(1_000)[1], 0, "{algorithm:?}");
    }
    for algorithm in ALL {
        assert!(Group::new(algorithm, &[0, 0]).pick_but(1, &[]).is_none(), "{algorithm:?}: nobody to choose");
        assert!(Group::new(algorithm, &[]).pick_but(1, &[]).is_none(), "{algorithm:?}: nobody at all");
    }
}

// === hashing ===

/// Where each key goes.
fn owners(group: &Group, keys: u64) -> Vec<usize> {
    (0..keys).map(|key| group.place(&group.pick(key))).collect()
}

#[track_caller]
fn check_movement(algorithm: Algorithm, before: &[usize], after: &[usize], endpoints: usize) {
    let moved = before.iter().zip(after).filter(|(before, after)| before != after).count() as f64 / before.len() as f64;
    assert!(moved <= 1.0 / endpoints as f64 + 0.05, "{algorithm:?}: {moved} of the keys moved");
    assert!(moved >= 0.5 / endpoints as f64, "{algorithm:?}: those of the one that left moved: {moved}");
}

#[test]
fn few_keys_move_when_an_endpoint_leaves() {
    for algorithm in [Algorithm::RingHash, Algorithm::Maglev] {
        for count in [3, 10, 50] {
            let group = Group::new(algorithm, &vec![1; count]);
            let before = owners(&group, PICKS);
            let staying: Vec<_> = group.endpoints.iter().skip(1).map(|endpoint| (Arc::clone(endpoint), 1)).collect();
            group.upstream.balancer.set_endpoints(staying);
            check_movement(algorithm, &before, &owners(&group, PICKS), count);
        }
    }
}

#[test]
fn on_a_ring_only_the_keys_of_the_one_that_leaves_move() {
    let group = Group::new(Algorithm::RingHash, &[1; 10]);
    let before = owners(&group, PICKS);
    let staying: Vec<_> = group.endpoints.iter().skip(1).map(|endpoint| (Arc::clone(endpoint), 1)).collect();
    group.upstream.balancer.set_endpoints(staying);
    let after = owners(&group, PICKS);
    assert!(before.iter().zip(after).all(|(before, after)| *before == 0 || *before == after), "the others stay where they are");
}

#[test]
fn few_keys_move_while_an_endpoint_is_out_and_they_come_back() {
    for algorithm in [Algorithm::RingHash, Algorithm::Maglev] {
        let group = Group::new(algorithm, &[1; 10]);
        let before = owners(&group, PICKS);
        group.endpoints[0].vitals.set_healthy(false);
        group.upstream.balancer.siblings().changed();
        check_movement(algorithm, &before, &owners(&group, PICKS), 10);
        group.endpoints[0].vitals.set_healthy(true);
        group.upstream.balancer.siblings().changed();
        assert_eq!(owners(&group, PICKS), before, "{algorithm:?}");
    }
}

#[test]
fn the_order_of_the_configuration_does_not_matter_to_a_ring() {
    let group = Group::new(Algorithm::RingHash, &[1; 10]);
    let before = owners(&group, 1_000);
    group.upstream.balancer.set_endpoints(group.endpoints.iter().rev().map(|endpoint| (Arc::clone(endpoint), 1)).collect());
    assert_eq!(owners(&group, 1_000), before);
}

#[test]
fn a_hot_key_loads_no_endpoint_a_quarter_above_its_share() {
    for algorithm in [Algorithm::RingHash, Algorithm::Maglev] {
        let group = Group::new(algorithm, &[1; 5]);
        let home = group.place(&group.pick(7));
        let held: Vec<_> = (0..1_000).map(|_| group.pick(7)).collect();
        let loads: Vec<u32> = group.endpoints.iter().map(|endpoint| endpoint.vitals.in_flight()).collect();
        assert!(loads.iter().all(|load| *load <= 250), "{algorithm:?}: 1.25 times 200 at most: {loads:?}");
        assert_eq!(loads[home], 250, "{algorithm:?}: as many as may stay at home");
        drop(held);
        assert_eq!(group.place(&group.pick(7)), home, "{algorithm:?}: and it goes home when there is room");
    }
}

#[test]
fn a_request_without_the_key_goes_anywhere() {
    let mut settings = Settings { algorithm: Algorithm::Maglev, ..Settings::default() };
    settings.hash_on = None;
    let group = Group::with(settings, &[1; 5]);
    let mut counts = [0_u64; 5];
    for _ in 0..PICKS {
        let keys = crate::upstream::Keys { headers: &http::HeaderMap::new(), path: None, caller: None, address: None };
        let picked = group.upstream.pick(&crate::upstream::Asked { now: group.now, tried: &[], keys }).expect("one is ready");
        counts[group.place(&picked)] += 1;
    }
    check_shares(Algorithm::Random, &counts, &[1; 5]);
}

// === readiness ===

fn take_out(group: &Group, places: &[usize]) {
    for place in places {
        group.endpoints[*place].vitals.set_healthy(false);
    }
    group.upstream.balancer.siblings().changed();
}

#[test]
fn who_is_out_gets_nothing_and_the_rest_share_evenly() {
    for algorithm in ALL {
        let group = Group::new(algorithm, &[1; 10]);
        take_out(&group, &[0, 1, 2, 3, 4]);
        let counts = group.spread(PICKS);
        assert_eq!(counts[..5], [0; 5], "{algorithm:?}");
        if !matches!(algorithm, Algorithm::RingHash) {
            check_shares(Algorithm::Random, &counts[5..], &[1; 5]);
        }
    }
}

#[test]
fn with_less_than_half_ready_all_are_used_and_it_is_counted() {
    for algorithm in ALL {
        let group = Group::new(algorithm, &[1; 5]);
        take_out(&group, &[0, 1, 2]);
        let counts = group.spread(1_000);
        assert!(counts.iter().all(|count| *count > 0), "{algorithm:?}: {counts:?}");
        assert_eq!(group.upstream.balancer.siblings().panic_picks(), 1_000, "{algorithm:?}");
    }
}

#[test]
fn what_real_requests_have_out_is_not_used_even_with_less_than_half_ready() {
    for algorithm in ALL {
        let mut group = Group::new(algorithm, &[1; 5]);
        take_out(&group, &[0]);
        for place in [1, 2] {
            (0..5).for_each(|_| group.answers(place, 500));
        }
        let counts = group.spread(1_000);
        assert!(counts[0] > 0, "{algorithm:?}: its checks may be wrong: {counts:?}");
        assert_eq!(counts[1..3], [0; 2], "{algorithm:?}: these were ejected");
    }
}

#[test]
fn with_none_ready_none_is_picked() {
    for algorithm in ALL {
        let group = Group::new(algorithm, &[1; 3]);
        take_out(&group, &[0, 1, 2]);
        assert!(group.pick_but(1, &[]).is_none(), "{algorithm:?}");
    }
    let alone = Group::new(Algorithm::PeakEwma, &[1]);
    take_out(&alone, &[0]);
    assert!(alone.pick_but(1, &[]).is_none(), "nor is a lone one");
}

#[test]
fn what_was_tried_is_not_picked_again_while_there_is_another() {
    for algorithm in ALL {
        let group = Group::new(algorithm, &[1; 4]);
        for key in 0..200 {
            let mut tried = Vec::new();
            for _ in 0..4 {
                let picked = group.pick_but(key, &tried).expect("one is ready");
                assert!(!tried.contains(&picked.serial), "{algorithm:?}: another one each time");
                tried.push(picked.serial);
            }
            assert!(group.pick_but(key, &tried).is_some(), "{algorithm:?}: and then one of them again");
        }
    }
}

// === slow start ===

#[test]
fn an_endpoint_that_comes_back_gets_its_share_bit_by_bit() {
    for algorithm in ALL {
        let mut group = Group::new(algorithm, &[1; 5]);
        let begin = group.now;
        let latency = group.upstream.balancer.siblings().typical_latency(begin);
        group.endpoints[2].vitals.ramp(begin, latency);
        // With a share s of its picks: s / (4 + s) of all; a hash gives the same fifth of its keys or none.
        for (after, lowest, highest) in [(0, 0.008, 0.04), (15, 0.06, 0.14), (30, 0.12, 0.28)] {
            group.now = begin + Duration::from_secs(after);
            // Of the same latency, so that only the start makes a difference.
            group.endpoints.iter().for_each(|endpoint| endpoint.vitals.learn(Duration::from_millis(40 + after), group.now));
            let share = group.spread(PICKS)[2] as f64 / PICKS as f64;
            assert!((lowest..=highest).contains(&share), "{algorithm:?}: {share} after {after} s");
        }
    }
}

// === latency ===

/// Sends requests one after the other to endpoints that take so many milliseconds; a negative time is a quick 500.
fn served(group: &mut Group, millis: &[i64], requests: usize) -> Vec<u64> {
    let mut counts = vec![0; millis.len()];
    for _ in 0..requests {
        let picked = group.pick(0);
        let place = group.place(&picked);
        counts[place] += 1;
        let (status, took) = if millis[place] < 0 { (500, 1) } else { (200, millis[place] as u64) };
        group.upstream.learn(&picked, &Admission::free(), status, Duration::from_millis(took), group.now);
        group.pass(Duration::from_millis(2));
    }
    counts
}

#[test]
fn peak_ewma_avoids_the_slow_one() {
    let mut group = Group::new(Algorithm::PeakEwma, &[1; 5]);
    let counts = served(&mut group, &[5, 5, 200, 5, 5], 10_000);
    assert!(counts[2] < 50, "a few to find out, and then now and again: {counts:?}");
    assert!([0, 1, 3, 4].into_iter().all(|place| counts[place] > 1_000), "the others share: {counts:?}");
}

#[test]
fn peak_ewma_is_not_drawn_to_one_that_fails_fast() {
    let mut group = Group::new(Algorithm::PeakEwma, &[1; 5]);
    group.upstream.outlier.max_ejected = 0.0;
    let counts = served(&mut group, &[20, 20, -1, 20, 20], 10_000);
    assert!(counts[2] < 50, "though it answers in a millisecond: {counts:?}");
}

#[test]
fn peak_ewma_does_not_starve_anybody_for_a_rare_error() {
    let mut group = Group::new(Algorithm::PeakEwma, &[1; 2]);
    let mut counts = [0_u64; 2];
    for number in 0..20_000 {
        let picked = group.pick(0);
        let place = group.place(&picked);
        counts[place] += 1;
        let status = if number % 200 == 0 { 500 } else { 200 };
        group.upstream.learn(&picked, &Admission::free(), status, Duration::from_millis(5), group.now);
        drop(picked);
        group.pass(Duration::from_millis(2));
    }
    assert!(counts.iter().all(|count| *count > 2_000), "both go on serving: {counts:?}");
}

// === changes ===

#[test]
fn endpoints_change_under_picks() {
    for algorithm in ALL {
        let group = Group::new(algorithm, &[1; 8]);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..20_000).for_each(|key| drop(group.pick(key))));
            }
            for round in 1..100 {
                let some: Vec<_> = group.endpoints.iter().take(round % 8 + 1).map(|endpoint| (Arc::clone(endpoint), 1)).collect();
                group.upstream.balancer.set_endpoints(some);
                take_out(&group, &[]);
            }
        });
        assert!(group.endpoints.iter().all(|endpoint| endpoint.vitals.in_flight() == 0), "{algorithm:?}: nothing is left behind");
        assert_eq!(group.upstream.balancer.siblings().in_flight(), 0, "{algorithm:?}: nor for the upstream");
    }
}
