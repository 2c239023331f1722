//! `basic-auth`: lets in requests with a client's name and, as the password, one of its keys (RFC 7617).

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod credentials;

use alloc::format;
use alloc::string::String;

use gatehouse_plugin::header::QuotableText;
use gatehouse_plugin::{Needs, Plugin, Reply, Request, Result, Verdict, keys, next};
use serde::Deserialize;

use crate::credentials::Credentials;

struct BasicAuth {
    config: Config,
    challenge: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default = "default_realm")]
    realm: QuotableText,
    #[serde(default = "default_true")]
    required: bool,
    #[serde(default = "default_true")]
    hide_credentials: bool,
}

impl Plugin for BasicAuth {
    type Config = Config;

    fn new(config: Config) -> Result<Self> {
        let challenge = format!(r#"Basic realm="{}", charset="UTF-8""#, config.realm.as_str());
        Ok(Self { config, challenge })
    }

    fn config_schema() -> Option<&'static str> {
        Some(include_str!("../schema.json"))
    }

    fn needs(&self) -> Needs {
        Needs::new().request_header("authorization")
    }

    fn on_request(&self, request: Request) -> Result<Verdict> {
        let holder = match Credentials::of(&request) {
            Credentials::None if !self.config.required => return Ok(next().into()),
            Credentials::None | Credentials::Malformed => None,
            Credentials::Basic { user, password } => keys::find_of(&user, password.as_bytes()),
        };
        match (holder, self.config.hide_credentials) {
            (None, _) => Ok(self.unauthorized().into()),
            (Some(_), true) => Ok(next().remove_header("authorization").into()),
            (Some(_), false) => Ok(next().into()),
        }
    }
}

impl BasicAuth {
    /// The same whatever is wrong: nobody learns which clients there are.
    fn unauthorized(&self) -> Reply {
        Reply::problem(401, "Unauthorized", "This needs a valid name and password.").header("www-authenticate", self.challenge.as_str())
    }
}

fn default_realm() -> QuotableText {
    QuotableText::try_from(String::from("gatehouse")).expect("the default can be quoted")
}

fn default_true() -> bool {
    true
}

gatehouse_plugin::export!(BasicAuth, bare);

#[cfg(test)]
mod tests;
