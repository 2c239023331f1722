//! Text with places for what a request says: `/users/{claims.sub}/{request.segment.1}`.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::Deserialize;
use serde_json::Value;

use crate::{Needs, Request};

/// Text with variables, parsed once. `{{` and `}}` stand for braces.
///
/// | variable | stands for |
/// |---|---|
/// | `{request.method}`, `{request.path}`, `{request.id}`, `{request.address}` | what it says |
/// | `{request.segment.N}` | the Nth piece of the path between slashes, from 0, as it was sent |
/// | `{request.query.NAME}` | the first query parameter of that name, as it was sent |
/// | `{request.header.NAME}` | the first line of that header |
/// | `{client.name}` | the authenticated client |
/// | `{claims.NAME}` | a claim of its token; what is no string, as JSON |
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable(Variable),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Variable {
    Method,
    Path,
    Id,
    Address,
    Segment(usize),
    Query(String),
    Header(String),
    ClientName,
    Claim(String),
}

impl Template {
    /// What a request must show for this template.
    #[must_use]
    pub fn needs(&self, needs: Needs) -> Needs {
        self.variables().fold(needs, |needs, variable| match variable {
            Variable::Header(name) => needs.request_header(name),
            Variable::ClientName => needs.client(),
            Variable::Claim(_) => needs.claims(),
            _ => needs,
        })
    }

    /// The text for this request. None if something it names is not there.
    #[must_use]
    pub fn render(&self, request: &Request) -> Option<String> {
        self.render_with(request, |_, value| Cow::Borrowed(value))
    }

    /// The text as part of a path or query: what was not in the request's path or query is percent-encoded.
    #[must_use]
    pub fn render_in_path(&self, request: &Request) -> Option<String> {
        self.render_with(request, |variable, value| match variable {
            Variable::Path | Variable::Segment(_) | Variable::Query(_) => Cow::Borrowed(value),
            _ => Cow::Owned(percent_encode(value)),
        })
    }

    /// The text, if there is no variable in it.
    #[must_use]
    pub fn literal(&self) -> Option<&str> {
        match &*self.0 {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether the text starts with `/` whatever the request says.
    #[must_use]
    pub fn is_rooted(&self) -> bool {
        match self.0.first() {
            Some(Piece::Text(text)) => text.starts_with('/'),
            Some(Piece::Variable(variable)) => *variable == Variable::Path,
            None => false,
        }
    }

    /// Whether this character stands in the text between the variables.
    #[must_use]
    pub fn contains(&self, char: char) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Text(text) if text.contains(char)))
    }

    fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Variable(variable) => Some(variable),
            Piece::Text(_) => None,
        })
    }

    fn render_with(&self, request: &Request, encode: impl for<'a> Fn(&Variable, &'a str) -> Cow<'a, str>) -> Option<String> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(literal) => text.push_str(literal),
                Piece::Variable(variable) => text.push_str(&encode(variable, &variable.value(request)?)),
            }
        }
        Some(text)
    }
}

impl TryFrom<String> for Template {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = &*text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                literal.push_str(brace);
                rest = after;
                continue;
            }
            let inner = if brace == "{" { rest.split_once('}') } else { None };
            let (name, after) = inner.ok_or_else(|| format!("got {text:?}, want every brace closed or doubled"))?;
            if !literal.is_empty() {
                pieces.push(Piece::Text(core::mem::take(&mut literal)));
            }
            pieces.push(Piece::Variable(Variable::parse(name)?));
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Ok(Self(pieces))
    }
}

impl Variable {
    fn parse(name: &str) -> Result<Self, String> {
        match name {
            "request.method" => return Ok(Self::Method),
            "request.path" => return Ok(Self::Path),
            "request.id" => return Ok(Self::Id),
            "request.address" => return Ok(Self::Address),
            "client.name" => return Ok(Self::ClientName),
            _ => {}
        }
        let unknown = || {
            format!(
                "got {{{name}}}, want request.method, request.path, request.id, request.address, request.segment.N, \
                 request.query.NAME, request.header.NAME, client.name or claims.NAME"
            )
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

    fn value<'a>(&self, request: &'a Request) -> Option<Cow<'a, str>> {
        Some(match self {
            Self::Method => request.method().into(),
            Self::Path => request.path().into(),
            Self::Id => request.id_hex().into(),
            Self::Address => request.address().to_string().into(),
            Self::Segment(index) => request.path().split('/').skip(1).nth(*index)?.into(),
            Self::Query(name) => query_value(request.query()?, name)?.into(),
            Self::Header(name) => request.header_str(name)?.into(),
            Self::ClientName => (&*request.client()?.name).into(),
            Self::Claim(name) => claim(request, name)?.into(),
        })
    }
}

/// Percent-encodes everything but unreserved characters (RFC 3986 §2.3).
#[must_use]
pub fn percent_encode(text: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            encoded.push('%');
            encoded.push(DIGITS[usize::from(byte >> 4)].into());
            encoded.push(DIGITS[usize::from(byte & 0xf)].into());
        }
    }
    encoded
}

/// The first value of that name in a query, as it was sent.
fn query_value<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value)
    })
}

fn claim(request: &Request, name: &str) -> Option<String> {
    match request.client()?.claims()?.get(name)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use alloc::rc::Rc;

    use super::*;
    use crate::bindings::types as raw;

    fn request() -> Request {
        let raw = raw::Request {
            id: (1, 2),
            method: raw::Method::Put,
            scheme: raw::Scheme::Http,
            path_with_query: "/users/4%202?lang=de&x".into(),
            address: raw::IpAddress::Ipv4(0xc000_0201),
            headers: alloc::vec![raw::Header { index: 0, value: b"a b/c".to_vec() }],
            others: None,
            client: Some(raw::Client {
                name: "acme".into(),
                method: "jwt".into(),
                issuer: None,
                scopes: Vec::new(),
                plan: None,
                claims: Some(r#"{"sub":"s","age":7,"none":null}"#.into()),
            }),
            body: None,
        };
        Request::from_raw(raw, Rc::from(["x-tenant".to_string()]))
    }

    #[track_caller]
    fn check(template: &str, expected: Option<&str>) {
        let template = Template::try_from(template.to_string()).unwrap();
        assert_eq!(template.render(&request()).as_deref(), expected, "{template:?}");
    }

    #[test]
    fn variables_stand_for_what_the_request_says() {
        check("plain", Some("plain"));
        check("{{x}} {request.method}", Some("{x} PUT"));
        check("{request.path}", Some("/users/4%202"));
        check("<{request.segment.1}>", Some("<4%202>"));
        check("{request.segment.2}", None);
        check("{request.query.lang}{request.query.x}", Some("de"));
        check("{request.query.nope}", None);
        check("{request.header.X-Tenant}", Some("a b/c"));
        check("{request.header.other}", None);
        check("{client.name}@{request.address}", Some("acme@192.0.2.1"));
        check("{claims.sub}{claims.age}", Some("s7"));
        check("{claims.none}", None);
        check("{request.id}", Some("00000000000000010000000000000002"));
    }

    #[test]
    fn in_a_path_foreign_text_is_encoded_and_the_path_itself_is_not() {
        let template = Template::try_from("/t/{request.header.x-tenant}{request.path}".to_string()).unwrap();
        assert_eq!(template.render_in_path(&request()).as_deref(), Some("/t/a%20b%2Fc/users/4%202"), "no new segment");
    }

    #[track_caller]
    fn check_refused(template: &str) {
        let parsed = Template::try_from(template.to_string());
        assert!(parsed.is_err(), "{template:?} is refused, not {parsed:?}");
    }

    #[test]
    fn a_bad_template_is_refused() {
        check_refused("{");
        check_refused("a}b");
        check_refused("{request.path");
        check_refused("{request.nope}");
        check_refused("{request.header.}");
        check_refused("{request.header.a b}");
        check_refused("{request.segment.x}");
        check_refused("{}");
    }
}
