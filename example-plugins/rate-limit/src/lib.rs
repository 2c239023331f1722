//! `rate-limit`: a token bucket for each client, address or header value. The gateway keeps the buckets.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod config;

use alloc::format;
use alloc::string::String;
use core::time::Duration;

use gatehouse_plugin::rate_limit::{self, Decision, Key, Policy};
use gatehouse_plugin::{Needs, Plugin, Problem, Reply, Request, Result, Verdict, next};

use crate::config::{By, Config, rounded_up};

struct RateLimit {
    policy: Policy,
    by: By,
    cost: u32,
    /// The policy's name, quoted as both headers want it.
    quoted: String,
    policy_header: String,
    headers: bool,
}

/// The problem type of draft-ietf-httpapi-ratelimit-headers.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

impl Plugin for RateLimit {
    type Config = Config;

    fn new(config: Config) -> Result<Self> {
        let burst = config.burst()?;
        let quoted = format!("\"{}\"", config.name.as_ref().map_or("default", |name| name.as_str()));
        let window = rounded_up(f64::from(burst) / config.rate).max(1);
        let policy = Policy::new(config.rate, burst);
        Ok(Self {
            policy: match &config.name {
                Some(name) => policy.named(name.as_str()),
                None => policy,
            },
            policy_header: format!("{quoted};q={burst};w={window}"),
            quoted,
            by: config.key,
            cost: config.cost,
            headers: config.headers,
        })
    }

    fn config_schema() -> Option<&'static str> {
        Some(include_str!("../schema.json"))
    }

    fn needs(&self) -> Needs {
        match &self.by {
            By::Header(name) => Needs::new().request_header(name),
            _ => Needs::new(),
        }
    }

    fn on_request(&self, request: Request) -> Result<Verdict> {
        let decision = rate_limit::take(&self.policy, self.key(&request), self.cost);
        if !decision.allowed {
            return Ok(self.refusal(&decision).into());
        }
        if !self.headers {
            return Ok(next().into());
        }
        // Added, not set: an upstream's own limits, or another plugin's, are members of the same list and stay.
        Ok(next()
            .on_response_add_header("ratelimit-policy", self.policy_header.as_str())
            .on_response_add_header("ratelimit", self.state(&decision))
            .into())
    }
}

impl RateLimit {
    fn key<'a>(&self, request: &'a Request) -> Key<'a> {
        match &self.by {
            By::Client => Key::Client,
            By::Address => Key::Address,
            By::Route => Key::Route,
            By::Header(name) => request.header(name.as_str()).map_or(Key::Address, Key::Text),
        }
    }

    fn refusal(&self, decision: &Decision) -> Reply {
        // Never earlier than the `t` beside it, and never at once.
        let wait = whole_seconds(decision.retry_after.max(decision.reset)).max(1);
        Problem::new(429, "Too Many Requests")
            .kind(QUOTA_EXCEEDED)
            .detail("The quota is used up. Try again later.")
            .member("violated-policies", [self.quoted.trim_matches('"')].as_slice())
            .reply()
            .header("retry-after", format!("{wait}"))
            .header("ratelimit-policy", self.policy_header.as_str())
            .header("ratelimit", self.state(decision))
    }

    /// The RateLimit header: what is left, and how long until there is more.
    fn state(&self, decision: &Decision) -> String {
        format!("{};r={};t={}", self.quoted, decision.remaining, whole_seconds(decision.reset))
    }
}

fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

gatehouse_plugin::export!(RateLimit, bare);

#[cfg(test)]
mod tests;
