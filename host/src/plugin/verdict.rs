//! What a plugin returned, checked. Whatever a guest makes passes through here before it touches a request: a verdict
//! is taken whole or, with one bad value in it, not at all.

use std::sync::Arc;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use crate::caller::{Caller, Stated};
use crate::server::target::is_origin_form;

use super::bindings::gatehouse::plugin::types;
use super::fault::Fault;
use super::{BodyMode, Usage};

const MAX_EDITS: usize = 256;
const MAX_HEADERS: usize = 100;
pub(super) const MAX_HEADER_BYTES: usize = 64 << 10;
const MAX_STATE: usize = 64 << 10;
const MAX_PATH: usize = 16 << 10;
const MAX_REQUEST_ID: usize = 128;

/// A checked change to a header map.
#[derive(Debug)]
pub enum HeaderEdit {
    /// Replaces all lines of the name.
    Set(HeaderName, HeaderValue),
    /// Adds a line.
    Add(HeaderName, HeaderValue),
    /// Removes all lines of the name.
    Remove(HeaderName),
}

impl HeaderEdit {
    /// Carries it out.
    pub fn apply(self, headers: &mut HeaderMap) {
        match self {
            HeaderEdit::Set(name, value) => drop(headers.insert(name, value)),
            HeaderEdit::Add(name, value) => drop(headers.append(name, value)),
            HeaderEdit::Remove(name) => drop(headers.remove(name)),
        }
    }
}

/// A checked change to a request.
#[derive(Debug)]
pub enum RequestEdit {
    /// A header.
    Header(HeaderEdit),
    /// The method.
    Method(Method),
    /// Path and query.
    Path(PathAndQuery),
    /// The body.
    Body(Bytes),
    /// Who the caller is.
    Client(Caller),
    /// The request id in logs and problem answers.
    RequestId(String),
    /// The most bytes its body may have.
    LimitBody(u64),
}

/// A checked change to a response.
#[derive(Debug)]
pub enum ResponseEdit {
    /// A header.
    Header(HeaderEdit),
    /// The status.
    Status(StatusCode),
    /// The body.
    Body(Bytes),
    /// The most bytes its body may have.
    LimitBody(u64),
}

/// Changes to a request that goes on. Lists rather than arrays in place: a verdict is moved several times on its way.
#[derive(Debug, Default)]
pub struct Changes {
    /// Now.
    pub request: Vec<RequestEdit>,
    /// On the way back.
    pub response: Vec<ResponseEdit>,
    /// For the plugin's own response phase.
    pub state: Option<Vec<u8>>,
}

/// An answer that a plugin made.
#[derive(Debug)]
pub struct Reply {
    /// 200 to 599.
    pub status: StatusCode,
    /// Without framing.
    pub headers: HeaderMap,
    /// Whole.
    pub body: Bytes,
}

/// A request plugin's verdict.
#[derive(Debug)]
pub enum RequestVerdict {
    /// On to the next plugin.
    Next(Changes),
    /// Answer now.
    Respond(Reply),
}

/// A response plugin's verdict.
#[derive(Debug)]
pub enum ResponseVerdict {
    /// On to the plugin before.
    Next(Vec<ResponseEdit>),
    /// Answer this instead.
    Respond(Reply),
}

/// A verdict on one chunk of a body.
#[derive(Debug)]
pub enum ChunkVerdict {
    /// As it came.
    Pass,
    /// These bytes instead.
    Replace(Bytes),
    /// Stop and answer.
    Respond(Reply),
}

/// Checks an `on-request` verdict.
pub fn request(verdict: types::RequestVerdict, usage: &Usage) -> Result<RequestVerdict, Fault> {
    match verdict {
        types::RequestVerdict::Next(changes) => Ok(RequestVerdict::Next(check_changes(changes, usage)?)),
        types::RequestVerdict::Respond(answer) => Ok(RequestVerdict::Respond(reply(answer, usage)?)),
    }
}

/// Checks an `on-response` verdict.
pub fn response(verdict: types::ResponseVerdict, usage: &Usage) -> Result<ResponseVerdict, Fault> {
    match verdict {
        types::ResponseVerdict::Next(edits) => Ok(ResponseVerdict::Next(response_edits(edits, usage)?)),
        types::ResponseVerdict::Respond(answer) => Ok(ResponseVerdict::Respond(reply(answer, usage)?)),
    }
}

/// Checks the verdict on a chunk.
pub fn chunk(verdict: types::ChunkVerdict, usage: &Usage) -> Result<ChunkVerdict, Fault> {
    match verdict {
        types::ChunkVerdict::Pass => Ok(ChunkVerdict::Pass),
        types::ChunkVerdict::Replace(bytes) => Ok(ChunkVerdict::Replace(Bytes::from(bytes))),
        types::ChunkVerdict::Respond(answer) => Ok(ChunkVerdict::Respond(reply(answer, usage)?)),
    }
}

fn check_changes(changes: types::Changes, usage: &Usage) -> Result<Changes, Fault> {
    if let Some(state) = changes.state.as_ref().filter(|state| state.len() > MAX_STATE) {
        return Err(invalid(format!("{} bytes of state where {MAX_STATE} are allowed", state.len())));
    }
    at_most("edits", changes.request.len(), MAX_EDITS)?;
    let mut budget = MAX_HEADER_BYTES;
    let mut edits = Vec::with_capacity(changes.request.len());
    for edit in changes.request {
        edits.push(request_edit(edit, usage, &mut budget)?);
    }
    Ok(Changes { request: edits, response: response_edits(changes.response, usage)?, state: changes.state })
}

fn request_edit(edit: types::Edit, usage: &Usage, budget: &mut usize) -> Result<RequestEdit, Fault> {
    Ok(match edit {
        types::Edit::SetHeader(field) => RequestEdit::Header(set(field, budget)?),
        types::Edit::AddHeader(field) => RequestEdit::Header(add(field, budget)?),
        types::Edit::RemoveHeader(name) => RequestEdit::Header(HeaderEdit::Remove(writable_name(&name)?)),
        types::Edit::SetMethod(named) => RequestEdit::Method(method(named)?),
        types::Edit::SetPathWithQuery(path) => RequestEdit::Path(path_and_query(path)?),
        types::Edit::SetBody(body) => RequestEdit::Body(replacement(body, usage.needs.request_body, "request")?),
        types::Edit::SetClient(client) => RequestEdit::Client(stated(client, usage)?),
        types::Edit::SetRequestId(id) => RequestEdit::RequestId(request_id(id)?),
        types::Edit::LimitBody(limit) => RequestEdit::LimitBody(limit),
    })
}

fn response_edits(edits: Vec<types::ResponseEdit>, usage: &Usage) -> Result<Vec<ResponseEdit>, Fault> {
    at_most("response edits", edits.len(), MAX_EDITS)?;
    let mut budget = MAX_HEADER_BYTES;
    let mut checked = Vec::with_capacity(edits.len());
    for edit in edits {
        checked.push(response_edit(edit, usage, &mut budget)?);
    }
    Ok(checked)
}

fn response_edit(edit: types::ResponseEdit, usage: &Usage, budget: &mut usize) -> Result<ResponseEdit, Fault> {
    Ok(match edit {
        types::ResponseEdit::SetHeader(field) => ResponseEdit::Header(set(field, budget)?),
        types::ResponseEdit::AddHeader(field) => ResponseEdit::Header(add(field, budget)?),
        types::ResponseEdit::RemoveHeader(name) => ResponseEdit::Header(HeaderEdit::Remove(writable_name(&name)?)),
        types::ResponseEdit::SetStatus(code) => ResponseEdit::Status(status(code)?),
        types::ResponseEdit::SetBody(body) => ResponseEdit::Body(replacement(body, usage.needs.response_body, "response")?),
        types::ResponseEdit::LimitBody(limit) => ResponseEdit::LimitBody(limit),
    })
}

fn reply(answer: types::Reply, usage: &Usage) -> Result<Reply, Fault> {
    at_most("reply headers", answer.headers.len(), MAX_HEADERS)?;
    let header_bytes: usize = answer.headers.iter().map(|field| field.name.len() + field.value.len() + 4).sum();
    at_most("bytes of reply", answer.body.len() + header_bytes, usage.limits.reply_bytes)?;
    let mut headers = HeaderMap::with_capacity(answer.headers.len() + 4);
    let mut budget = MAX_HEADER_BYTES;
    for field in answer.headers {
        add(field, &mut budget)?.apply(&mut headers);
    }
    Ok(Reply { status: status(answer.status)?, headers, body: Bytes::from(answer.body) })
}

fn set(field: types::FieldResult, budget: &mut usize) -> Result<HeaderEdit, Fault> {
    let (name, value) = checked_field(field, budget)?;
    Ok(HeaderEdit::Set(name, value))
}

pub(super) fn add(field: types::FieldResult, budget: &mut usize) -> Result<HeaderEdit, Fault> {
    let (name, value) = checked_field(field, budget)?;
    Ok(HeaderEdit::Add(name, value))
}

fn checked_field(field: types::FieldResult, budget: &mut usize) -> Result<(HeaderName, HeaderValue), Fault> {
    let name = writable_name(&field.name)?;
    let spent = field.name.len() + field.value.len();
    *budget = budget.checked_sub(spent).ok_or_else(|| invalid(format!("more than {MAX_HEADER_BYTES} bytes of headers")))?;
    let value = HeaderValue::from_maybe_shared(Bytes::from(field.value))
        .map_err(|_| invalid(format!("a value of header {:?} with control characters", name.as_str())))?;
    Ok((name, value))
}

/// A header name that a plugin may write: framing and connection handling are the gateway's.
fn writable_name(name: &str) -> Result<HeaderName, Fault> {
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid(format!("{:?} as a header name", clip(name))))?;
    match is_framing(&parsed) {
        true => Err(invalid(format!("header {name:?}, which is the gateway's to write"))),
        false => Ok(parsed),
    }
}

pub(super) fn is_framing(name: &HeaderName) -> bool {
    // Looked at only when the length fits, which for most names is the whole check.
    match name.as_str().len() {
        2 => name == header::TE,
        7 => name == header::UPGRADE || name == header::TRAILER,
        10 => name == header::CONNECTION || name.as_str() == "keep-alive",
        14 => name == header::CONTENT_LENGTH || name.as_str() == "http2-settings",
        16 => name.as_str() == "proxy-connection",
        17 => name == header::TRANSFER_ENCODING,
        _ => false,
    }
}

/// The method that a guest named.
pub fn method(named: types::MethodResult) -> Result<Method, Fault> {
    Ok(match named {
        types::MethodResult::Get => Method::GET,
        types::MethodResult::Head => Method::HEAD,
        types::MethodResult::Post => Method::POST,
        types::MethodResult::Put => Method::PUT,
        types::MethodResult::Delete => Method::DELETE,
        types::MethodResult::Patch => Method::PATCH,
        types::MethodResult::Options => Method::OPTIONS,
        types::MethodResult::Other(name) => other_method(&name)?,
    })
}

pub(super) fn other_method(name: &str) -> Result<Method, Fault> {
    let method = Method::from_bytes(name.as_bytes()).map_err(|_| invalid(format!("{:?} as a method", clip(name))))?;
    // CONNECT and TRACE change what the connection or the message means.
    match method == Method::CONNECT || method == Method::TRACE || name.len() > 32 {
        true => Err(invalid(format!("{:?} as a method", clip(name)))),
        false => Ok(method),
    }
}

/// A path that a guest made: origin form, nothing a parser could read in two ways.
pub fn path_and_query(path: String) -> Result<PathAndQuery, Fault> {
    let wrong = || invalid(format!("{:?} as a path", clip(&path)));
    // The same as of clients, whose queries a plugin may hand on as they are.
    if path.len() > MAX_PATH || !is_origin_form(path.as_bytes()) {
        return Err(wrong());
    }
    PathAndQuery::try_from(path.as_str()).map_err(|_| wrong())
}

pub(super) fn status(code: u16) -> Result<StatusCode, Fault> {
    match StatusCode::from_u16(code) {
        Ok(status) if (200..600).contains(&code) => Ok(status),
        _ => Err(invalid(format!("{code} as a status"))),
    }
}

fn replacement(body: Vec<u8>, mode: BodyMode, which: &str) -> Result<Bytes, Fault> {
    match mode {
        BodyMode::Streamed => Err(invalid(format!("a whole {which} body from a plugin that streams it"))),
        BodyMode::None if which == "response" => Err(invalid("a response body from a plugin that did not ask for it".into())),
        BodyMode::None | BodyMode::Buffered(_) => Ok(Bytes::from(body)),
    }
}

fn stated(client: types::ClientResult, usage: &Usage) -> Result<Caller, Fault> {
    if !usage.grants.identity {
        return Err(invalid("set-client without the grant `identity`".into()));
    }
    Ok(Caller::Stated(Arc::new(Stated {
        name: client.name,
        method: client.method,
        issuer: client.issuer,
        scopes: client.scopes,
        plan: client.plan,
        claims: client.claims,
    })))
}

fn request_id(id: String) -> Result<String, Fault> {
    let fits = (1..=MAX_REQUEST_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    match fits {
        true => Ok(id),
        false => Err(invalid("a request id that is not 1 to 128 visible ASCII characters".into())),
    }
}

fn at_most(what: &str, got: usize, limit: usize) -> Result<(), Fault> {
    match got > limit {
        true => Err(invalid(format!("{got} {what} where {limit} are allowed"))),
        false => Ok(()),
    }
}

fn invalid(what: String) -> Fault {
    Fault::Invalid(what)
}

/// Enough of a guest's string for a log line.
fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}
