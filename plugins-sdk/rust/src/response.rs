//! The response a plugin decides about on its way back.

use alloc::string::String;
use alloc::vec::Vec;

use crate::Client;
use crate::bindings::types as raw;
use crate::fields::{Fields, Names};
use crate::request::hex;

/// A response, as far as the plugin declared that it needs to see it.
#[derive(Debug)]
pub struct Response {
    id: (u64, u64),
    status: u16,
    fields: Fields,
    client: Option<Client>,
    state: Option<Vec<u8>>,
    from_gateway: bool,
    body: Option<Vec<u8>>,
}

impl Response {
    pub(crate) fn from_raw(raw: raw::Response, names: Names) -> Self {
        Self {
            id: raw.id,
            status: raw.status,
            fields: Fields::new(names, raw.headers, raw.others),
            client: raw.client.map(Client::from),
            state: raw.state,
            from_gateway: raw.from_gateway,
            body: raw.body,
        }
    }

    /// The request id: 32 hexadecimal digits.
    #[must_use]
    pub fn id_hex(&self) -> String {
        hex(self.id)
    }

    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The first line of this header. None as well when the plugin did not declare it.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.fields.first(name)
    }

    /// The first line of this header, if it is UTF-8.
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

    /// Who was authenticated, if the plugin asked.
    #[must_use]
    pub fn client(&self) -> Option<&Client> {
        self.client.as_ref()
    }

    /// What this plugin kept for this request with [`crate::Changes::state`].
    #[must_use]
    pub fn state(&self) -> Option<&[u8]> {
        self.state.as_deref()
    }

    /// Whether the gateway itself made this answer (no route, no endpoint, a fault …).
    #[must_use]
    pub fn is_from_gateway(&self) -> bool {
        self.from_gateway
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
