//! An answer by the plugin itself.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

use crate::Problem;
use crate::bindings::types as raw;
use crate::fields::field;

/// An answer by the plugin itself. The gateway adds the framing (`content-length` and the like).
#[derive(Clone, Debug)]
pub struct Reply(raw::Reply);

impl Reply {
    /// An empty answer with this status, 200 to 599.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self(raw::Reply { status, headers: Vec::new(), body: Vec::new() })
    }

    /// An `application/problem+json` answer (RFC 9457). More members: [`Problem`].
    #[must_use]
    pub fn problem(status: u16, title: &str, detail: &str) -> Self {
        Problem::new(status, title).detail(detail).into()
    }

    /// Adds a header line.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.0.headers.push(field(name, value));
        self
    }

    /// Sets the body. Say what it is with a `content-type` header.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.0.body = body.into();
        self
    }

    /// Sets the body to this text, as `text/plain`.
    #[must_use]
    pub fn text(self, text: impl Into<String>) -> Self {
        self.header("content-type", "text/plain; charset=utf-8").body(text.into())
    }

    /// Sets the body to this value, as `application/json`.
    #[must_use]
    pub fn json(self, value: &Value) -> Self {
        self.header("content-type", "application/json").body(format!("{value}"))
    }

    pub(crate) fn into_raw(self) -> raw::Reply {
        self.0
    }
}
