//! What of a request decides where it goes, for the algorithms that keep keys together.

use std::net::IpAddr;

use http::header::COOKIE;
use http::{HeaderMap, HeaderName};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::caller::Caller;

use super::Keys;

/// What is hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashOn {
    /// The client, or the subject of a token together with its issuer.
    Client,
    /// The client's address.
    Address,
    /// The path.
    Path,
    /// The first field of this name.
    Header(HeaderName),
    /// The first query parameter of this name.
    Query(Box<str>),
    /// The first cookie of this name.
    Cookie(Box<str>),
}

impl HashOn {
    /// The hash of what it names, the same in every gateway. None if the request has no such thing.
    pub fn hash(&self, keys: &Keys<'_>) -> Option<u64> {
        match self {
            HashOn::Client => keys.caller.map(caller),
            HashOn::Address => keys.address.map(address),
            HashOn::Path => keys.path.map(|path| xxh3_64(path.path().as_bytes())),
            HashOn::Header(name) => keys.headers.get(name).map(|value| xxh3_64(value.as_bytes())),
            HashOn::Query(name) => query(keys.path?.query()?, name).map(|value| xxh3_64(value.as_bytes())),
            HashOn::Cookie(name) => cookie(keys.headers, name.as_bytes()).map(xxh3_64),
        }
    }
}

/// The hash that comes so many after this one, as good as any other: the output of SplitMix64.
pub fn mixed(hash: u64, number: u64) -> u64 {
    let state = hash.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let state = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ state >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ state >> 31
}

fn caller(caller: &Caller) -> u64 {
    let issuer = caller.issuer().map_or(0, |issuer| xxh3_64(issuer.as_bytes()));
    xxh3_64_with_seed(caller.name().as_bytes(), issuer)
}

fn address(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => xxh3_64(&address.octets()),
        IpAddr::V6(address) => xxh3_64(&address.octets()),
    }
}

fn query<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn cookie<'a>(headers: &'a HeaderMap, name: &[u8]) -> Option<&'a [u8]> {
    let crumbs = headers.get_all(COOKIE).into_iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    crumbs.map(<[u8]>::trim_ascii).find_map(|crumb| crumb.strip_prefix(name)?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::uri::PathAndQuery;

    use super::*;

    #[track_caller]
    fn check(on: HashOn, expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        headers.insert("x-tenant", HeaderValue::from_static("acme"));
        headers.insert(COOKIE, HeaderValue::from_static("theme=dark; session=s1;last=x"));
        let path = PathAndQuery::from_static("/orders/7?tenant=t1&x");
        let keys = Keys { headers: &headers, path: Some(&path), caller: None, address: None };
        assert_eq!(on.hash(&keys), expected.map(|text| xxh3_64(text.as_bytes())), "{on:?}");
    }

    #[test]
    fn each_part_of_a_request_can_be_the_key() {
        check(HashOn::Header(HeaderName::from_static("x-tenant")), Some("acme"));
        check(HashOn::Header(HeaderName::from_static("x-other")), None);
        check(HashOn::Cookie("session".into()), Some("s1"));
        check(HashOn::Cookie("last".into()), Some("x"));
        check(HashOn::Cookie("sess".into()), None);
        check(HashOn::Path, Some("/orders/7"));
        check(HashOn::Query("tenant".into()), Some("t1"));
        check(HashOn::Query("x".into()), None);
        check(HashOn::Client, None);
        check(HashOn::Address, None);
    }
}
