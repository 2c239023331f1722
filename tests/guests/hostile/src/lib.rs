//! A guest that misbehaves on request: the header `x-mode` says how, and without it the guest is good.
//! The configuration `{"configure": "trap"}` lets it misbehave before any request. It imports no WASI.
#![cfg(target_family = "wasm")]
#![no_std]

extern crate alloc;
extern crate bare as _;

mod bindings;
mod calls;
mod edits;
mod faults;

use alloc::{
    string::{String, ToString},
    vec,
    vec::Vec,
};

use bindings::{BodyMode, ChunkVerdict, Guest, Header, Needs, Phases, Request, RequestVerdict, Response, ResponseVerdict, Wants};

struct Hostile;

impl Guest for Hostile {
    fn config_schema() -> Option<String> {
        None
    }

    fn configure(config: String) -> Result<Needs, String> {
        match setting(&config, "configure") {
            Some("err") => return Err("this configuration is refused".to_string()),
            Some(mode) => faults::commit(mode),
            None => {}
        }
        let request_body = if setting(&config, "body") == Some("streamed") { BodyMode::Streamed } else { BodyMode::None };
        Ok(Needs {
            phases: Phases::REQUEST | Phases::RESPONSE,
            request_headers: vec!["x-mode".to_string()],
            response_headers: Vec::new(),
            request_body,
            response_body: BodyMode::None,
            body_types: Vec::new(),
            wants: Wants::empty(),
        })
    }

    fn on_request(request: Request) -> Result<RequestVerdict, String> {
        let mode = mode(&request.headers);
        if mode == "err" {
            return Err("the guest has failed by its own account".to_string());
        }
        faults::commit(&mode);
        if let Some(reply) = calls::make(&mode).or_else(|| edits::reply(&mode)) {
            return Ok(RequestVerdict::Respond(reply));
        }
        let mut changes = edits::changes(&mode);
        // The response phase must know what was asked for.
        changes.state.get_or_insert_with(|| mode.into_bytes());
        Ok(RequestVerdict::Next(changes))
    }

    fn on_request_body(chunk: Vec<u8>, _last: bool) -> Result<ChunkVerdict, String> {
        if chunk.starts_with(b"trap") {
            faults::commit("trap");
        }
        Ok(ChunkVerdict::Pass)
    }

    fn on_response(response: Response) -> Result<ResponseVerdict, String> {
        let state = response.state.unwrap_or_default();
        let Some(mode) = core::str::from_utf8(&state).ok().and_then(|state| state.strip_prefix("response-")) else {
            return Ok(ResponseVerdict::Next(Vec::new()));
        };
        if mode == "err" {
            return Err("the guest has failed on the way back".to_string());
        }
        faults::commit(mode);
        if let Some(reply) = edits::reply(mode) {
            return Ok(ResponseVerdict::Respond(reply));
        }
        Ok(ResponseVerdict::Next(edits::response_edits(mode)))
    }

    fn on_response_body(_chunk: Vec<u8>, _last: bool) -> Result<ChunkVerdict, String> {
        Ok(ChunkVerdict::Pass)
    }
}

fn mode(headers: &[Header]) -> String {
    let value = headers.first().map(|header| header.value.clone()).unwrap_or_default();
    String::from_utf8(value).unwrap_or_default()
}

/// The text of a member of a flat JSON object. Enough for the configurations of these tests.
fn setting<'a>(config: &'a str, name: &str) -> Option<&'a str> {
    let words: Vec<&str> = config.split('"').collect();
    let index = words.iter().position(|word| *word == name)?;
    words.get(index + 2).copied()
}
