//! The configuration of `aggregate`, with the collisions that can be seen in it.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use gatehouse_plugin::header::HeaderName;
use gatehouse_plugin::json::Path;
use gatehouse_plugin::template::Template;
use gatehouse_plugin::{Error, Result};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::Aggregate;
use crate::part::Part;
use crate::timeout::Timeout;

/// What `http::fetch_all` takes at once.
const MOST_PARTS: usize = 16;

/// The configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    parts: Vec<PartConfig>,
    #[serde(default)]
    policy: Policy,
}

/// Which parts must succeed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Every part, whatever it says itself.
    All,
    /// The parts that are required.
    #[default]
    Required,
    /// One, whichever.
    Any,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PartConfig {
    name: String,
    upstream: String,
    path: Template,
    #[serde(default)]
    query: bool,
    #[serde(default)]
    headers: Vec<HeaderName>,
    #[serde(default = "default_true")]
    required: bool,
    #[serde(default)]
    timeout: Option<Timeout>,
    // `fallback: null` is a fallback too, so a null must not read as none.
    #[serde(default, deserialize_with = "some")]
    fallback: Option<Value>,
    #[serde(default)]
    select: Option<Path>,
    #[serde(default)]
    rename: BTreeMap<Path, String>,
    #[serde(default)]
    group: Option<String>,
}

impl Config {
    /// The plugin that this configures.
    pub fn build(self) -> Result<Aggregate> {
        if !(1..=MOST_PARTS).contains(&self.parts.len()) {
            return Err(Error::new(format!("parts: got {}, want 1 to {MOST_PARTS}", self.parts.len())));
        }
        let mut parts: Vec<Part> = Vec::with_capacity(self.parts.len());
        for (index, config) in self.parts.into_iter().enumerate() {
            let part = config.build().and_then(|part| part.beside(&parts));
            parts.push(part.map_err(|reason| Error::new(format!("parts[{index}].{reason}")))?);
        }
        Ok(Aggregate { parts, policy: self.policy })
    }
}

impl PartConfig {
    fn build(self) -> Result<Part> {
        let named = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !self.name.starts_with(|first: char| first.is_ascii_alphabetic()) || !self.name.bytes().all(named) {
            return Err(Error::new(format!("name: got {:?}, want a letter, then letters, digits, - and _", self.name)));
        }
        if self.upstream.is_empty() {
            return Err("upstream: got \"\", want the name of an upstream".into());
        }
        if !self.path.is_rooted() {
            return Err("path: want a path that starts with / or {request.path}".into());
        }
        if self.query && self.path.contains('?') {
            return Err("query: got true with a query in the path, want one of them".into());
        }
        if self.rename.values().enumerate().any(|(at, name)| self.rename.values().take(at).any(|other| other == name)) {
            return Err("rename: two members get the same name".into());
        }
        let key = Some(self.group.unwrap_or_else(|| self.name.clone())).filter(|group| !group.is_empty());
        if key.is_none() && self.fallback.as_ref().is_some_and(|fallback| !fallback.is_object()) {
            return Err("fallback: want an object, since its members go to the top".into());
        }
        Ok(Part {
            name: self.name,
            upstream: self.upstream,
            path: self.path,
            forwards_query: self.query,
            headers: self.headers,
            required: self.required,
            timeout: self.timeout.map(Timeout::into_duration),
            fallback: self.fallback,
            select: self.select,
            rename: self.rename.into_iter().collect(),
            key,
        })
    }
}

impl Part {
    /// This part, if its name and its key are not taken by those before it.
    fn beside(self, others: &[Self]) -> Result<Self> {
        for other in others {
            if other.name == self.name {
                return Err(Error::new(format!("name: {:?} is taken", self.name)));
            }
            if other.key.is_some() && other.key == self.key {
                return Err(Error::new(format!("group: the key of {:?} is taken by {:?}", self.name, other.name)));
            }
        }
        let merged = |part: &Self| if part.key.is_none() { part.fallback.clone() } else { None };
        let members = merged(&self).and_then(|value| value.as_object().cloned()).unwrap_or_default();
        match others.iter().filter_map(|other| other.key.as_ref()).find(|key| members.contains_key(*key)) {
            Some(key) => Err(Error::new(format!("fallback: the key {key:?} is taken by another part"))),
            None => Ok(self),
        }
    }
}

fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

fn default_true() -> bool {
    true
}
