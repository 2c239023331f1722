//! `jwt`: lets in requests with a valid bearer token (RFC 6750). The gateway verifies; the policy is here.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;

use gatehouse_plugin::bearer::{self, Challenges, Credentials};
use gatehouse_plugin::claims::ClaimHeaders;
use gatehouse_plugin::header::QuotableText;
use gatehouse_plugin::jwt::{self, Refusal, Verified};
use gatehouse_plugin::{Changes, Error, Needs, Plugin, Reply, Request, Result, Verdict, next};
use serde::Deserialize;

struct Jwt {
    issuers: Vec<String>,
    required: bool,
    scopes: Vec<QuotableText>,
    claims_to_headers: ClaimHeaders,
    forward: bool,
    challenges: Challenges,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    issuer: Option<String>,
    #[serde(default)]
    issuers: Vec<String>,
    #[serde(default = "default_true")]
    required: bool,
    #[serde(default)]
    scopes: Vec<QuotableText>,
    #[serde(default)]
    claims_to_headers: ClaimHeaders,
    #[serde(default)]
    forward: bool,
    #[serde(default = "default_realm")]
    realm: QuotableText,
}

impl Plugin for Jwt {
    type Config = Config;

    fn new(config: Config) -> Result<Self> {
        let challenges = Challenges::new(&config.realm, &config.scopes);
        let issuers = issuers(config.issuer, config.issuers)?;
        let Config { required, scopes, claims_to_headers, forward, .. } = config;
        Ok(Self { issuers, required, scopes, claims_to_headers, forward, challenges })
    }

    fn config_schema() -> Option<&'static str> {
        Some(include_str!("../schema.json"))
    }

    fn needs(&self) -> Needs {
        Needs::new().request_header("authorization")
    }

    fn on_request(&self, request: Request) -> Result<Verdict> {
        let token = match bearer::credentials(&request) {
            Credentials::Token(token) => token,
            Credentials::None if self.required => return Ok(self.challenges.missing().into()),
            Credentials::None => return Ok(self.claims_to_headers.remove(next()).into()),
            Credentials::Ambiguous => return Ok(self.challenges.ambiguous().into()),
        };
        match jwt::verify(token, &self.issuers, self.claims_to_headers.claims()) {
            Err(refusal) => Ok(self.refused(refusal).into()),
            Ok(verified) if !self.may(&verified) => Ok(self.challenges.insufficient_scope().into()),
            Ok(verified) => Ok(self.passed(verified.claims).into()),
        }
    }
}

impl Jwt {
    fn refused(&self, refusal: Refusal) -> Reply {
        match refusal {
            Refusal::KeysUnavailable => self.challenges.unavailable(),
            refusal => self.challenges.invalid(refusal == Refusal::Expired),
        }
    }

    fn may(&self, verified: &Verified) -> bool {
        self.scopes.iter().all(|scope| verified.has_scope(scope.as_str()))
    }

    /// The request of a client with a good token.
    fn passed(&self, claims: Vec<Option<String>>) -> Changes {
        let changes = if self.forward { next() } else { next().remove_header("authorization") };
        self.claims_to_headers.write(changes, claims)
    }
}

fn issuers(one: Option<String>, many: Vec<String>) -> Result<Vec<String>> {
    match (one, many.is_empty()) {
        (Some(_), false) => Err(Error::from("issuer: want issuer or issuers, not both")),
        (Some(issuer), true) => Ok(Vec::from([issuer])),
        (None, _) => Ok(many),
    }
}

fn default_realm() -> QuotableText {
    QuotableText::try_from(String::from("gatehouse")).expect("the default can be quoted")
}

fn default_true() -> bool {
    true
}

gatehouse_plugin::export!(Jwt, bare);

#[cfg(test)]
mod tests;
