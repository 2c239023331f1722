//! HTTP calls to granted upstreams. A call simply blocks; the gateway serves others meanwhile.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::bindings::http as raw;
#[cfg(target_family = "wasm")]
use crate::bindings::http as host;
use crate::fields::field;
use crate::method;
#[cfg(not(target_family = "wasm"))]
use crate::testing::fake::http as host;

/// A request to an upstream.
#[derive(Clone, Debug)]
pub struct Request(raw::Request);

/// What an upstream answered.
#[derive(Clone, Debug)]
pub struct Response(raw::Response);

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such upstream, or it was not granted.
    #[error("the upstream is not granted")]
    Denied,
    /// The request is not valid HTTP.
    #[error("the request is not valid HTTP")]
    BadRequest,
    /// No connection could be made, or no endpoint was ready.
    #[error("the upstream cannot be reached")]
    Unreachable,
    /// The answer took too long.
    #[error("the upstream took too long")]
    Timeout,
    /// The connection broke, or what came was not HTTP.
    #[error("the upstream broke the connection")]
    Reset,
    /// The body was larger than the plugin's limit for one.
    #[error("the answer is too large")]
    TooLarge,
}

impl Request {
    /// A GET of this path (with its query) from this upstream.
    pub fn get(upstream: impl Into<String>, path_and_query: impl Into<String>) -> Self {
        Self::new("GET", upstream, path_and_query)
    }

    /// A POST to this path (with its query) of this upstream.
    pub fn post(upstream: impl Into<String>, path_and_query: impl Into<String>) -> Self {
        Self::new("POST", upstream, path_and_query)
    }

    /// A request by this method.
    pub fn new(method: &str, upstream: impl Into<String>, path_and_query: impl Into<String>) -> Self {
        Self(raw::Request {
            upstream: upstream.into(),
            method: method::parse(method),
            path_with_query: path_and_query.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout_ms: None,
        })
    }

    /// Adds a header line.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.0.headers.push(field(name, value));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.0.body = body.into();
        self
    }

    /// Limits the whole call.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.timeout_ms = Some(u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX));
        self
    }

    /// The upstream's name.
    #[must_use]
    pub fn upstream(&self) -> &str {
        &self.0.upstream
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &str {
        method::as_str(&self.0.method)
    }

    /// The body.
    #[must_use]
    pub fn body_bytes(&self) -> &[u8] {
        &self.0.body
    }

    /// The path with its query.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        &self.0.path_with_query
    }

    /// The first header line of this name that was added.
    #[must_use]
    pub fn header_value(&self, name: &str) -> Option<&[u8]> {
        first(&self.0.headers, name)
    }

    /// The limit of the whole call, if one was set.
    #[must_use]
    pub fn time_limit(&self) -> Option<Duration> {
        self.0.timeout_ms.map(|millis| Duration::from_millis(millis.into()))
    }
}

impl Response {
    /// An answer with this status, for a test's upstream.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self(raw::Response { status, headers: Vec::new(), body: Vec::new() })
    }

    /// Adds a header line.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.0.headers.push(field(name, value));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.0.body = body.into();
        self
    }

    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.0.status
    }

    /// Whether the status is 2xx.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.0.status)
    }

    /// The first line of this header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        first(&self.0.headers, name)
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.0.body
    }

    /// Moves the body out.
    #[must_use]
    pub fn into_body(self) -> Vec<u8> {
        self.0.body
    }
}

/// Sends a request and waits for its answer. An error status is an answer, too.
///
/// # Errors
/// Why there is no answer.
pub fn fetch(request: Request) -> Result<Response, Error> {
    Ok(Response(host::fetch(&request.0)?))
}

/// Sends all requests at once (16 at most; more are a fault) and returns when each has ended, in their order.
pub fn fetch_all(requests: impl IntoIterator<Item = Request>) -> Vec<Result<Response, Error>> {
    let requests: Vec<_> = requests.into_iter().map(|request| request.0).collect();
    host::fetch_all(&requests).into_iter().map(|result| Ok(Response(result?))).collect()
}

fn first<'a>(fields: &'a [raw::Field], name: &str) -> Option<&'a [u8]> {
    fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| &*field.value)
}

#[cfg(not(target_family = "wasm"))]
impl Request {
    pub(crate) fn from_raw(raw: raw::Request) -> Self {
        Self(raw)
    }
}

#[cfg(not(target_family = "wasm"))]
impl Response {
    pub(crate) fn into_raw(self) -> raw::Response {
        self.0
    }
}

impl From<raw::Error> for Error {
    fn from(error: raw::Error) -> Self {
        match error {
            raw::Error::Denied => Self::Denied,
            raw::Error::BadRequest => Self::BadRequest,
            raw::Error::Unreachable => Self::Unreachable,
            raw::Error::Timeout => Self::Timeout,
            raw::Error::Reset => Self::Reset,
            raw::Error::TooLarge => Self::TooLarge,
        }
    }
}

#[cfg(not(target_family = "wasm"))]
impl From<Error> for raw::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Denied => Self::Denied,
            Error::BadRequest => Self::BadRequest,
            Error::Unreachable => Self::Unreachable,
            Error::Timeout => Self::Timeout,
            Error::Reset => Self::Reset,
            Error::TooLarge => Self::TooLarge,
        }
    }
}
