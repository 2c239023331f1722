//! Text with places for what a request says: `/users/{claims.sub}/{request.segment.1}`.

mod encode;
mod variable;

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use serde::Deserialize;
use serde_json::Value;

use crate::{Needs, Request, Response};
use variable::Variable;

pub use encode::{percent_decode, percent_encode};

/// Text with variables, parsed once. `{{` and `}}` stand for braces.
///
/// | variable | stands for |
/// |---|---|
/// | `{request.method}`, `{request.scheme}`, `{request.path}`, `{request.id}`, `{request.address}` | what it says |
/// | `{request.segment.N}` | the Nth piece of the path between slashes, from 0, as it was sent |
/// | `{request.query.NAME}` | the first query parameter of that name, as it was sent |
/// | `{request.header.NAME}` | the first line of that header |
/// | `{client.name}`, `{client.plan}`, `{client.method}`, `{client.issuer}` | the authenticated client |
/// | `{client.scopes}` | what it may do, with spaces between |
/// | `{claims.NAME}`, `{claims.NAME.NAME}` | a claim of its token; what is no string, as JSON |
/// | `{response.status}` | the status of the response, where there is one |
///
/// `{NAME:-text}` stands for `text` where the value is missing or empty.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable { variable: Variable, default: Option<String> },
}

impl Template {
    /// What [`Template::is_sendable_path`] wants, in words.
    pub const SENDABLE: &str = "want a path without `..` and `//` at its start, all but visible ASCII percent-encoded";

    /// What a request must show for this template.
    #[must_use]
    pub fn needs(&self, needs: Needs) -> Needs {
        self.variables().fold(needs, |needs, variable| variable.needs(needs))
    }

    /// The text for this request. None if something it names is not there.
    #[must_use]
    pub fn render(&self, request: &Request) -> Option<String> {
        self.render_with(|variable| variable.value(request), |_, value| value)
    }

    /// The text as part of a path or query: what was not in the request's path or query is percent-encoded, and a
    /// parameter of the query never opens a new piece of a path.
    #[must_use]
    pub fn render_in_path(&self, request: &Request) -> Option<String> {
        self.render_with(|variable| variable.value(request), variable::in_path)
    }

    /// The text as a whole path, with its query if it has one. None as well if it would climb out of where it was put
    /// (`..`, also where it shows only after decoding), hide a control character, or start with `//`, which some servers
    /// take for another host.
    #[must_use]
    pub fn render_path(&self, request: &Request) -> Option<String> {
        self.render_in_path(request).filter(|text| stays_in_place(text))
    }

    /// Whether paths made of this can be sent at all, going by the text between the variables: what has to be
    /// percent-encoded is, and nothing in it climbs.
    #[must_use]
    pub fn is_sendable_path(&self) -> bool {
        let stand_in = |variable: &Variable| Some(if *variable == Variable::Path { "/x" } else { "x" }.into());
        let text = self.render_with(stand_in, |_, value| value).unwrap_or_default();
        text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"#<>\\`".contains(&byte)) && stays_in_place(&text)
    }

    /// The text as a JSON value: a string, but where a claim or the scopes stand alone they keep their type. Pieces
    /// of the path and the query are decoded.
    #[must_use]
    pub fn render_json(&self, request: &Request) -> Option<String> {
        if let [Piece::Variable { variable, default: None }] = &*self.0
            && let Some(json) = variable.json(request)
        {
            return Some(json);
        }
        let text = self.render_with(|variable| variable.value(request), variable::decoded)?;
        Some(Value::from(text).to_string())
    }

    /// This template with all that the request says filled in; what the response says is left open. None if something
    /// is not there.
    #[must_use]
    pub fn bind(&self, request: &Request) -> Option<Self> {
        let bound = |piece: &Piece| match piece {
            Piece::Variable { variable, default } if !variable.is_of_response() => {
                value_or(variable.value(request), default.as_deref()).map(|value| Piece::Text(value.into_owned()))
            }
            other => Some(other.clone()),
        };
        self.0.iter().map(bound).collect::<Option<_>>().map(Self)
    }

    /// The text of a bound template for this response.
    #[must_use]
    pub fn render_response(&self, response: &Response) -> Option<String> {
        self.render_with(|variable| variable.value_of_response(response), |_, value| value)
    }

    /// The text of a bound template as a JSON value: a string, but the status alone is a number.
    #[must_use]
    pub fn render_response_json(&self, response: &Response) -> Option<String> {
        let text = self.render_response(response)?;
        match &*self.0 {
            [Piece::Variable { .. }] => Some(text),
            _ => Some(Value::from(text).to_string()),
        }
    }

    /// Whether the response says some of it.
    #[must_use]
    pub fn is_of_response(&self) -> bool {
        self.variables().any(Variable::is_of_response)
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
            Some(Piece::Variable { variable, .. }) => *variable == Variable::Path,
            None => false,
        }
    }

    /// Whether this character stands in the text between the variables, or in a default.
    #[must_use]
    pub fn contains(&self, char: char) -> bool {
        self.0.iter().any(|piece| match piece {
            Piece::Text(text) | Piece::Variable { default: Some(text), .. } => text.contains(char),
            Piece::Variable { default: None, .. } => false,
        })
    }

    fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Variable { variable, .. } => Some(variable),
            Piece::Text(_) => None,
        })
    }

    fn render_with<'a>(
        &'a self,
        value: impl Fn(&'a Variable) -> Option<Cow<'a, str>>,
        encode: impl Fn(Option<&'a Variable>, Cow<'a, str>) -> Cow<'a, str>,
    ) -> Option<String> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(literal) => text.push_str(literal),
                Piece::Variable { variable, default } => match (value(variable).filter(|value| !value.is_empty()), default) {
                    (Some(value), _) => text.push_str(&encode(Some(variable), value)),
                    (None, Some(default)) => text.push_str(&encode(None, default.into())),
                    (None, None) => text.push_str(&value(variable)?),
                },
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
            let (inside, after) = inner.ok_or_else(|| format!("got {text:?}, want every brace closed or doubled"))?;
            if !literal.is_empty() {
                pieces.push(Piece::Text(core::mem::take(&mut literal)));
            }
            let (name, default) = inside.split_once(":-").map_or((inside, None), |(name, default)| (name, Some(default.to_string())));
            pieces.push(Piece::Variable { variable: Variable::parse(name)?, default });
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Ok(Self(pieces))
    }
}

/// The text that parses to this template.
impl fmt::Display for Template {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => formatter.write_str(&text.replace('{', "{{").replace('}', "}}")),
            Piece::Variable { variable, default: None } => write!(formatter, "{{{variable}}}"),
            Piece::Variable { variable, default: Some(default) } => write!(formatter, "{{{variable}:-{default}}}"),
        })
    }
}

/// Whether a path is below the root it was put at, also for an upstream that decodes it first.
fn stays_in_place(target: &str) -> bool {
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    let decoded = percent_decode(path, false);
    let climbs = |piece: &[u8]| matches!(piece, b"." | b"..") || piece.starts_with(b"..;");
    path.starts_with('/')
        && !path.starts_with("//")
        && !decoded.iter().any(u8::is_ascii_control)
        && !decoded.split(|&byte| byte == b'/' || byte == b'\\').any(climbs)
}

fn value_or<'a>(value: Option<Cow<'a, str>>, default: Option<&'a str>) -> Option<Cow<'a, str>> {
    match (value, default) {
        (Some(value), Some(default)) if value.is_empty() => Some(default.into()),
        (None, Some(default)) => Some(default.into()),
        (value, _) => value,
    }
}

#[cfg(test)]
mod tests;
