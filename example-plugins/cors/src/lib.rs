//! `cors`: cross-origin resource sharing (the Fetch standard). Answers preflights and decorates other answers.
//! The policy here replaces an upstream's own.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod config;
mod origin;

use alloc::string::String;

use gatehouse_plugin::header::is_token;
use gatehouse_plugin::{Changes, Needs, Plugin, Reply, Request, Result, Verdict, next, respond};

use crate::config::Config;
use crate::origin::Origins;

struct Cors {
    origins: Origins,
    methods: String,
    /// None: whatever the browser asks for.
    headers: Option<String>,
    expose: Option<String>,
    credentials: bool,
    max_age: Option<String>,
    private_network: bool,
}

/// What a page from the public network asks before it reaches into a private one (Private Network Access).
const PRIVATE_NETWORK: &str = "access-control-request-private-network";

impl Plugin for Cors {
    type Config = Config;

    fn new(config: Config) -> Result<Self> {
        config.build()
    }

    fn config_schema() -> Option<&'static str> {
        Some(include_str!("../schema.json"))
    }

    fn needs(&self) -> Needs {
        let needs = Needs::new().request_headers(["origin", "access-control-request-method", "access-control-request-headers"]);
        if self.private_network { needs.request_header(PRIVATE_NETWORK) } else { needs }
    }

    fn on_request(&self, request: Request) -> Result<Verdict> {
        let allowed = request.header_str("origin").filter(|origin| self.origins.allow(origin));
        if is_preflight(&request) {
            return Ok(respond(self.preflight(allowed, &request)));
        }
        Ok(self.decorated(allowed).into())
    }
}

impl Cors {
    /// What a browser asks before it dares to send the request itself. Without the headers it will not dare.
    fn preflight(&self, allowed: Option<&str>, request: &Request) -> Reply {
        let mut reply = Reply::new(204).header("vary", self.preflight_vary());
        let Some(origin) = allowed else { return reply };
        reply = reply
            .header("access-control-allow-origin", self.allow_origin(origin))
            .header("access-control-allow-methods", self.methods.as_str());
        if let Some(headers) = self.allow_headers(request) {
            reply = reply.header("access-control-allow-headers", headers);
        }
        if self.credentials {
            reply = reply.header("access-control-allow-credentials", "true");
        }
        if self.private_network && request.header(PRIVATE_NETWORK) == Some(b"true") {
            reply = reply.header("access-control-allow-private-network", "true");
        }
        match &self.max_age {
            Some(age) => reply.header("access-control-max-age", age.as_str()),
            None => reply,
        }
    }

    fn preflight_vary(&self) -> &'static str {
        match self.private_network {
            false => "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
            true => "Origin, Access-Control-Request-Method, Access-Control-Request-Headers, Access-Control-Request-Private-Network",
        }
    }

    /// The request goes on; the answer to it says who may read it.
    fn decorated(&self, allowed: Option<&str>) -> Changes {
        let mut changes = next()
            .on_response_remove_header("access-control-allow-origin")
            .on_response_remove_header("access-control-allow-credentials")
            .on_response_remove_header("access-control-expose-headers")
            .on_response_remove_header("access-control-allow-methods")
            .on_response_remove_header("access-control-allow-headers")
            .on_response_remove_header("access-control-max-age");
        if self.varies() {
            // Also where there is no Origin: a cache must not hand that answer to a request that has one.
            changes = changes.on_response_add_header("vary", "Origin");
        }
        let Some(origin) = allowed else { return changes };
        changes = changes.on_response_set_header("access-control-allow-origin", self.allow_origin(origin));
        if self.credentials {
            changes = changes.on_response_set_header("access-control-allow-credentials", "true");
        }
        match &self.expose {
            Some(names) => changes.on_response_set_header("access-control-expose-headers", names.as_str()),
            None => changes,
        }
    }

    fn allow_origin<'a>(&self, origin: &'a str) -> &'a str {
        if self.varies() { origin } else { "*" }
    }

    fn allow_headers<'a>(&'a self, request: &'a Request) -> Option<&'a str> {
        match &self.headers {
            Some(headers) => Some(headers).filter(|headers| !headers.is_empty()).map(String::as_str),
            None => request.header_str("access-control-request-headers").filter(|asked| is_token_list(asked)),
        }
    }

    fn varies(&self) -> bool {
        !self.origins.allow_all()
    }
}

fn is_preflight(request: &Request) -> bool {
    request.method() == "OPTIONS" && request.header("origin").is_some() && request.header("access-control-request-method").is_some()
}

fn is_token_list(text: &str) -> bool {
    text.split(',').all(|name| is_token(name.trim_matches([' ', '\t'])))
}

gatehouse_plugin::export!(Cors, bare);

#[cfg(test)]
mod tests;
