//! The configuration of `api-key`.

use alloc::string::String;
use alloc::vec::Vec;

use gatehouse_plugin::header::{HeaderName, QuotableText};
use gatehouse_plugin::{Error, Result};
use serde::Deserialize;

use crate::client_headers::ClientHeaders;

/// The configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The header that carries the key.
    #[serde(default = "default_header")]
    pub header: HeaderName,
    /// The query parameter that may carry it instead.
    #[serde(default)]
    pub query: Option<String>,
    /// Whether a request without a key is refused.
    #[serde(default = "default_true")]
    pub required: bool,
    /// Scopes the key needs, all of them.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Whether the upstream is kept from seeing the key.
    #[serde(default = "default_true")]
    pub hide_credentials: bool,
    /// What the upstream is told of the client.
    #[serde(default)]
    pub client_to_headers: ClientHeaders,
    /// Named in the challenge.
    #[serde(default = "default_realm")]
    pub realm: QuotableText,
}

impl Config {
    /// Finds what contradicts itself.
    ///
    /// # Errors
    /// What that is.
    pub fn check(&self) -> Result<()> {
        if self.query.as_deref() == Some("") {
            return Err("query: got an empty name, want the name of a query parameter".into());
        }
        match self.client_to_headers.has(&self.header) {
            true => Err(Error::from("client_to_headers: want a header other than the one of the key")),
            false => self.client_to_headers.check(),
        }
    }
}

fn default_header() -> HeaderName {
    HeaderName::try_from(String::from("x-api-key")).expect("the default is a header name")
}

fn default_realm() -> QuotableText {
    QuotableText::try_from(String::from("gatehouse")).expect("the default can be quoted")
}

fn default_true() -> bool {
    true
}
