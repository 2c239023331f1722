//! Who is calling.

use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

use crate::bindings::types as raw;

/// An authenticated caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// The configured client's name, or the token's subject.
    pub name: String,
    /// Which way it was authenticated: `api-key`, `jwt`, or what a plugin said.
    pub method: String,
    /// The issuer of the token, where there was one.
    pub issuer: Option<String>,
    /// What it may do.
    pub scopes: Vec<String>,
    claims: Option<String>,
}

impl Client {
    /// A client known by `name`, authenticated by `method`.
    pub fn new(name: impl Into<String>, method: impl Into<String>) -> Self {
        Self { name: name.into(), method: method.into(), ..Self::default() }
    }

    /// Grants these scopes.
    #[must_use]
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes.extend(scopes.into_iter().map(Into::into));
        self
    }

    /// Sets the claims, a JSON object.
    #[must_use]
    pub fn with_claims(mut self, claims: &Value) -> Self {
        self.claims = Some(alloc::format!("{claims}"));
        self
    }

    /// The token's claims, if the plugin asked for them and there are some.
    #[must_use]
    pub fn claims(&self) -> Option<Value> {
        serde_json::from_str(self.claims.as_deref()?).ok()
    }
}

impl From<raw::Client> for Client {
    fn from(raw: raw::Client) -> Self {
        Self { name: raw.name, method: raw.method, issuer: raw.issuer, scopes: raw.scopes, claims: raw.claims }
    }
}

impl From<Client> for raw::Client {
    fn from(client: Client) -> Self {
        Self { name: client.name, method: client.method, issuer: client.issuer, scopes: client.scopes, claims: client.claims }
    }
}
