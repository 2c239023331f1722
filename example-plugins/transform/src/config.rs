//! The configuration of `transform`, as written, and what it is built into.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use gatehouse_plugin::header::{HeaderName, is_token};
use gatehouse_plugin::json::Path;
use gatehouse_plugin::template::Template;
use gatehouse_plugin::units::Size;
use gatehouse_plugin::{Error, Result};
use serde::Deserialize;

use crate::Transform;
use crate::body::JsonEdits;
use crate::headers::HeaderEdits;
use crate::late::LateHeader;
use crate::query::QueryEdits;
use crate::value::Filling;

/// What the gateway buffers for a plugin at most.
const MOST_BODY: u32 = 64 << 20;

/// The configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    request: RequestConfig,
    #[serde(default)]
    response: ResponseConfig,
    #[serde(default)]
    on_unparsable: OnUnparsable,
    #[serde(default = "default_max_body")]
    max_body: Size,
    #[serde(default = "default_content_types")]
    content_types: Vec<String>,
}

/// What becomes of a body that is not the JSON the edits expect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnparsable {
    /// 400 for a request's (415 if it is compressed), 502 for a response's.
    #[default]
    Reject,
    /// It passes as it is.
    Pass,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestConfig {
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    headers: Headers,
    #[serde(default)]
    path: Option<Template>,
    #[serde(default)]
    query: Query,
    #[serde(default)]
    json: Json,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResponseConfig {
    #[serde(default)]
    status: Option<u16>,
    #[serde(default)]
    headers: Headers,
    #[serde(default)]
    json: Json,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Headers {
    #[serde(default)]
    set: BTreeMap<HeaderName, Template>,
    #[serde(default)]
    append: BTreeMap<HeaderName, Template>,
    #[serde(default)]
    remove: Vec<HeaderName>,
    #[serde(default)]
    rename: BTreeMap<HeaderName, HeaderName>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    #[serde(default)]
    set: BTreeMap<String, Template>,
    #[serde(default)]
    append: BTreeMap<String, Template>,
    #[serde(default)]
    remove: Vec<String>,
    #[serde(default)]
    rename: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    #[serde(default)]
    set: BTreeMap<Path, Filling>,
    #[serde(default)]
    remove: Vec<Path>,
    #[serde(default)]
    rename: BTreeMap<Path, String>,
    #[serde(default, rename = "move")]
    moves: BTreeMap<Path, Path>,
}

impl Config {
    /// The plugin that this configures.
    pub fn build(self) -> Result<Transform> {
        let Self { request, response, on_unparsable, max_body, content_types } = self;
        request.check()?;
        response.check()?;
        let (late_headers, response_headers) = response.headers.split_late();
        Ok(Transform {
            method: request.method,
            headers: request.headers.build(),
            path: request.path,
            query: request.query.build(),
            json: request.json.build(),
            status: response.status,
            response_headers: response_headers.build(),
            late_headers,
            response_json: response.json.build(),
            on_unparsable,
            max_body: u32::try_from(max_body.bytes()).ok().filter(|&most| most <= MOST_BODY).ok_or("max_body: want 64MiB or less")?,
            content_types,
        })
    }
}

impl RequestConfig {
    fn check(&self) -> Result<()> {
        if let Some(method) = self.method.as_ref().filter(|method| !is_token(method) || method.eq_ignore_ascii_case("connect")) {
            return Err(Error::new(format!("request.method: got {method:?}, want a method such as POST, and not CONNECT")));
        }
        if let Some(path) = &self.path {
            check_path(path)?;
        }
        if let Some(name) = self.query.rename.values().find(|name| self.query.rename.contains_key(*name)) {
            return Err(Error::new(format!("request.query.rename: {name} is renamed and a new name")));
        }
        self.headers.check("request")?;
        self.json.check("request")?;
        let templates = self.path.iter().chain(self.headers.templates()).chain(self.query.set.values()).chain(self.query.append.values());
        let early = templates.chain(self.json.set.values().filter_map(Filling::of_response)).any(Template::is_of_response);
        match early {
            true => Err("request: {response.status} is known in response only".into()),
            false => Ok(()),
        }
    }
}

impl ResponseConfig {
    fn check(&self) -> Result<()> {
        if let Some(status) = self.status.filter(|status| !(200..600).contains(status)) {
            return Err(Error::new(format!("response.status: got {status}, want 200 to 599")));
        }
        self.headers.check("response")?;
        self.json.check("response")
    }
}

impl Headers {
    fn templates(&self) -> impl Iterator<Item = &Template> {
        self.set.values().chain(self.append.values())
    }

    fn check(&self, side: &str) -> Result<()> {
        for (name, template) in self.set.iter().chain(&self.append) {
            // Tabs are as legal as they are rare; the rest of what is below a space is not.
            if ('\0'..' ').chain(['\x7f']).any(|control| control != '\t' && template.contains(control)) {
                let name = name.as_str();
                return Err(Error::new(format!("{side}.headers: {name} has a value with control characters")));
            }
        }
        match self.rename.iter().find(|(from, to)| from == to || self.rename.contains_key(*to)) {
            Some((_, to)) => Err(Error::new(format!("{side}.headers.rename: {} is renamed and a new name", to.as_str()))),
            None => Ok(()),
        }
    }

    /// What has to wait for the response's status, and the rest.
    fn split_late(self) -> (Vec<LateHeader>, Self) {
        let is_late = |(_, template): &(HeaderName, Template)| template.is_of_response();
        let (late_set, set): (Vec<_>, Vec<_>) = self.set.into_iter().partition(is_late);
        let (late_append, append): (Vec<_>, Vec<_>) = self.append.into_iter().partition(is_late);
        let late = |replaces| move |(name, value)| LateHeader { name, value, replaces };
        let headers = late_set.into_iter().map(late(true)).chain(late_append.into_iter().map(late(false))).collect();
        (headers, Self { set: set.into_iter().collect(), append: append.into_iter().collect(), remove: self.remove, rename: self.rename })
    }

    fn build(self) -> HeaderEdits {
        HeaderEdits {
            set: self.set.into_iter().collect(),
            append: self.append.into_iter().collect(),
            remove: self.remove,
            rename: self.rename.into_iter().collect(),
        }
    }
}

impl Query {
    fn build(self) -> QueryEdits {
        QueryEdits { set: self.set, append: self.append, remove: self.remove, rename: self.rename }
    }
}

impl Json {
    fn check(&self, side: &str) -> Result<()> {
        if self.moves.iter().flat_map(|(from, to)| [from, to]).any(Path::has_wildcard) {
            return Err(Error::new(format!("{side}.json.move: a value moves from one place to one place, so want no *")));
        }
        if self.set.values().any(Filling::hides_response) {
            return Err(Error::new(format!("{side}.json.set: {{response.status}} is a value of its own, so want its own path for it")));
        }
        Ok(())
    }

    fn build(self) -> JsonEdits {
        JsonEdits {
            remove: self.remove,
            rename: self.rename.into_iter().collect(),
            moves: self.moves.into_iter().collect(),
            set: self.set.into_iter().collect(),
        }
    }
}

fn check_path(path: &Template) -> Result<()> {
    if !path.is_rooted() {
        return Err("request.path: want a path that starts with / or {request.path}".into());
    }
    if path.contains('?') || path.contains('#') {
        return Err("request.path: got a query, want it in request.query".into());
    }
    if !path.is_sendable_path() {
        return Err(Error::new(format!("request.path: got {:?}, {}", format!("{path}"), Template::SENDABLE)));
    }
    Ok(())
}

fn default_max_body() -> Size {
    Size::of(1024 * 1024)
}

fn default_content_types() -> Vec<String> {
    ["application/json", "*/*+json"].map(String::from).into()
}
