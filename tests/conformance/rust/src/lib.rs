//! The reference plugin of the conformance kit, as `tests/conformance/README.md` describes it.
#![cfg(target_family = "wasm")]

mod bodies;
mod capabilities;
mod faults;
mod heads;

use std::cell::RefCell;

use gatehouse_plugin::{
    Changes, Chunk, Error, Needs, Plugin, Reply, Request, Response, ResponseChanges, ResponseVerdict, Result, Verdict, next,
};
use serde::Deserialize;

use bodies::Body;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    body: String,
    limit: u32,
    others: bool,
}

struct Reference {
    config: Config,
    body: RefCell<Body>,
}

impl Default for Config {
    fn default() -> Self {
        Self { body: "none".into(), limit: 1000, others: false }
    }
}

impl Plugin for Reference {
    type Config = Config;

    fn new(config: Config) -> Result<Self> {
        match config.body.as_str() {
            "none" | "buffered" | "streamed" => Ok(Self { config, body: RefCell::default() }),
            other => Err(Error::new(format!("body is none, buffered or streamed, not {other}"))),
        }
    }

    fn needs(&self) -> Needs {
        let needs = Needs::new().request_headers(["x-in", "authorization"]).response_header("x-up").client();
        let needs = if self.config.others { needs.all_request_headers() } else { needs };
        match self.config.body.as_str() {
            "buffered" => needs.buffered_request_body(self.config.limit).buffered_response_body(self.config.limit),
            "streamed" => needs.streamed_request_body().streamed_response_body(),
            _ => needs,
        }
    }

    fn on_request(&self, request: Request) -> Result<Verdict> {
        let action = request.path().rsplit('/').next().unwrap_or_default().to_owned();
        self.body.borrow_mut().begin(&action);
        if action == "error" {
            return Err("as asked".into());
        }
        faults::commit(&action);
        if let Some(reply) = heads::answer(&action, &request).or_else(|| capabilities::answer(&action, &request)) {
            return Ok(reply.into());
        }
        Ok(changes(&action, &request).state(format!("{action} {}", request.id_hex())).into())
    }

    fn on_request_body(&self, chunk: Vec<u8>, last: bool) -> Result<Chunk> {
        let mut body = self.body.borrow_mut();
        if body.action() == "stop" && chunk.starts_with(b"stop") {
            return Ok(Chunk::Respond(Reply::new(409).body("stopped")));
        }
        Ok(body.chunk(chunk, last))
    }

    fn on_response(&self, response: Response) -> Result<ResponseVerdict> {
        let state = response.state().map(|state| String::from_utf8_lossy(state).into_owned()).unwrap_or_default();
        let action = state.split(' ').next().unwrap_or_default();
        self.body.borrow_mut().begin(action);
        if action == "replace" {
            return Ok(Reply::new(203).header("x-a", "1").body("replaced").into());
        }
        Ok(response_changes(action, &state, &response).into())
    }

    fn on_response_body(&self, chunk: Vec<u8>, last: bool) -> Result<Chunk> {
        Ok(self.body.borrow_mut().chunk(chunk, last))
    }
}

fn changes(action: &str, request: &Request) -> Changes {
    match action {
        "edit" => heads::edit(),
        "binary" => heads::copy(request),
        "rewrite" => next().set_method("PURGE").set_path_and_query("/changed?by=plugin"),
        "set-client" => next().set_client(heads::kit()),
        "request-id" => next().set_request_id("kit-1"),
        "limit-body" => next().limit_body(10),
        "upper" => bodies::upper(request),
        "forbidden" => next().set_header("content-length", "1"),
        _ => next(),
    }
}

fn response_changes(action: &str, state: &str, response: &Response) -> ResponseChanges {
    let changes = ResponseChanges::new();
    match action {
        "state" => changes.set_header("x-state", state).set_header("x-id", response.id_hex()),
        "status" => {
            let lines: Vec<_> = response.header_lines("x-up").map(String::from_utf8_lossy).collect();
            changes.set_header("x-seen", format!("{} {}", response.status(), lines.join("|"))).set_status(202)
        }
        "from-gateway" => changes.set_header("x-from-gateway", response.is_from_gateway().to_string()),
        "upper" => match response.body() {
            Some(body) => changes.set_body(body.to_ascii_uppercase()),
            None => changes,
        },
        _ => changes,
    }
}

gatehouse_plugin::export!(Reference);
