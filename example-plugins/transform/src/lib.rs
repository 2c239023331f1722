//! `transform`: edits the headers, path, query and JSON body of requests, and the status, headers and JSON body of
//! responses. Bodies are buffered only when there is JSON to edit.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod body;
mod config;
mod headers;
mod query;
mod target;

use gatehouse_plugin::{Changes, Needs, Plugin, Reply, Request, Response, ResponseChanges, ResponseVerdict, Result, Verdict, next};

use crate::body::JsonEdits;
use crate::config::{Config, OnUnparsable};
use crate::headers::HeaderEdits;
use crate::query::QueryEdits;

struct Transform {
    headers: HeaderEdits,
    path: Option<gatehouse_plugin::template::Template>,
    query: QueryEdits,
    json: JsonEdits,
    status: Option<u16>,
    response_headers: HeaderEdits,
    response_json: JsonEdits,
    on_unparsable: OnUnparsable,
    body_limit: u32,
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
        let mut needs = self.headers.needs(Needs::new());
        needs = self.response_headers.template_needs(needs);
        needs = self.query.needs(needs);
        if let Some(path) = &self.path {
            needs = path.needs(needs);
        }
        if !self.json.is_empty() {
            needs = needs.buffered_request_body(self.body_limit);
        }
        needs = needs.response_headers(self.response_headers.renamed());
        if self.status.is_some() {
            needs = needs.response();
        }
        match self.response_json.is_empty() {
            true => needs,
            false => needs.buffered_response_body(self.body_limit),
        }
    }

    fn on_request(&self, request: Request) -> Result<Verdict> {
        let mut changes = self.headers.request(next(), &request);
        changes = match self.target(changes, &request) {
            Ok(changes) => changes,
            Err(reply) => return Ok(reply.into()),
        };
        changes = match self.request_body(changes, &request) {
            Ok(changes) => changes,
            Err(reply) => return Ok(reply.into()),
        };
        if !self.response_json.is_empty() {
            // What comes back must be readable: whole, and not compressed.
            changes = changes.remove_header("accept-encoding").remove_header("range");
        }
        Ok(changes.on_response(self.response_headers.response(ResponseChanges::new(), &request)).into())
    }

    fn on_response(&self, response: Response) -> Result<ResponseVerdict> {
        let mut changes = self.response_headers.rename(ResponseChanges::new(), &response);
        if response.is_from_gateway() {
            // The gateway's own error answers keep their status and their problem: a 200 would hide the fault.
            return Ok(changes.into());
        }
        if let Some(status) = self.status {
            changes = changes.set_status(status);
        }
        match self.response_body(changes, &response) {
            Ok(changes) => Ok(changes.into()),
            Err(reply) => Ok(reply.into()),
        }
    }
}

impl Transform {
    /// Path and query, if there is anything to change.
    fn target(&self, changes: Changes, request: &Request) -> Result<Changes, Reply> {
        if self.path.is_none() && self.query.is_empty() {
            return Ok(changes);
        }
        let path = match &self.path {
            Some(template) => target::path(template, request).ok_or_else(unfit_path)?,
            None => request.path().into(),
        };
        Ok(changes.set_path_and_query(self.query.applied(path, request)))
    }

    fn request_body(&self, changes: Changes, request: &Request) -> Result<Changes, Reply> {
        let body = request.body().unwrap_or_default();
        if self.json.is_empty() || body.is_empty() {
            return Ok(changes);
        }
        match (self.json.applied(body), self.on_unparsable) {
            (Some(body), _) => Ok(body::STALE.iter().fold(changes, |changes, name| changes.remove_header(*name)).set_body(body)),
            (None, OnUnparsable::Pass) => Ok(changes),
            (None, OnUnparsable::Refuse) => Err(Reply::problem(400, "Bad Request", "The body is not the JSON expected here.")),
        }
    }

    fn response_body(&self, changes: ResponseChanges, response: &Response) -> Result<ResponseChanges, Reply> {
        let body = response.body().unwrap_or_default();
        if self.response_json.is_empty() || body.is_empty() {
            return Ok(changes);
        }
        match (self.response_json.applied(body), self.on_unparsable) {
            (Some(body), _) => Ok(body::STALE.iter().fold(changes, |changes, name| changes.remove_header(*name)).set_body(body)),
            (None, OnUnparsable::Pass) => Ok(changes),
            (None, OnUnparsable::Refuse) => Err(Reply::problem(502, "Bad Gateway", "The upstream's body is not the JSON expected here.")),
        }
    }
}

fn unfit_path() -> Reply {
    Reply::problem(400, "Bad Request", "The request lacks what its path upstream is made of.")
}

gatehouse_plugin::export!(Transform, bare);

#[cfg(test)]
mod tests;
