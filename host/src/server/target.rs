//! Request targets: the authority a request is for and its path, normalised once so that matching and forwarding see the same bytes.
//! Knows nothing of routes; whole heads are checked in `head_guard`.

use std::borrow::Cow;

use http::uri::Authority;
use http::{HeaderMap, Method, Uri, Version, header};
use thiserror::Error;

/// The target of one request, checked and normalised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target<'a> {
    /// The host, with its port where the client sent one; absent only on HTTP/1.0.
    pub authority: Option<&'a str>,
    /// The normalised path, or `*` of an OPTIONS request.
    pub path: Cow<'a, str>,
    /// The query as it came, without the question mark.
    pub query: Option<&'a str>,
}

/// Why a request target was refused; every one is a 400, save `Connect`, which is a 501 or 405 by policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadTarget {
    /// A `%` without two hexadecimal digits.
    #[error("the path has a malformed percent escape")]
    MalformedEscape,
    /// A control character, plain or escaped; NUL is the usual one.
    #[error("the path has a control character")]
    ControlCharacter,
    /// A byte that has to be percent-encoded.
    #[error("the request target has a character that has to be percent-encoded")]
    ForbiddenCharacter,
    /// A `..` that would appear once an origin decodes the path further than we do.
    #[error("the path still climbs to a parent folder after decoding")]
    ParentSegment,
    /// A path that does not begin with a slash.
    #[error("the path has to begin with a slash")]
    Relative,
    /// The asterisk form on a method other than OPTIONS.
    #[error("only OPTIONS may ask for the target *")]
    Asterisk,
    /// A CONNECT request, which the gateway does not serve.
    #[error("CONNECT is not served here")]
    Connect,
    /// A scheme other than http and https.
    #[error("the request target has an unknown scheme")]
    Scheme,
    /// An authority with user information, which invites misreading of the host.
    #[error("the request target carries user information")]
    UserInformation,
    /// No Host where the version needs one.
    #[error("the host header is missing")]
    MissingHost,
    /// More than one Host line.
    #[error("the host header came more than once")]
    DuplicateHost,
    /// A host that is not a name or an address with an optional port.
    #[error("the host is not valid")]
    BadHost,
    /// An HTTP/2 `:authority` and a Host that differ.
    #[error("the host header differs from the authority")]
    HostMismatch,
}

impl Target<'_> {
    /// The path with its query, as it is matched and forwarded.
    #[must_use]
    pub fn path_and_query(&self) -> Cow<'_, str> {
        match self.query {
            None => Cow::Borrowed(&self.path),
            Some(query) => Cow::Owned([&self.path, "?", query].concat()),
        }
    }
}

/// The authority, path and query of a request.
///
/// # Errors
/// When the target or the Host header breaks the rules of the request's version.
pub fn resolve<'a>(method: &Method, uri: &'a Uri, headers: &'a HeaderMap, version: Version) -> Result<Target<'a>, BadTarget> {
    if *method == Method::CONNECT {
        return Err(BadTarget::Connect);
    }
    if uri.scheme_str().is_some_and(|scheme| scheme != "http" && scheme != "https") {
        return Err(BadTarget::Scheme);
    }
    Ok(Target { authority: authority(uri, headers, version)?, path: path(method, uri)?, query: query(uri)? })
}

/// The path in normal form: unreserved characters plain, escapes in upper case, no dot segments; `%2F` stays encoded.
///
/// # Errors
/// When an escape is malformed, the path hides a control character, or a `..` survives in it.
pub fn normalise(path: &str) -> Result<Cow<'_, str>, BadTarget> {
    if !path.starts_with('/') {
        return Err(BadTarget::Relative);
    }
    if is_normal(path)? {
        return Ok(Cow::Borrowed(path));
    }
    let decoded = decode_unreserved(path)?;
    let normal = remove_dot_segments(&decoded);
    refuse_hidden_parents(&normal)?;
    Ok(Cow::Owned(normal))
}

/// Whether every byte of a path and query may stand there unescaped; what passes here passes `http::Uri`.
#[must_use]
pub fn is_origin_form(target: &[u8]) -> bool {
    let split = memchr::memchr(b'?', target).unwrap_or(target.len());
    let (path, query) = target.split_at(split);
    path.first() == Some(&b'/') && path.iter().all(|&byte| has(byte, PATH)) && query.iter().all(|&byte| has(byte, QUERY))
}

fn authority<'a>(uri: &'a Uri, headers: &'a HeaderMap, version: Version) -> Result<Option<&'a str>, BadTarget> {
    let host = host_header(headers)?;
    let authority = uri.authority().map(Authority::as_str);
    if let (Some(authority), Some(host)) = (authority, host)
        && version >= Version::HTTP_2
        && !authority.eq_ignore_ascii_case(host)
    {
        return Err(BadTarget::HostMismatch);
    }
    // RFC 9112 §3.2: HTTP/1.1 needs Host even where the target is absolute and wins over it.
    if host.is_none() && version == Version::HTTP_11 {
        return Err(BadTarget::MissingHost);
    }
    match authority.or(host) {
        Some(host) => check_host(host).map(|()| Some(host)),
        None if version < Version::HTTP_11 => Ok(None),
        None => Err(BadTarget::MissingHost),
    }
}

fn host_header(headers: &HeaderMap) -> Result<Option<&str>, BadTarget> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let Some(host) = hosts.next() else { return Ok(None) };
    if hosts.next().is_some() {
        return Err(BadTarget::DuplicateHost);
    }
    let host = host.to_str().map_err(|_| BadTarget::BadHost)?;
    check_host(host)?;
    Ok(Some(host))
}

/// A name, an IPv4 address or a bracketed IPv6 address, then an optional port.
fn check_host(host: &str) -> Result<(), BadTarget> {
    let bytes = host.as_bytes();
    let end = match bytes.first() {
        Some(b'[') => ipv6_end(host)?,
        _ => name_end(bytes)?,
    };
    match &bytes[end..] {
        [] => Ok(()),
        [b':', port @ ..] => check_port(port),
        _ => Err(BadTarget::BadHost),
    }
}

fn name_end(bytes: &[u8]) -> Result<usize, BadTarget> {
    let end = bytes.iter().position(|&byte| !has(byte, HOST)).unwrap_or(bytes.len());
    match bytes.get(end) {
        Some(b'@') => Err(BadTarget::UserInformation),
        Some(b':') if bytes[end..].contains(&b'@') => Err(BadTarget::UserInformation),
        Some(b':') | None if end > 0 => Ok(end),
        _ => Err(BadTarget::BadHost),
    }
}

fn ipv6_end(host: &str) -> Result<usize, BadTarget> {
    let close = host.find(']').ok_or(BadTarget::BadHost)?;
    host[1..close].parse::<std::net::Ipv6Addr>().map_err(|_| BadTarget::BadHost)?;
    Ok(close + 1)
}

/// RFC 3986 §3.2.3 allows an empty port after the colon.
fn check_port(port: &[u8]) -> Result<(), BadTarget> {
    let digits = port.len() <= 5 && port.iter().all(u8::is_ascii_digit);
    let number = port.iter().fold(0u32, |sum, digit| sum * 10 + u32::from(digit & 0x0f));
    if digits && number <= u32::from(u16::MAX) { Ok(()) } else { Err(BadTarget::BadHost) }
}

fn path<'a>(method: &Method, uri: &'a Uri) -> Result<Cow<'a, str>, BadTarget> {
    match uri.path() {
        "*" if *method == Method::OPTIONS => Ok(Cow::Borrowed("*")),
        "*" => Err(BadTarget::Asterisk),
        "" if uri.authority().is_some() => Ok(Cow::Borrowed("/")),
        path => normalise(path),
    }
}

fn query(uri: &Uri) -> Result<Option<&str>, BadTarget> {
    let query = uri.query();
    match query {
        Some(query) if !query.bytes().all(|byte| has(byte, QUERY)) => Err(BadTarget::ForbiddenCharacter),
        _ => Ok(query),
    }
}

/// One pass over the bytes: false where there is an escape or a segment that begins with a dot.
fn is_normal(path: &str) -> Result<bool, BadTarget> {
    let mut normal = true;
    let mut previous = 0;
    for &byte in path.as_bytes() {
        if !has(byte, PATH) {
            return Err(if byte.is_ascii_control() { BadTarget::ControlCharacter } else { BadTarget::ForbiddenCharacter });
        }
        normal &= byte != b'%' && !(byte == b'.' && previous == b'/');
        previous = byte;
    }
    Ok(normal)
}

fn decode_unreserved(path: &str) -> Result<String, BadTarget> {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        let byte = escaped_byte(&rest.as_bytes()[at..])?;
        decoded.push_str(&rest[..at]);
        match byte {
            byte if byte.is_ascii_control() => return Err(BadTarget::ControlCharacter),
            byte if has(byte, UNRESERVED) => decoded.push(char::from(byte)),
            _ => decoded.extend(rest[at..at + 3].chars().map(|digit| digit.to_ascii_uppercase())),
        }
        rest = &rest[at + 3..];
    }
    decoded.push_str(rest);
    Ok(decoded)
}

/// The byte that the escape at the front of `bytes` stands for.
fn escaped_byte(bytes: &[u8]) -> Result<u8, BadTarget> {
    let digit = |at: usize| bytes.get(at).and_then(|&digit| char::from(digit).to_digit(16));
    match (digit(1), digit(2)) {
        (Some(high), Some(low)) => Ok((high * 16 + low) as u8),
        _ => Err(BadTarget::MalformedEscape),
    }
}

/// RFC 3986 §5.2.4 for a path that begins with a slash; a `..` at the top stays at the top.
fn remove_dot_segments(path: &str) -> String {
    let mut kept = String::with_capacity(path.len());
    let mut segments = path[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => kept.truncate(kept.rfind('/').unwrap_or(0)),
            _ => {
                kept.push('/');
                kept.push_str(segment);
                continue;
            }
        }
        // A dot segment at the end names a folder, so its slash stays.
        if last {
            kept.push('/');
        }
    }
    kept
}

/// Refuses what an origin that decodes `%2F`, treats `\` as `/`, or drops `;parameters` would read as a parent folder.
fn refuse_hidden_parents(path: &str) -> Result<(), BadTarget> {
    if !path.contains("..") {
        return Ok(());
    }
    let decoded = decode_fully(path)?;
    let parent = |segment: &[u8]| segment == b".." || segment.starts_with(b"..;");
    if decoded.split(|&byte| byte == b'/' || byte == b'\\').any(parent) { Err(BadTarget::ParentSegment) } else { Ok(()) }
}

fn decode_fully(path: &str) -> Result<Vec<u8>, BadTarget> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        if byte == b'%' {
            decoded.push(escaped_byte(rest)?);
            rest = &rest[3..];
        } else {
            decoded.push(byte);
            rest = tail;
        }
    }
    Ok(decoded)
}

const PATH: u8 = 1;
const QUERY: u8 = 2;
const UNRESERVED: u8 = 4;
const HOST: u8 = 8;

fn has(byte: u8, class: u8) -> bool {
    CLASSES[usize::from(byte)] & class != 0
}

// Browsers send some characters raw that RFC 3986 wants escaped ({ } | ^ in paths, more in queries): refused is only
// what `http::Uri` cannot hold, the fragment mark, and the backslash in a path, which some origins take for a slash.
static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0x21u8;
    while byte < 0x7f {
        let unreserved = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        let sub_delimiter = matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=');
        let path = !matches!(byte, b'"' | b'#' | b'<' | b'>' | b'?' | b'\\' | b'`');
        let query = !matches!(byte, b'"' | b'#' | b'<' | b'>');
        let mut class = 0;
        if path {
            class |= PATH;
        }
        if query {
            class |= QUERY;
        }
        if unreserved {
            class |= UNRESERVED;
        }
        if unreserved || sub_delimiter {
            class |= HOST;
        }
        classes[byte as usize] = class;
        byte += 1;
    }
    classes
};

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Result<&str, BadTarget>) {
        assert_eq!(normalise(path).as_deref().map_err(|e| *e), expected, "normalising {path}");
    }

    #[test]
    fn paths_come_out_in_one_normal_form() {
        check("/", Ok("/"));
        check("/orders/1", Ok("/orders/1"));
        check("//double//slashes", Ok("//double//slashes"));
        check("/%7Euser/%61%2d%2E%5f", Ok("/~user/a-._"));
        check("/caf%c3%a9", Ok("/caf%C3%A9"));
        check("/a%2fb", Ok("/a%2Fb"));
        check("/a/./b/../c", Ok("/a/c"));
        check("/a/b/..", Ok("/a/"));
        check("/a/b/.", Ok("/a/b/"));
        check("/..", Ok("/"));
        check("/.", Ok("/"));
        check("/../../x", Ok("/x"));
        check("/a/%2e%2E/b", Ok("/b"));
        check("/a//../b", Ok("/a/b"));
        check("/.well-known/x", Ok("/.well-known/x"));
        check("/..x/.../y", Ok("/..x/.../y"));
        check("/a;p=1/b:c@d", Ok("/a;p=1/b:c@d"));
        check("/%3F%23", Ok("/%3F%23"));
        check("/%252e%252e/x", Ok("/%252e%252e/x"));
        check("/{id}|^", Ok("/{id}|^"));
    }

    #[test]
    fn dangerous_paths_are_refused() {
        check("", Err(BadTarget::Relative));
        check("*", Err(BadTarget::Relative));
        check("a/b", Err(BadTarget::Relative));
        check("/%", Err(BadTarget::MalformedEscape));
        check("/%4", Err(BadTarget::MalformedEscape));
        check("/%zz", Err(BadTarget::MalformedEscape));
        check("/%+1", Err(BadTarget::MalformedEscape));
        check("/a%00", Err(BadTarget::ControlCharacter));
        check("/a%0d%0ab", Err(BadTarget::ControlCharacter));
        check("/a%7f", Err(BadTarget::ControlCharacter));
        check("/a\u{1}", Err(BadTarget::ControlCharacter));
        check("/a b", Err(BadTarget::ForbiddenCharacter));
        check("/a\\b", Err(BadTarget::ForbiddenCharacter));
        check("/é", Err(BadTarget::ForbiddenCharacter));
        check("/a/..%2Fb", Err(BadTarget::ParentSegment));
        check("/a%2f%2e%2e%2fb", Err(BadTarget::ParentSegment));
        check("/a/..%5cb", Err(BadTarget::ParentSegment));
        check("/a/..;/b", Err(BadTarget::ParentSegment));
        check("/%2f..", Err(BadTarget::ParentSegment));
    }

    #[test]
    fn a_normal_path_is_not_copied() {
        assert!(matches!(normalise("/orders/17"), Ok(Cow::Borrowed(_))), "nothing to do, nothing allocated");
    }

    #[test]
    fn normalising_twice_changes_nothing() {
        let alphabet = ["/", ".", "..", "%2e", "%2F", "%41", "a", ";", "%25", "%c3", "//"];
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let path: String =
                std::iter::once("/").chain((0..random.usize(..9)).map(|_| alphabet[random.usize(..alphabet.len())])).collect();
            if let Ok(once) = normalise(&path) {
                assert_eq!(normalise(&once), Ok(Cow::Borrowed(&*once)), "{path} is normal after one pass");
                assert!(once.parse::<Uri>().is_ok(), "{once} is still a target");
            }
        }
    }

    #[test]
    fn every_origin_form_we_pass_is_one_http_can_hold() {
        for byte in 0..=255u8 {
            for form in [vec![b'/', byte], vec![b'/', b'?', byte]] {
                assert!(!is_origin_form(&form) || Uri::try_from(form.as_slice()).is_ok(), "byte {byte:#x}");
            }
        }
    }

    fn hosts(values: &[&'static str]) -> HeaderMap {
        values.iter().map(|&value| (header::HOST, HeaderValue::from_static(value))).collect()
    }

    #[track_caller]
    fn check_authority(uri: &'static str, host: &[&'static str], version: Version, expected: Result<Option<&str>, BadTarget>) {
        let (uri, headers) = (Uri::from_static(uri), hosts(host));
        let target = resolve(&Method::GET, &uri, &headers, version);
        assert_eq!(target.map(|target| target.authority), expected, "{uri} with host {host:?} on {version:?}");
    }

    #[test]
    fn the_authority_follows_the_rules_of_the_version() {
        check_authority("/", &["a.example"], Version::HTTP_11, Ok(Some("a.example")));
        check_authority("/", &["a.example:8080"], Version::HTTP_11, Ok(Some("a.example:8080")));
        check_authority("/", &["[::1]:80"], Version::HTTP_11, Ok(Some("[::1]:80")));
        check_authority("/", &["a.example:"], Version::HTTP_11, Ok(Some("a.example:")));
        check_authority("/", &[], Version::HTTP_11, Err(BadTarget::MissingHost));
        check_authority("/", &[], Version::HTTP_10, Ok(None));
        check_authority("/", &["a", "a"], Version::HTTP_11, Err(BadTarget::DuplicateHost));
        check_authority("/", &["a", "b"], Version::HTTP_10, Err(BadTarget::DuplicateHost));
        check_authority("http://b.example/x", &["a.example"], Version::HTTP_11, Ok(Some("b.example")));
        check_authority("http://b.example/x", &[], Version::HTTP_11, Err(BadTarget::MissingHost));
        check_authority("http://b.example/x", &[], Version::HTTP_10, Ok(Some("b.example")));
        check_authority("http://b.example/x", &[], Version::HTTP_2, Ok(Some("b.example")));
        check_authority("http://b.example/x", &["B.example"], Version::HTTP_2, Ok(Some("b.example")));
        check_authority("http://b.example/x", &["a.example"], Version::HTTP_2, Err(BadTarget::HostMismatch));
        check_authority("/x", &["a.example"], Version::HTTP_2, Ok(Some("a.example")));
        check_authority("/x", &[], Version::HTTP_2, Err(BadTarget::MissingHost));
        check_authority("ftp://b.example/x", &["a"], Version::HTTP_11, Err(BadTarget::Scheme));
        check_authority("http://u:p@b.example/x", &["a"], Version::HTTP_11, Err(BadTarget::UserInformation));
    }

    #[test]
    fn invalid_hosts_are_refused() {
        for host in ["", " ", ":80", "a b", "a/b", "a,b", "a:b", "a:65536", "a:123456", "[::1", "[x]", "[::1]x", "a:80:90", "a?", "::1"] {
            // A comma is a sub-delimiter of RFC 3986, so it may stand in a registered name.
            let expected = if host == "a,b" { Ok(Some(host)) } else { Err(BadTarget::BadHost) };
            check_authority("/", &[host], Version::HTTP_11, expected);
        }
        check_authority("/", &["user@a"], Version::HTTP_11, Err(BadTarget::UserInformation));
    }

    #[track_caller]
    fn check_target(method: Method, uri: &'static str, expected: Result<&str, BadTarget>) {
        let (uri, headers) = (Uri::from_static(uri), hosts(&["a"]));
        let target = resolve(&method, &uri, &headers, Version::HTTP_11);
        assert_eq!(target.as_ref().map(Target::path_and_query).map_err(|e| *e), expected.map(Cow::Borrowed), "{method} {uri}");
    }

    #[test]
    fn path_and_query_do_not_depend_on_the_form_of_the_target() {
        check_target(Method::GET, "/a/../b?x=%2e/..", Ok("/b?x=%2e/.."));
        check_target(Method::GET, "http://a/a/../b?x", Ok("/b?x"));
        check_target(Method::GET, "http://a", Ok("/"));
        check_target(Method::GET, "http://a?q", Ok("/?q"));
        check_target(Method::GET, "/?", Ok("/?"));
        check_target(Method::OPTIONS, "*", Ok("*"));
        check_target(Method::GET, "*", Err(BadTarget::Asterisk));
        check_target(Method::CONNECT, "a:443", Err(BadTarget::Connect));
    }
}
