//! Requests for tests, whole: what the plugin did not declare is kept from it, as by the gateway.

use std::net::{IpAddr, Ipv4Addr};
use std::string::String;
use std::vec::Vec;

use crate::Client;
use crate::bindings::types as raw;
use crate::fields::field;
use crate::method;

/// A request to send to a plugin under test.
#[derive(Clone, Debug)]
pub struct Request {
    pub(super) method: String,
    pub(super) path_and_query: String,
    pub(super) address: IpAddr,
    pub(super) headers: Vec<raw::Field>,
    pub(super) client: Option<Client>,
    pub(super) body: Vec<u8>,
    /// What plugins allow it; no limit to begin with.
    pub(super) body_limit: u64,
}

/// The number of every test request.
pub(super) const ID: (u64, u64) = (0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210);

impl Request {
    /// A GET of this path, with its query, from 192.0.2.1. Its id is `0123456789abcdeffedcba9876543210`.
    pub fn get(path_and_query: impl Into<String>) -> Self {
        Self::new("GET", path_and_query)
    }

    /// A POST to this path, with its query.
    pub fn post(path_and_query: impl Into<String>) -> Self {
        Self::new("POST", path_and_query)
    }

    /// A request by this method.
    pub fn new(method: &str, path_and_query: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            path_and_query: path_and_query.into(),
            address: Ipv4Addr::new(192, 0, 2, 1).into(),
            headers: Vec::new(),
            client: None,
            body: Vec::new(),
            body_limit: u64::MAX,
        }
    }

    /// Adds a header line.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push(field(name.to_ascii_lowercase(), value));
        self
    }

    /// Comes from this address.
    #[must_use]
    pub fn address(mut self, address: impl Into<IpAddr>) -> Self {
        self.address = address.into();
        self
    }

    /// Was authenticated by a plugin before.
    #[must_use]
    pub fn client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// Has this body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// What a plugin with these needs is shown of it.
    pub(super) fn shown(&self, needs: &raw::Needs) -> raw::Request {
        let all = wanted(needs.wants, raw::Wants::ALL_REQUEST_HEADERS);
        let (headers, others) = shown_fields(&self.headers, &needs.request_headers, all);
        raw::Request {
            id: ID,
            method: method::parse(&self.method),
            scheme: raw::Scheme::Http,
            path_with_query: self.path_and_query.clone(),
            address: raw_address(self.address),
            headers,
            others,
            client: shown_client(self.client.as_ref(), needs.wants),
            body: shown_body(&self.body, needs.request_body, "request"),
        }
    }
}

/// The declared lines by index, and the rest if the plugin wants it.
pub(super) fn shown_fields(fields: &[raw::Field], declared: &[String], all: bool) -> (Vec<raw::Header>, Option<Vec<raw::Field>>) {
    let index = |field: &raw::Field| declared.iter().position(|name| *name == field.name);
    let shown = fields.iter().filter_map(|field| {
        let index = u32::try_from(index(field)?).ok()?;
        Some(raw::Header { index, value: field.value.clone() })
    });
    let others = fields.iter().filter(|field| index(field).is_none()).cloned();
    (shown.collect(), all.then(|| others.collect()))
}

pub(super) fn shown_client(client: Option<&Client>, wants: raw::Wants) -> Option<raw::Client> {
    let client = client.filter(|_| wanted(wants, raw::Wants::CLIENT))?;
    let mut shown = raw::Client::from(client.clone());
    if !wanted(wants, raw::Wants::CLAIMS) {
        shown.claims = None;
    }
    Some(shown)
}

#[track_caller]
pub(super) fn shown_body(body: &[u8], mode: raw::BodyMode, whose: &str) -> Option<Vec<u8>> {
    let raw::BodyMode::Buffered(limit) = mode else { return None };
    assert!(body.len() <= limit as usize, "the test's {whose} body is longer than the plugin's limit of {limit}");
    Some(body.to_vec())
}

pub(super) fn has_phase(phases: raw::Phases, phase: raw::Phases) -> bool {
    phases.bits() & phase.bits() != 0
}

pub(super) fn wanted(wants: raw::Wants, want: raw::Wants) -> bool {
    wants.bits() & want.bits() != 0
}

fn raw_address(address: IpAddr) -> raw::IpAddress {
    match address {
        IpAddr::V4(v4) => raw::IpAddress::Ipv4(v4.to_bits()),
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            raw::IpAddress::Ipv6(((bits >> 64) as u64, bits as u64))
        }
    }
}
