//! Token buckets by the tests' clock. The test is one client, so a bucket is known by its policy and key alone.

use core::cell::RefCell;
use core::time::Duration;
use std::collections::HashMap;
use std::format;
use std::string::String;

use super::time::now;
use crate::bindings::rate_limit::{Decision, Key, Policy};

struct Bucket {
    tokens: f64,
    at: Duration,
}

std::thread_local! {
    static BUCKETS: RefCell<HashMap<String, Bucket>> = RefCell::new(HashMap::new());
}

pub(crate) fn take(policy: &Policy, key: &Key, cost: u32) -> Decision {
    let in_range = policy.rate > 0.0 && policy.rate <= 1e9 && policy.burst >= 1;
    assert!(in_range, "a policy out of range traps: {policy:?}");
    BUCKETS.with_borrow_mut(|buckets| {
        let burst = f64::from(policy.burst);
        let bucket = buckets.entry(format!("{:?} {key:?}", policy.name)).or_insert_with(|| Bucket { tokens: burst, at: now() });
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
