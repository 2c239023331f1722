//! What callers are told: `RateLimit` (draft-ietf-httpapi-ratelimit-headers), `Retry-After`, and on request the older
//! `X-RateLimit-*`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use gatehouse_plugin::rate_limit::Decision;

use crate::limits::Limit;

/// The names of the older headers: the limit, what is left of it, and the seconds until there is more.
pub const LEGACY: [&str; 3] = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];

/// The value of `RateLimit`: of each policy what is left, and how long until there is more.
pub fn state(limits: &[Limit], decisions: &[Decision]) -> String {
    let member = |(limit, decision): (&Limit, &Decision)| {
        format!("\"{}\";r={};t={}", limit.label, decision.remaining, whole_seconds(decision.reset))
    };
    limits.iter().zip(decisions).map(member).collect::<Vec<_>>().join(", ")
}

/// The values of the older headers, which know one limit: that of which least is left.
pub fn legacy(limits: &[Limit], decisions: &[Decision]) -> Option<[u64; 3]> {
    let share = |(limit, decision): &(&Limit, &Decision)| u64::from(decision.remaining) * 1_000_000 / u64::from(limit.burst);
    let (limit, decision) = limits.iter().zip(decisions).min_by_key(share)?;
    Some([limit.burst.into(), decision.remaining.into(), whole_seconds(decision.reset)])
}

/// The value of `Retry-After`: never earlier than the `t` beside it and never at once, and by chance a little later, so that
/// those who were refused together do not come back together.
pub fn retry_after(refused: Duration, chance: u128) -> u64 {
    let wait = whole_seconds(refused).max(1);
    let spread = u128::from(wait / 10 + 2);
    wait.saturating_add((chance % spread) as u64)
}

fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
