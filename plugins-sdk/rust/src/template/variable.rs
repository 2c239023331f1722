//! The variables of a template: how they are written, what a request must show for them, and what they stand for.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use serde_json::Value;

use super::encode::{percent_decode, percent_encode, sent_in_path};
use crate::json::{Document, Path};
use crate::{Needs, Request, Response, Scheme};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Variable {
    Method,
    Scheme,
    Path,
    Id,
    Address,
    Segment(usize),
    Query(String),
    Header(String),
    ClientName,
    ClientPlan,
    ClientMethod,
    ClientIssuer,
    ClientScopes,
    Claim(String),
    ResponseStatus,
}

impl Variable {
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        if let Some((_, variable)) = plain().into_iter().find(|(plain, _)| *plain == name) {
            return Ok(variable);
        }
        let unknown = || {
            let plain = plain().map(|(plain, _)| plain).join(", ");
            format!("got {{{name}}}, want {plain}, request.segment.N, request.query.NAME, request.header.NAME or claims.NAME")
        };
        let named = |prefix| name.strip_prefix(prefix).filter(|rest| !rest.is_empty());
        if let Some(number) = named("request.segment.") {
            return number.parse().map(Self::Segment).map_err(|_| unknown());
        }
        if let Some(parameter) = named("request.query.") {
            return Ok(Self::Query(parameter.to_string()));
        }
        if let Some(header) = named("request.header.").filter(|header| crate::header::is_token(header)) {
            return Ok(Self::Header(header.to_ascii_lowercase()));
        }
        named("claims.").map(|claim| Self::Claim(claim.to_string())).ok_or_else(unknown)
    }

    pub(super) fn needs(&self, needs: Needs) -> Needs {
        match self {
            Self::Header(name) => needs.request_header(name),
            Self::ClientName | Self::ClientPlan | Self::ClientMethod | Self::ClientIssuer | Self::ClientScopes => needs.client(),
            Self::Claim(_) => needs.claims(),
            _ => needs,
        }
    }

    pub(super) fn is_of_response(&self) -> bool {
        *self == Self::ResponseStatus
    }

    pub(super) fn value<'a>(&self, request: &'a Request) -> Option<Cow<'a, str>> {
        Some(match self {
            Self::Method => request.method().into(),
            Self::Scheme => if request.scheme() == Scheme::Https { "https" } else { "http" }.into(),
            Self::Path => request.path().into(),
            Self::Id => request.id_hex().into(),
            Self::Address => request.address().to_string().into(),
            Self::Segment(index) => request.path().split('/').skip(1).nth(*index)?.into(),
            Self::Query(name) => query_value(request.query()?, name)?.into(),
            Self::Header(name) => request.header_str(name)?.into(),
            Self::ClientName => (&*request.client()?.name).into(),
            Self::ClientPlan => request.client()?.plan.as_deref()?.into(),
            Self::ClientMethod => (&*request.client()?.method).into(),
            Self::ClientIssuer => request.client()?.issuer.as_deref()?.into(),
            Self::ClientScopes => request.client()?.scopes.join(" ").into(),
            Self::Claim(name) => text(claim(request, name)?).into(),
            Self::ResponseStatus => return None,
        })
    }

    pub(super) fn value_of_response(&self, response: &Response) -> Option<Cow<'static, str>> {
        (*self == Self::ResponseStatus).then(|| response.status().to_string().into())
    }

    /// The value as JSON, for those that have a type of their own.
    pub(super) fn json(&self, request: &Request) -> Option<String> {
        match self {
            Self::Claim(name) => claim(request, name),
            Self::ClientScopes => Some(Value::from(&*request.client()?.scopes).to_string()),
            _ => None,
        }
    }
}

/// As part of a path or a query. What is not of the request (a default) is foreign there, too.
pub(super) fn in_path<'a>(variable: Option<&Variable>, value: Cow<'a, str>) -> Cow<'a, str> {
    match variable {
        Some(Variable::Path | Variable::Segment(_)) => value,
        Some(Variable::Query(_)) => sent_in_path(&value).into(),
        _ => percent_encode(&value).into(),
    }
}

/// As it was meant before it was written into a path or a query.
pub(super) fn decoded<'a>(variable: Option<&Variable>, value: Cow<'a, str>) -> Cow<'a, str> {
    match variable {
        Some(Variable::Path | Variable::Segment(_)) => text_of(percent_decode(&value, false)).map_or(value, Cow::Owned),
        Some(Variable::Query(_)) => text_of(percent_decode(&value, true)).map_or(value, Cow::Owned),
        _ => value,
    }
}

fn plain() -> [(&'static str, Variable); 11] {
    [
        ("request.method", Variable::Method),
        ("request.scheme", Variable::Scheme),
        ("request.path", Variable::Path),
        ("request.id", Variable::Id),
        ("request.address", Variable::Address),
        ("client.name", Variable::ClientName),
        ("client.plan", Variable::ClientPlan),
        ("client.method", Variable::ClientMethod),
        ("client.issuer", Variable::ClientIssuer),
        ("client.scopes", Variable::ClientScopes),
        ("response.status", Variable::ResponseStatus),
    ]
}

impl fmt::Display for Variable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Segment(index) => write!(formatter, "request.segment.{index}"),
            Self::Query(name) => write!(formatter, "request.query.{name}"),
            Self::Header(name) => write!(formatter, "request.header.{name}"),
            Self::Claim(name) => write!(formatter, "claims.{name}"),
            other => {
                let name = plain().into_iter().find(|(_, variable)| variable == other).map_or("", |(name, _)| name);
                formatter.write_str(name)
            }
        }
    }
}

/// The first value of that name in a query, as it was sent.
fn query_value<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name || percent_decode(key, true) == name.as_bytes()).then_some(value)
    })
}

fn text_of(bytes: Vec<u8>) -> Option<String> {
    String::from_utf8(bytes).ok()
}

/// A claim as JSON. A null is none. The whole name is tried first, since names may contain dots; then it leads down.
fn claim(request: &Request, name: &str) -> Option<String> {
    let claims = request.client()?.claims_text()?;
    let whole = Path::member(name);
    let deeper = || Path::parse(name).ok().and_then(|path| Document::parse(claims.as_bytes()).ok()?.take(&path));
    let found = Document::parse(claims.as_bytes()).ok()?.take(&whole).or_else(deeper)?;
    Some(found.to_text(0)).filter(|json| json != "null")
}

/// A string without its quotes; anything else as JSON.
fn text(json: String) -> String {
    match json.starts_with('"') {
        true => serde_json::from_str(&json).unwrap_or(json),
        false => json,
    }
}
