//! Answers in tests: an upstream's, or the one the client gets.

use std::string::String;
use std::vec::Vec;

use serde_json::Value;

use super::edit::lines;
use crate::bindings::types as raw;
use crate::fields::field;

/// An answer: what an upstream says, or what the client gets.
#[derive(Clone, Debug)]
pub struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<raw::Field>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// An empty answer with this status.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    pub(super) fn from_raw(reply: raw::Reply) -> Self {
        Self { status: reply.status, headers: reply.headers, body: reply.body }
    }

    /// Adds a header line.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push(field(name.to_ascii_lowercase(), value));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The first line of this header, which must be UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        lines(&self.headers, name).first().copied()
    }

    /// Every line of this header.
    #[must_use]
    pub fn header_lines(&self, name: &str) -> Vec<&str> {
        lines(&self.headers, name)
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body as text.
    ///
    /// # Panics
    /// If it is not UTF-8.
    #[track_caller]
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("the body is UTF-8")
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is not JSON.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}
