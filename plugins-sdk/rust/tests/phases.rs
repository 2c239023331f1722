//! A plugin that uses every phase, under test as an author would have it.

use std::cell::Cell;
use std::time::Duration;

use gatehouse_plugin::testing::{self, Answer, Level, Measurement, Request as Sent};
use gatehouse_plugin::{
    Chunk, Client, Needs, Plugin, Problem, Reply, Request, Response, ResponseChanges, ResponseVerdict, Result, Verdict, http, kv, log,
    metrics, next, respond,
};
use serde::Deserialize;
use serde_json::json;

struct Everything {
    config: Config,
    seen: Cell<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    streamed: bool,
    #[serde(default)]
    limit: Option<i64>,
}

impl Plugin for Everything {
    type Config = Config;

    fn new(config: Config) -> Result<Self> {
        if config.limit == Some(0) {
            return Err("limit: got 0, want > 0".into());
        }
        Ok(Self { config, seen: Cell::new(0) })
    }

    fn needs(&self) -> Needs {
        let needs = Needs::new().request_header("X-Shown").response_header("x-up").client();
        if self.config.streamed { needs.streamed_request_body().streamed_response_body() } else { needs.buffered_request_body(64) }
    }

    fn on_request(&self, mut request: Request) -> Result<Verdict> {
        let count = kv::increment("calls", 1, Some(Duration::from_secs(60)))?;
        metrics::count("calls", &[("method", request.method())], 1);
        if self.config.limit.is_some_and(|limit| count > limit) {
            log::warn(format_args!("call {count} is one too many"));
            return Ok(respond(Reply::problem(429, "Too Many", "Enough.")));
        }
        if request.path() == "/proxy" {
            let answer = http::fetch(http::Request::post("other", "/in").body(request.take_body()))?;
            return Ok(respond(Reply::new(answer.status()).body(answer.into_body())));
        }
        let name = request.client().map_or("nobody", |client| &client.name).to_owned();
        let hidden = request.header("x-hidden").is_some();
        let shown = request.take_header("x-shown").unwrap_or_default();
        Ok(next().set_header("x-name", name).set_header("x-hidden-seen", format!("{hidden}")).state(shown).into())
    }

    fn on_request_body(&self, chunk: Vec<u8>, last: bool) -> Result<Chunk> {
        self.seen.set(self.seen.get() + chunk.len());
        if chunk.contains(&b'!') {
            return Ok(Chunk::Respond(Reply::new(422)));
        }
        Ok(if last { Chunk::Replace(format!("[{}]", self.seen.take()).into()) } else { Chunk::Pass })
    }

    fn on_response(&self, response: Response) -> Result<ResponseVerdict> {
        if response.header("x-up") == Some(b"refuse") {
            return Ok(Problem::new(502, "No").member("up", 1).reply().into());
        }
        let state = response.state().unwrap_or_default().to_vec();
        Ok(ResponseChanges::new().set_header("x-state", state).set_status(response.status() + 1).into())
    }

    fn on_response_body(&self, chunk: Vec<u8>, _last: bool) -> Result<Chunk> {
        Ok(Chunk::Replace(chunk.to_ascii_uppercase()))
    }
}

#[test]
fn what_was_kept_comes_back_in_the_response_phase() {
    let plugin = testing::configure::<Everything>("{}").unwrap();
    let forwarded = plugin.send(Sent::get("/").header("x-shown", "kept").header("x-hidden", "1")).forwarded();
    assert_eq!(forwarded.header("x-hidden-seen"), Some("false"), "what was not declared is not shown");
    assert_eq!(forwarded.header("x-name"), Some("nobody"), "nobody was authenticated");
    let answer = forwarded.respond(Answer::new(200));
    assert_eq!((answer.status(), answer.header("x-state")), (201, Some("kept")), "the state came back");
}

#[test]
fn the_client_is_shown_to_those_who_ask() {
    let plugin = testing::configure::<Everything>("{}").unwrap();
    let forwarded = plugin.send(Sent::get("/").client(Client::new("acme", "api-key"))).forwarded();
    assert_eq!(forwarded.header("x-name"), Some("acme"), "its name is known");
}

#[test]
fn a_response_can_be_replaced() {
    let plugin = testing::configure::<Everything>("{}").unwrap();
    let answer = plugin.send(Sent::get("/")).forwarded().respond(Answer::new(200).with_header("x-up", "refuse"));
    assert_eq!(answer.json(), json!({"type": "about:blank", "title": "No", "status": 502, "up": 1}), "by a problem");
}

#[test]
fn bodies_are_streamed_both_ways() {
    let plugin = testing::configure::<Everything>(r#"{"streamed": true}"#).unwrap();
    let forwarded = plugin.send(Sent::post("/").body("abcd")).forwarded();
    assert_eq!(forwarded.body(), b"abcd[4]", "chunks pass, and the last one adds the sum");
    assert_eq!(forwarded.respond(Answer::new(200).with_body("done")).body(), b"DONE", "chunks are replaced");
    let stopped = plugin.send(Sent::post("/").body("ab!")).answered();
    assert_eq!(stopped.status(), 422, "a body can be stopped");
}

#[test]
fn a_counter_with_a_time_to_live_is_a_fixed_window() {
    let plugin = testing::configure::<Everything>(r#"{"limit": 1}"#).unwrap();
    let _ = plugin.send(Sent::get("/")).forwarded();
    assert_eq!(plugin.send(Sent::get("/")).answered().status(), 429, "one call a minute");
    assert_eq!(testing::logs(), [(Level::Warn, "call 2 is one too many".into())], "it was logged");
    testing::advance(Duration::from_secs(60));
    let _ = plugin.send(Sent::get("/")).forwarded();
    let counted = Measurement { name: "calls".into(), labels: vec![("method".into(), "GET".into())], value: 1.0 };
    assert_eq!(testing::measurements(), vec![counted; 3], "every call was counted");
}

#[test]
fn an_upstream_is_called_and_its_failure_is_a_fault() {
    let plugin = testing::configure::<Everything>("{}").unwrap();
    testing::http(|request| match request.upstream() {
        "other" if request.path_and_query() == "/in" => Ok(http::Response::new(201).with_body("made")),
        _ => Err(http::Error::Denied),
    });
    let answer = plugin.send(Sent::post("/proxy").body("x")).answered();
    assert_eq!((answer.status(), answer.text().as_str()), (201, "made"), "its answer is passed on");
    testing::http(|_| Err(http::Error::Timeout));
    let fault = plugin.try_send(Sent::post("/proxy")).unwrap_err();
    assert_eq!(fault.to_string(), "the upstream took too long", "the error says why");
}

#[test]
fn the_store_has_a_quota_and_knows_its_counters() {
    assert_eq!(kv::set("big", &vec![0; 1024 * 1024], None), Err(kv::Error::Quota), "a mebibyte with its key is too much");
    assert_eq!(kv::set("text", b"12345678", None), Ok(()), "a small one fits");
    assert_eq!(kv::increment("text", 1, None), Err(kv::Error::NotACounter), "eight bytes alone make no counter");
    assert_eq!(kv::increment("n", i64::MAX, None), Ok(i64::MAX), "the largest count");
    assert_eq!(kv::increment("n", 1, None), Err(kv::Error::NotACounter), "there is none above");
    kv::delete("n");
    assert_eq!(kv::get("n"), None, "it is gone");
}

#[test]
fn a_refused_configuration_says_why_and_not_where_in_the_json() {
    let refusal = |config| testing::configure::<Everything>(config).unwrap_err().to_string();
    assert_eq!(refusal(r#"{"limit": 0}"#), "limit: got 0, want > 0", "the plugin's own words");
    assert_eq!(refusal(r#"{"limits": 1}"#), "unknown field `limits`, expected `streamed` or `limit`", "no line, no column");
}
