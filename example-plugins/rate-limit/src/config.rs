//! The configuration of `rate-limit` as it is written. What it comes to is in `limits`.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use gatehouse_plugin::Request;
use gatehouse_plugin::header::{HeaderName, QuotableText};
use gatehouse_plugin::rate_limit::Key;
use serde::Deserialize;

use crate::rate::Rate;

/// The configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How fast tokens come, where there is one policy.
    #[serde(default)]
    pub rate: Option<Rate>,
    /// What its bucket holds.
    #[serde(default)]
    pub burst: Option<u32>,
    /// Whose bucket, and whose places.
    #[serde(default)]
    pub key: By,
    /// Tokens a request takes.
    #[serde(default = "one")]
    pub cost: u32,
    /// The name of buckets that several routes share.
    #[serde(default)]
    pub name: Option<QuotableText>,
    /// Several policies in place of one.
    #[serde(default)]
    pub policies: Vec<PolicyConfig>,
    /// What clients of a plan have in place of `rate` and `burst`.
    #[serde(default)]
    pub plans: BTreeMap<QuotableText, PlanConfig>,
    /// How many requests of one key may be under way.
    #[serde(default)]
    pub concurrency: Option<u32>,
    /// In a fleet: whether the shared counter is asked each time.
    #[serde(default)]
    pub strict: bool,
    /// Whether answers that pass tell the state of the limit.
    #[serde(default = "yes")]
    pub headers: bool,
    /// Whether `X-RateLimit-*` is sent too.
    #[serde(default)]
    pub legacy_headers: bool,
}

/// One of several policies.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyConfig {
    /// As above.
    #[serde(default)]
    pub name: Option<QuotableText>,
    /// As above.
    pub rate: Rate,
    /// As above.
    #[serde(default)]
    pub burst: Option<u32>,
    /// Where it differs from the one above.
    #[serde(default)]
    pub key: Option<By>,
    /// Where it differs from the one above.
    #[serde(default)]
    pub cost: Option<u32>,
}

/// What a plan allows.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanConfig {
    /// How fast tokens come.
    pub rate: Rate,
    /// What the bucket holds.
    #[serde(default)]
    pub burst: Option<u32>,
    /// Where it differs from everybody's.
    #[serde(default)]
    pub concurrency: Option<u32>,
}

/// Whose bucket a request draws on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum By {
    /// The client's; the address's where there is none.
    #[default]
    Client,
    /// The address's.
    Address,
    /// One for all.
    Route,
    /// The API key's; as `Client` where the client was authenticated in another way.
    ApiKey,
    /// A header value's; as `Client` where there is none.
    Header(HeaderName),
}

impl By {
    /// The key of this request.
    pub fn key<'a>(&self, request: &'a Request) -> Key<'a> {
        match self {
            By::Client => Key::Client,
            By::Address => Key::Address,
            By::Route => Key::Route,
            By::ApiKey => Key::ApiKey,
            By::Header(name) => request.header(name.as_str()).map_or(Key::Client, Key::Text),
        }
    }

    /// The header it looks at.
    pub fn header(&self) -> Option<&HeaderName> {
        match self {
            By::Header(name) => Some(name),
            By::Client | By::Address | By::Route | By::ApiKey => None,
        }
    }

    /// Whether one bucket belongs to one client, and so to one plan.
    pub fn is_of_one_client(&self) -> bool {
        matches!(self, By::Client | By::ApiKey)
    }
}

impl TryFrom<String> for By {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match &*text {
            "client" => return Ok(Self::Client),
            "address" => return Ok(Self::Address),
            "route" => return Ok(Self::Route),
            "api-key" => return Ok(Self::ApiKey),
            _ => {}
        }
        match text.strip_prefix("header:") {
            Some(name) => HeaderName::try_from(String::from(name)).map(Self::Header),
            None => Err(format!("key: got {text:?}, want client, address, route, api-key or header:NAME")),
        }
    }
}

fn one() -> u32 {
    1
}

fn yes() -> bool {
    true
}
