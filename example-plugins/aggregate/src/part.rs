//! One part: the request it sends, and what it makes of the answer.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use gatehouse_plugin::header::HeaderName;
use gatehouse_plugin::http::{self, Response};
use gatehouse_plugin::json::Path;
use gatehouse_plugin::template::Template;
use gatehouse_plugin::{Needs, Request};
use serde_json::Value;

/// One part of the answer.
pub struct Part {
    /// Named in `X-Gatehouse-Partial` and in problems.
    pub name: String,
    /// Where it comes from.
    pub upstream: String,
    /// The path there.
    pub path: Template,
    /// Whether the request's query goes along.
    pub forwards_query: bool,
    /// Request headers that go along.
    pub headers: Vec<HeaderName>,
    /// Whether the answer needs it.
    pub required: bool,
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// What stands in its place when it fails.
    pub fallback: Option<Value>,
    /// Where in its body the value is.
    pub select: Option<Path>,
    /// Members of the value that get another name.
    pub rename: Vec<(Path, String)>,
    /// Its key in the answer. None: its members go to the top.
    pub key: Option<String>,
}

/// Why a part has no value.
#[derive(Debug)]
pub enum Failure {
    /// No answer came.
    Call(http::Error),
    /// It answered with an error, or something else that is no 2xx.
    Status(Response),
    /// Its body is not the JSON expected.
    Shape,
}

impl Part {
    /// What a request must show for this part.
    pub fn needs(&self, needs: Needs) -> Needs {
        self.path.needs(needs.request_headers(&self.headers))
    }

    /// The request to its upstream. None if the path cannot be made.
    pub fn request(&self, request: &Request) -> Option<http::Request> {
        let mut path = self.path.render_in_path(request).filter(|path| stays(path))?;
        if let Some(query) = request.query().filter(|_| self.forwards_query) {
            path.push('?');
            path.push_str(query);
        }
        let mut part = http::Request::get(&*self.upstream, path).header("accept", "application/json");
        for name in &self.headers {
            for line in request.header_lines(name.as_str()) {
                part = part.header(name, line);
            }
        }
        Some(match self.timeout {
            Some(timeout) => part.timeout(timeout),
            None => part,
        })
    }

    /// What the upstream's answer is worth.
    pub fn value(&self, result: Result<Response, http::Error>) -> Result<Value, Failure> {
        let response = result.map_err(Failure::Call)?;
        if !response.is_success() {
            return Err(Failure::Status(response));
        }
        let mut value: Value = serde_json::from_slice(response.body()).map_err(|_| Failure::Shape)?;
        if let Some(path) = &self.select {
            value = path.remove(&mut value).ok_or(Failure::Shape)?;
        }
        for (path, name) in &self.rename {
            path.rename(&mut value, name);
        }
        match self.key.is_some() || value.is_object() {
            true => Ok(value),
            false => Err(Failure::Shape),
        }
    }
}

impl Failure {
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
            Self::Status(response) => alloc::format!("its upstream answered {}", response.status()),
            Self::Call(error) => alloc::format!("{error}"),
            Self::Shape => "its body is not the JSON expected".to_owned(),
        }
    }
}

/// Whether a path stays where it was put.
fn stays(path: &str) -> bool {
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    path.starts_with('/') && !path.starts_with("//") && !path.split('/').any(|segment| segment == "." || segment == "..")
}
