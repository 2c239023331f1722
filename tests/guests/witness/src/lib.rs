//! A well-behaved guest that says what it was shown. Its configuration is what it asks for; see `settings.rs`.
//! It imports nothing at all.
#![cfg(target_family = "wasm")]
#![no_std]

extern crate alloc;
extern crate bare as _;

mod bindings;
mod settings;
mod testimony;

use alloc::{string::String, vec, vec::Vec};

use bindings::{Changes, ChunkVerdict, Edit, Field, Guest, Needs, Reply, Request, RequestVerdict, Response, ResponseEdit, ResponseVerdict};
use settings::settings;

struct Witness;

impl Guest for Witness {
    fn config_schema() -> Option<String> {
        Some(r#"{"type": "object", "properties": {"name": {"type": "string"}}}"#.into())
    }

    fn configure(config: String) -> Result<Needs, String> {
        settings::configure(&config)
    }

    fn on_request(request: Request) -> Result<RequestVerdict, String> {
        let settings = settings();
        let testimony = testimony::of_request(&request, settings);
        if settings.answers {
            return Ok(RequestVerdict::Respond(reply(200, testimony.into_bytes())));
        }
        let mut edits = vec![Edit::AddHeader(field("x-order", &settings.name))];
        if let Some(body) = request.body.filter(|_| settings.upper) {
            edits.push(Edit::SetBody(body.to_ascii_uppercase()));
        }
        let later = vec![ResponseEdit::AddHeader(field("x-later", &settings.name))];
        Ok(RequestVerdict::Next(Changes { request: edits, response: later, state: Some(testimony.into_bytes()) }))
    }

    fn on_request_body(chunk: Vec<u8>, last: bool) -> Result<ChunkVerdict, String> {
        if chunk.starts_with(b"stop") {
            return Ok(ChunkVerdict::Respond(reply(409, b"stopped".to_vec())));
        }
        Ok(rewrite(chunk, last))
    }

    fn on_response(response: Response) -> Result<ResponseVerdict, String> {
        let settings = settings();
        let testimony = testimony::of_response(&response, settings);
        if settings.replaces {
            return Ok(ResponseVerdict::Respond(reply(203, testimony.into_bytes())));
        }
        let mut edits =
            vec![ResponseEdit::AddHeader(field("x-order", &settings.name)), ResponseEdit::SetHeader(field("x-testimony", &testimony))];
        if let Some(body) = response.body.filter(|_| settings.upper) {
            edits.push(ResponseEdit::SetBody(body.to_ascii_uppercase()));
        }
        Ok(ResponseVerdict::Next(edits))
    }

    fn on_response_body(chunk: Vec<u8>, last: bool) -> Result<ChunkVerdict, String> {
        Ok(rewrite(chunk, last))
    }
}

/// Passes a chunk, or writes it in capitals with a mark at the end; holds back what starts with `hold`.
fn rewrite(chunk: Vec<u8>, last: bool) -> ChunkVerdict {
    if !settings().upper {
        return ChunkVerdict::Pass;
    }
    if chunk.starts_with(b"hold") {
        return ChunkVerdict::Replace(Vec::new());
    }
    let mut bytes = chunk.to_ascii_uppercase();
    if last {
        bytes.extend_from_slice(b"<end>");
    }
    ChunkVerdict::Replace(bytes)
}

fn reply(status: u16, body: Vec<u8>) -> Reply {
    Reply { status, headers: vec![field("content-type", "application/json")], body }
}

fn field(name: &str, value: &str) -> Field {
    Field { name: name.into(), value: value.as_bytes().to_vec() }
}
