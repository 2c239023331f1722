//! `request-id`: writes the request's id on the request and on whatever answer comes back.
//! With `trust` it keeps a good id that the client sent, for the gateway's logs too.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;

use gatehouse_plugin::header::HeaderName;
use gatehouse_plugin::{Needs, Plugin, Request, Result, Verdict, next};
use serde::Deserialize;

struct RequestId {
    config: Config,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default = "default_header")]
    header: HeaderName,
    #[serde(default)]
    trust: bool,
}

impl Plugin for RequestId {
    type Config = Config;

    fn new(config: Config) -> Result<Self> {
        Ok(Self { config })
    }

    fn config_schema() -> Option<&'static str> {
        Some(include_str!("../schema.json"))
    }

    fn needs(&self) -> Needs {
        match self.config.trust {
            true => Needs::new().request_header(&self.config.header),
            false => Needs::new(),
        }
    }

    fn on_request(&self, request: Request) -> Result<Verdict> {
        let header = &self.config.header;
        let sent = if self.config.trust { sent_id(&request, header.as_str()) } else { None };
        let Some(id) = sent else {
            let id = request.id_hex();
            return Ok(next().set_header(header, id.as_str()).on_response_set_header(header, id).into());
        };
        Ok(next().set_header(header, id).on_response_set_header(header, id).set_request_id(id).into())
    }
}

/// The id the client sent, if it is one line of 1 to 128 visible ASCII characters.
fn sent_id<'a>(request: &'a Request, header: &'a str) -> Option<&'a str> {
    let mut lines = request.header_lines(header);
    let id = lines.next()?;
    let good = lines.next().is_none() && (1..=128).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic);
    if good { core::str::from_utf8(id).ok() } else { None }
}

fn default_header() -> HeaderName {
    HeaderName::try_from(String::from("x-request-id")).expect("the default is a header name")
}

gatehouse_plugin::export!(RequestId, bare);

#[cfg(test)]
mod tests {
    use gatehouse_plugin::testing::{self, Answer, Request};

    use super::RequestId;

    const ID: &str = "0123456789abcdeffedcba9876543210";

    #[test]
    fn both_sides_see_the_id_and_a_client_cannot_choose_it() {
        let plugin = testing::configure::<RequestId>("{}").unwrap();
        let forwarded = plugin.send(Request::get("/").header("x-request-id", "mine")).forwarded();
        assert_eq!(forwarded.header_lines("x-request-id"), [ID], "the client's is replaced");
        assert_eq!(forwarded.request_id(), None, "the logs keep the gateway's own");
        let answer = forwarded.respond(Answer::new(200).with_header("x-request-id", "upstream's"));
        assert_eq!(answer.header_lines("x-request-id"), [ID], "the upstream's is replaced");
    }

    #[track_caller]
    fn check_trusted(sent: &[&[u8]], expected: &str) {
        let plugin = testing::configure::<RequestId>(r#"{"trust": true, "header": "X-Trace"}"#).unwrap();
        let request = sent.iter().fold(Request::get("/"), |request, id| request.header("x-trace", *id));
        let forwarded = plugin.send(request).forwarded();
        assert_eq!(forwarded.header_lines("x-trace"), [expected], "{sent:?}");
        let chosen = (expected != ID).then_some(expected);
        assert_eq!(forwarded.request_id(), chosen, "the logs agree about {sent:?}");
        assert_eq!(forwarded.respond(Answer::new(503)).header("x-trace"), Some(expected), "{sent:?}");
    }

    #[test]
    fn a_trusted_client_chooses_a_good_id() {
        check_trusted(&[], ID);
        check_trusted(&[b"mine-1"], "mine-1");
        check_trusted(&[b""], ID);
        check_trusted(&[b"two words"], ID);
        check_trusted(&[b"\xe9"], ID);
        check_trusted(&[b"one", b"two"], ID);
        check_trusted(&[&[b'a'; 128]], &"a".repeat(128));
        check_trusted(&[&[b'a'; 129]], ID);
    }

    #[test]
    fn a_header_of_the_gateway_or_an_unknown_key_is_refused() {
        let refusal = |config| testing::configure::<RequestId>(config).unwrap_err().to_string();
        assert!(refusal(r#"{"header": "connection"}"#).contains("not the gateway's own"), "it would be a fault later");
        assert!(refusal(r#"{"heder": "x"}"#).contains("unknown field `heder`"), "a typo is named");
    }
}
