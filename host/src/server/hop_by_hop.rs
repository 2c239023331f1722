//! Hop-by-hop fields: what belongs to one connection and must not travel further, in either direction.
//! Fields of our own (`Via`, `X-Forwarded-*`) are added afterwards, in `forwarded`.

use http::header::{self, Entry, HeaderName};
use http::{HeaderMap, HeaderValue};
use smallvec::SmallVec;

use super::client_certificate;

/// What the removed fields asked of this hop.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The protocol to switch to, where `Connection` named `Upgrade` and the field was there.
    pub upgrade: Option<HeaderValue>,
    /// Whether `TE` named `trailers`, so that trailers may be sent back.
    pub trailers: bool,
    /// Whether the body is coded in a way that only the sender's next hop was to undo, and this one cannot.
    pub is_coded: bool,
}

/// Removes the hop-by-hop fields and those that `Connection` names, and says what they asked for.
///
/// `Connection` never removes a field that routing, identity or framing rests on.
pub fn strip(headers: &mut HeaderMap) -> Asked {
    let present = present(headers);
    if present == 0 {
        return Asked::default();
    }
    let mut asked = Asked { upgrade: None, trailers: present & TE != 0 && accepts_trailers(headers), is_coded: false };
    if present & TRANSFER_ENCODING != 0 {
        asked.is_coded = !is_chunked(headers);
        // Chunks overrule a length, which must not go on beside what they held (RFC 9112 §6.3).
        headers.remove(header::CONTENT_LENGTH);
    }
    if present & CONNECTION != 0 && strip_named(headers) && present & UPGRADE != 0 {
        asked.upgrade = headers.remove(header::UPGRADE);
    }
    for (bit, name) in &HOP_BY_HOP {
        if present & bit != 0 {
            headers.remove(name);
        }
    }
    asked
}

const CONNECTION: u16 = 1;
const TE: u16 = 1 << 1;
const UPGRADE: u16 = 1 << 2;
const KEEP_ALIVE: u16 = 1 << 3;
const TRANSFER_ENCODING: u16 = 1 << 4;
const PROXY_CONNECTION: u16 = 1 << 5;
const HTTP2_SETTINGS: u16 = 1 << 6;
const PROXY_AUTHENTICATE: u16 = 1 << 7;
const PROXY_AUTHORIZATION: u16 = 1 << 8;
const CLIENT_CERTIFICATE: u16 = 1 << 9;
const ATTEMPT: u16 = 1 << 10;
const MIRROR: u16 = 1 << 11;

// `Connection` is missing here because `strip_named` takes it out.
// What a certificate says is for the hop that verified it to say, so nobody else's word of it goes further. Nor does
// anybody's but ours of whether a request is a further try or a copy: upstreams may take those less seriously.
static HOP_BY_HOP: [(u16, HeaderName); 11] = [
    (TE, header::TE),
    (UPGRADE, header::UPGRADE),
    (KEEP_ALIVE, HeaderName::from_static("keep-alive")),
    (TRANSFER_ENCODING, header::TRANSFER_ENCODING),
    (PROXY_CONNECTION, HeaderName::from_static("proxy-connection")),
    (HTTP2_SETTINGS, HeaderName::from_static("http2-settings")),
    (PROXY_AUTHENTICATE, header::PROXY_AUTHENTICATE),
    (PROXY_AUTHORIZATION, header::PROXY_AUTHORIZATION),
    (CLIENT_CERTIFICATE, client_certificate::CLIENT_CERTIFICATE),
    (ATTEMPT, HeaderName::from_static("x-gatehouse-attempt")),
    (MIRROR, HeaderName::from_static("x-gatehouse-mirror")),
];

/// One walk over the names is cheaper than eleven look-ups in the map, most of which would miss.
fn present(headers: &HeaderMap) -> u16 {
    headers.keys().fold(0, |present, name| present | bit(name.as_str()))
}

fn bit(name: &str) -> u16 {
    match (name.len(), name) {
        (2, "te") => TE,
        (7, "upgrade") => UPGRADE,
        (10, "connection") => CONNECTION,
        (10, "keep-alive") => KEEP_ALIVE,
        (14, "http2-settings") => HTTP2_SETTINGS,
        (16, "proxy-connection") => PROXY_CONNECTION,
        (17, "transfer-encoding") => TRANSFER_ENCODING,
        (18, "proxy-authenticate") => PROXY_AUTHENTICATE,
        (18, "x-gatehouse-mirror") => MIRROR,
        (19, "proxy-authorization") => PROXY_AUTHORIZATION,
        (19, "x-gatehouse-attempt") => ATTEMPT,
        (23, "x-forwarded-client-cert") => CLIENT_CERTIFICATE,
        _ => 0,
    }
}

fn accepts_trailers(headers: &HeaderMap) -> bool {
    headers.get_all(header::TE).iter().flat_map(tokens).any(|token| token.eq_ignore_ascii_case("trailers"))
}

fn is_chunked(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter().flat_map(tokens);
    codings.next().is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) && codings.next().is_none()
}

/// Takes `Connection` out with the fields it names; true when it names `Upgrade`.
fn strip_named(headers: &mut HeaderMap) -> bool {
    let mut upgrade = false;
    for value in take_connection(headers) {
        for token in tokens(&value) {
            match token {
                "close" | "keep-alive" => {}
                token if token.eq_ignore_ascii_case("upgrade") => upgrade = true,
                token if is_protected(token) => {}
                token => drop(headers.remove(token)),
            }
        }
    }
    upgrade
}

fn take_connection(headers: &mut HeaderMap) -> SmallVec<[HeaderValue; 2]> {
    match headers.entry(header::CONNECTION) {
        Entry::Occupied(entry) => entry.remove_entry_mult().1.collect(),
        Entry::Vacant(_) => SmallVec::new(),
    }
}

fn tokens(value: &HeaderValue) -> impl Iterator<Item = &str> {
    value.to_str().unwrap_or_default().split(',').map(str::trim).filter(|token| !token.is_empty())
}

/// Removes what has no place behind a body: framing, routing and authentication (RFC 9110 §6.5.1).
pub fn strip_trailers(trailers: &mut HeaderMap) {
    strip(trailers);
    TRAILERS.iter().for_each(|name| drop(trailers.remove(*name)));
}

static TRAILERS: [&str; 13] = [
    "authorization",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "set-cookie",
    "trailer",
    "www-authenticate",
];

/// Fields a peer may not take away by naming them: `Connection: authorization` has been used to slip past checks.
fn is_protected(token: &str) -> bool {
    let prefixed = token.get(..12).is_some_and(|prefix| prefix.eq_ignore_ascii_case("x-forwarded-"));
    prefixed || PROTECTED.iter().any(|name| name.eq_ignore_ascii_case(token))
}

static PROTECTED: [&str; 14] = [
    "authorization",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "forwarded",
    "host",
    "set-cookie",
    "traceparent",
    "tracestate",
    "via",
    "x-real-ip",
    "x-request-id",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[track_caller]
    fn check(fields: &[(&'static str, &'static str)], kept: &[&str]) -> Asked {
        let mut headers = map(fields);
        let asked = strip(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, kept, "what is left of {fields:?}");
        asked
    }

    #[test]
    fn end_to_end_fields_stay() {
        let asked = check(
            &[("host", "a"), ("accept", "*/*"), ("content-length", "3"), ("trailer", "x")],
            &["accept", "content-length", "host", "trailer"],
        );
        assert_eq!(asked, Asked::default(), "nothing was asked of this hop");
    }

    #[test]
    fn every_hop_by_hop_field_goes() {
        for name in [
            "connection",
            "proxy-connection",
            "keep-alive",
            "te",
            "transfer-encoding",
            "upgrade",
            "http2-settings",
            "proxy-authorization",
            "proxy-authenticate",
            "x-forwarded-client-cert",
        ] {
            check(&[(name, "x"), ("x-kept", "1")], &["x-kept"]);
        }
    }

    #[test]
    fn fields_named_in_connection_go_from_every_line_and_in_any_case() {
        check(
            &[
                ("connection", "close, X-One ,,x-two"),
                ("connection", "x-three"),
                ("x-one", "1"),
                ("x-two", "1"),
                ("x-two", "2"),
                ("x-three", "1"),
                ("x-four", "1"),
            ],
            &["x-four"],
        );
    }

    #[test]
    fn connection_cannot_remove_what_others_rest_on() {
        let names = [
            "Authorization",
            "X-Forwarded-For",
            "x-forwarded-proto",
            "FORWARDED",
            "Host",
            "via",
            "x-request-id",
            "Content-Length",
            "cookie",
        ];
        for name in names {
            let mut headers = map(&[("connection", "close")]);
            headers.insert(header::CONNECTION, HeaderValue::from_str(&format!("x-gone, {name}")).unwrap());
            let name = HeaderName::try_from(name).unwrap();
            headers.insert(&name, HeaderValue::from_static("kept"));
            headers.insert("x-gone", HeaderValue::from_static("1"));
            strip(&mut headers);
            assert!(headers.contains_key(&name), "{name} stays");
            assert_eq!(headers.len(), 1, "the other named field goes");
        }
    }

    #[test]
    fn an_upgrade_is_asked_for_only_when_connection_says_so() {
        let asked = check(&[("connection", "Upgrade"), ("upgrade", "websocket")], &[]);
        assert_eq!(asked.upgrade.as_ref().map(HeaderValue::as_bytes), Some(&b"websocket"[..]), "both fields were there");
        assert_eq!(check(&[("upgrade", "websocket")], &[]).upgrade, None, "a lone upgrade field asks for nothing");
        assert_eq!(check(&[("connection", "upgrade")], &[]).upgrade, None, "nothing to upgrade to");
    }

    #[test]
    fn trailers_say_nothing_that_a_head_has_to_say() {
        let mut trailers = map(&[("grpc-status", "0"), ("x-sum", "1"), ("authorization", "a"), ("content-length", "3"), ("te", "x")]);
        strip_trailers(&mut trailers);
        assert_eq!(trailers.len(), 2, "what belongs to a body stays: {trailers:?}");
    }

    #[test]
    fn te_trailers_is_reported() {
        assert!(check(&[("te", "gzip, Trailers")], &[]).trailers, "trailers were named");
        assert!(!check(&[("te", "gzip;q=0.5")], &[]).trailers, "trailers were not named");
    }

    #[test]
    fn odd_connection_values_do_no_harm() {
        let mut headers = map(&[("x-kept", "1")]);
        headers.append(header::CONNECTION, HeaderValue::from_bytes(b"\xff\xfe").unwrap());
        headers.append(header::CONNECTION, HeaderValue::from_static("not a name, (), ,\t"));
        strip(&mut headers);
        assert_eq!(headers.len(), 1, "only the connection lines went");
    }
}
