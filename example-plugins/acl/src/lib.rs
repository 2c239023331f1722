//! `acl`: lets in the callers that a route is for, by scopes, claims, names and plans. Who the caller is, a plugin before
//! it has found out.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod claims;

use alloc::string::String;
use alloc::vec::Vec;

use gatehouse_plugin::header::HeaderValue;
use gatehouse_plugin::{Client, Needs, Plugin, Reply, Request, Result, Verdict, next};
use serde::Deserialize;

use crate::claims::Claims;

struct Acl {
    config: Config,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    any_scopes: Vec<String>,
    #[serde(default)]
    claims: Claims,
    #[serde(default)]
    clients: Vec<String>,
    #[serde(default)]
    plans: Vec<String>,
    #[serde(default = "default_challenge")]
    challenge: HeaderValue,
}

impl Plugin for Acl {
    type Config = Config;

    fn new(config: Config) -> Result<Self> {
        config.claims.check()?;
        match config.is_empty() {
            true => Err("got no rule, want at least one of scopes, any_scopes, claims, clients, plans".into()),
            false => Ok(Self { config }),
        }
    }

    fn config_schema() -> Option<&'static str> {
        Some(include_str!("../schema.json"))
    }

    fn needs(&self) -> Needs {
        match self.config.claims.is_empty() {
            true => Needs::new().client(),
            false => Needs::new().claims(),
        }
    }

    fn on_request(&self, request: Request) -> Result<Verdict> {
        match request.client() {
            None => Ok(self.unauthorized().into()),
            Some(client) if self.config.allows(client) => Ok(next().into()),
            Some(_) => Ok(Reply::problem(403, "Forbidden", "The client may not use this.").into()),
        }
    }
}

impl Acl {
    // RFC 9110 §15.5.2: a 401 says how to do better.
    fn unauthorized(&self) -> Reply {
        Reply::problem(401, "Unauthorized", "This needs a known client.").header("www-authenticate", &self.config.challenge)
    }
}

impl Config {
    fn is_empty(&self) -> bool {
        let Self { scopes, any_scopes, claims, clients, plans, challenge: _ } = self;
        scopes.is_empty() && any_scopes.is_empty() && claims.is_empty() && clients.is_empty() && plans.is_empty()
    }

    /// Every rule that is there has to be met.
    fn allows(&self, client: &Client) -> bool {
        let holds = |scope: &String| client.scopes.contains(scope);
        self.scopes.iter().all(holds)
            && (self.any_scopes.is_empty() || self.any_scopes.iter().any(holds))
            && (self.clients.is_empty() || self.names(client))
            && (self.plans.is_empty() || client.plan.as_ref().is_some_and(|plan| self.plans.contains(plan)))
            && (self.claims.is_empty() || client.claims().is_some_and(|claims| self.claims.allow(&claims)))
    }

    // A token's subject may be chosen by whoever signs up with the issuer: it must not pass for a client of that name.
    fn names(&self, client: &Client) -> bool {
        client.issuer.is_none() && self.clients.contains(&client.name)
    }
}

fn default_challenge() -> HeaderValue {
    HeaderValue::try_from(String::from(r#"Bearer realm="gatehouse""#)).expect("the default is a header value")
}

gatehouse_plugin::export!(Acl, bare);

#[cfg(test)]
mod tests;
