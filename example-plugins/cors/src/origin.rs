//! Which origins are allowed: by name, by `https://*.example.com`, or all.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use gatehouse_plugin::{Error, Result};

/// The origins that are allowed.
pub struct Origins {
    all: bool,
    exact: Vec<String>,
    /// What stands before and after the `*`.
    wildcards: Vec<(String, String)>,
}

impl Origins {
    /// Parses a list of origins.
    pub fn parse(texts: Vec<String>) -> Result<Self> {
        if texts.is_empty() {
            return Err("origins: got none, want at least one".into());
        }
        let mut origins = Self { all: false, exact: Vec::new(), wildcards: Vec::new() };
        for mut text in texts {
            text.make_ascii_lowercase();
            drop_default_port(&mut text);
            origins.add(text)?;
        }
        Ok(origins)
    }

    fn add(&mut self, text: String) -> Result<()> {
        let wanted = || {
            let want = "an origin such as https://example.com, https://*.example.com, * or null";
            Error::new(format!("origins: got {text:?}, want {want}"))
        };
        if text == "*" {
            self.all = true;
            return Ok(());
        }
        if text == "null" {
            self.exact.push(text);
            return Ok(());
        }
        let (scheme, host) = text.split_once("://").ok_or_else(wanted)?;
        let scheme_fits = !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        let (wildcard, rest) = match host.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, host),
        };
        if !scheme_fits || rest.is_empty() || !rest.bytes().all(is_authority) {
            return Err(wanted());
        }
        match wildcard {
            true => self.wildcards.push((format!("{scheme}://"), format!(".{rest}"))),
            false => self.exact.push(text),
        }
        Ok(())
    }

    /// Whether every origin is allowed.
    pub fn allow_all(&self) -> bool {
        self.all
    }

    /// Whether this one is. Browsers write origins in lower case.
    pub fn allow(&self, origin: &str) -> bool {
        self.all
            || self.exact.iter().any(|allowed| allowed == origin)
            || self.wildcards.iter().any(|(before, after)| is_between(origin, before, after))
    }
}

/// Whether there is a subdomain, and nothing else, between the two.
fn is_between(origin: &str, before: &str, after: &str) -> bool {
    let middle = origin.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    middle.is_some_and(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)))
}

// Browsers leave it out.
fn drop_default_port(text: &mut String) {
    for (scheme, port) in [("https://", ":443"), ("http://", ":80")] {
        if text.starts_with(scheme) && text.ends_with(port) {
            text.truncate(text.len() - port.len());
        }
    }
}

fn is_authority(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(allowed: &str, origin: &str, expected: bool) {
        let origins = Origins::parse(Vec::from([allowed.into()])).unwrap();
        assert_eq!(origins.allow(origin), expected, "{origin} by {allowed}");
    }

    #[test]
    fn an_origin_is_allowed_by_name_or_wildcard() {
        check("https://a.example", "https://a.example", true);
        check("https://A.example", "https://a.example", true);
        check("https://a.example", "http://a.example", false);
        check("https://a.example", "https://a.example:8443", false);
        check("https://a.example", "https://a.example.evil", false);
        check("https://*.example.com", "https://x.example.com", true);
        check("https://*.example.com", "https://x.y.example.com", true);
        check("https://*.example.com", "https://example.com", false);
        check("https://*.example.com", "https://.example.com", false);
        check("https://*.example.com", "https://evilexample.com", false);
        check("https://*.example.com", "https://evil.com/.example.com", false);
        check("https://*.example.com", "https://evil.com:1@x.example.com", false);
        check("https://*.example.com:8443", "https://x.example.com:8443", true);
        check("https://a.example:443", "https://a.example", true);
        check("http://*.example.com:80", "http://x.example.com", true);
        check("http://a.example:443", "http://a.example:443", true);
        check("null", "null", true);
        check("https://a.example", "null", false);
        check("*", "https://anything", true);
    }

    #[track_caller]
    fn check_refused(origin: &str) {
        assert!(Origins::parse(Vec::from([origin.into()])).is_err(), "{origin:?} is refused");
    }

    #[test]
    fn what_no_browser_sends_is_refused() {
        check_refused("example.com");
        check_refused("https://");
        check_refused("https://a.example/");
        check_refused("https://a.example/path");
        check_refused("https://a.*.example");
        check_refused("https://*");
        check_refused("https://*.");
        check_refused("https://a b");
        assert!(Origins::parse(Vec::new()).is_err(), "none at all is a mistake");
    }
}
