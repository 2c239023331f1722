//! Claims of a token as request headers, as a configuration names them.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::Deserialize;

use crate::Changes;
use crate::header::{HeaderName, is_value};

/// `{claim: header}` in a configuration: which claims go on as which headers.
///
/// The client's own copies of those headers are always removed: one would pass for the claim.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "BTreeMap<String, HeaderName>")]
pub struct ClaimHeaders {
    claims: Vec<String>,
    headers: Vec<HeaderName>,
}

impl ClaimHeaders {
    /// The claims, in the order that [`ClaimHeaders::write`] takes their values.
    #[must_use]
    pub fn claims(&self) -> &[String] {
        &self.claims
    }

    /// Writes the headers. A claim that is missing, or would be no header value (a line end in it, say), leaves none.
    #[must_use]
    pub fn write(&self, changes: Changes, values: Vec<Option<String>>) -> Changes {
        self.headers.iter().zip(values).fold(changes, |changes, (header, value)| match value.filter(|value| is_value(value.as_bytes())) {
            Some(value) => changes.set_header(header, value),
            None => changes.remove_header(header),
        })
    }

    /// Removes the headers: there is no token.
    #[must_use]
    pub fn remove(&self, changes: Changes) -> Changes {
        self.headers.iter().fold(changes, Changes::remove_header)
    }
}

impl TryFrom<BTreeMap<String, HeaderName>> for ClaimHeaders {
    type Error = &'static str;

    fn try_from(named: BTreeMap<String, HeaderName>) -> Result<Self, &'static str> {
        let (claims, headers): (Vec<_>, Vec<_>) = named.into_iter().unzip();
        if headers.iter().enumerate().any(|(at, header)| headers[..at].contains(header)) {
            return Err("two claims have the same header");
        }
        if headers.iter().any(|header| header.as_str() == "authorization") {
            return Err("got authorization, want a header that holds no credentials");
        }
        Ok(Self { claims, headers })
    }
}
