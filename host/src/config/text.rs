//! Values with a written form of their own: addresses, networks, digests, dates, log targets.
//! `Text` ties one parser to serde and to the JSON Schema, so both refuse the same things.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use super::units::Period;

/// A value read from a string. The error of `FromStr` says what is wrong with it.
pub trait Text: FromStr<Err = String> + Display {
    /// The JSON Schema `format` that stands for this parser.
    const FORMAT: &'static str;
    /// What a good value looks like, for people.
    const WANT: &'static str;
}

// Serde and schema for a `Text` type, all through its one parser.
macro_rules! text {
    ($type:ident, $format:literal, $want:literal) => {
        impl $crate::config::text::Text for $type {
            const FORMAT: &'static str = $format;
            const WANT: &'static str = $want;
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(|reason| serde::de::Error::custom(format!("{text:?}: {reason}; want {}", $want)))
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "format": $format, "description": $want})
            }
        }
    };
}
pub(crate) use text;

/// An IP address with a port: `127.0.0.1:8080`, `[::1]:8080`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address(pub SocketAddr);

/// A network in CIDR form; a bare address stands for itself alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr(pub IpNet);

/// A SHA-256 digest, written as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sha256(pub [u8; 32]);

/// An Ed25519 public key, written as 32 bytes in Base64: what `gatehouse plugin sign` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey(pub [u8; 32]);

/// A moment, written as in RFC 3339: `2027-01-31T12:00:00Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub SystemTime);

/// Where the access log goes: `stdout`, `stderr`, `off` or the path of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// The standard output.
    Stdout,
    /// The standard error.
    Stderr,
    /// Nowhere.
    Off,
    /// A file that is appended to.
    File(PathBuf),
}

/// What a hashing balancer keeps together: `client`, `address`, `path`, `header:NAME`, `query:NAME` or `cookie:NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashOn {
    /// The API client.
    Client,
    /// The address the request came from.
    Address,
    /// The path of the request.
    Path,
    /// The value of this header.
    Header(String),
    /// The value of this query parameter.
    Query(String),
    /// The value of this cookie.
    Cookie(String),
}

/// When a request is hedged: `p95` or `50ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HedgeAfter {
    /// After as long as so many of a hundred answers take at most.
    Percentile(u8),
    /// After this time.
    Time(Period),
}

/// Statuses of answers: `200`, `2xx` or `200-399`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statuses {
    /// The first of them.
    pub first: u16,
    /// The last.
    pub last: u16,
}

text!(Address, "gatehouse-address", "an IP address and a port such as 127.0.0.1:8080");
text!(Cidr, "gatehouse-cidr", "a network such as 10.0.0.0/8 or an address");
text!(Sha256, "gatehouse-sha256", "64 hex digits");
text!(PublicKey, "gatehouse-public-key", "an Ed25519 public key, 44 characters of Base64");
text!(Timestamp, "gatehouse-timestamp", "a date and time such as 2027-01-31T12:00:00Z");
text!(LogTarget, "gatehouse-log-target", "stdout, stderr, off or the path of a file");
text!(HedgeAfter, "gatehouse-hedge-after", "a percentile from p50 to p99, or a duration such as 50ms");
text!(HashOn, "gatehouse-hash-on", "client, address, path, header:NAME, query:NAME or cookie:NAME");

// === impl Address ===

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(Address(address));
        }
        if text.parse::<IpAddr>().is_ok() {
            return Err("the port is missing".into());
        }
        Err("not an IP address with a port".into())
    }
}

impl Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === impl Cidr ===

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Cidr(address.into()));
        }
        text.parse().map(Cidr).map_err(|_| "not a network".into())
    }
}

impl Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === impl Sha256 ===

impl FromStr for Sha256 {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() != 64 {
            return Err(format!("{} characters long", text.chars().count()));
        }
        let mut digest = [0; 32];
        for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
        }
        Ok(Sha256(digest))
    }
}

fn hex_digit(byte: u8) -> Result<u8, String> {
    let digit = char::from(byte).to_digit(16).ok_or("not hexadecimal")?;
    Ok(u8::try_from(digit).expect("a hex digit is under 16"))
}

impl Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256({self})")
    }
}

// === impl PublicKey ===

impl FromStr for PublicKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = STANDARD.decode(text).map_err(|_| "not Base64")?;
        bytes.try_into().map(PublicKey).map_err(|bytes: Vec<u8>| format!("{} bytes long, not 32", bytes.len()))
    }
}

impl Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

// === impl Timestamp ===

impl Timestamp {
    /// The moment, to the second.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp(SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs()))
    }
}

impl FromStr for Timestamp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        humantime::parse_rfc3339(text).map(Timestamp).map_err(|error| error.to_string())
    }
}

impl Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339(self.0).fmt(f)
    }
}

// === impl LogTarget ===

impl FromStr for LogTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "" => return Err("empty".into()),
            "stdout" => LogTarget::Stdout,
            "stderr" => LogTarget::Stderr,
            "off" => LogTarget::Off,
            path => LogTarget::File(path.into()),
        })
    }
}

impl Display for LogTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogTarget::Stdout => f.write_str("stdout"),
            LogTarget::Stderr => f.write_str("stderr"),
            LogTarget::Off => f.write_str("off"),
            LogTarget::File(path) => path.display().fmt(f),
        }
    }
}

// === impl HashOn ===

impl FromStr for HashOn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = text.split_once(':').unwrap_or((text, ""));
        Ok(match (kind, name) {
            ("client", "") => HashOn::Client,
            ("address", "") => HashOn::Address,
            ("path", "") => HashOn::Path,
            ("header" | "query" | "cookie", "") => return Err("the name after the colon is missing".into()),
            ("header", name) => HashOn::Header(name.into()),
            ("query", name) => HashOn::Query(name.into()),
            ("cookie", name) => HashOn::Cookie(name.into()),
            _ => return Err("not something to hash on".into()),
        })
    }
}

impl Display for HashOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HashOn::Client => f.write_str("client"),
            HashOn::Address => f.write_str("address"),
            HashOn::Path => f.write_str("path"),
            HashOn::Header(name) => write!(f, "header:{name}"),
            HashOn::Query(name) => write!(f, "query:{name}"),
            HashOn::Cookie(name) => write!(f, "cookie:{name}"),
        }
    }
}

// === impl HedgeAfter ===

impl FromStr for HedgeAfter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(percentile) = text.strip_prefix('p') else {
            let time: Period = text.parse()?;
            return if time.is_zero() { Err("no time at all".into()) } else { Ok(HedgeAfter::Time(time)) };
        };
        let percentile = percentile.parse().ok().filter(|percentile| (50..=99).contains(percentile));
        percentile.map(HedgeAfter::Percentile).ok_or("not a percentile".into())
    }
}

impl Display for HedgeAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HedgeAfter::Percentile(percentile) => write!(f, "p{percentile}"),
            HedgeAfter::Time(time) => write!(f, "{time}"),
        }
    }
}

// === impl Statuses ===

impl Text for Statuses {
    const FORMAT: &'static str = "gatehouse-statuses";
    const WANT: &'static str = "a status such as 204, a class such as 2xx or a range such as 200-399";
}

// Not by `text!`: one status is a number to YAML, and nobody would think of quotes.
impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Value::deserialize(deserializer)? {
            Value::String(text) => text,
            other => other.to_string(),
        };
        text.parse().map_err(|reason| de::Error::custom(format!("{text:?}: {reason}; want {}", Self::WANT)))
    }
}

impl Serialize for Statuses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Statuses {
    fn schema_name() -> Cow<'static, str> {
        "Statuses".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"], "format": Self::FORMAT, "minimum": 100, "maximum": 599, "description": Self::WANT
        })
    }
}

impl FromStr for Statuses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let statuses = match (text.split_once('-'), text.strip_suffix("xx")) {
            (Some((first, last)), _) => Statuses { first: status(first)?, last: status(last)? },
            (None, Some(class)) => {
                let first = status(&format!("{class}00"))?;
                Statuses { first, last: first + 99 }
            }
            (None, None) => Statuses { first: status(text)?, last: status(text)? },
        };
        if statuses.first > statuses.last {
            return Err("the first is above the last".into());
        }
        Ok(statuses)
    }
}

fn status(text: &str) -> Result<u16, String> {
    text.parse().ok().filter(|status| (100..=599).contains(status)).ok_or_else(|| "not a status".to_owned())
}

impl Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.last - self.first {
            0 => write!(f, "{}", self.first),
            99 if self.first.is_multiple_of(100) => write!(f, "{}xx", self.first / 100),
            _ => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: Text>(text: &str, expected: Result<&str, &str>) {
        let printed = text.parse::<T>().map(|value| value.to_string());
        assert_eq!(printed, expected.map(str::to_string).map_err(str::to_string), "reading {text:?}");
    }

    #[test]
    fn each_written_form_is_read_and_printed() {
        check::<Address>("[::1]:80", Ok("[::1]:80"));
        check::<Cidr>("10.1.2.3", Ok("10.1.2.3/32"));
        check::<Cidr>("fd00::/8", Ok("fd00::/8"));
        check::<Timestamp>("2027-01-31T12:00:00Z", Ok("2027-01-31T12:00:00Z"));
        check::<LogTarget>("off", Ok("off"));
        check::<LogTarget>("/var/log/access.json", Ok("/var/log/access.json"));
        check::<HashOn>("header:x-tenant", Ok("header:x-tenant"));
        check::<Statuses>("2xx", Ok("2xx"));
        check::<Statuses>("200-299", Ok("2xx"));
        check::<Statuses>("200-399", Ok("200-399"));
        check::<Statuses>("204", Ok("204"));
        let digest = "00ff".repeat(16);
        check::<Sha256>(&digest.to_uppercase(), Ok(&digest));
    }

    #[test]
    fn each_bad_form_says_what_is_wrong() {
        check::<Address>("127.0.0.1", Err("the port is missing"));
        check::<Address>("localhost:80", Err("not an IP address with a port"));
        check::<Cidr>("10.0.0.0/33", Err("not a network"));
        check::<Sha256>("abc", Err("3 characters long"));
        check::<Sha256>(&"xy".repeat(32), Err("not hexadecimal"));
        check::<LogTarget>("", Err("empty"));
        check::<HashOn>("header:", Err("the name after the colon is missing"));
        check::<HashOn>("moon", Err("not something to hash on"));
        check::<Statuses>("9xx", Err("not a status"));
        check::<Statuses>("xx", Err("not a status"));
        check::<Statuses>("ok", Err("not a status"));
        check::<Statuses>("300-200", Err("the first is above the last"));
    }
}
