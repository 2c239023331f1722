//! `aggregate`: asks several upstreams at once and answers with their JSON in one document.
//! It is the end of its chain: nothing after it is reached.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod answer;
mod config;
mod part;

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec::Vec;

use gatehouse_plugin::{Needs, Plugin, Reply, Request, Result, Verdict, http, respond};

use crate::config::{Config, Policy};
use crate::part::Part;

struct Aggregate {
    parts: Vec<Part>,
    policy: Policy,
    partial_status: u16,
}

impl Plugin for Aggregate {
    type Config = Config;

    fn new(config: Config) -> Result<Self> {
        config.build()
    }

    fn config_schema() -> Option<&'static str> {
        Some(include_str!("../schema.json"))
    }

    fn needs(&self) -> Needs {
        self.parts.iter().fold(Needs::new(), |needs, part| part.needs(needs))
    }

    fn on_request(&self, request: Request) -> Result<Verdict> {
        if !self.methods().contains(request.method()) {
            return Ok(respond(self.other_method()));
        }
        let requests: Option<Vec<_>> = self.parts.iter().map(|part| part.request(&request)).collect();
        let Some(requests) = requests else {
            return Ok(respond(Reply::problem(400, "Bad Request", "The request lacks what a part's path is made of.")));
        };
        Ok(respond(self.answer(&http::fetch_all(requests))))
    }
}

impl Aggregate {
    /// Reads, and whatever the parts themselves are asked by.
    fn methods(&self) -> BTreeSet<&str> {
        self.parts.iter().map(|part| &*part.method).chain(["GET", "HEAD"]).collect()
    }

    fn other_method(&self) -> Reply {
        let methods = self.methods().into_iter().collect::<Vec<_>>().join(", ");
        Reply::problem(405, "Method Not Allowed", &format!("This answers {methods}.")).header("allow", methods)
    }
}

gatehouse_plugin::export!(Aggregate, bare);

#[cfg(test)]
mod tests;
