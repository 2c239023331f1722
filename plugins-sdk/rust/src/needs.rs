//! What a plugin declares it needs to see.

use alloc::string::String;
use alloc::vec::Vec;

use crate::bindings::types as raw;

/// What a plugin needs to see: phases, header names, body modes. Less is faster.
///
/// ```
/// # use gatehouse_plugin::Needs;
/// Needs::new().request_header("authorization").buffered_request_body(64 * 1024);
/// ```
#[derive(Clone, Debug)]
pub struct Needs(raw::Needs);

impl Needs {
    /// The request phase, with no header and no body.
    #[must_use]
    pub fn new() -> Self {
        Self(raw::Needs {
            phases: raw::Phases::REQUEST,
            request_headers: Default::default(),
            response_headers: Default::default(),
            request_body: raw::BodyMode::None,
            response_body: raw::BodyMode::None,
            body_types: Default::default(),
            wants: raw::Wants::empty(),
        })
    }

    /// The response phase and not the request phase.
    #[must_use]
    pub fn response_only() -> Self {
        let mut needs = Self::new();
        needs.0.phases = raw::Phases::RESPONSE;
        needs
    }

    /// Adds the response phase. The response's headers and body, when asked for, add it by themselves.
    #[must_use]
    pub fn response(mut self) -> Self {
        self.0.phases = self.0.phases | raw::Phases::RESPONSE;
        self
    }

    /// Shows this request header. `host` stands for HTTP/2's `:authority` too.
    #[must_use]
    pub fn request_header(mut self, name: impl Into<String>) -> Self {
        declare(&mut self.0.request_headers, name.into());
        self
    }

    /// Shows these request headers.
    #[must_use]
    pub fn request_headers<N: Into<String>>(self, names: impl IntoIterator<Item = N>) -> Self {
        names.into_iter().fold(self, Self::request_header)
    }

    /// Shows this response header.
    #[must_use]
    pub fn response_header(mut self, name: impl Into<String>) -> Self {
        declare(&mut self.0.response_headers, name.into());
        self.response()
    }

    /// Shows these response headers.
    #[must_use]
    pub fn response_headers<N: Into<String>>(self, names: impl IntoIterator<Item = N>) -> Self {
        names.into_iter().fold(self, Self::response_header)
    }

    /// Shows the whole request body in `on_request`. One longer than `limit` bytes is answered with 413.
    #[must_use]
    pub fn buffered_request_body(mut self, limit: u32) -> Self {
        self.0.request_body = raw::BodyMode::Buffered(limit);
        self
    }

    /// Shows the request body chunk by chunk in `on_request_body`.
    #[must_use]
    pub fn streamed_request_body(mut self) -> Self {
        self.0.request_body = raw::BodyMode::Streamed;
        self
    }

    /// Shows the whole response body in `on_response`. One longer than `limit` bytes is answered with 502.
    #[must_use]
    pub fn buffered_response_body(mut self, limit: u32) -> Self {
        self.0.response_body = raw::BodyMode::Buffered(limit);
        self.response()
    }

    /// Shows the response body chunk by chunk in `on_response_body`.
    #[must_use]
    pub fn streamed_response_body(mut self) -> Self {
        self.0.response_body = raw::BodyMode::Streamed;
        self.response()
    }

    /// Shows only bodies of these media types, and those that do not say theirs: `application/json`, `text/*`,
    /// `*/*+json`. Others pass by untouched, streamed, and are none to the plugin.
    #[must_use]
    pub fn body_types<T: Into<String>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.0.body_types.extend(types.into_iter().map(Into::into));
        self
    }

    /// Shows who was authenticated by the plugins before this one.
    #[must_use]
    pub fn client(self) -> Self {
        self.want(raw::Wants::CLIENT)
    }

    /// Shows the client with the claims of its token.
    #[must_use]
    pub fn claims(self) -> Self {
        self.want(raw::Wants::CLIENT).want(raw::Wants::CLAIMS)
    }

    /// Shows every request header. Costs a copy of each: declare names where you can.
    #[must_use]
    pub fn all_request_headers(self) -> Self {
        self.want(raw::Wants::ALL_REQUEST_HEADERS)
    }

    /// Shows every response header.
    #[must_use]
    pub fn all_response_headers(self) -> Self {
        self.want(raw::Wants::ALL_RESPONSE_HEADERS).response()
    }

    fn want(mut self, wants: raw::Wants) -> Self {
        self.0.wants = self.0.wants | wants;
        self
    }

    pub(crate) fn raw(&self) -> &raw::Needs {
        &self.0
    }

    #[cfg(target_family = "wasm")]
    pub(crate) fn into_raw(self) -> raw::Needs {
        self.0
    }
}

impl Default for Needs {
    fn default() -> Self {
        Self::new()
    }
}

/// Once each: the gateway shows a header as often as it is declared.
fn declare(names: &mut Vec<String>, mut name: String) {
    name.make_ascii_lowercase();
    if !names.contains(&name) {
        names.push(name);
    }
}
