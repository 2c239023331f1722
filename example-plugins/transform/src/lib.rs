//! `transform`: edits the method, headers, path, query and JSON body of requests, and the status, headers and JSON body of
//! responses. Bodies are buffered only when there is JSON to edit.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod body;
mod config;
mod headers;
mod late;
mod query;
mod value;

use alloc::string::String;
use alloc::vec::Vec;

use gatehouse_plugin::template::Template;
use gatehouse_plugin::{Changes, Needs, Plugin, Reply, Request, Response, ResponseChanges, ResponseVerdict, Result, Verdict, next};

use crate::body::{JsonEdits, STALE};
use crate::config::{Config, OnUnparsable};
use crate::headers::HeaderEdits;
use crate::late::{LateHeader, Memory};
use crate::query::QueryEdits;

/// What the gateway takes from a plugin as a path with its query.
const MOST_TARGET: usize = 16 * 1024;

struct Transform {
    method: Option<String>,
    headers: HeaderEdits,
    path: Option<Template>,
    query: QueryEdits,
    json: JsonEdits,
    status: Option<u16>,
    response_headers: HeaderEdits,
    late_headers: Vec<LateHeader>,
    response_json: JsonEdits,
    on_unparsable: OnUnparsable,
    max_body: u32,
    content_types: Vec<String>,
}

impl Plugin for Transform {
    type Config = Config;

    fn new(config: Config) -> Result<Self> {
        config.build()
    }

    fn config_schema() -> Option<&'static str> {
        Some(include_str!("../schema.json"))
    }

    fn needs(&self) -> Needs {
        self.response_needs(self.request_needs(Needs::new()))
    }

    fn on_request(&self, request: Request) -> Result<Verdict> {
        let mut changes = self.headers.request(next(), &request);
        if let Some(method) = &self.method {
            changes = changes.set_method(method);
        }
        changes = match self.target(changes, &request).and_then(|changes| self.request_body(changes, &request)) {
            Ok(changes) => changes,
            Err(reply) => return Ok(reply.into()),
        };
        if !self.response_json.is_empty() {
            // What comes back must be readable: whole, and not compressed.
            changes = changes.remove_header("accept-encoding").remove_header("range");
        }
        if let Some(state) = late::remember(&self.late_headers, &self.response_json, &request) {
            changes = changes.state(state);
        }
        Ok(changes.on_response(self.response_headers.response(ResponseChanges::new(), &request)).into())
    }

    fn on_response(&self, response: Response) -> Result<ResponseVerdict> {
        let memory = Memory::of(&response);
        let mut changes = self.response_headers.rename(ResponseChanges::new(), &response);
        changes = memory.headers(&self.late_headers, changes, &response);
        if response.is_from_gateway() {
            // The gateway's own error answers keep their status and their problem: a 200 would hide the fault.
            return Ok(changes.into());
        }
        if let Some(status) = self.status {
            changes = changes.set_status(status);
        }
        match self.response_body(changes, &memory, &response) {
            Ok(changes) => Ok(changes.into()),
            Err(reply) => Ok(reply.into()),
        }
    }
}

impl Transform {
    fn request_needs(&self, needs: Needs) -> Needs {
        let mut needs = self.query.needs(self.headers.needs(needs));
        if let Some(path) = &self.path {
            needs = path.needs(needs);
        }
        if self.json.is_empty() {
            return needs;
        }
        self.json.needs(needs).request_header("content-encoding").buffered_request_body(self.max_body)
    }

    fn response_needs(&self, needs: Needs) -> Needs {
        let mut needs = self.response_headers.template_needs(late::needs(&self.late_headers, needs));
        needs = needs.response_headers(self.response_headers.renamed());
        if self.status.is_some() || !self.late_headers.is_empty() {
            needs = needs.response();
        }
        if !self.response_json.is_empty() {
            needs = self.response_json.needs(needs).response_header("content-encoding").buffered_response_body(self.max_body);
        }
        match self.json.is_empty() && self.response_json.is_empty() {
            true => needs,
            false => needs.body_types(self.content_types.iter().cloned()),
        }
    }

    /// Path and query, if there is anything to change.
    fn target(&self, changes: Changes, request: &Request) -> Result<Changes, Reply> {
        if self.path.is_none() && self.query.is_empty() {
            return Ok(changes);
        }
        let path = match &self.path {
            Some(template) => template.render_path(request).ok_or_else(unfit_path)?,
            None => request.path().into(),
        };
        let target = self.query.applied(path, request);
        match target.len() > MOST_TARGET {
            true => Err(Reply::problem(414, "URI Too Long", "With what is added to it, the path and query are too long.")),
            false => Ok(changes.set_path_and_query(target)),
        }
    }

    fn request_body(&self, changes: Changes, request: &Request) -> Result<Changes, Reply> {
        let body = request.body().unwrap_or_default();
        if self.json.is_empty() || body.is_empty() {
            return Ok(changes);
        }
        let edited = match is_encoded(request.header("content-encoding")) {
            true => Err(Reply::problem(415, "Unsupported Media Type", "The body is compressed.").header("accept-encoding", "identity")),
            false => self.json.applied(body, &self.json.values(request)).ok_or_else(unfit_body),
        };
        match edited {
            Ok(body) => Ok(STALE.iter().fold(changes, |changes, name| changes.remove_header(*name)).set_body(body)),
            Err(_) if self.on_unparsable == OnUnparsable::Pass => Ok(changes),
            Err(reply) => Err(reply),
        }
    }

    fn response_body(&self, changes: ResponseChanges, memory: &Memory, response: &Response) -> Result<ResponseChanges, Reply> {
        let body = response.body().unwrap_or_default();
        if self.response_json.is_empty() || body.is_empty() {
            return Ok(changes);
        }
        let edited = match is_encoded(response.header("content-encoding")) {
            true => Err("The upstream's body is compressed."),
            false => {
                let values = memory.values(&self.late_headers, &self.response_json, response);
                self.response_json.applied(body, &values).ok_or("The upstream's body is not the JSON expected here.")
            }
        };
        match edited {
            Ok(body) => Ok(STALE.iter().fold(changes, |changes, name| changes.remove_header(*name)).set_body(body)),
            Err(_) if self.on_unparsable == OnUnparsable::Pass => Ok(changes),
            Err(detail) => Err(Reply::problem(502, "Bad Gateway", detail)),
        }
    }
}

/// Whether a `Content-Encoding` stands between us and the text.
fn is_encoded(coding: Option<&[u8]>) -> bool {
    coding.is_some_and(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
}

fn unfit_path() -> Reply {
    Reply::problem(400, "Bad Request", "The request lacks what its path upstream is made of.")
}

fn unfit_body() -> Reply {
    Reply::problem(400, "Bad Request", "The body is not the JSON expected here.")
}

gatehouse_plugin::export!(Transform, bare);

#[cfg(test)]
mod tests;
