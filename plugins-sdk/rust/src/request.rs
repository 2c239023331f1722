//! The request a plugin decides about.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Client;
use crate::bindings::types as raw;
use crate::fields::{Fields, Names};
use crate::method;

/// A request, as far as the plugin declared that it needs to see it.
#[derive(Debug)]
pub struct Request {
    id: (u64, u64),
    method: raw::Method,
    scheme: Scheme,
    path_and_query: String,
    address: raw::IpAddress,
    fields: Fields,
    client: Option<Client>,
    body: Option<Vec<u8>>,
}

/// How the client reached the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In clear.
    Http,
    /// Over TLS.
    Https,
}

impl Request {
    pub(crate) fn from_raw(raw: raw::Request, names: Names) -> Self {
        Self {
            id: raw.id,
            method: raw.method,
            scheme: match raw.scheme {
                raw::Scheme::Http => Scheme::Http,
                raw::Scheme::Https => Scheme::Https,
            },
            path_and_query: raw.path_with_query,
            address: raw.address,
            fields: Fields::new(names, raw.headers, raw.others),
            client: raw.client.map(Client::from),
            body: raw.body,
        }
    }

    /// The gateway's number for this request, 128 random bits.
    #[must_use]
    pub fn id(&self) -> u128 {
        u128::from(self.id.0) << 64 | u128::from(self.id.1)
    }

    /// The request id: 32 hexadecimal digits.
    #[must_use]
    pub fn id_hex(&self) -> String {
        hex(self.id)
    }

    /// `GET`, `POST` … Case-sensitive (RFC 9110 §9.1).
    #[must_use]
    pub fn method(&self) -> &str {
        method::as_str(&self.method)
    }

    /// Whether the client came over TLS.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The path, normalised, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.path_and_query.split_once('?').map_or(&*self.path_and_query, |(path, _)| path)
    }

    /// What stands after the `?`, if there is one.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.path_and_query.split_once('?').map(|(_, query)| query)
    }

    /// The path with its query.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        &self.path_and_query
    }

    /// The client's address, after `trusted_proxies`.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        match self.address {
            raw::IpAddress::Ipv4(bits) => IpAddr::V4(Ipv4Addr::from_bits(bits)),
            raw::IpAddress::Ipv6((high, low)) => IpAddr::V6(Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low))),
        }
    }

    /// The first line of this header. None as well when the plugin did not declare it.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.fields.first(name)
    }

    /// The first line of this header, if it is UTF-8. Where a strange value must not look like none, use `header`.
    #[must_use]
    pub fn header_str(&self, name: &str) -> Option<&str> {
        core::str::from_utf8(self.header(name)?).ok()
    }

    /// Every line of this header, in order.
    pub fn header_lines<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields.all(name)
    }

    /// Every header line that was shown, with its name in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter()
    }

    /// Moves the first line of a declared header out, which saves a copy.
    pub fn take_header(&mut self, name: &str) -> Option<Vec<u8>> {
        self.fields.take(name)
    }

    /// Who was authenticated by the plugins before this one, if the plugin asked.
    #[must_use]
    pub fn client(&self) -> Option<&Client> {
        self.client.as_ref()
    }

    /// The whole body, if the plugin asked for it buffered.
    #[must_use]
    pub fn body(&self) -> Option<&[u8]> {
        self.body.as_deref()
    }

    /// Moves the body out. Empty if there is none.
    pub fn take_body(&mut self) -> Vec<u8> {
        self.body.take().unwrap_or_default()
    }
}

pub(crate) fn hex(id: (u64, u64)) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let number = u128::from(id.0) << 64 | u128::from(id.1);
    (0..32).rev().map(|place| char::from(DIGITS[(number >> (place * 4) & 0xf) as usize])).collect()
}
