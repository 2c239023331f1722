//! `rate-limit`: token buckets and places for each client, key, address or header value. The gateway keeps them; here it
//! is decided whose they are, what a request costs, and what the caller is told.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod config;
mod headers;
mod limits;
mod rate;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use gatehouse_plugin::rate_limit::{self, Decision};
use gatehouse_plugin::{
    Changes, Needs, Plugin, Problem, Reply, Request, Response, ResponseChanges, ResponseVerdict, Result, Verdict, next,
};

use crate::config::{By, Config};
use crate::headers::LEGACY;
use crate::limits::Limits;

struct RateLimit {
    of_all: Limits,
    of_plans: BTreeMap<String, Limits>,
    by: By,
    name: Option<String>,
    headers: bool,
    legacy_headers: bool,
}

/// The problem type of draft-ietf-httpapi-ratelimit-headers.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

/// The name of the limit on requests under way.
const CONCURRENCY: &str = "concurrency";

impl Plugin for RateLimit {
    type Config = Config;

    fn new(config: Config) -> Result<Self> {
        let of_plan = |(plan, own): (&gatehouse_plugin::header::QuotableText, _)| {
            Ok((String::from(plan.as_str()), Limits::of_plan(&config, plan.as_str(), own)?))
        };
        Ok(Self {
            of_all: Limits::of_all(&config)?,
            of_plans: config.plans.iter().map(of_plan).collect::<Result<_>>()?,
            name: config.name.as_ref().map(|name| name.as_str().into()),
            by: config.key,
            headers: config.headers,
            legacy_headers: config.legacy_headers,
        })
    }

    fn config_schema() -> Option<&'static str> {
        Some(include_str!("../schema.json"))
    }

    fn needs(&self) -> Needs {
        let by = self.of_all.limits.iter().map(|limit| &limit.by).chain([&self.by]);
        let mut names: Vec<_> = by.filter_map(By::header).collect();
        names.sort();
        names.dedup();
        let needs = Needs::new().request_headers(names);
        let needs = if self.of_plans.is_empty() { needs } else { needs.client() };
        // An upstream's own numbers have to be seen before ours can take their place.
        if self.legacy_headers { needs.response_header(LEGACY[1]) } else { needs }
    }

    fn on_request(&self, request: Request) -> Result<Verdict> {
        let limits = self.limits_of(&request);
        // First, because a place that is not needed is given back and tokens are not.
        if !self.enter(limits, &request) {
            return Ok(crowded(limits, &request).into());
        }
        let decisions = limits.take(&request);
        match decisions.iter().all(|decision| decision.allowed) {
            true => Ok(self.pass(limits, &decisions).into()),
            false => Ok(self.refuse(limits, &decisions, &request).into()),
        }
    }

    fn on_response(&self, response: Response) -> Result<ResponseVerdict> {
        let changes = ResponseChanges::new();
        let Some(ours) = response.state().and_then(|state| core::str::from_utf8(state).ok()) else { return Ok(changes.into()) };
        let ours: Vec<&str> = ours.split(' ').collect();
        let left = |text: &str| text.trim().parse::<u64>().ok();
        let theirs = response.header_str(LEGACY[1]).and_then(left);
        // One that knows of a stricter limit behind us is not to be told of ours.
        if theirs.zip(ours.get(1).and_then(|text| left(text))).is_some_and(|(theirs, ours)| theirs <= ours) {
            return Ok(changes.into());
        }
        Ok(LEGACY.iter().zip(ours).fold(changes, |changes, (name, value)| changes.set_header(*name, value)).into())
    }
}

impl RateLimit {
    fn limits_of(&self, request: &Request) -> &Limits {
        let plan = request.client().and_then(|client| client.plan.as_deref());
        plan.and_then(|plan| self.of_plans.get(plan)).unwrap_or(&self.of_all)
    }

    fn enter(&self, limits: &Limits, request: &Request) -> bool {
        limits.concurrency.is_none_or(|places| rate_limit::enter(self.name.as_deref(), self.by.key(request), places))
    }

    fn pass(&self, limits: &Limits, decisions: &[Decision]) -> Changes {
        let changes = match headers::legacy(&limits.limits, decisions).filter(|_| self.legacy_headers) {
            Some([limit, left, reset]) => next().state(format!("{limit} {left} {reset}")),
            None => next(),
        };
        if !self.headers {
            return changes;
        }
        // Added, not set: an upstream's own limits, or another plugin's, are members of the same list and stay.
        let changes = changes.on_response_add_header("ratelimit-policy", limits.policy_header.as_str());
        match decisions {
            [] => changes,
            decisions => changes.on_response_add_header("ratelimit", headers::state(&limits.limits, decisions)),
        }
    }

    fn refuse(&self, limits: &Limits, decisions: &[Decision], request: &Request) -> Reply {
        let violated = || limits.limits.iter().zip(decisions).filter(|(_, decision)| !decision.allowed);
        let wait = violated().map(|(_, decision)| decision.retry_after.max(decision.reset)).max().unwrap_or_default();
        let labels: Vec<&str> = violated().map(|(limit, _)| limit.label.as_str()).collect();
        let reply = refusal("The quota is used up. Try again later.", &labels, limits, wait, request)
            .header("ratelimit", headers::state(&limits.limits, decisions));
        match headers::legacy(&limits.limits, decisions).filter(|_| self.legacy_headers) {
            Some(values) => LEGACY.iter().zip(values).fold(reply, |reply, (name, value)| reply.header(*name, format!("{value}"))),
            None => reply,
        }
    }
}

/// All places are taken. When one is free again nobody knows.
fn crowded(limits: &Limits, request: &Request) -> Reply {
    refusal("Too many requests are under way. Try again later.", &[CONCURRENCY], limits, Duration::ZERO, request)
        .header("ratelimit", format!("\"{CONCURRENCY}\";r=0"))
}

fn refusal(detail: &str, violated: &[&str], limits: &Limits, wait: Duration, request: &Request) -> Reply {
    Problem::new(429, "Too Many Requests")
        .kind(QUOTA_EXCEEDED)
        .detail(detail)
        .member("violated-policies", violated)
        .reply()
        .header("retry-after", format!("{}", headers::retry_after(wait, request.id())))
        .header("ratelimit-policy", limits.policy_header.as_str())
}

gatehouse_plugin::export!(RateLimit, bare);

#[cfg(test)]
mod tests;
