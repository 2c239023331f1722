//! The answer, made of the parts: whole, partial, or a refusal.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use gatehouse_plugin::http::{Error, Response};
use gatehouse_plugin::{Problem, Reply};
use serde_json::{Map, Value};

use crate::config::Policy;
use crate::part::{Failure, Part};

/// The answer for these results, in the order of the parts.
pub fn answer(parts: &[Part], policy: Policy, results: Vec<Result<Response, Error>>) -> Reply {
    let mut values = Vec::with_capacity(parts.len());
    let mut failures = Vec::new();
    for (part, result) in parts.iter().zip(results) {
        match part.value(result) {
            Ok(value) => values.push((part, value)),
            Err(failure) => failures.push((part, failure)),
        }
    }
    match decisive(policy, values.is_empty(), &failures) {
        Some(index) => {
            let (part, failure) = failures.swap_remove(index);
            refusal(part, failure)
        }
        None => whole_or_partial(values, &failures),
    }
}

/// The failure that decides the answer. One with a fallback decides nothing.
fn decisive(policy: Policy, none_succeeded: bool, failures: &[(&Part, Failure)]) -> Option<usize> {
    let missing = |(part, _): &(&Part, Failure)| part.fallback.is_none();
    match policy {
        Policy::All => failures.iter().position(missing),
        Policy::Required => failures.iter().position(|failed| failed.0.required && missing(failed)),
        Policy::Any if none_succeeded && failures.iter().all(missing) => failures.iter().position(missing),
        Policy::Any => None,
    }
}

/// A client's error is the client's to read; any other is told in the gateway's words.
fn refusal(part: &Part, failure: Failure) -> Reply {
    match failure {
        Failure::Status(response) if (400..500).contains(&response.status()) => passed_through(response),
        failure => {
            let (status, title) = match failure.status() {
                504 => (504, "Gateway Timeout"),
                _ => (502, "Bad Gateway"),
            };
            let detail = format!("The part {} is missing: {}.", part.name, failure.reason());
            Problem::new(status, title).detail(&detail).member("part", &*part.name).reply()
        }
    }
}

/// The headers that belong to an error and its body. The rest was between the gateway and the upstream.
fn passed_through(response: Response) -> Reply {
    const KEPT: &[&str] = &["content-type", "content-language", "content-encoding", "www-authenticate", "retry-after"];
    let mut reply = Reply::new(response.status());
    for name in KEPT {
        if let Some(value) = response.header(name) {
            reply = reply.header(*name, value);
        }
    }
    reply.body(response.into_body())
}

fn whole_or_partial(values: Vec<(&Part, Value)>, failures: &[(&Part, Failure)]) -> Reply {
    let fallbacks = failures.iter().filter_map(|(part, _)| Some((*part, part.fallback.clone()?)));
    let document = merged(values.into_iter().chain(fallbacks).collect());
    let reply = Reply::new(200).json(&Value::Object(document));
    if failures.is_empty() {
        return reply;
    }
    let failed: Vec<String> = failures.iter().map(|(part, failure)| format!("{};status={}", part.name, failure.status())).collect();
    reply.header("x-gatehouse-partial", failed.join(", ")).header("cache-control", "no-store")
}

/// Keys go in first: a member of a part that is merged at the top never takes the place of another part.
fn merged(parts: Vec<(&Part, Value)>) -> Map<String, Value> {
    let mut document = Map::new();
    let mut tops = Vec::new();
    for (part, value) in parts {
        match (&part.key, value) {
            (Some(key), value) => drop(document.insert(key.clone(), value)),
            (None, Value::Object(members)) => tops.push(members),
            (None, _) => {}
        }
    }
    for (name, value) in tops.into_iter().flatten() {
        document.entry(name).or_insert(value);
    }
    document
}
