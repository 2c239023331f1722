//! What a plugin declared that it needs, checked once and kept in the types of the request path.

use http::{HeaderMap, HeaderName};

use super::bindings::gatehouse::plugin::types;
use super::media_type::MediaTypes;

/// Names a plugin may declare.
const MAX_HEADERS: usize = 64;
/// What a plugin may ask to have buffered.
pub const MAX_BUFFERED: u32 = 64 << 20;

/// How a plugin gets a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BodyMode {
    /// Not at all.
    #[default]
    None,
    /// Whole, up to so many bytes.
    Buffered(usize),
    /// Chunk by chunk.
    Streamed,
}

/// The phases, headers and bodies a plugin is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Whether `on-request` is called.
    pub request: bool,
    /// Whether `on-response` is called.
    pub response: bool,
    /// Shown by index into this list.
    pub request_headers: Vec<HeaderName>,
    /// Shown by index into this list.
    pub response_headers: Vec<HeaderName>,
    /// The request body.
    pub request_body: BodyMode,
    /// The response body.
    pub response_body: BodyMode,
    /// The types of the bodies it is shown.
    pub body_types: MediaTypes,
    /// Whether the authenticated client is shown.
    pub client: bool,
    /// Whether its claims are, too.
    pub claims: bool,
    /// Whether all other request headers are shown.
    pub all_request_headers: bool,
    /// Whether all other response headers are shown.
    pub all_response_headers: bool,
}

impl Needs {
    /// What a component needs that has all of a request, and all of a response if there is one behind it.
    pub fn everything() -> Self {
        Self { request: true, response: true, ..Self::default() }
    }

    /// How the plugin gets the body of a request with these headers.
    pub fn request_body_of(&self, headers: &HeaderMap) -> BodyMode {
        self.of_type(self.request_body, headers)
    }

    /// How the plugin gets the body of a response with these headers.
    pub fn response_body_of(&self, headers: &HeaderMap) -> BodyMode {
        self.of_type(self.response_body, headers)
    }

    fn of_type(&self, mode: BodyMode, headers: &HeaderMap) -> BodyMode {
        match mode {
            BodyMode::None => BodyMode::None,
            mode if self.body_types.take(headers) => mode,
            _ => BodyMode::None,
        }
    }
}

impl TryFrom<types::Needs> for Needs {
    /// What is wrong with the declaration, for the plugin's author.
    type Error = String;

    fn try_from(declared: types::Needs) -> Result<Self, String> {
        let request = declared.phases.contains(types::Phases::REQUEST);
        let response = declared.phases.contains(types::Phases::RESPONSE);
        Ok(Self {
            request,
            response,
            request_headers: names(&declared.request_headers)?,
            response_headers: names(&declared.response_headers)?,
            request_body: body(declared.request_body, request, "request")?,
            response_body: body(declared.response_body, response, "response")?,
            body_types: MediaTypes::parse(&declared.body_types)?,
            client: declared.wants.intersects(types::Wants::CLIENT | types::Wants::CLAIMS),
            claims: declared.wants.contains(types::Wants::CLAIMS),
            all_request_headers: declared.wants.contains(types::Wants::ALL_REQUEST_HEADERS),
            all_response_headers: declared.wants.contains(types::Wants::ALL_RESPONSE_HEADERS),
        })
    }
}

fn names(declared: &[String]) -> Result<Vec<HeaderName>, String> {
    if declared.len() > MAX_HEADERS {
        return Err(format!("needs {} headers, {MAX_HEADERS} at most", declared.len()));
    }
    declared
        .iter()
        .map(|name| {
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("needs a header named {name:?}, which is not a header name"))
        })
        .collect()
}

fn body(mode: types::BodyMode, phase: bool, which: &str) -> Result<BodyMode, String> {
    let mode = match mode {
        types::BodyMode::None => BodyMode::None,
        types::BodyMode::Buffered(up_to) if up_to > MAX_BUFFERED => {
            return Err(format!("needs {up_to} bytes of {which} body buffered, {MAX_BUFFERED} at most"));
        }
        types::BodyMode::Buffered(up_to) => BodyMode::Buffered(up_to as usize),
        types::BodyMode::Streamed => BodyMode::Streamed,
    };
    if mode != BodyMode::None && !phase {
        return Err(format!("needs the {which} body but not the {which} phase"));
    }
    Ok(mode)
}
