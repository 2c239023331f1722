//! Token buckets by the tests' clock, and places. The test is one client, so a bucket is known by its policy and key alone.

use core::cell::RefCell;
use core::time::Duration;
use std::collections::HashMap;
use std::format;
use std::string::String;
use std::vec::Vec;

use super::time::now;
use crate::bindings::rate_limit::{Charge, Decision, Key, Policy};

#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Duration,
}

std::thread_local! {
    static BUCKETS: RefCell<HashMap<String, Bucket>> = RefCell::new(HashMap::new());
    static PLACES: RefCell<HashMap<String, u32>> = RefCell::new(HashMap::new());
    static HELD: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// The places that a request holds. Dropped with it.
#[derive(Debug)]
pub(crate) struct Held(Vec<String>);

pub(crate) fn take(policy: &Policy, key: &Key, cost: u32) -> Decision {
    take_from(name(policy, 0, key), policy, cost)
}

pub(crate) fn take_all(charges: &[Charge]) -> Vec<Decision> {
    assert!(charges.len() <= 8, "more than 8 charges trap");
    let before = BUCKETS.with_borrow(HashMap::clone);
    let names = names(charges);
    let take = |(charge, name): (&Charge, &String), cost| take_from(name.clone(), &charge.policy, cost);
    let mut decisions: Vec<_> = charges.iter().zip(&names).map(|pair| take(pair, pair.0.cost)).collect();
    if decisions.iter().any(|decision| !decision.allowed) {
        BUCKETS.set(before);
        let asked = charges.iter().zip(&names).zip(&mut decisions).filter(|(_, decision)| decision.allowed);
        asked.for_each(|(pair, decision)| *decision = take(pair, 0));
    }
    decisions
}

/// Charges without a name are told apart by their place in the list.
fn names(charges: &[Charge]) -> Vec<String> {
    let mut unnamed = 0..;
    let place = |charge: &Charge| if charge.policy.name.is_none() { unnamed.next().unwrap_or_default() } else { 0 };
    let places: Vec<u32> = charges.iter().map(place).collect();
    charges.iter().zip(places).map(|(charge, place)| name(&charge.policy, place, &charge.key)).collect()
}

pub(crate) fn enter(name: Option<&str>, key: &Key, limit: u32) -> bool {
    let place = format!("{name:?} {key:?}");
    if HELD.with_borrow(|held| held.contains(&place)) {
        return true;
    }
    PLACES.with_borrow_mut(|places| {
        let taken = places.entry(place.clone()).or_default();
        if *taken >= limit {
            return false;
        }
        *taken += 1;
        HELD.with_borrow_mut(|held| held.push(place));
        true
    })
}

/// What was entered since this was last asked: the places of the request at hand.
pub(crate) fn held() -> Held {
    Held(HELD.take())
}

impl Drop for Held {
    fn drop(&mut self) {
        PLACES.with_borrow_mut(|places| {
            for place in self.0.drain(..) {
                if let Some(taken) = places.get_mut(&place) {
                    *taken -= 1;
                }
            }
        });
    }
}

fn name(policy: &Policy, place: u32, key: &Key) -> String {
    format!("{:?} {place} {key:?}", policy.name)
}

fn take_from(name: String, policy: &Policy, cost: u32) -> Decision {
    let in_range = policy.rate > 0.0 && policy.rate <= 1e9 && policy.burst >= 1;
    assert!(in_range, "a policy out of range traps: {policy:?}");
    BUCKETS.with_borrow_mut(|buckets| {
        let burst = f64::from(policy.burst);
        let bucket = buckets.entry(name).or_insert_with(|| Bucket { tokens: burst, at: now() });
        bucket.tokens = burst.min(bucket.tokens + (now() - bucket.at).as_secs_f64() * policy.rate);
        bucket.at = now();
        decide(bucket, policy, f64::from(cost))
    })
}

fn decide(bucket: &mut Bucket, policy: &Policy, cost: f64) -> Decision {
    let allowed = bucket.tokens >= cost;
    if allowed {
        bucket.tokens -= cost;
    }
    let millis_until = |tokens: f64| ((tokens - bucket.tokens).max(0.0) / policy.rate * 1000.0).ceil() as u64;
    let whole = bucket.tokens.floor();
    Decision {
        allowed,
        remaining: whole as u32,
        reset_ms: millis_until((whole + 1.0).min(policy.burst.into())),
        retry_after_ms: if allowed { 0 } else { millis_until(cost) },
    }
}
