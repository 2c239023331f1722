//! `aggregate`: asks several upstreams at once and answers with their JSON in one document.
//! It is the end of its chain: nothing after it is reached.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod answer;
mod config;
mod part;
mod timeout;

use alloc::vec::Vec;

use gatehouse_plugin::{Needs, Plugin, Reply, Request, Result, Verdict, http, respond};

use crate::answer::answer;
use crate::config::{Config, Policy};
use crate::part::Part;

struct Aggregate {
    parts: Vec<Part>,
    policy: Policy,
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
        if !matches!(request.method(), "GET" | "HEAD") {
            let reply = Reply::problem(405, "Method Not Allowed", "This answers GET and HEAD.");
            return Ok(respond(reply.header("allow", "GET, HEAD")));
        }
        let requests: Option<Vec<_>> = self.parts.iter().map(|part| part.request(&request)).collect();
        let Some(requests) = requests else {
            return Ok(respond(Reply::problem(400, "Bad Request", "The request lacks what a part's path is made of.")));
        };
        let results = http::fetch_all(requests);
        Ok(respond(answer(&self.parts, self.policy, results)))
    }
}

gatehouse_plugin::export!(Aggregate, bare);

#[cfg(test)]
mod tests;
