//! `size-limit`: says how large bodies may be. The gateway does the counting; no body comes here.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod size;

use gatehouse_plugin::{Changes, Plugin, Request, Result, Verdict, next};
use serde::Deserialize;

use crate::size::Size;

struct SizeLimit {
    changes: Changes,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    request: Option<Size>,
    #[serde(default)]
    response: Option<Size>,
}

impl Plugin for SizeLimit {
    type Config = Config;

    fn new(config: Config) -> Result<Self> {
        if config.request.is_none() && config.response.is_none() {
            return Err("got neither request nor response, want a limit on one of them".into());
        }
        let changes = next();
        let changes = match config.request {
            Some(limit) => changes.limit_body(limit.bytes()),
            None => changes,
        };
        let changes = match config.response {
            Some(limit) => changes.on_response_limit_body(limit.bytes()),
            None => changes,
        };
        Ok(Self { changes })
    }

    fn config_schema() -> Option<&'static str> {
        Some(include_str!("../schema.json"))
    }

    fn on_request(&self, _request: Request) -> Result<Verdict> {
        Ok(self.changes.clone().into())
    }
}

gatehouse_plugin::export!(SizeLimit, bare);

#[cfg(test)]
mod tests {
    use gatehouse_plugin::testing::{self, Answer, Request, Tested};

    use super::SizeLimit;

    fn plugin(config: &str) -> Tested {
        testing::configure::<SizeLimit>(config).unwrap()
    }

    #[test]
    fn a_request_may_be_as_long_as_the_limit_and_no_longer() {
        let plugin = plugin(r#"{"request": "1KB"}"#);
        assert_eq!(plugin.send(Request::post("/").body([0; 1_000])).forwarded().body().len(), 1_000, "the limit itself passes");
        assert_eq!(plugin.send(Request::post("/").body([0; 1_001])).answered().status(), 413, "one more does not");
    }

    #[test]
    fn so_may_a_response() {
        let plugin = plugin(r#"{"response": 10}"#);
        let status = |length| {
            let answer = Answer::new(200).with_body(vec![0; length]);
            plugin.send(Request::post("/").body([0; 1_000])).forwarded().respond(answer).status()
        };
        assert_eq!(status(10), 200, "the limit itself passes");
        assert_eq!(status(11), 502, "one more does not");
        let own = Answer::new(503).with_body([0; 100]);
        assert_eq!(plugin.send(Request::get("/")).forwarded().respond_as_gateway(own).status(), 503, "the gateway's own answers do");
    }

    #[track_caller]
    fn check_refused(config: &str, reason: &str) {
        let refusal = testing::configure::<SizeLimit>(config).unwrap_err().to_string();
        assert!(refusal.contains(reason), "{config}: {refusal}");
    }

    #[test]
    fn a_limit_that_is_none_is_refused() {
        check_refused("{}", "want a limit on one of them");
        check_refused(r#"{"request": "1mib"}"#, "want a size such as 1MiB");
        check_refused(r#"{"response": -1}"#, "want a size such as 1MiB");
        check_refused(r#"{"requests": 1}"#, "unknown field `requests`");
    }
}
