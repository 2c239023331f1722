//! `rate-limit`: takes tokens from the gateway's buckets.

use std::net::IpAddr;
use std::time::Duration;

use crate::limit;
use crate::plugin::bindings::gatehouse::plugin::rate_limit::{Decision, Host, Key, Policy};
use crate::plugin::fault::LimitReached;
use crate::plugin::state::{Call, HostState};
use crate::telemetry::metrics::{LimitResult, LimitSource};

/// Bytes of the largest bucket key; a longer one is cut. A header's value may be much longer than any sensible key.
const MAX_KEY: usize = 256;

impl Host for HostState {
    fn take(&mut self, policy: Policy, key: Key, cost: u32) -> wasmtime::Result<Decision> {
        let call = self.request()?;
        let checked = limit::Policy::new(policy.rate, policy.burst).map_err(|error| LimitReached::Refused(error.to_string()))?;
        let services = &call.services;
        let named = policy.name.map(|name| services.buckets.scope(&name));
        let scope =
            named.as_ref().or(call.scope.as_ref()).ok_or_else(|| LimitReached::Refused("a policy without a name needs a route".into()))?;
        let decision = services.buckets.take(scope, &bucket_key(call, key), &checked, cost, services.clock.now());
        let result = if decision.allowed { LimitResult::Allowed } else { LimitResult::Limited };
        services.decisions.limit(result, LimitSource::Local);
        Ok(Decision {
            allowed: decision.allowed,
            remaining: decision.remaining,
            reset_ms: millis_up(decision.reset),
            retry_after_ms: millis_up(decision.retry_after),
        })
    }
}

type KeyBytes = smallvec::SmallVec<[u8; 64]>;

/// The bucket's key, with its kind in front: a client named like an address is not that address.
fn bucket_key(call: &Call, key: Key) -> KeyBytes {
    match key {
        Key::Client => client_key(call),
        Key::Address => address_key(call.address),
        Key::Route => KeyBytes::from_slice(b"r"),
        Key::Text(text) => tagged(b't', &[&text[..text.len().min(MAX_KEY)]]),
    }
}

fn client_key(call: &Call) -> KeyBytes {
    match &call.client {
        Some(caller) => tagged(b'c', &[caller.issuer().unwrap_or_default().as_bytes(), b"\0", caller.name().as_bytes()]),
        None => address_key(call.address),
    }
}

/// IPv6 by its /64: one customer commonly has all of it, and could otherwise have as many buckets as it liked.
fn address_key(address: IpAddr) -> KeyBytes {
    match address.to_canonical() {
        IpAddr::V4(address) => tagged(b'4', &[&address.octets()]),
        IpAddr::V6(address) => tagged(b'6', &[&address.octets()[..8]]),
    }
}

fn tagged(kind: u8, parts: &[&[u8]]) -> KeyBytes {
    let mut key = KeyBytes::new();
    key.push(kind);
    parts.iter().for_each(|part| key.extend_from_slice(part));
    key
}

/// Never earlier than the tokens are there, but for the rounding of the buckets' own arithmetic: ten seconds and a few
/// nanoseconds are ten seconds, not ten and a millisecond, which a client would read as eleven.
fn millis_up(duration: Duration) -> u64 {
    duration.as_nanos().saturating_sub(1_000).div_ceil(1_000_000).try_into().unwrap_or(u64::MAX)
}
