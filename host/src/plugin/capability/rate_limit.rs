//! `rate-limit`: takes tokens from the gateway's buckets, and places for the time a request takes.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use smallvec::SmallVec;

use crate::caller::Caller;
use crate::limit::{self, Scope, Source};
use crate::plugin::bindings::gatehouse::plugin::rate_limit::{Charge, Decision, Host, Key, Policy};
use crate::plugin::fault::LimitReached;
use crate::plugin::state::{Call, HostState};
use crate::telemetry::metrics::{LimitResult, LimitSource};

/// Bytes of the largest bucket key; a longer one is cut. A header's value may be much longer than any sensible key.
const MAX_KEY: usize = 256;

impl Host for HostState {
    fn take(&mut self, policy: Policy, key: Key, cost: u32) -> wasmtime::Result<Decision> {
        let call = self.request()?;
        let services = &call.services;
        let scope = scope(call, policy.name.as_deref())?;
        let decision = services.buckets.take(&scope, &bucket_key(call, &key), &checked(&policy)?, cost, services.clock.now());
        count(call, decision.allowed, decision.source);
        Ok(told(decision))
    }

    fn take_all(&mut self, charges: Vec<Charge>) -> wasmtime::Result<Vec<Decision>> {
        let call = self.request()?;
        if charges.len() > limit::Charge::MAX {
            let message = format!("{} charges at once, {} at most", charges.len(), limit::Charge::MAX);
            return Err(LimitReached::Refused(message).into());
        }
        let decisions = take_all(call, &charges)?;
        let refused = decisions.iter().find(|decision| !decision.allowed);
        let source = decisions.first().map_or(Source::Local, |decision| decision.source);
        count(call, refused.is_none(), refused.map_or(source, |decision| decision.source));
        Ok(decisions.into_iter().map(told).collect())
    }

    fn enter(&mut self, name: Option<String>, key: Key, limit: u32) -> wasmtime::Result<bool> {
        let call = self.request()?;
        let scope = scope(call, name.as_deref())?.into_owned();
        let key = bucket_key(call, &key);
        let entered = call.enter(&scope, &key, limit);
        count(call, entered, Source::Local);
        Ok(entered)
    }
}

impl Call {
    fn enter(&mut self, scope: &Scope, client: &[u8], limit: u32) -> bool {
        let buckets = &self.services.buckets;
        if self.places.iter().any(|place| buckets.is_place_of(place, scope, client)) {
            return true;
        }
        let place = buckets.enter(scope, client, limit);
        let entered = place.is_some();
        self.places.extend(place);
        entered
    }
}

fn take_all(call: &Call, charges: &[Charge]) -> wasmtime::Result<limit::Decisions> {
    let mut parts: SmallVec<[(Cow<'_, Scope>, KeyBytes); limit::Charge::MAX]> = SmallVec::new();
    let mut unnamed = 0;
    for charge in charges {
        let mut client = bucket_key(call, &charge.key);
        if charge.policy.name.is_none() {
            tell_apart(&mut client, unnamed);
            unnamed += 1;
        }
        parts.push((scope(call, charge.policy.name.as_deref())?, client));
    }
    let mut takes: SmallVec<[limit::Charge<'_>; limit::Charge::MAX]> = SmallVec::new();
    for (charge, (scope, client)) in charges.iter().zip(&parts) {
        takes.push(limit::Charge { scope, client, policy: checked(&charge.policy)?, cost: charge.cost });
    }
    Ok(call.services.buckets.take_all(&takes, call.services.clock.now()))
}

/// The second and further charges of one step have no name to tell them apart. In front, where no key's kind can be, so that
/// no text a client sends makes one key into another.
fn tell_apart(client: &mut KeyBytes, place: u8) {
    if place > 0 {
        client.insert(0, place);
    }
}

fn scope<'a>(call: &'a Call, name: Option<&str>) -> Result<Cow<'a, Scope>, LimitReached> {
    match (name, &call.scope) {
        (Some(name), _) if call.apart => Ok(Cow::Owned(call.services.buckets.scope(name).apart())),
        (Some(name), _) => Ok(Cow::Owned(call.services.buckets.scope(name))),
        (None, Some(scope)) => Ok(Cow::Borrowed(scope)),
        (None, None) => Err(LimitReached::Refused("a policy without a name needs a route".into())),
    }
}

fn checked(policy: &Policy) -> Result<limit::Policy, LimitReached> {
    limit::Policy::new(policy.rate, policy.burst).map_err(|error| LimitReached::Refused(error.to_string()))
}

fn count(call: &Call, allowed: bool, source: Source) {
    let result = if allowed { LimitResult::Allowed } else { LimitResult::Limited };
    let source = match source {
        Source::Local => LimitSource::Local,
    };
    call.services.decisions.limit(result, source);
}

fn told(decision: limit::Decision) -> Decision {
    Decision {
        allowed: decision.allowed,
        remaining: decision.remaining,
        reset_ms: millis_up(decision.reset),
        retry_after_ms: millis_up(decision.retry_after),
    }
}

type KeyBytes = SmallVec<[u8; 64]>;

/// The bucket's key, with its kind in front: a client named like an address is not that address.
fn bucket_key(call: &Call, key: &Key) -> KeyBytes {
    match key {
        Key::Client => client_key(call),
        Key::ApiKey => api_key(call),
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

/// By its digest, since not every key has an id.
fn api_key(call: &Call) -> KeyBytes {
    match call.client.as_ref().and_then(Caller::key) {
        Some(key) => tagged(b'k', &[key.digest().as_bytes()]),
        None => client_key(call),
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
