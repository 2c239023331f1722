//! Rules for single texts: names, hosts, paths, methods, headers, URLs, regular expressions.
//! Each returns what it wants instead.

use std::net::IpAddr;

use http::{HeaderName, HeaderValue, Uri};
use oci_client::Reference;
use regex::RegexBuilder;

use super::Findings;
use crate::config::place::{Finding, Place};
use crate::config::problem::Code;

/// What would be right instead.
pub(crate) type Wanted = String;

/// Finds a text that breaks a rule.
pub(super) fn check(at: &Place<'_>, text: &str, rule: fn(&str) -> Result<(), Wanted>, findings: &mut Findings) {
    if let Err(want) = rule(text) {
        findings.add(Finding::new(at, Code::Value, format!("{text:?}"), want));
    }
}

/// A name of an item: it appears in URLs, metrics and logs.
pub(crate) fn name(text: &str) -> Result<(), Wanted> {
    const LONGEST: usize = 128;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.~".contains(c);
    if text.is_empty() || text.len() > LONGEST || !text.chars().all(allowed) {
        return Err(format!("1 to {LONGEST} letters, digits and any of - _ . ~"));
    }
    // Clients take these for steps of a path, and would never get there.
    if matches!(text, "." | "..") {
        return Err("a name with a letter or a digit".into());
    }
    Ok(())
}

/// An artifact in a registry. A registry that is not named would be one that a library knows; a tag that is not named,
/// whatever was pushed last.
pub(super) fn artifact(text: &str) -> Result<(), Wanted> {
    const WANT: &str = "REGISTRY/NAME@sha256:DIGEST or REGISTRY/NAME:TAG";
    let reference: Reference = text.parse().map_err(|error| format!("{WANT} ({error})"))?;
    let Some((registry, name)) = text.split_once('/').filter(|(registry, _)| is_registry(registry)) else {
        return Err(format!("{WANT} (it begins with no registry such as registry.example or localhost:5000)"));
    };
    let digest = reference.digest().map(|digest| digest.strip_prefix("sha256:"));
    match digest {
        Some(Some(digest)) if digest.len() == 64 && !digest.bytes().any(|byte| byte.is_ascii_uppercase()) => Ok(()),
        Some(_) => Err(format!("{WANT} (the digest is not sha256: and 64 digits in lower case)")),
        None if name.contains(':') => Ok(()),
        None => Err(format!("{WANT} ({registry}/{name} has neither a tag nor a digest)")),
    }
}

fn is_registry(text: &str) -> bool {
    text == "localhost" || text.contains(['.', ':'])
}

/// A protocol to switch to. HTTP/2 is none: what it carries would pass every check by (h2c smuggling).
pub(super) fn upgrade(text: &str) -> Result<(), Wanted> {
    let is_token = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte));
    match is_token && !text.eq_ignore_ascii_case("h2c") && !text.eq_ignore_ascii_case("h2") {
        true => Ok(()),
        false => Err("the name of a protocol such as websocket; HTTP/2 is not one to upgrade to".into()),
    }
}

/// A host name, or `*.` and one.
pub(super) fn host(text: &str) -> Result<(), Wanted> {
    let name = text.strip_prefix("*.").unwrap_or(text);
    if text.chars().any(|c| c.is_ascii_uppercase()) {
        return Err(format!("lower case: {:?}", text.to_ascii_lowercase()));
    }
    if text == "*" {
        return Err("a host name; leave out hosts for any".into());
    }
    if name.parse::<IpAddr>().is_ok() {
        return Err("a host name, not an IP address".into());
    }
    if name.contains(':') {
        return Err("a host name without a port".into());
    }
    if name.len() > 253 || !name.split('.').all(is_label) {
        return Err("a host name such as api.example.com or *.example.com".into());
    }
    Ok(())
}

/// A host to send somebody to: a name or an address, without a port.
pub(super) fn lone_host(text: &str) -> Result<(), Wanted> {
    let wanted = || "a host such as api.example.com, without a port".to_string();
    authority(text).map_err(|_| wanted())?;
    if ends_in_port(text) { Err(wanted()) } else { Ok(()) }
}

/// A host to ask for: a name or an address, with a port if need be.
pub(super) fn authority(text: &str) -> Result<(), Wanted> {
    let wanted = || "a host such as api.example.com or api.example.com:8080".to_string();
    let authority: http::uri::Authority = text.parse().map_err(|_| wanted())?;
    let (host, port) = (authority.host(), authority.port_u16());
    let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let is_name = host.len() <= 253 && host.to_ascii_lowercase().split('.').all(is_label);
    let has_fit_port = if ends_in_port(text) { port.is_some_and(|port| port > 0) } else { true };
    if (is_address || is_name) && has_fit_port && !text.contains('@') { Ok(()) } else { Err(wanted()) }
}

/// A name to look up in DNS. Names of services have underscores, and a dot at the end ends the search for more.
pub(super) fn dns_name(text: &str) -> Result<(), Wanted> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.chars().all(allowed);
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.parse::<IpAddr>().is_ok() {
        return Err("a name; an address needs no DNS and belongs to endpoints".into());
    }
    match name.len() <= 253 && name.split('.').all(is_label) {
        true => Ok(()),
        false => Err("a DNS name such as orders.internal or _http._tcp.orders.internal".into()),
    }
}

fn is_label(label: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&label.len()) && label.chars().all(allowed) && !label.starts_with('-') && !label.ends_with('-')
}

/// The value of an exact path or a path prefix (Gateway API's rules).
pub(crate) fn path_value(text: &str) -> Result<(), Wanted> {
    if !text.starts_with('/') {
        return Err("a path that begins with /".into());
    }
    if text.contains('?') {
        return Err("a path without a query; use query for that".into());
    }
    let lower = text.to_ascii_lowercase();
    let inside = ["//", "/./", "/../", "%2f", "#"].into_iter().find(|part| lower.contains(part));
    let trailing = ["/.", "/.."].into_iter().find(|end| text.ends_with(end));
    if let Some(part) = inside.or(trailing) {
        return Err(format!("a path without {part}"));
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("a path without blanks and control characters".into());
    }
    Ok(())
}

/// What a health check asks for: a path, with a query if need be.
pub(super) fn probe_target(text: &str) -> Result<(), Wanted> {
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    path_value(path)?;
    if query.chars().any(|c| c == '#' || c.is_whitespace() || c.is_control()) {
        return Err("a query without #, blanks and control characters".into());
    }
    Ok(())
}

/// A method of HTTP, which is upper case by custom and case-sensitive by rule.
pub(super) fn method(text: &str) -> Result<(), Wanted> {
    if text.chars().any(|c| c.is_ascii_lowercase()) {
        return Err(format!("upper case: {}", text.to_ascii_uppercase()));
    }
    http::Method::from_bytes(text.as_bytes()).map(drop).map_err(|_| "a method such as GET".into())
}

/// A name of a header.
pub(super) fn header_name(text: &str) -> Result<(), Wanted> {
    HeaderName::from_bytes(text.as_bytes()).map(drop).map_err(|_| "a header name such as x-tier".into())
}

/// A value of a header.
pub(super) fn header_value(text: &str) -> Result<(), Wanted> {
    HeaderValue::from_str(text).map(drop).map_err(|_| "a header value: visible characters and blanks".into())
}

/// A name of a query parameter.
pub(super) fn not_empty(text: &str) -> Result<(), Wanted> {
    if text.is_empty() { Err("a text that is not empty".into()) } else { Ok(()) }
}

/// A scope (RFC 6749 §3.3): visible ASCII without quotes and backslashes, since scopes are listed with blanks between them.
pub(crate) fn scope(text: &str) -> Result<(), Wanted> {
    let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
    if fits { Ok(()) } else { Err("a scope such as orders.read, without blanks, quotes and backslashes".into()) }
}

/// The gateway's own name in `Via`: a token, so that it needs no quotes.
pub(super) fn pseudonym(text: &str) -> Result<(), Wanted> {
    HeaderName::from_bytes(text.as_bytes()).map(drop).map_err(|_| "a word such as gatehouse".into())
}

/// The URL of an endpoint: scheme, host and port, nothing else.
pub(crate) fn endpoint_url(text: &str) -> Result<(), Wanted> {
    let wanted = || "http://HOST:PORT or https://HOST:PORT".to_string();
    let uri = http_uri(text).ok_or_else(wanted)?;
    let authority = uri.authority().ok_or_else(wanted)?;
    // A `?` or a `#` without anything after it leaves no trace in the parsed form.
    let bare = uri.path_and_query().is_none_or(|rest| rest == "/") && !text.contains(['?', '#']);
    if !bare || authority.as_str().contains('@') {
        return Err(format!("{} without a user, a path or a query", wanted()));
    }
    Ok(())
}

/// The URL of something to fetch.
pub(super) fn fetch_url(text: &str) -> Result<(), Wanted> {
    http_uri(text).map(drop).ok_or_else(|| "an http:// or https:// URL".into())
}

fn http_uri(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    let scheme = uri.scheme_str()?;
    let authority = uri.authority()?;
    let host = !authority.host().is_empty();
    let port = authority.port_u16() != Some(0) && (authority.port().is_some() || !ends_in_port(authority.as_str()));
    (host && port && (scheme == "http" || scheme == "https")).then_some(uri)
}

// `http` takes `host:` and `host:99999` for a host without a port.
fn ends_in_port(authority: &str) -> bool {
    let after_brackets = authority.rsplit_once(']').map_or(authority, |(_, rest)| rest);
    after_brackets.contains(':')
}

/// The base URL of a collector: no query, which would stand in the middle of the URL made from it.
pub(super) fn collector_url(text: &str) -> Result<(), Wanted> {
    let wanted = || "http://HOST:PORT or https://HOST:PORT, with a path if need be".to_string();
    let uri = http_uri(text).ok_or_else(wanted)?;
    let bare = !text.contains(['?', '#']) && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    if bare { Ok(()) } else { Err(format!("{} and without a user or a query", wanted())) }
}

/// A regular expression of bounded size.
pub(super) fn regex(text: &str) -> Result<(), Wanted> {
    const LARGEST: usize = 1 << 20;
    match RegexBuilder::new(text).size_limit(LARGEST).build() {
        Ok(_) => Ok(()),
        Err(regex::Error::CompiledTooBig(_)) => Err("a smaller regular expression".into()),
        Err(error) => Err(format!("a regular expression ({})", last_line(&error.to_string()))),
    }
}

// The messages of `regex` draw a caret over several lines; the last one says what is wrong.
fn last_line(message: &str) -> &str {
    message.lines().last().unwrap_or(message).trim_start_matches("error: ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rule: fn(&str) -> Result<(), Wanted>, good: &[&str], bad: &[(&str, &str)]) {
        for text in good {
            assert_eq!(rule(text), Ok(()), "{text:?} is good");
        }
        for (text, want) in bad {
            let error = rule(text).expect_err("a bad text");
            assert!(error.contains(want), "{text:?}: {error:?} should contain {want:?}");
        }
    }

    #[test]
    fn hosts_are_lower_case_names_without_ports() {
        check(
            host,
            &["api.example.com", "*.example.com", "localhost", "xn--bcher-kva.example"],
            &[
                ("API.example.com", "lower case: \"api.example.com\""),
                ("*", "leave out hosts"),
                ("10.0.0.1", "not an IP address"),
                ("::1", "not an IP address"),
                ("a.example:80", "without a port"),
                ("a.*.example", "*.example.com"),
                ("-a.example", "*.example.com"),
                ("a..example", "*.example.com"),
                ("", "*.example.com"),
            ],
        );
    }

    #[test]
    fn hosts_to_ask_for_may_be_addresses_and_have_ports() {
        let wanted = "a host such as api.example.com";
        let bad = ["", "a b", "a@b", "a:0", "a:99999", "a:", "a/b", "::1", "-a", "a..b", "[::1", "*.a"].map(|text| (text, wanted));
        check(authority, &["a", "API.example.com", "a.example:81", "10.0.0.1", "[::1]:81", "[::1]"], &bad);
        check(lone_host, &["a", "10.0.0.1", "[::1]"], &["a:81", "[::1]:81"].map(|text| (text, wanted)));
    }

    #[test]
    fn paths_follow_the_rules_of_gateway_api() {
        check(
            path_value,
            &["/", "/orders", "/orders/", "/a.b/..c", "/caf%C3%A9"],
            &[
                ("", "begins with /"),
                ("orders", "begins with /"),
                ("/a//b", "without //"),
                ("/a/./b", "without /./"),
                ("/a/../b", "without /../"),
                ("/a%2Fb", "without %2f"),
                ("/a#b", "without #"),
                ("/a/.", "without /."),
                ("/a/..", "without /.."),
                ("/a?b=c", "without a query"),
                ("/a b", "without blanks"),
            ],
        );
    }

    #[test]
    fn urls_of_endpoints_are_a_scheme_a_host_and_a_port() {
        check(
            endpoint_url,
            &["http://127.0.0.1:9001", "https://orders", "http://[::1]:80/", "http://a.b:1"],
            &[
                ("127.0.0.1:9001", "http://HOST:PORT"),
                ("ftp://a:1", "http://HOST:PORT"),
                ("http://:80", "http://HOST:PORT"),
                ("http://a:99999", "http://HOST:PORT"),
                ("http://a:0", "http://HOST:PORT"),
                ("http://a:", "http://HOST:PORT"),
                ("http://a:1/b", "without a user, a path"),
                ("http://a:1?b", "without a user, a path"),
                ("http://u@a:1", "without a user, a path"),
                ("http://a:1#", "without a user, a path"),
            ],
        );
    }

    #[test]
    fn urls_of_collectors_may_have_a_path() {
        check(
            collector_url,
            &["http://127.0.0.1:4318", "https://otel.example/", "https://otel.example/base/path"],
            &[
                ("127.0.0.1:4318", "http://HOST:PORT"),
                ("grpc://otel:4317", "http://HOST:PORT"),
                ("http://otel:4318?key=1", "without a user or a query"),
                ("http://me@otel:4318", "without a user or a query"),
            ],
        );
    }

    #[test]
    fn names_methods_headers_and_expressions_have_their_rules() {
        check(name, &["orders", "a.b-c_d~e"], &[("", "1 to 128"), ("a/b", "1 to 128"), ("ä", "1 to 128")]);
        check(method, &["GET", "PURGE"], &[("get", "upper case: GET"), ("", "such as GET"), ("A B", "such as GET")]);
        check(header_name, &["x-tier", "X-Tier"], &[("x tier", "a header name"), ("", "a header name")]);
        check(scope, &["orders.read", "a:b/*"], &[("", "a scope"), ("a b", "a scope"), ("a\"", "a scope"), ("ä", "a scope")]);
        check(regex, &["/v[0-9]+/.*"], &[("(", "unclosed group"), ("(a{9999}){9999}", "smaller")]);
    }
}
