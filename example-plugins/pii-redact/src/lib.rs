//! Redacts personal data in bodies as they stream by, without holding back more than a word of them.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod patterns;
mod runs;
#[cfg(test)]
mod tests;

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;

use gatehouse_plugin::{Chunk, Needs, Plugin, Reply, Request, Response, ResponseChanges, ResponseVerdict, Result, Verdict, next};
use serde::Deserialize;

use runs::Runs;

struct Redact {
    config: Config,
    body: RefCell<Vec<Runs>>,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    patterns: Vec<Name>,
    mask: String,
    types: Vec<String>,
    request: bool,
    response: bool,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Name {
    Email,
    Card,
}

impl Default for Config {
    fn default() -> Self {
        let types = ["text/*", "application/json", "*/*+json"];
        Self {
            patterns: vec![Name::Email, Name::Card],
            mask: "[redacted]".into(),
            types: types.map(String::from).into(),
            request: false,
            response: true,
        }
    }
}

impl Plugin for Redact {
    type Config = Config;

    fn new(config: Config) -> Result<Self> {
        match config.request || config.response {
            true => Ok(Self { config, body: RefCell::default() }),
            false => Err("neither request nor response is to be redacted".into()),
        }
    }

    fn config_schema() -> Option<&'static str> {
        Some(include_str!("../schema.json"))
    }

    fn needs(&self) -> Needs {
        let needs = Needs::new().body_types(self.config.types.iter().cloned());
        let needs = if self.config.request { needs.request_header("content-encoding").streamed_request_body() } else { needs };
        if self.config.response { needs.response_header("content-encoding").streamed_response_body() } else { needs }
    }

    fn on_request(&self, request: Request) -> Result<Verdict> {
        if self.config.request && is_coded(request.header("content-encoding")) {
            return Ok(Reply::problem(415, "Unsupported Media Type", "The body must not be compressed.")
                .header("accept-encoding", "identity")
                .into());
        }
        self.begin();
        // What is compressed cannot be looked into, so nobody is asked for it.
        let changes = if self.config.response { next().set_header("accept-encoding", "identity") } else { next() };
        Ok(changes.into())
    }

    fn on_request_body(&self, chunk: Vec<u8>, last: bool) -> Result<Chunk> {
        Ok(self.redact(chunk, last))
    }

    fn on_response(&self, response: Response) -> Result<ResponseVerdict> {
        if is_coded(response.header("content-encoding")) {
            return Ok(Reply::problem(502, "Bad Gateway", "The answer is compressed, so it cannot be redacted.").into());
        }
        self.begin();
        Ok(ResponseChanges::new().into())
    }

    fn on_response_body(&self, chunk: Vec<u8>, last: bool) -> Result<Chunk> {
        Ok(self.redact(chunk, last))
    }
}

impl Redact {
    /// The chunks of one body reach the instance that saw the phase before them.
    fn begin(&self) {
        let pattern = |name: &Name| match name {
            Name::Email => &patterns::EMAIL,
            Name::Card => &patterns::CARD,
        };
        *self.body.borrow_mut() = self.config.patterns.iter().map(|name| Runs::new(pattern(name))).collect();
    }

    fn redact(&self, chunk: Vec<u8>, last: bool) -> Chunk {
        let mut body = self.body.borrow_mut();
        Chunk::Replace(body.iter_mut().fold(chunk, |chunk, runs| runs.pass(&chunk, last, self.config.mask.as_bytes())))
    }
}

fn is_coded(coding: Option<&[u8]>) -> bool {
    coding.is_some_and(|coding| !coding.trim_ascii().eq_ignore_ascii_case(b"identity"))
}

gatehouse_plugin::export!(Redact, bare);
