//! `jwt`: lets in requests with a valid bearer token (RFC 6750). The gateway verifies; the policy is the SDK's, shared with
//! `oauth2-introspection`.

#![cfg_attr(target_family = "wasm", no_std)]

use gatehouse_plugin::bearer::{Config, Policy};
use gatehouse_plugin::{Needs, Plugin, Request, Result, Verdict, jwt};

struct Jwt(Policy);

impl Plugin for Jwt {
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
        Ok(self.0.decide(&request, jwt::verify))
    }
}

gatehouse_plugin::export!(Jwt, bare);

#[cfg(test)]
mod tests;
