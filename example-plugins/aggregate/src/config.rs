//! The configuration of `aggregate`, with the collisions that can be seen in it.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use gatehouse_plugin::header::{HeaderName, is_token};
use gatehouse_plugin::json::{Path, RawValue};
use gatehouse_plugin::template::Template;
use gatehouse_plugin::units::Period;
use gatehouse_plugin::{Error, Result};
use serde::{Deserialize, Deserializer};

use crate::Aggregate;
use crate::part::{Part, Select};

/// What `http::fetch_all` takes at once.
const MOST_PARTS: usize = 16;
/// Under the plugin's own wall limit, so that a partial answer can still be made.
const LONGEST: Duration = Duration::from_secs(30);

/// The configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    parts: Vec<PartConfig>,
    #[serde(default)]
    policy: Policy,
    #[serde(default = "two_seconds")]
    timeout: Period,
    #[serde(default = "ok")]
    partial_status: u16,
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
    #[serde(default = "get")]
    method: String,
    path: Template,
    #[serde(default)]
    query: bool,
    #[serde(default)]
    body: bool,
    #[serde(default)]
    headers: Vec<HeaderName>,
    #[serde(default = "yes")]
    required: bool,
    #[serde(default)]
    timeout: Option<Period>,
    // `fallback: null` is a fallback too, so a null must not read as none.
    #[serde(default, deserialize_with = "some")]
    fallback: Option<Box<RawValue>>,
    #[serde(default)]
    select: Select,
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
        let timeout = self.timeout.duration();
        if timeout > LONGEST {
            return Err(Error::new(format!("timeout: got {timeout:?}, want {LONGEST:?} or less")));
        }
        if !(200..600).contains(&self.partial_status) || matches!(self.partial_status, 204 | 205 | 304) {
            return Err(Error::new(format!("partial_status: got {}, want 200 to 599, with a body", self.partial_status)));
        }
        let mut parts: Vec<Part> = Vec::with_capacity(self.parts.len());
        for (index, config) in self.parts.into_iter().enumerate() {
            let part = config.build(timeout).and_then(|part| part.beside(&parts));
            parts.push(part.map_err(|reason| Error::new(format!("parts[{index}].{reason}")))?);
        }
        Ok(Aggregate { parts, policy: self.policy, partial_status: self.partial_status })
    }
}

impl PartConfig {
    fn build(self, total: Duration) -> Result<Part> {
        self.check_request()?;
        self.check_shape()?;
        let timeout = self.timeout.map_or(total, Period::duration);
        if timeout > total {
            return Err(Error::new(format!("timeout: got {timeout:?}, want no more than the {total:?} of the whole")));
        }
        let key = Some(self.group.unwrap_or_else(|| self.name.clone())).filter(|group| !group.is_empty());
        if key.is_none() && self.fallback.as_ref().is_some_and(|fallback| !fallback.get().starts_with('{')) {
            return Err("fallback: want an object, since its members go to the top".into());
        }
        Ok(Part {
            name: self.name,
            upstream: self.upstream,
            method: self.method,
            path: self.path,
            forwards_query: self.query,
            forwards_body: self.body,
            headers: self.headers,
            required: self.required,
            timeout,
            fallback: self.fallback,
            select: self.select,
            rename: self.rename.into_iter().collect(),
            key,
        })
    }

    fn check_request(&self) -> Result<()> {
        let named = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !self.name.starts_with(|first: char| first.is_ascii_alphabetic()) || !self.name.bytes().all(named) {
            return Err(Error::new(format!("name: got {:?}, want a letter, then letters, digits, - and _", self.name)));
        }
        if self.upstream.is_empty() {
            return Err("upstream: got \"\", want the name of an upstream".into());
        }
        if !is_token(&self.method) || self.method.eq_ignore_ascii_case("connect") || self.method.eq_ignore_ascii_case("head") {
            return Err(Error::new(format!("method: got {:?}, want a method whose answer has a body, such as GET or POST", self.method)));
        }
        if !self.path.is_rooted() {
            return Err("path: want a path that starts with / or {request.path}".into());
        }
        if !self.path.is_sendable_path() {
            return Err(Error::new(format!("path: got {:?}, {}", format!("{}", self.path), Template::SENDABLE)));
        }
        if self.path.is_of_response() {
            return Err("path: {response.status} is not known yet".into());
        }
        match self.query && self.path.contains('?') {
            true => Err("query: got true with a query in the path, want one of them".into()),
            false => Ok(()),
        }
    }

    fn check_shape(&self) -> Result<()> {
        if self.rename.values().enumerate().any(|(at, name)| self.rename.values().take(at).any(|other| other == name)) {
            return Err("rename: two members get the same name".into());
        }
        let Select::Only(paths) = &self.select else { return Ok(()) };
        let renamed = |root: &str| self.rename.keys().any(|path| path.is_shallow() && path.root_member() == Some(root));
        let stays = paths.iter().filter_map(Path::root_member).filter(|root| !renamed(root)).collect::<BTreeSet<_>>();
        let shallow = self.rename.iter().filter(|(path, _)| path.is_shallow());
        match shallow.map(|(_, name)| name).find(|name| stays.contains(&***name)) {
            Some(name) => Err(Error::new(format!("rename: {name:?} is selected, and the new name of another"))),
            None => Ok(()),
        }
    }
}

impl Part {
    /// This part, if its name and its keys are not taken by those before it.
    fn beside(self, others: &[Self]) -> Result<Self> {
        let keys = self.known_keys()?;
        for other in others {
            if other.name == self.name {
                return Err(Error::new(format!("name: {:?} is taken", self.name)));
            }
            if let Some(key) = other.known_keys()?.intersection(&keys).next() {
                return Err(Error::new(format!("group: the key {key:?} is taken by {:?}", other.name)));
            }
        }
        Ok(self)
    }

    /// The keys in the answer that this part is known to have: its own, or those of its members that the configuration
    /// names.
    fn known_keys(&self) -> Result<BTreeSet<String>> {
        if let Some(key) = &self.key {
            return Ok([key.clone()].into());
        }
        let mut keys = BTreeSet::new();
        if let Select::Only(paths) = &self.select {
            keys.extend(paths.iter().filter_map(Path::root_member).map(String::from));
        }
        for (path, name) in self.rename.iter().filter(|(path, _)| path.is_shallow()) {
            keys.remove(path.root_member().unwrap_or_default());
            keys.insert(name.clone());
        }
        if let Some(fallback) = &self.fallback {
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(fallback.get())?;
            keys.extend(members.into_keys());
        }
        Ok(keys)
    }
}

fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

fn yes() -> bool {
    true
}

fn get() -> String {
    "GET".into()
}

fn ok() -> u16 {
    200
}

/// KrakenD's, and within the patience of most clients.
fn two_seconds() -> Period {
    Period::of(Duration::from_secs(2))
}
