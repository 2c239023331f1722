//! When endpoints go out of use, for how long, and how they come back.

use std::time::Duration;

use super::{Outlier, Reason, lowest_ordinary};
use crate::upstream::balance::Algorithm;
use crate::upstream::testing::Group;

fn group(endpoints: usize) -> Group {
    Group::new(Algorithm::RoundRobin, &vec![1; endpoints])
}

fn fails(group: &mut Group, place: usize, times: usize, status: u16) {
    (0..times).for_each(|_| group.answers(place, status));
}

#[track_caller]
fn check_out(group: &Group, expected: &[usize]) {
    let out: Vec<usize> = (0..group.endpoints.len()).filter(|place| !group.ready()[*place]).collect();
    assert_eq!(out, expected, "those that are out");
}

#[test]
fn five_5xx_in_a_row_are_too_many() {
    let mut group = group(4);
    fails(&mut group, 1, 4, 500);
    group.answers(1, 200);
    fails(&mut group, 1, 4, 500);
    check_out(&group, &[]);
    group.answers(1, 500);
    check_out(&group, &[1]);
    assert_eq!(group.upstream.balancer.siblings().ejections(Reason::Consecutive5xx), 1);
}

#[test]
fn failures_of_a_gateway_have_a_row_of_their_own() {
    let mut group = group(4);
    group.upstream.outlier = Outlier { consecutive_gateway: 3, ..Outlier::default() };
    for status in [502, 504, 500, 503, 502] {
        group.upstream.outlier.consecutive_5xx = 0;
        group.answers(1, status);
    }
    check_out(&group, &[]);
    group.answers(1, 504);
    check_out(&group, &[1]);
    assert_eq!(group.upstream.balancer.siblings().ejections(Reason::ConsecutiveGateway), 1);
}

#[test]
fn what_is_no_5xx_is_no_failure() {
    let mut group = group(2);
    for status in [404, 429, 499, 301] {
        fails(&mut group, 0, 10, status);
    }
    check_out(&group, &[]);
}

#[test]
fn half_may_be_out_one_always_may_and_one_always_stays() {
    for (endpoints, most) in [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (10, 5)] {
        let mut group = group(endpoints);
        for _ in 0..4 {
            (0..endpoints).for_each(|place| fails(&mut group, place, 5, 503));
        }
        let out = group.ready().iter().filter(|ready| !**ready).count();
        assert_eq!(out, most, "of {endpoints}");
    }
    let mut greedy = group(3);
    greedy.upstream.outlier.max_ejected = 1.0;
    (0..3).for_each(|place| fails(&mut greedy, place, 5, 503));
    assert_eq!(greedy.ready().iter().filter(|ready| **ready).count(), 1, "somebody has to answer");
    let mut off = group(3);
    off.upstream.outlier.max_ejected = 0.0;
    fails(&mut off, 0, 50, 503);
    check_out(&off, &[]);
}

#[test]
fn the_last_one_that_is_healthy_is_not_ejected() {
    let mut group = group(2);
    group.endpoints[0].vitals.set_healthy(false);
    fails(&mut group, 1, 10, 500);
    check_out(&group, &[0]);
}

#[test]
fn one_that_comes_back_is_on_probation_and_stays_out_longer_each_time() {
    let mut group = group(4);
    fails(&mut group, 1, 5, 500);
    for times in 1..=3_u32 {
        check_out(&group, &[1]);
        let until = group.now + Duration::from_secs(30) * times;
        group.now = until - Duration::from_millis(100);
        group.pardon();
        check_out(&group, &[1]);
        group.now = until;
        group.pardon();
        check_out(&group, &[]);
        assert!(group.endpoints[1].vitals.flags().is_ramping(), "it starts slowly");
        group.answers(1, 500);
    }
    check_out(&group, &[1]);
}

#[test]
fn one_that_fails_its_checks_stays_out_when_its_time_is_over() {
    let mut group = group(4);
    fails(&mut group, 1, 5, 500);
    group.endpoints[1].vitals.set_healthy(false);
    group.pass(Duration::from_secs(60));
    group.pardon();
    assert!(group.endpoints[1].vitals.flags().is_ejected(), "no request is needed to find out");
    group.endpoints[1].vitals.set_healthy(true);
    group.pardon();
    check_out(&group, &[]);
}

#[test]
fn one_failure_is_enough_where_checks_fail_too() {
    let mut group = group(4);
    group.endpoints[1].vitals.set_healthy(false);
    group.answers(1, 200);
    assert!(!group.endpoints[1].vitals.flags().is_ejected());
    group.answers(1, 502);
    assert!(group.endpoints[1].vitals.flags().is_ejected(), "both agree");
}

#[test]
fn a_success_ends_probation() {
    let mut group = group(4);
    fails(&mut group, 1, 5, 500);
    group.pass(Duration::from_secs(30));
    group.pardon();
    group.answers(1, 200);
    fails(&mut group, 1, 4, 500);
    check_out(&group, &[]);
}

#[test]
fn no_ejection_is_longer_than_the_longest() {
    let mut group = group(4);
    group.upstream.outlier.max_ejection = Duration::from_secs(50);
    fails(&mut group, 1, 5, 500);
    group.pass(Duration::from_secs(30));
    group.pardon();
    group.answers(1, 500);
    group.pass(Duration::from_secs(50));
    group.pardon();
    check_out(&group, &[]);
}

#[test]
fn quiet_intervals_make_the_next_ejection_shorter() {
    let mut group = group(4);
    fails(&mut group, 1, 5, 500);
    group.pass(Duration::from_secs(30));
    group.pardon();
    group.upstream.outlier.review(&group.upstream.balancer, group.now);
    group.answers(1, 500);
    group.pass(Duration::from_secs(30));
    group.pardon();
    check_out(&group, &[]);
}

#[test]
fn a_success_rate_that_stands_out_is_too_low() {
    let mut group = group(6);
    for round in 0..100 {
        (0..6).for_each(|place| group.answers(place, if place == 3 && round % 4 == 0 { 500 } else { 200 }));
    }
    group.upstream.outlier.review(&group.upstream.balancer, group.now);
    check_out(&group, &[3]);
    assert_eq!(group.upstream.balancer.siblings().ejections(Reason::SuccessRate), 1);
}

#[test]
fn few_requests_make_no_rate() {
    let mut group = group(6);
    for round in 0..99 {
        (0..6).for_each(|place| group.answers(place, if place == 3 && round % 4 == 0 { 500 } else { 200 }));
    }
    group.upstream.outlier.review(&group.upstream.balancer, group.now);
    check_out(&group, &[]);
}

#[test]
fn rates_are_compared_only_where_five_have_one_and_a_hair_is_no_difference() {
    assert_eq!(lowest_ordinary([1.0, 1.0, 1.0, 0.1].into_iter()), None);
    let lowest = lowest_ordinary([1.0, 1.0, 1.0, 1.0, 0.99].into_iter()).expect("five rates");
    assert!(lowest < 0.99, "{lowest}");
    // Mean 0.8, deviation 0.4: 0.8 - 1.9 * 0.4 = 0.04.
    let lowest = lowest_ordinary([1.0, 1.0, 1.0, 1.0, 0.0].into_iter()).expect("five rates");
    assert!((lowest - 0.04).abs() < 1e-9, "{lowest}");
}
