//! The answer, made of the parts: whole, partial, or a refusal.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use gatehouse_plugin::http::{self, Response};
use gatehouse_plugin::json::{Document, Path};
use gatehouse_plugin::{Problem, Reply};
use serde_json::{Value, json};

use crate::Aggregate;
use crate::config::Policy;
use crate::part::{Failure, Part};

type Outcome<'a> = (&'a Part, Result<Document<'a>, Failure<'a>>);

impl Aggregate {
    /// The answer for these results, in the order of the parts.
    pub fn answer(&self, results: &[Result<Response, http::Error>]) -> Reply {
        let outcomes: Vec<Outcome<'_>> = self.parts.iter().zip(results).map(|(part, result)| (part, part.read(result))).collect();
        if let Some((part, failure)) = self.decisive(&outcomes) {
            return refusal(part, failure);
        }
        let capacity = results.iter().flatten().map(|response| response.body().len() + 64).sum();
        match outcomes.iter().all(|outcome| missing(outcome).is_some()) {
            true => nothing_left(&outcomes),
            false => self.whole_or_partial(outcomes, capacity),
        }
    }

    /// The first failure that decides the answer by itself.
    fn decisive<'a>(&self, outcomes: &'a [Outcome<'a>]) -> Option<(&'a Part, &'a Failure<'a>)> {
        let mut missing = outcomes.iter().filter_map(missing);
        match self.policy {
            Policy::All => missing.next(),
            Policy::Required => missing.find(|(part, _)| part.required),
            Policy::Any => None,
        }
    }

    fn whole_or_partial(&self, outcomes: Vec<Outcome<'_>>, capacity: usize) -> Reply {
        let failed: Vec<String> = outcomes.iter().filter_map(failure).map(|(part, failure)| label(part, failure)).collect();
        let body = self.joined(outcomes).to_text(capacity);
        let reply = Reply::new(if failed.is_empty() { 200 } else { self.partial_status });
        let reply = reply.header("content-type", "application/json").body(body);
        match failed.is_empty() {
            true => reply,
            false => reply.header("x-gatehouse-partial", failed.join(", ")).header("cache-control", "no-store"),
        }
    }

    /// Keys go in first: a member of a part that is merged at the top never takes the place of another part, not even
    /// of one that is missing.
    fn joined<'a>(&'a self, outcomes: Vec<Outcome<'a>>) -> Document<'a> {
        let mut document = Document::object();
        let mut tops = Vec::new();
        for (part, outcome) in outcomes {
            let value = outcome.ok().or_else(|| part.fallback.as_deref().map(Document::from));
            match (&part.key, value) {
                (Some(key), Some(value)) => document.insert(key, value),
                (None, Some(value)) => tops.push(value),
                (_, None) => {}
            }
        }
        let keys: Vec<_> = self.parts.iter().filter_map(|part| part.key.as_deref()).map(Path::member).collect();
        for mut members in tops {
            keys.iter().for_each(|key| members.remove(key));
            document.absorb(members);
        }
        document
    }
}

fn failure<'a>(outcome: &'a Outcome<'a>) -> Option<(&'a Part, &'a Failure<'a>)> {
    let (part, result) = outcome;
    result.as_ref().err().map(|failure| (*part, failure))
}

/// A failure that nothing stands in for.
fn missing<'a>(outcome: &'a Outcome<'a>) -> Option<(&'a Part, &'a Failure<'a>)> {
    failure(outcome).filter(|(part, _)| part.fallback.is_none())
}

fn label(part: &Part, failure: &Failure<'_>) -> String {
    format!("{};status={}", part.name, failure.status())
}

/// A client's error is the client's to read; any other is told in the gateway's words.
fn refusal(part: &Part, failure: &Failure<'_>) -> Reply {
    match failure {
        Failure::Status(response) if (400..500).contains(&response.status()) => passed_through(response),
        failure => {
            let (status, title) = match failure.status() {
                504 => (504, "Gateway Timeout"),
                _ => (502, "Bad Gateway"),
            };
            let detail = format!("The part {} is missing: {}.", part.name, failure.reason());
            Problem::new(status, title).detail(&detail).member("part", &*part.name).member("part_status", failure.status()).reply()
        }
    }
}

/// The headers that belong to an error and its body. The rest was between the gateway and the upstream.
fn passed_through(response: &Response) -> Reply {
    const KEPT: &[&str] = &["content-type", "content-language", "content-encoding", "www-authenticate", "retry-after"];
    let mut reply = Reply::new(response.status());
    for name in KEPT {
        if let Some(value) = response.header(name) {
            reply = reply.header(*name, value);
        }
    }
    reply.body(response.body())
}

fn nothing_left(outcomes: &[Outcome<'_>]) -> Reply {
    let told = |(part, failure): (&Part, &Failure<'_>)| json!({"name": part.name, "status": failure.status(), "reason": failure.reason()});
    let parts: Vec<Value> = outcomes.iter().filter_map(failure).map(told).collect();
    Problem::new(502, "Bad Gateway").detail("Every part is missing.").member("parts", parts).reply()
}
