//! `jwt`: lets in requests with a valid bearer token (RFC 6750). The gateway verifies; the policy is here.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod bearer;
mod refusal;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use gatehouse_plugin::header::{HeaderName, QuotableText, is_value};
use gatehouse_plugin::{Changes, Error, Needs, Plugin, Request, Result, Verdict, jwt, next};
use serde::Deserialize;

use crate::bearer::Credentials;
use crate::refusal::Refusals;

struct Jwt {
    issuers: Vec<String>,
    required: bool,
    scopes: Vec<QuotableText>,
    claims: Vec<String>,
    /// The header of each claim in `claims`.
    headers: Vec<HeaderName>,
    forward: bool,
    refusals: Refusals,
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
    claims_to_headers: BTreeMap<String, HeaderName>,
    #[serde(default)]
    forward: bool,
    #[serde(default = "default_realm")]
    realm: QuotableText,
}

impl Plugin for Jwt {
    type Config = Config;

    fn new(config: Config) -> Result<Self> {
        let refusals = Refusals::new(&config.realm, &config.scopes);
        let issuers = issuers(config.issuer, config.issuers)?;
        let (claims, headers): (Vec<_>, Vec<_>) = config.claims_to_headers.into_iter().unzip();
        if headers.iter().enumerate().any(|(at, header)| headers[..at].contains(header)) {
            return Err("claims_to_headers: two claims have the same header".into());
        }
        if headers.iter().any(|header| header.as_str() == "authorization") {
            return Err("claims_to_headers: got authorization, want a header that holds no credentials".into());
        }
        let Config { required, scopes, forward, .. } = config;
        Ok(Self { issuers, required, scopes, claims, headers, forward, refusals })
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
            Credentials::None if self.required => return Ok(self.refusals.missing().into()),
            Credentials::None => return Ok(self.without_claims(next()).into()),
            Credentials::Ambiguous => return Ok(self.refusals.ambiguous().into()),
        };
        match jwt::verify(token, &self.issuers, &self.claims) {
            Err(jwt::Refusal::KeysUnavailable) => Ok(self.refusals.keys_unavailable().into()),
            Err(refusal) => Ok(self.refusals.invalid(refusal).into()),
            Ok(verified) if !self.may(&verified) => Ok(self.refusals.insufficient_scope().into()),
            Ok(verified) => Ok(self.passed(verified.claims).into()),
        }
    }
}

impl Jwt {
    fn may(&self, verified: &jwt::Verified) -> bool {
        self.scopes.iter().all(|scope| verified.has_scope(scope.as_str()))
    }

    /// The request of a client with a good token.
    fn passed(&self, claims: Vec<Option<String>>) -> Changes {
        let changes = if self.forward { next() } else { next().remove_header("authorization") };
        self.headers.iter().zip(claims).fold(changes, |changes, (header, claim)| {
            // A claim that would be no header value is left out: it must not fault the plugin, nor split a header.
            match claim.filter(|claim| is_value(claim.as_bytes())) {
                Some(claim) => changes.set_header(header, claim),
                None => changes.remove_header(header),
            }
        })
    }

    /// A client's own copy of a claim's header would pass for the claim.
    fn without_claims(&self, changes: Changes) -> Changes {
        self.headers.iter().fold(changes, Changes::remove_header)
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
