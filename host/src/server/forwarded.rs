//! What the gateway tells upstreams about the client: `X-Forwarded-*`, `Forwarded` and `Via`, and whom it believes about them.
//! One `Forwarding` per connection keeps the values ready, so that a request mostly clones them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::header::{self, HeaderName, InvalidHeaderValue};
use http::{HeaderMap, HeaderValue, Version};
use ipnet::IpNet;
use thiserror::Error;

/// The name the gateway goes by in `Via` and `Forwarded`, with the values made from it.
#[derive(Debug, Clone)]
pub struct Pseudonym {
    name: String,
    via_1_0: HeaderValue,
    via_1_1: HeaderValue,
    via_2: HeaderValue,
}

/// A pseudonym that is not a token.
#[derive(Debug, Error)]
#[error("{name:?} cannot be a name in via and forwarded headers")]
pub struct BadPseudonym {
    name: String,
    #[source]
    source: Option<InvalidHeaderValue>,
}

/// A request that passed this gateway twice before; the answer is 508.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the request came back to this gateway, so there is a loop")]
pub struct LoopDetected;

/// The forwarding headers of one connection.
#[derive(Debug)]
pub struct Forwarding {
    peer: IpAddr,
    trusted: Arc<[IpNet]>,
    peer_is_trusted: bool,
    pseudonym: Pseudonym,
    peer_value: HeaderValue,
    protocol: HeaderValue,
    port: HeaderValue,
    host: HostValues,
}

/// The values that depend on the host, kept for the next request, which nearly always has the same.
#[derive(Debug)]
struct HostValues {
    host: String,
    host_value: Option<HeaderValue>,
    forwarded: HeaderValue,
}

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

// === impl Pseudonym ===

impl Pseudonym {
    /// A pseudonym from a name of letters, digits, `.`, `-` and `_`.
    ///
    /// # Errors
    /// When the name is empty or has other characters.
    pub fn new(name: &str) -> Result<Self, BadPseudonym> {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if name.is_empty() || !name.bytes().all(token) {
            return Err(BadPseudonym { name: name.to_owned(), source: None });
        }
        let via = |version| {
            HeaderValue::try_from(format!("{version} {name}"))
                .map_err(|source| BadPseudonym { name: name.to_owned(), source: Some(source) })
        };
        Ok(Self { name: name.to_owned(), via_1_0: via("1.0")?, via_1_1: via("1.1")?, via_2: via("2")? })
    }

    /// The `Via` value for a message received in this version.
    #[must_use]
    pub fn via(&self, received: Version) -> &HeaderValue {
        match received {
            Version::HTTP_2 => &self.via_2,
            Version::HTTP_10 => &self.via_1_0,
            _ => &self.via_1_1,
        }
    }

    fn passes(&self, headers: &HeaderMap) -> usize {
        let is_us = |entry: &[u8]| {
            entry.trim_ascii().split(|&byte| byte == b' ' || byte == b'\t').filter(|word| !word.is_empty()).nth(1)
                == Some(self.name.as_bytes())
        };
        headers
            .get_all(header::VIA)
            .iter()
            .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
            .filter(|&entry| is_us(entry))
            .count()
    }
}

// === impl Forwarding ===

impl Forwarding {
    /// The headers for a connection from `peer` to `local`; `secure` says it is TLS, `trusted` lists the proxies to believe.
    #[must_use]
    pub fn new(peer: SocketAddr, local: SocketAddr, secure: bool, trusted: Arc<[IpNet]>, pseudonym: Pseudonym) -> Self {
        // A dual-stack listener shows IPv4 peers as mapped addresses, which no configured IPv4 range would contain.
        let peer = peer.ip().to_canonical();
        let protocol = if secure { "https" } else { "http" };
        let host = HostValues::new("", peer, protocol, &pseudonym.name);
        Self {
            peer_is_trusted: contains(&trusted, peer),
            peer_value: ascii(&peer.to_string()),
            protocol: HeaderValue::from_static(protocol),
            port: HeaderValue::from(local.port()),
            peer,
            trusted,
            pseudonym,
            host,
        }
    }

    /// Whether the other end of the connection is a trusted proxy.
    #[must_use]
    pub fn from_proxy(&self) -> bool {
        self.peer_is_trusted
    }

    /// The client's address: the peer's, or behind trusted proxies the rightmost address that is not one of theirs.
    #[must_use]
    pub fn client_address(&self, headers: &HeaderMap) -> IpAddr {
        if !self.peer_is_trusted {
            return self.peer;
        }
        let mut client = self.peer;
        for entry in entries_from_the_right(headers) {
            let Some(address) = parse_address(entry) else { break };
            client = address;
            if !contains(&self.trusted, address) {
                break;
            }
        }
        client
    }

    /// Writes the forwarding headers for an upstream; `host` is the authority the client asked for, empty if it named none.
    ///
    /// # Errors
    /// When our own pseudonym stands in `Via` twice already.
    pub fn apply(&mut self, headers: &mut HeaderMap, host: &str, version: Version) -> Result<(), LoopDetected> {
        self.add_via(headers, version)?;
        if self.host.host != host {
            self.host = HostValues::new(host, self.peer, self.protocol.to_str().unwrap_or("http"), &self.pseudonym.name);
        }
        if self.peer_is_trusted {
            self.append(headers)
        } else {
            self.overwrite(headers)
        }
        Ok(())
    }

    fn add_via(&self, headers: &mut HeaderMap, version: Version) -> Result<(), LoopDetected> {
        let via = self.pseudonym.via(version).clone();
        if headers.contains_key(header::VIA) && self.pseudonym.passes(headers) >= 2 {
            return Err(LoopDetected);
        }
        headers.append(header::VIA, via);
        Ok(())
    }

    fn overwrite(&self, headers: &mut HeaderMap) {
        headers.insert(&X_FORWARDED_FOR, self.peer_value.clone());
        headers.insert(&X_FORWARDED_PROTO, self.protocol.clone());
        headers.insert(&X_FORWARDED_PORT, self.port.clone());
        headers.insert(header::FORWARDED, self.host.forwarded.clone());
        match &self.host.host_value {
            Some(host) => drop(headers.insert(&X_FORWARDED_HOST, host.clone())),
            None => drop(headers.remove(&X_FORWARDED_HOST)),
        }
    }

    fn append(&self, headers: &mut HeaderMap) {
        append_to_list(headers, &X_FORWARDED_FOR, &self.peer_value);
        append_to_list(headers, &header::FORWARDED, &self.host.forwarded);
        // These three are single values: the proxy nearest to the client knew them best.
        headers.entry(&X_FORWARDED_PROTO).or_insert_with(|| self.protocol.clone());
        headers.entry(&X_FORWARDED_PORT).or_insert_with(|| self.port.clone());
        if let Some(host) = &self.host.host_value {
            headers.entry(&X_FORWARDED_HOST).or_insert_with(|| host.clone());
        }
    }
}

// === impl HostValues ===

impl HostValues {
    /// A host that cannot stand in a header counts as none.
    fn new(host: &str, peer: IpAddr, protocol: &str, name: &str) -> Self {
        let peer = match peer {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("\"[{address}]\""),
        };
        let host_value = HeaderValue::from_str(host).ok().filter(|value| !value.is_empty());
        let host_pair = match &host_value {
            Some(_) => format!(";host={}", quoted(host)),
            None => String::new(),
        };
        let forwarded = ascii(&format!("for={peer};proto={protocol}{host_pair};by=_{name}"));
        Self { host: host.to_owned(), host_value, forwarded }
    }
}

/// A Forwarded value: plain where it is a token (RFC 7239 §4), in quotes where it has a colon, as with a port.
fn quoted(value: &str) -> String {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if value.bytes().all(token) {
        return value.to_owned();
    }
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A value of ours; it is made of addresses, tokens and a host that already was a header value.
fn ascii(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).expect("addresses, tokens and checked hosts have no control characters")
}

/// Whether an address is one of these networks'.
pub(super) fn contains(trusted: &[IpNet], address: IpAddr) -> bool {
    trusted.iter().any(|network| network.contains(&address))
}

/// Joins all lines of a list field and one more element into one line, since many origins read only one.
fn append_to_list(headers: &mut HeaderMap, name: &HeaderName, element: &HeaderValue) {
    let mut list = Vec::new();
    for value in headers.get_all(name).iter().chain([element]) {
        if !list.is_empty() {
            list.extend_from_slice(b", ");
        }
        list.extend_from_slice(value.as_bytes());
    }
    // Header values joined by a comma are a header value; if that ever fails, the honest part is our own element.
    let list = HeaderValue::from_maybe_shared(bytes::Bytes::from(list)).unwrap_or_else(|_| element.clone());
    headers.insert(name, list);
}

fn entries_from_the_right(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(&X_FORWARDED_FOR).iter();
    lines.rev().flat_map(|value| value.as_bytes().rsplit(|&byte| byte == b',')).map(<[u8]>::trim_ascii)
}

/// An address, also with a port or in brackets, as some proxies write it.
fn parse_address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?;
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))?;
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forwarding(peer: &str, trusted: &[&str]) -> Forwarding {
        let trusted = trusted.iter().map(|network| network.parse().unwrap()).collect();
        let local = "127.0.0.1:8443".parse().unwrap();
        Forwarding::new(peer.parse().unwrap(), local, true, trusted, Pseudonym::new("gatehouse").unwrap())
    }

    fn values(headers: &HeaderMap, name: &str) -> Vec<String> {
        headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[track_caller]
    fn check(headers: &HeaderMap, name: &str, expected: &[&str]) {
        assert_eq!(values(headers, name), expected, "{name}");
    }

    #[test]
    fn an_untrusted_peer_is_not_believed() {
        let mut headers = map(&[
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-for", "10.0.0.2"),
            ("x-forwarded-proto", "gopher"),
            ("x-forwarded-host", "evil"),
            ("x-forwarded-port", "1"),
            ("forwarded", "for=10.0.0.1"),
        ]);
        let mut forwarding = forwarding("192.0.2.1:5000", &[]);
        assert_eq!(forwarding.client_address(&headers), "192.0.2.1".parse::<IpAddr>().unwrap(), "the peer is the client");
        forwarding.apply(&mut headers, "api.example", Version::HTTP_11).unwrap();
        check(&headers, "x-forwarded-for", &["192.0.2.1"]);
        check(&headers, "x-forwarded-proto", &["https"]);
        check(&headers, "x-forwarded-host", &["api.example"]);
        check(&headers, "x-forwarded-port", &["8443"]);
        check(&headers, "forwarded", &["for=192.0.2.1;proto=https;host=api.example;by=_gatehouse"]);
        check(&headers, "via", &["1.1 gatehouse"]);
    }

    #[test]
    fn a_trusted_peer_is_appended_to() {
        let mut headers = map(&[
            ("x-forwarded-for", "198.51.100.7, 10.1.1.1"),
            ("x-forwarded-for", "10.2.2.2"),
            ("x-forwarded-proto", "http"),
            ("forwarded", "for=198.51.100.7"),
        ]);
        let mut forwarding = forwarding("10.0.0.9:1", &["10.0.0.0/8"]);
        forwarding.apply(&mut headers, "api.example:444", Version::HTTP_2).unwrap();
        check(&headers, "x-forwarded-for", &["198.51.100.7, 10.1.1.1, 10.2.2.2, 10.0.0.9"]);
        check(&headers, "x-forwarded-proto", &["http"]);
        check(&headers, "x-forwarded-host", &["api.example:444"]);
        check(&headers, "x-forwarded-port", &["8443"]);
        check(&headers, "forwarded", &["for=198.51.100.7, for=10.0.0.9;proto=https;host=\"api.example:444\";by=_gatehouse"]);
        check(&headers, "via", &["2 gatehouse"]);
    }

    #[track_caller]
    fn check_client(peer: &str, list: &'static str, expected: &str) {
        let forwarding = forwarding(peer, &["10.0.0.0/8", "2001:db8::/32"]);
        let client = forwarding.client_address(&map(&[("x-forwarded-for", list)]));
        assert_eq!(client.to_string(), expected, "peer {peer}, list {list}");
    }

    #[test]
    fn the_client_is_the_rightmost_address_that_is_not_trusted() {
        check_client("10.0.0.9:1", "198.51.100.7", "198.51.100.7");
        check_client("10.0.0.9:1", "1.1.1.1, 198.51.100.7, 10.3.3.3", "198.51.100.7");
        check_client("10.0.0.9:1", "10.4.4.4, 10.3.3.3", "10.4.4.4");
        check_client("10.0.0.9:1", "1.1.1.1, unknown, 10.3.3.3", "10.3.3.3");
        check_client("10.0.0.9:1", "garbage", "10.0.0.9");
        check_client("10.0.0.9:1", "", "10.0.0.9");
        check_client("10.0.0.9:1", "198.51.100.7:1234", "198.51.100.7");
        check_client("10.0.0.9:1", "[2001:db9::1]:80, 10.3.3.3", "2001:db9::1");
        check_client("10.0.0.9:1", "[2001:db9::1]", "2001:db9::1");
        check_client("10.0.0.9:1", "::ffff:10.3.3.3", "10.3.3.3");
        check_client("[2001:db8::5]:1", "198.51.100.7", "198.51.100.7");
        check_client("[::ffff:10.0.0.9]:1", "198.51.100.7", "198.51.100.7");
        check_client("192.0.2.1:1", "198.51.100.7", "192.0.2.1");
    }

    #[test]
    fn ipv6_stands_in_quotes_and_brackets() {
        let mut headers = HeaderMap::new();
        forwarding("[2001:db8::1]:4711", &[]).apply(&mut headers, "[::1]:80", Version::HTTP_11).unwrap();
        check(&headers, "x-forwarded-for", &["2001:db8::1"]);
        check(&headers, "forwarded", &["for=\"[2001:db8::1]\";proto=https;host=\"[::1]:80\";by=_gatehouse"]);
    }

    #[test]
    fn a_request_without_a_host_says_nothing_about_it() {
        let mut headers = map(&[("x-forwarded-host", "evil")]);
        forwarding("192.0.2.1:1", &[]).apply(&mut headers, "", Version::HTTP_10).unwrap();
        check(&headers, "x-forwarded-host", &[]);
        check(&headers, "forwarded", &["for=192.0.2.1;proto=https;by=_gatehouse"]);
        check(&headers, "via", &["1.0 gatehouse"]);
    }

    #[test]
    fn the_kept_values_follow_the_host() {
        let mut forwarding = forwarding("192.0.2.1:1", &[]);
        for host in ["a.example", "a.example", "b.example", "a.example"] {
            let mut headers = HeaderMap::new();
            forwarding.apply(&mut headers, host, Version::HTTP_11).unwrap();
            check(&headers, "x-forwarded-host", &[host]);
            check(&headers, "forwarded", &[&format!("for=192.0.2.1;proto=https;host={host};by=_gatehouse")]);
        }
    }

    #[track_caller]
    fn check_loop(via: &[&'static str], expected: Result<(), LoopDetected>) {
        let mut headers: HeaderMap = via.iter().map(|&value| (header::VIA, HeaderValue::from_static(value))).collect();
        let applied = forwarding("192.0.2.1:1", &[]).apply(&mut headers, "a", Version::HTTP_11);
        assert_eq!(applied, expected, "via {via:?}");
    }

    #[test]
    fn our_own_name_twice_in_via_is_a_loop() {
        check_loop(&["1.1 gatehouse"], Ok(()));
        check_loop(&["1.1 other, 1.1 gatehouse-2, 1.1 gatehouse"], Ok(()));
        check_loop(&["1.1 gatehouse, 1.0 other, 2 gatehouse"], Err(LoopDetected));
        check_loop(&["1.1 gatehouse (comment)", "HTTP/1.1\tgatehouse"], Err(LoopDetected));
    }

    #[test]
    fn via_is_appended_after_what_is_there() {
        let mut headers = map(&[("via", "1.0 fred")]);
        forwarding("192.0.2.1:1", &[]).apply(&mut headers, "a", Version::HTTP_11).unwrap();
        check(&headers, "via", &["1.0 fred", "1.1 gatehouse"]);
    }

    #[test]
    fn a_pseudonym_is_a_token() {
        for name in ["", "a b", "a,b", "a\r\nb", "é"] {
            assert!(Pseudonym::new(name).is_err(), "{name:?} is refused");
        }
    }
}
