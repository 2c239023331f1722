//! The configuration of `transform`, as written, and what it is built into.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use gatehouse_plugin::header::HeaderName;
use gatehouse_plugin::json::Path;
use gatehouse_plugin::template::Template;
use gatehouse_plugin::{Error, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::Transform;
use crate::body::JsonEdits;
use crate::headers::HeaderEdits;
use crate::query::QueryEdits;

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
    #[serde(default = "default_body_limit")]
    body_limit: u32,
}

/// What becomes of a body that is not the JSON the edits expect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnparsable {
    /// 400 for a request's, 502 for a response's.
    #[default]
    Refuse,
    /// It passes as it is.
    Pass,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestConfig {
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
    remove: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    #[serde(default)]
    set: BTreeMap<Path, Value>,
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
        let Self { request, response, on_unparsable, body_limit } = self;
        if let Some(status) = response.status.filter(|status| !(200..600).contains(status)) {
            return Err(Error::new(format!("response.status: got {status}, want 200 to 599")));
        }
        if let Some(path) = &request.path {
            check_path(path)?;
        }
        Ok(Transform {
            headers: request.headers.build("request")?,
            path: request.path,
            query: QueryEdits::new(request.query.set, request.query.remove),
            json: request.json.build(),
            status: response.status,
            response_headers: response.headers.build("response")?,
            response_json: response.json.build(),
            on_unparsable,
            body_limit,
        })
    }
}

impl Headers {
    fn build(self, side: &str) -> Result<HeaderEdits> {
        for (name, template) in self.set.iter().chain(&self.append) {
            if template.contains('\r') || template.contains('\n') || template.contains('\0') {
                let name = name.as_str();
                return Err(Error::new(format!("{side}.headers: {name} has a value with control characters")));
            }
        }
        Ok(HeaderEdits {
            set: self.set.into_iter().collect(),
            append: self.append.into_iter().collect(),
            remove: self.remove,
            rename: self.rename.into_iter().collect(),
        })
    }
}

impl Json {
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
    Ok(())
}

fn default_body_limit() -> u32 {
    1024 * 1024
}
