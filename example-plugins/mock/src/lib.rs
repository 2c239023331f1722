//! `mock`: answers every request with the same reply. The upstream never sees it.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::collections::BTreeMap;
use alloc::format;

use gatehouse_plugin::header::{HeaderName, HeaderValue};
use gatehouse_plugin::{Error, Plugin, Reply, Request, Result, Verdict, respond};
use serde::Deserialize;
use serde_json::Value;

struct Mock {
    reply: Reply,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default = "default_status")]
    status: u16,
    #[serde(default)]
    headers: BTreeMap<HeaderName, HeaderValue>,
    #[serde(default)]
    body: Option<Value>,
}

impl Plugin for Mock {
    type Config = Config;

    fn new(config: Config) -> Result<Self> {
        if !(200..600).contains(&config.status) {
            return Err(Error::new(format!("status: got {}, want 200 to 599", config.status)));
        }
        if matches!(config.status, 204 | 205 | 304) && config.body.is_some() {
            return Err(Error::new(format!("body: a {} answer has none", config.status)));
        }
        Ok(Self { reply: reply(config) })
    }

    fn config_schema() -> Option<&'static str> {
        Some(include_str!("../schema.json"))
    }

    fn on_request(&self, _request: Request) -> Result<Verdict> {
        Ok(respond(self.reply.clone()))
    }
}

fn reply(config: Config) -> Reply {
    let typed = config.headers.keys().any(|name| name.as_str() == "content-type");
    let reply = config.headers.into_iter().fold(Reply::new(config.status), |reply, (name, value)| reply.header(name, value));
    match (config.body, typed) {
        (None, _) => reply,
        (Some(Value::String(text)), false) => reply.text(text),
        (Some(Value::String(text)), true) => reply.body(text),
        (Some(value), false) => reply.json(&value),
        (Some(value), true) => reply.body(format!("{value}")),
    }
}

fn default_status() -> u16 {
    200
}

gatehouse_plugin::export!(Mock, bare);

#[cfg(test)]
mod tests {
    use gatehouse_plugin::testing::{self, Answer, Request};

    use super::Mock;

    fn answer(config: &str) -> Answer {
        testing::configure::<Mock>(config).unwrap().send(Request::get("/")).answered()
    }

    #[track_caller]
    fn check(config: &str, status: u16, content_type: Option<&str>, body: &str) {
        let answer = answer(config);
        assert_eq!(answer.status(), status, "{config}");
        assert_eq!(answer.header("content-type"), content_type, "{config}");
        assert_eq!(answer.text(), body, "{config}");
    }

    #[test]
    fn the_reply_is_as_configured() {
        check("{}", 200, None, "");
        check(r#"{"status": 503, "body": "closed"}"#, 503, Some("text/plain; charset=utf-8"), "closed");
        check(r#"{"body": {"a": [1]}}"#, 200, Some("application/json"), r#"{"a":[1]}"#);
        check(r#"{"headers": {"Content-Type": "text/html"}, "body": "<p>"}"#, 200, Some("text/html"), "<p>");
        check(r#"{"headers": {"content-type": "application/hal+json"}, "body": {}}"#, 200, Some("application/hal+json"), "{}");
        check(r#"{"status": 204}"#, 204, None, "");
    }

    #[test]
    fn other_headers_are_sent() {
        let answer = answer(r#"{"status": 301, "headers": {"Location": "/new"}}"#);
        assert_eq!(answer.header("location"), Some("/new"), "the header is there");
    }

    #[track_caller]
    fn check_refused(config: &str, reason: &str) {
        let refusal = testing::configure::<Mock>(config).unwrap_err().to_string();
        assert!(refusal.contains(reason), "{config}: {refusal}");
    }

    #[test]
    fn a_reply_that_cannot_be_sent_is_refused() {
        check_refused(r#"{"status": 99}"#, "status: got 99, want 200 to 599");
        check_refused(r#"{"status": 204, "body": "x"}"#, "a 204 answer has none");
        check_refused(r#"{"headers": {"a b": "x"}}"#, "want the name of a header");
        check_refused(r#"{"headers": {"a": "x\r\ny: z"}}"#, "without control characters");
        check_refused(r#"{"stats": 1}"#, "unknown field `stats`");
    }
}
