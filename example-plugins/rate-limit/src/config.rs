//! The configuration of `rate-limit`, checked against the range of the gateway's buckets.

use alloc::format;
use alloc::string::String;

use gatehouse_plugin::header::{HeaderName, QuotableText};
use gatehouse_plugin::{Error, Result};
use serde::Deserialize;

/// The configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Tokens a second.
    pub rate: f64,
    #[serde(default)]
    burst: Option<u32>,
    /// Whose bucket.
    #[serde(default)]
    pub key: By,
    /// Tokens a request takes.
    #[serde(default = "default_cost")]
    pub cost: u32,
    /// The name of buckets that several routes share.
    #[serde(default)]
    pub name: Option<QuotableText>,
    // One gateway is always exact. The key is taken already, so that a fleet's document is good on one machine.
    #[serde(default, rename = "strict")]
    _strict: bool,
    /// Whether answers that pass tell the state of the limit.
    #[serde(default = "default_headers")]
    pub headers: bool,
}

/// Whose bucket a request draws on.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum By {
    /// The client's; the address's where there is none.
    #[default]
    Client,
    /// The address's.
    Address,
    /// One for all.
    Route,
    /// A header value's; the address's where there is none.
    Header(HeaderName),
}

impl Config {
    /// The size of the bucket, once rate and cost are known to be in range.
    pub fn burst(&self) -> Result<u32> {
        if !(self.rate > 0.0 && self.rate <= 1e9) {
            return Err(Error::new(format!("rate: got {}, want > 0 and at most 1e9", self.rate)));
        }
        let burst = self.burst.unwrap_or(u32::try_from(rounded_up(self.rate)).unwrap_or(u32::MAX));
        if burst < 1 {
            return Err("burst: got 0, want > 0".into());
        }
        if !(1..=burst).contains(&self.cost) {
            return Err(Error::new(format!("cost: got {}, want 1 to {burst}, what the bucket holds", self.cost)));
        }
        Ok(burst)
    }
}

/// The next whole number. `f64::ceil` belongs to std.
pub fn rounded_up(number: f64) -> u64 {
    let whole = number as u64;
    whole.saturating_add(u64::from((whole as f64) < number))
}

impl TryFrom<String> for By {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match &*text {
            "client" => return Ok(Self::Client),
            "address" => return Ok(Self::Address),
            "route" => return Ok(Self::Route),
            _ => {}
        }
        match text.strip_prefix("header:") {
            Some(name) => HeaderName::try_from(String::from(name)).map(Self::Header),
            None => Err(format!("key: got {text:?}, want client, address, route or header:NAME")),
        }
    }
}

fn default_cost() -> u32 {
    1
}

fn default_headers() -> bool {
    true
}
