//! Hosts: the pattern a rule names and the map from a request's host to what serves it.
//! Names only: a host that is an address meets nothing but the rules for every host.

use std::{fmt, net::Ipv4Addr};

use super::{error::RuleError, hash::TextMap};

/// The hosts a rule serves. Names are kept in lower case, without a trailing dot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// Every host, and requests without one.
    Any,
    /// One name.
    Exact(Box<str>),
    /// Every name that ends in a dot and this one, at any depth; never this one itself.
    Wildcard(Box<str>),
}

/// Values by host pattern, found by name: the exact one, then the longest wildcard, then the one for all.
#[derive(Debug)]
pub(super) struct HostMap<V> {
    exact: TextMap<V>,
    wildcard: TextMap<V>,
    any: Option<V>,
    /// Labels of the deepest wildcard, so that a host of a hundred labels costs no hundred lookups.
    deepest: usize,
}

const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

// === impl HostPattern ===

impl HostPattern {
    /// Reads `name` or `*.name`; case does not matter.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        if text == "*" {
            return Err(RuleError::BareWildcard);
        }
        let (name, wildcard) = match text.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (text, false),
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        check_name(text, name)?;
        let name = name.to_ascii_lowercase().into_boxed_str();
        Ok(if wildcard { Self::Wildcard(name) } else { Self::Exact(name) })
    }

    /// Whether this pattern serves the host of a request.
    pub fn matches(&self, host: &str) -> bool {
        let name = bare_name(host);
        match self {
            Self::Any => true,
            Self::Exact(exact) => name.eq_ignore_ascii_case(exact),
            Self::Wildcard(parent) => ends_below(name.as_bytes(), parent.as_bytes()),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any host"),
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(parent) => write!(f, "*.{parent}"),
        }
    }
}

fn ends_below(name: &[u8], parent: &[u8]) -> bool {
    let Some((front, tail)) = name.len().checked_sub(parent.len()).map(|at| name.split_at(at)) else {
        return false;
    };
    tail.eq_ignore_ascii_case(parent) && front.len() > 1 && front.ends_with(b".")
}

fn check_name(text: &str, name: &str) -> Result<(), RuleError> {
    if name.is_empty() {
        return Err(if text.is_empty() { RuleError::EmptyHost } else { RuleError::EmptyLabel(text.into()) });
    }
    if name.contains('*') {
        return Err(RuleError::MisplacedWildcard(text.into()));
    }
    check_no_address(text, name)?;
    if name.len() > MAX_NAME {
        return Err(RuleError::LongHost(text.into()));
    }
    name.split('.').try_for_each(|label| check_label(text, label))
}

fn check_no_address(text: &str, name: &str) -> Result<(), RuleError> {
    let is_v6 = name.starts_with('[') || name.matches(':').count() > 1;
    let (bare, port) = name.split_once(':').map_or((name, None), |(bare, port)| (bare, Some(port)));
    if is_v6 || bare.parse::<Ipv4Addr>().is_ok() {
        return Err(RuleError::HostAddress(text.into()));
    }
    if port.is_some() {
        return Err(RuleError::HostPort(text.into()));
    }
    Ok(())
}

fn check_label(host: &str, label: &str) -> Result<(), RuleError> {
    if label.is_empty() {
        return Err(RuleError::EmptyLabel(host.into()));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let dashed = label.starts_with('-') || label.ends_with('-');
    if label.len() > MAX_LABEL || dashed || !label.bytes().all(allowed) {
        return Err(RuleError::BadLabel { host: host.into(), label: label.into() });
    }
    Ok(())
}

/// The name in an authority: no port, no trailing dot.
fn bare_name(host: &str) -> &str {
    let name = match host.find(':') {
        // A colon in brackets belongs to an IPv6 address, which is no name and meets none.
        Some(colon) if !host.starts_with('[') => &host[..colon],
        _ => host,
    };
    name.strip_suffix('.').unwrap_or(name)
}

// === impl HostMap ===

impl<V> HostMap<V> {
    /// The value of a pattern, made if it is new.
    pub(super) fn entry(&mut self, pattern: &HostPattern) -> &mut V
    where
        V: Default,
    {
        match pattern {
            HostPattern::Any => self.any.get_or_insert_default(),
            HostPattern::Exact(name) => self.exact.entry(name.clone()).or_default(),
            HostPattern::Wildcard(parent) => {
                self.deepest = self.deepest.max(labels(parent));
                self.wildcard.entry(parent.clone()).or_default()
            }
        }
    }

    /// The same hosts with other values.
    pub(super) fn map<W>(self, mut change: impl FnMut(V) -> W) -> HostMap<W> {
        let mut change_all = |map: TextMap<V>| map.into_iter().map(|(name, value)| (name, change(value))).collect();
        HostMap { exact: change_all(self.exact), wildcard: change_all(self.wildcard), any: self.any.map(change), deepest: self.deepest }
    }

    /// The first answer among the values that serve `host`, asked from the most specific on.
    pub(super) fn find<'a, R>(&'a self, host: &str, ask: impl Fn(&'a V) -> Option<R>) -> Option<R> {
        self.find_named(bare_name(host), &ask).or_else(|| self.any.as_ref().and_then(ask))
    }

    /// Every value, in no order.
    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.exact.values().chain(self.wildcard.values()).chain(&self.any)
    }

    fn find_named<'a, R>(&'a self, name: &str, ask: &impl Fn(&'a V) -> Option<R>) -> Option<R> {
        // Nothing longer can be in the maps, and it would not fit the buffer below.
        if name.len() > MAX_NAME {
            return None;
        }
        if !name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return self.find_lower_case(name, ask);
        }
        let mut buffer = [0; MAX_NAME];
        let lower = &mut buffer[..name.len()];
        lower.copy_from_slice(name.as_bytes());
        lower.make_ascii_lowercase();
        self.find_lower_case(str::from_utf8(lower).ok()?, ask)
    }

    fn find_lower_case<'a, R>(&'a self, name: &str, ask: &impl Fn(&'a V) -> Option<R>) -> Option<R> {
        if let Some(answer) = self.exact.get(name).and_then(ask) {
            return Some(answer);
        }
        self.find_wildcard(name, ask)
    }

    fn find_wildcard<'a, R>(&'a self, name: &str, ask: &impl Fn(&'a V) -> Option<R>) -> Option<R> {
        if self.wildcard.is_empty() {
            return None;
        }
        let too_deep = (labels(name) - 1).saturating_sub(self.deepest);
        parents(name).skip(too_deep).find_map(|parent| self.wildcard.get(parent).and_then(ask))
    }
}

impl<V> Default for HostMap<V> {
    fn default() -> Self {
        Self { exact: TextMap::default(), wildcard: TextMap::default(), any: None, deepest: 0 }
    }
}

fn labels(name: &str) -> usize {
    name.bytes().filter(|byte| *byte == b'.').count() + 1
}

/// What is left of a name after each of its dots, longest first. A dot in front ends no label.
fn parents(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('.').filter(|(at, _)| *at > 0).map(|(at, _)| &name[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        let error = HostPattern::parse(text).expect_err("must be refused");
        assert_eq!(error.to_string(), expected, "the message for {text:?}");
    }

    #[track_caller]
    fn served(pattern: &str, host: &str, expected: bool) {
        let pattern = HostPattern::parse(pattern).unwrap();
        assert_eq!(pattern.matches(host), expected, "{pattern} and {host:?}");
        let mut map = HostMap::<()>::default();
        map.entry(&pattern);
        assert_eq!(map.find(host, Some).is_some(), expected, "the map of {pattern} and {host:?}");
    }

    #[test]
    fn names_are_kept_in_lower_case_without_a_trailing_dot() {
        assert_eq!(HostPattern::parse("API.Example.com.").unwrap(), HostPattern::Exact("api.example.com".into()));
        assert_eq!(HostPattern::parse("*.Example.com").unwrap(), HostPattern::Wildcard("example.com".into()));
        assert_eq!(HostPattern::parse("my_service").unwrap(), HostPattern::Exact("my_service".into()));
        assert_eq!(HostPattern::parse("*.com").unwrap().to_string(), "*.com", "a pattern prints as it was written");
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_way_out() {
        refused("", "the host is empty; leave `hosts` out to serve every host");
        refused("*", "`*` is not a host; leave `hosts` out to serve every host");
        refused("a.*.com", "host `a.*.com` has a `*` in the wrong place; only a leading `*.` is a wildcard");
        refused("*a.com", "host `*a.com` has a `*` in the wrong place; only a leading `*.` is a wildcard");
        refused("*.*.com", "host `*.*.com` has a `*` in the wrong place; only a leading `*.` is a wildcard");
        refused("a.com:80", "host `a.com:80` has a port; rules match on the name alone");
        refused("*.a.com:80", "host `*.a.com:80` has a port; rules match on the name alone");
        refused("127.0.0.1", "host `127.0.0.1` is an IP address; only names can be matched");
        refused("127.0.0.1:80", "host `127.0.0.1:80` is an IP address; only names can be matched");
        refused("[::1]", "host `[::1]` is an IP address; only names can be matched");
        refused("::1", "host `::1` is an IP address; only names can be matched");
        refused("a..com", "host `a..com` has an empty label");
        refused(".a.com", "host `.a.com` has an empty label");
        refused("a.com..", "host `a.com..` has an empty label");
        refused("*.", "host `*.` has an empty label");
        refused(".", "host `.` has an empty label");
    }

    #[test]
    fn labels_that_dns_would_not_carry_are_refused() {
        for (host, bad) in [("-a.com", "-a"), ("a-.com", "a-"), ("a b.com", "a b"), ("bücher.de", "bücher")] {
            let expected = RuleError::BadLabel { host: host.into(), label: bad.into() };
            assert_eq!(HostPattern::parse(host), Err(expected), "{host}");
        }
        assert!(HostPattern::parse(&"a".repeat(63)).is_ok(), "63 characters are the longest label");
        assert!(HostPattern::parse(&"a".repeat(64)).is_err(), "64 are too many");
        let long = ["a"; 127].join(".");
        assert!(HostPattern::parse(&long).is_ok(), "253 characters are the longest name");
        assert_eq!(HostPattern::parse(&format!("b{long}")), Err(RuleError::LongHost(format!("b{long}"))), "254 are too many");
    }

    #[test]
    fn a_name_serves_itself_in_any_case_with_any_port() {
        served("example.com", "example.com", true);
        served("example.com", "EXAMPLE.com", true);
        served("example.com", "example.com:8443", true);
        served("example.com", "example.com.", true);
        served("example.com", "Example.Com.:80", true);
        served("example.com", "example.com..", false);
        served("example.com", "a.example.com", false);
        served("example.com", "example.org", false);
        served("example.com", "", false);
        served("example.com", ":80", false);
        served("example.com", "[::1]:80", false);
    }

    #[test]
    fn a_wildcard_serves_every_depth_and_never_the_apex() {
        served("*.example.com", "a.example.com", true);
        served("*.example.com", "a.b.c.example.com", true);
        served("*.example.com", "A.Example.COM:443", true);
        served("*.example.com", "example.com", false);
        served("*.example.com", ".example.com", false);
        served("*.example.com", "aexample.com", false);
        served("*.example.com", "a.example.org", false);
        served("*.example.com", "com", false);
        served("*.example.com", "", false);
        served("*.com", "a.b.com", true);
    }

    #[test]
    fn more_specific_hosts_are_asked_first() {
        let mut map = HostMap::<Vec<&str>>::default();
        for pattern in ["a.b.example.com", "*.b.example.com", "*.example.com"] {
            map.entry(&HostPattern::parse(pattern).unwrap()).push(pattern);
        }
        map.entry(&HostPattern::Any).push("any");
        let asked = std::cell::RefCell::new(Vec::<&str>::new());
        let ask = |names: &Vec<&'static str>| {
            asked.borrow_mut().extend(names);
            None::<()>
        };
        map.find("A.b.example.com:1", ask);
        assert_eq!(asked.take(), ["a.b.example.com", "*.b.example.com", "*.example.com", "any"], "exact, long, short, any");
        map.find("x.y.z.b.example.com", ask);
        assert_eq!(asked.take(), ["*.b.example.com", "*.example.com", "any"], "labels above the deepest are skipped");
        map.find("b.example.com", ask);
        assert_eq!(asked.take(), ["*.example.com", "any"], "a wildcard does not serve its own name");
    }

    #[test]
    fn odd_hosts_meet_only_the_rules_for_all() {
        let mut map = HostMap::<()>::default();
        map.entry(&HostPattern::parse("*.example.com").unwrap());
        let long = format!("{}.example.com", "a".repeat(300));
        for host in [long.as_str(), "ÄÖ.EXAMPLE.ORG", "[::1]:80", "[", ":", ".", "..", "...", ".:.", "a.b.c.d.e"] {
            assert!(map.find(host, Some).is_none(), "{host:?} is no name under example.com");
        }
        map.entry(&HostPattern::Any);
        for host in [long.as_str(), "", "[::1]:80", "."] {
            assert!(map.find(host, Some).is_some(), "{host:?} falls to the rules for every host");
        }
    }
}
