//! What a plugin is shown: the declared parts of a request or response, borrowed, in the shape of the contract.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};
use smallvec::SmallVec;

use crate::body::Body;
use crate::caller::Caller;
use crate::plugin::bindings::gatehouse::plugin::types;
use crate::plugin::instance::Instance;
use crate::plugin::{BodyMode, Call, Fault, Usage};

use super::Traveller;

/// A response on its way back.
pub struct Shown<'a> {
    /// Head, and body if it is in memory.
    pub response: &'a Response<Body>,
    /// What the plugin kept in the request phase.
    pub state: Option<&'a [u8]>,
    /// Whether the gateway made it.
    pub from_gateway: bool,
}

type Headers<'a> = SmallVec<[types::Header<'a>; 8]>;

/// Shows a request to a plugin that may wait.
pub async fn request(
    instance: &mut Instance,
    usage: &Usage,
    traveller: &Traveller,
    call: Box<Call>,
) -> (Box<Call>, Result<types::RequestVerdict, Fault>) {
    let parts = RequestParts::of(usage, traveller, &call);
    let client = parts.client();
    let shown = parts.shown(usage, traveller, &call, client.as_ref());
    instance.on_request(call, shown).await
}

/// Shows a request to a plugin that waits for nothing.
pub fn request_now(
    instance: &mut Instance,
    usage: &Usage,
    traveller: &Traveller,
    call: Box<Call>,
) -> (Box<Call>, Result<types::RequestVerdict, Fault>) {
    let parts = RequestParts::of(usage, traveller, &call);
    let client = parts.client();
    let shown = parts.shown(usage, traveller, &call, client.as_ref());
    instance.on_request_now(call, shown)
}

/// What a request record borrows from, beside the request itself.
struct RequestParts<'a> {
    headers: Headers<'a>,
    others: Option<Vec<types::FieldParam<'a>>>,
    caller: Option<Caller>,
    claims: bool,
}

impl<'a> RequestParts<'a> {
    fn of(usage: &Usage, traveller: &'a Traveller, call: &Call) -> Self {
        let (needs, head) = (&usage.needs, &traveller.head);
        Self {
            headers: declared(&needs.request_headers, &head.headers),
            others: needs.all_request_headers.then(|| undeclared(&needs.request_headers, &head.headers)),
            caller: if needs.client { call.client.clone() } else { None },
            claims: needs.claims,
        }
    }

    fn client(&self) -> Option<ClientText<'_>> {
        self.caller.as_ref().map(|caller| ClientText::of(caller, self.claims))
    }

    #[inline]
    fn shown<'b>(&'b self, usage: &Usage, traveller: &'b Traveller, call: &Call, client: Option<&'b ClientText<'_>>) -> types::Request<'b> {
        let head = &traveller.head;
        types::Request {
            id: (call.id.0[0], call.id.0[1]),
            method: method(&head.method),
            scheme: if traveller.is_secure() { types::Scheme::Https } else { types::Scheme::Http },
            path_with_query: head.uri.path_and_query().map_or("/", |path| path.as_str()),
            address: address(call.address),
            headers: &self.headers,
            others: self.others.as_deref(),
            client: client.map(ClientText::param),
            body: whole(&traveller.body).filter(|_| is_buffered(usage.needs.request_body_of(&head.headers))),
        }
    }
}

/// Shows a response to a plugin that may wait.
pub async fn response(
    instance: &mut Instance,
    usage: &Usage,
    shown: &Shown<'_>,
    call: Box<Call>,
) -> (Box<Call>, Result<types::ResponseVerdict, Fault>) {
    let parts = ResponseParts::of(usage, shown, &call);
    let client = parts.client();
    instance.on_response(call, parts.shown(usage, shown, client.as_ref())).await
}

/// Shows a response to a plugin that waits for nothing.
pub fn response_now(
    instance: &mut Instance,
    usage: &Usage,
    shown: &Shown<'_>,
    call: Box<Call>,
) -> (Box<Call>, Result<types::ResponseVerdict, Fault>) {
    let parts = ResponseParts::of(usage, shown, &call);
    let client = parts.client();
    instance.on_response_now(call, parts.shown(usage, shown, client.as_ref()))
}

/// What a response record borrows from, beside the response itself.
struct ResponseParts<'a> {
    id: (u64, u64),
    headers: Headers<'a>,
    others: Option<Vec<types::FieldParam<'a>>>,
    caller: Option<Caller>,
    claims: bool,
}

impl<'a> ResponseParts<'a> {
    fn of(usage: &Usage, shown: &Shown<'a>, call: &Call) -> Self {
        let (needs, headers) = (&usage.needs, shown.response.headers());
        Self {
            id: (call.id.0[0], call.id.0[1]),
            headers: declared(&needs.response_headers, headers),
            others: needs.all_response_headers.then(|| undeclared(&needs.response_headers, headers)),
            caller: if needs.client { call.client.clone() } else { None },
            claims: needs.claims,
        }
    }

    fn client(&self) -> Option<ClientText<'_>> {
        self.caller.as_ref().map(|caller| ClientText::of(caller, self.claims))
    }

    #[inline]
    fn shown<'b>(&'b self, usage: &Usage, shown: &'b Shown<'_>, client: Option<&'b ClientText<'_>>) -> types::Response<'b> {
        let response = shown.response;
        types::Response {
            id: self.id,
            status: response.status().as_u16(),
            headers: &self.headers,
            others: self.others.as_deref(),
            client: client.map(ClientText::param),
            state: shown.state,
            from_gateway: shown.from_gateway,
            body: whole(response.body()).filter(|_| is_buffered(usage.needs.response_body_of(response.headers()))),
        }
    }
}

/// The declared headers that are there, each line by the index of its name.
fn declared<'a>(names: &[HeaderName], headers: &'a HeaderMap) -> Headers<'a> {
    let mut shown = Headers::new();
    for (index, name) in names.iter().enumerate() {
        let lines = headers.get_all(name).iter();
        shown.extend(lines.map(|value| types::Header { index: index as u32, value: value.as_bytes() }));
    }
    shown
}

fn undeclared<'a>(names: &[HeaderName], headers: &'a HeaderMap) -> Vec<types::FieldParam<'a>> {
    let others = headers.iter().filter(|(name, _)| !names.contains(name));
    others.map(|(name, value): (&HeaderName, &HeaderValue)| types::FieldParam { name: name.as_str(), value: value.as_bytes() }).collect()
}

fn is_buffered(mode: BodyMode) -> bool {
    matches!(mode, BodyMode::Buffered(_))
}

fn whole(body: &Body) -> Option<&[u8]> {
    match body {
        Body::Full(bytes) => Some(bytes),
        Body::Empty => Some(&[]),
        Body::Incoming(_) | Body::Staged(_) => None,
    }
}

fn method(method: &Method) -> types::MethodParam<'_> {
    match method.as_str() {
        "GET" => types::MethodParam::Get,
        "HEAD" => types::MethodParam::Head,
        "POST" => types::MethodParam::Post,
        "PUT" => types::MethodParam::Put,
        "DELETE" => types::MethodParam::Delete,
        "PATCH" => types::MethodParam::Patch,
        "OPTIONS" => types::MethodParam::Options,
        other => types::MethodParam::Other(other),
    }
}

fn address(address: IpAddr) -> types::IpAddress {
    match address.to_canonical() {
        IpAddr::V4(address) => types::IpAddress::Ipv4(address.to_bits()),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            types::IpAddress::Ipv6(((bits >> 64) as u64, bits as u64))
        }
    }
}

/// A caller's parts as text that can be borrowed from.
struct ClientText<'a> {
    caller: &'a Caller,
    scopes: Vec<&'a str>,
    claims: Option<String>,
}

impl<'a> ClientText<'a> {
    fn of(caller: &'a Caller, claims: bool) -> Self {
        Self { caller, scopes: caller.scopes(), claims: claims.then(|| caller.claims()).flatten() }
    }

    fn param(&self) -> types::ClientParam<'_> {
        types::ClientParam {
            name: self.caller.name(),
            method: self.caller.method(),
            issuer: self.caller.issuer(),
            scopes: &self.scopes,
            plan: self.caller.plan(),
            claims: self.claims.as_deref(),
        }
    }
}
