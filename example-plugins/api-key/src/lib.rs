//! `api-key`: lets in requests with a known API key. The gateway looks the key up and keeps only its digest.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod client_headers;
mod config;
mod query;

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;

use gatehouse_plugin::{Changes, Needs, Plugin, Reply, Request, Result, Verdict, keys, next};

use crate::config::Config;

struct ApiKey {
    config: Config,
    challenge: String,
}

/// What a request has to show.
#[derive(Debug, PartialEq, Eq)]
enum Credentials<'a> {
    None,
    Key(Cow<'a, [u8]>),
    /// Two keys are none: whoever comes next might look at the other one.
    Several,
}

impl Plugin for ApiKey {
    type Config = Config;

    fn new(config: Config) -> Result<Self> {
        config.check()?;
        let challenge = format!(r#"ApiKey realm="{}""#, config.realm.as_str());
        Ok(Self { config, challenge })
    }

    fn config_schema() -> Option<&'static str> {
        Some(include_str!("../schema.json"))
    }

    fn needs(&self) -> Needs {
        Needs::new().request_header(&self.config.header)
    }

    fn on_request(&self, request: Request) -> Result<Verdict> {
        let key = match self.credentials(&request) {
            Credentials::Key(key) => key,
            Credentials::None if !self.config.required => return Ok(self.config.client_to_headers.without_client(next()).into()),
            Credentials::None | Credentials::Several => return Ok(self.unauthorized().into()),
        };
        let Some(holder) = keys::find(&key) else {
            return Ok(self.unauthorized().into());
        };
        if !self.config.scopes.iter().all(|scope| holder.has_scope(scope)) {
            return Ok(Reply::problem(403, "Forbidden", "The client lacks a scope that this needs.").into());
        }
        let changes = self.config.client_to_headers.of(&holder, next());
        Ok(self.hidden(&request, changes).into())
    }
}

impl ApiKey {
    fn credentials<'a>(&'a self, request: &'a Request) -> Credentials<'a> {
        let lines = request.header_lines(self.config.header.as_str()).map(Cow::Borrowed);
        let query = self.config.query.as_deref().zip(request.query());
        let values = query.into_iter().flat_map(|(name, query)| query::values(query, name));
        let mut all = lines.chain(values);
        match (all.next(), all.next()) {
            (None, _) => Credentials::None,
            (Some(key), None) if key.is_empty() => Credentials::None,
            (Some(key), None) => Credentials::Key(key),
            (Some(_), Some(_)) => Credentials::Several,
        }
    }

    /// The key stays here, wherever it stood.
    fn hidden(&self, request: &Request, changes: Changes) -> Changes {
        if !self.config.hide_credentials {
            return changes;
        }
        let changes = changes.remove_header(&self.config.header);
        let query = self.config.query.as_deref().zip(request.query());
        match query.and_then(|(name, query)| query::without(query, name)) {
            None => changes,
            Some(rest) if rest.is_empty() => changes.set_path_and_query(request.path()),
            Some(rest) => changes.set_path_and_query(format!("{}?{rest}", request.path())),
        }
    }

    /// The same for a missing, malformed, unknown and revoked key: nobody learns which keys exist.
    fn unauthorized(&self) -> Reply {
        Reply::problem(401, "Unauthorized", "This needs a valid API key.").header("www-authenticate", self.challenge.as_str())
    }
}

gatehouse_plugin::export!(ApiKey, bare);

#[cfg(test)]
mod tests;
