//! `api-key`: lets in requests with a known API key. The gateway looks the key up and keeps only its hash.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use gatehouse_plugin::header::{HeaderName, QuotableText};
use gatehouse_plugin::{Needs, Plugin, Reply, Request, Result, Verdict, keys, next};
use serde::Deserialize;

struct ApiKey {
    config: Config,
    challenge: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default = "default_header")]
    header: HeaderName,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default = "default_true")]
    hide_credentials: bool,
    #[serde(default = "default_realm")]
    realm: QuotableText,
}

impl Plugin for ApiKey {
    type Config = Config;

    fn new(config: Config) -> Result<Self> {
        let challenge = format!(r#"ApiKey realm="{}""#, config.realm.as_str());
        Ok(Self { config, challenge })
    }

    fn config_schema() -> Option<&'static str> {
        Some(include_str!("../schema.json"))
    }

    fn needs(&self) -> Needs {
        Needs::new().request_header(&self.config.header)
    }

    fn on_request(&self, request: Request) -> Result<Verdict> {
        let key = only_line(&request, self.config.header.as_str());
        let Some(holder) = key.and_then(keys::find) else {
            return Ok(self.unauthorized().into());
        };
        if !self.config.scopes.iter().all(|scope| holder.has_scope(scope)) {
            return Ok(Reply::problem(403, "Forbidden", "The client lacks a scope that this needs.").into());
        }
        match self.config.hide_credentials {
            true => Ok(next().remove_header(&self.config.header).into()),
            false => Ok(next().into()),
        }
    }
}

impl ApiKey {
    /// The same for a missing, malformed, unknown and revoked key: nobody learns which keys exist.
    fn unauthorized(&self) -> Reply {
        Reply::problem(401, "Unauthorized", "This needs a valid API key.").header("www-authenticate", self.challenge.as_str())
    }
}

/// Two keys are none: whoever comes next might look at the other one.
fn only_line<'a>(request: &'a Request, header: &'a str) -> Option<&'a [u8]> {
    let mut lines = request.header_lines(header);
    lines.next().filter(|key| !key.is_empty() && lines.next().is_none())
}

fn default_header() -> HeaderName {
    HeaderName::try_from(String::from("x-api-key")).expect("the default is a header name")
}

fn default_realm() -> QuotableText {
    QuotableText::try_from(String::from("gatehouse")).expect("the default can be quoted")
}

fn default_true() -> bool {
    true
}

gatehouse_plugin::export!(ApiKey, bare);

#[cfg(test)]
mod tests {
    use gatehouse_plugin::testing::{self, Outcome, Request, Tested};

    use super::ApiKey;

    fn plugin(config: &str) -> Tested {
        testing::key("secret", "acme", &["orders.read", "orders.write"]);
        testing::configure::<ApiKey>(config).unwrap()
    }

    #[track_caller]
    fn check_unauthorized(outcome: Outcome<'_>) {
        let answer = outcome.answered();
        assert_eq!(answer.status(), 401, "it is refused");
        assert_eq!(answer.header("www-authenticate"), Some(r#"ApiKey realm="gatehouse""#), "the challenge says how");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "the body is a problem");
        assert_eq!(
            answer.text(),
            r#"{"type":"about:blank","title":"Unauthorized","status":401,"detail":"This needs a valid API key."}"#,
            "no hint at what was wrong"
        );
    }

    #[test]
    fn a_missing_an_unknown_and_a_double_key_get_the_same_401() {
        let plugin = plugin("{}");
        check_unauthorized(plugin.send(Request::get("/")));
        check_unauthorized(plugin.send(Request::get("/").header("x-api-key", "")));
        check_unauthorized(plugin.send(Request::get("/").header("x-api-key", "guess")));
        check_unauthorized(plugin.send(Request::get("/").header("x-api-key", "secret").header("x-api-key", "secret")));
    }

    #[test]
    fn a_good_key_passes_and_is_hidden_from_the_upstream() {
        let forwarded = plugin("{}");
        let forwarded = forwarded.send(Request::get("/").header("x-api-key", "secret")).forwarded();
        assert_eq!(forwarded.header("x-api-key"), None, "the upstream does not see the key");
    }

    #[test]
    fn the_key_is_forwarded_if_asked() {
        let plugin = plugin(r#"{"header": "Api-Token", "hide_credentials": false}"#);
        let forwarded = plugin.send(Request::get("/").header("api-token", "secret")).forwarded();
        assert_eq!(forwarded.header("api-token"), Some("secret"), "the upstream sees the key");
    }

    #[test]
    fn every_scope_is_needed() {
        let request = || Request::get("/").header("x-api-key", "secret");
        let both = plugin(r#"{"scopes": ["orders.read", "orders.write"]}"#);
        let _ = both.send(request()).forwarded();
        let more = plugin(r#"{"scopes": ["orders.read", "orders.delete"]}"#);
        let answer = more.send(request()).answered();
        assert_eq!(answer.status(), 403, "one scope is missing");
        assert_eq!(answer.header("www-authenticate"), None, "another key is not asked for");
    }

    #[test]
    fn a_realm_that_would_break_the_challenge_is_refused() {
        let refusal = testing::configure::<ApiKey>(r#"{"realm": "a\"b"}"#).unwrap_err().to_string();
        assert!(refusal.contains("without quotes"), "{refusal}");
    }
}
