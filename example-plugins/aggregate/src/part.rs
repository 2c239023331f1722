//! One part: the request to its upstream, and the value it has in the answer.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use gatehouse_plugin::header::HeaderName;
use gatehouse_plugin::http::{self, Response};
use gatehouse_plugin::json::{Document, Path, RawValue};
use gatehouse_plugin::template::Template;
use gatehouse_plugin::{Needs, Request};
use serde::Deserialize;
use serde_json::Value;

/// One part of the answer.
pub struct Part {
    /// Named in `X-Gatehouse-Partial` and in problems.
    pub name: String,
    /// Where it comes from.
    pub upstream: String,
    /// How it is asked for.
    pub method: String,
    /// The path there.
    pub path: Template,
    /// Whether the request's query goes along.
    pub forwards_query: bool,
    /// Whether the request's body goes along.
    pub forwards_body: bool,
    /// Request headers that go along.
    pub headers: Vec<HeaderName>,
    /// Whether the answer needs it.
    pub required: bool,
    /// How long it may take.
    pub timeout: Duration,
    /// What stands in its place when it fails.
    pub fallback: Option<Box<RawValue>>,
    /// What of its body it is.
    pub select: Select,
    /// Members of the value that get another name.
    pub rename: Vec<(Path, String)>,
    /// Its key in the answer. None: its members go to the top.
    pub key: Option<String>,
}

/// What of a body a part is.
#[derive(Debug, Default, Deserialize)]
#[serde(try_from = "Value")]
pub enum Select {
    /// All of it.
    #[default]
    Whole,
    /// The value at this place.
    At(Path),
    /// What is at these places, where it is.
    Only(Vec<Path>),
}

/// Why a part has no value.
#[derive(Debug)]
pub enum Failure<'a> {
    /// No answer came.
    Call(http::Error),
    /// It answered with an error, or something else that is no 2xx.
    Status(&'a Response),
    /// Its body is not the JSON expected.
    Shape,
}

/// The most of a request body that goes along.
const MOST_BODY: u32 = 1024 * 1024;

impl Part {
    /// What a request must show for this part.
    pub fn needs(&self, needs: Needs) -> Needs {
        let needs = self.path.needs(needs.request_headers(&self.headers));
        match self.forwards_body {
            true => needs.request_header("content-type").buffered_request_body(MOST_BODY),
            false => needs,
        }
    }

    /// The request to its upstream. None if the path cannot be made.
    pub fn request(&self, request: &Request) -> Option<http::Request> {
        let mut path = self.path.render_path(request)?;
        if let Some(query) = request.query().filter(|_| self.forwards_query) {
            path.push('?');
            path.push_str(query);
        }
        let mut part = http::Request::new(&self.method, &*self.upstream, path).timeout(self.timeout);
        if !self.headers.iter().any(|name| name.as_str() == "accept") {
            part = part.header("accept", "application/json");
        }
        for name in &self.headers {
            for line in request.header_lines(name.as_str()) {
                part = part.header(name, line);
            }
        }
        Some(if self.forwards_body { with_body(part, request) } else { part })
    }

    /// What the upstream's answer is worth. Nothing at all, said with a success, is a null.
    pub fn read<'a>(&'a self, result: &'a Result<Response, http::Error>) -> Result<Document<'a>, Failure<'a>> {
        let response = result.as_ref().map_err(|error| Failure::Call(*error))?;
        if !response.is_success() {
            return Err(Failure::Status(response));
        }
        if response.body().is_empty() {
            return Ok(if self.key.is_some() { Document::from(RawValue::NULL) } else { Document::object() });
        }
        let mut value = Document::parse(response.body()).map_err(|_| Failure::Shape)?;
        match &self.select {
            Select::Whole => {}
            Select::At(path) => value = value.take(path).ok_or(Failure::Shape)?,
            Select::Only(paths) => value.keep(paths),
        }
        self.rename.iter().for_each(|(path, name)| value.rename(path, name));
        match self.key.is_some() || value.is_object() {
            true => Ok(value),
            false => Err(Failure::Shape),
        }
    }
}

impl Failure<'_> {
    /// The status that tells of it.
    pub fn status(&self) -> u16 {
        match self {
            Self::Status(response) => response.status(),
            Self::Call(http::Error::Timeout) => 504,
            Self::Call(_) | Self::Shape => 502,
        }
    }

    /// The sentence that tells of it.
    pub fn reason(&self) -> String {
        match self {
            Self::Status(response) => format!("its upstream answered {}", response.status()),
            Self::Call(error) => format!("{error}"),
            Self::Shape => "its body is not the JSON expected".to_owned(),
        }
    }
}

impl TryFrom<Value> for Select {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let path = |value: Value| match value {
            Value::String(text) => Path::parse(&text).map_err(|error| format!("select: got {text:?}, but {error}")),
            other => Err(format!("select: got {other}, want a path or a list of paths")),
        };
        match value {
            Value::Array(paths) => paths.into_iter().map(path).collect::<Result<_, _>>().map(Self::Only),
            other => path(other).map(Self::At),
        }
    }
}

fn with_body(part: http::Request, request: &Request) -> http::Request {
    let part = match request.header("content-type") {
        Some(kind) => part.header("content-type", kind),
        None => part,
    };
    part.body(request.body().unwrap_or_default())
}
