//! `oauth2-introspection`: lets in requests with a bearer token that its issuer calls active (RFC 7662). The gateway asks;
//! the policy is the SDK's, shared with `jwt`. A JSON Web Token is just another opaque one here.

#![cfg_attr(target_family = "wasm", no_std)]

use gatehouse_plugin::bearer::{Config, Policy};
use gatehouse_plugin::{Needs, Plugin, Request, Result, Verdict, introspection};

struct Introspection(Policy);

impl Plugin for Introspection {
    type Config = Config;

    fn new(config: Config) -> Result<Self> {
        Policy::new(config).map(Self)
    }

    fn config_schema() -> Option<&'static str> {
        Some(include_str!("../schema.json"))
    }

    fn needs(&self) -> Needs {
        self.0.needs()
    }

    fn on_request(&self, request: Request) -> Result<Verdict> {
        Ok(self.0.decide(&request, introspection::introspect))
    }
}

gatehouse_plugin::export!(Introspection, bare);

#[cfg(test)]
mod tests;
