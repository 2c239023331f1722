//! Actions that ask the gateway for something and answer what came of it.

use std::fmt::Debug;
use std::time::Duration;

use gatehouse_plugin::rate_limit::{Charge, Decision, Key, Policy};
use gatehouse_plugin::{Reply, Request, bearer::Verified, http, introspection, jwt, keys, kv, log, metrics, rate_limit};

use crate::heads::text;

/// Makes the calls of this action. The reply of one that answers; None for any other.
pub fn answer(action: &str, request: &Request) -> Option<Reply> {
    let said = match action {
        "log" => return say(),
        "metrics" => return measure(),
        "kv" => store(),
        "jwt" => verified(jwt::verify(token(request), &["main".into()], &["role".into(), "none".into()])),
        "introspection" => verified(introspection::introspect(token(request), &["opaque".into()], &["role".into(), "none".into()])),
        "keys" => holder(given(request)),
        "rate-limit" => take(given(request)),
        "take-all" => take_all(given(request)),
        "enter" => enter(given(request)),
        "http" => fetch("origin", request),
        "http-dead" => fetch("dead", request),
        "http-all" => fetch_all(),
        _ => return None,
    };
    Some(text(said))
}

fn given(request: &Request) -> &[u8] {
    request.header("x-in").unwrap_or_default()
}

/// A case's name as the contract writes it: `BadSignature` is `bad-signature`.
fn name(case: impl Debug) -> String {
    let mut name = String::new();
    for letter in format!("{case:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

fn say() -> Option<Reply> {
    log::debug("kit debug");
    log::info("kit info");
    log::warn("kit warn");
    log::error("kit error");
    None
}

fn measure() -> Option<Reply> {
    metrics::count("kit_seen", &[("kind", "a")], 2);
    metrics::gauge("kit_level", &[], 1.5);
    metrics::observe("kit_seconds", &[], 0.25);
    None
}

fn store() -> String {
    kv::delete("k");
    kv::delete("n");
    let get = || kv::get("k").map_or("-".into(), |value| String::from_utf8_lossy(&value).into_owned());
    let done = |result: Result<(), kv::Error>| result.map_or_else(name, |()| "ok".into());
    let number = |result: Result<i64, kv::Error>| result.map_or_else(name, |sum| sum.to_string());
    let said = [
        get(),
        done(kv::set("k", b"v", Some(Duration::from_secs(60)))),
        get(),
        number(kv::increment("n", 2, None)),
        number(kv::increment("n", 3, None)),
        number(kv::increment("k", 1, None)),
        done(kv::set("big", &vec![0; 2 << 20], None)),
        done(Ok(kv::delete("k"))),
        get(),
    ];
    said.join(" ")
}

fn token(request: &Request) -> &[u8] {
    let line = request.header("authorization").unwrap_or_default();
    line.strip_prefix(b"Bearer ").unwrap_or_default()
}

fn verified(result: Result<Verified, impl Debug>) -> String {
    let Verified { issuer, subject, scope, claims } = match result {
        Ok(verified) => verified,
        Err(refusal) => return name(refusal),
    };
    let claims: Vec<_> = claims.iter().map(|claim| claim.as_deref().unwrap_or("-")).collect();
    format!("{issuer} {subject} {scope} {}", claims.join(" "))
}

fn holder(key: &[u8]) -> String {
    let found = keys::find(key).map_or("-".into(), |holder| {
        let or_none = |text: Option<String>| text.unwrap_or("-".into());
        format!("{} {} {} {}", holder.name, holder.scopes.join(","), or_none(holder.plan), or_none(holder.key_id))
    });
    format!("{found}/{}", keys::find_of("acme", key).map_or("-".into(), |holder| holder.name))
}

fn take(key: &[u8]) -> String {
    let policy = Policy::new(0.001, 2);
    let decisions = [(); 3].map(|()| rate_limit::take(&policy, Key::Text(key), 1));
    decided(&decisions)
}

fn take_all(key: &[u8]) -> String {
    let (one, two) = (Policy::new(0.001, 2).named("one"), Policy::new(0.001, 2).named("two"));
    let key = Key::Text(key);
    decided(&rate_limit::take_all(&[Charge { policy: &one, key, cost: 1 }, Charge { policy: &two, key, cost: 2 }]))
}

fn decided(decisions: &[Decision]) -> String {
    let said: Vec<_> = decisions.iter().map(|decision| format!("{} {}", decision.allowed, decision.remaining)).collect();
    said.join(",")
}

fn enter(key: &[u8]) -> String {
    let entered = [(); 2].map(|()| rate_limit::enter(Some("places"), Key::Text(key), 1).to_string());
    entered.join(" ")
}

fn fetch(upstream: &str, request: &Request) -> String {
    let question = http::Request::post(upstream, "/fetched?q=1").header("x-sent", given(request)).body("question");
    match http::fetch(question.timeout(Duration::from_secs(5))) {
        Ok(response) => {
            let up = response.header("x-up").map_or("-".into(), String::from_utf8_lossy);
            format!("{} {up} {}", response.status(), String::from_utf8_lossy(response.body()))
        }
        Err(error) => name(error),
    }
}

fn fetch_all() -> String {
    let requests =
        [("origin", "/one"), ("origin", "/two"), ("secret", "/three")].map(|(upstream, path)| http::Request::get(upstream, path));
    let said = http::fetch_all(requests).into_iter().map(|result| match result {
        Ok(response) => format!("{} {}", response.status(), String::from_utf8_lossy(response.body())),
        Err(error) => name(error),
    });
    said.collect::<Vec<_>>().join(",")
}
