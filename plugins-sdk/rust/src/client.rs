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
    /// Which way it was authenticated: `api-key`, `basic-auth`, `jwt`, `introspection`, or what a plugin said.
    pub method: String,
    /// The issuer of the token, where there was one.
    pub issuer: Option<String>,
    /// What it may do.
    pub scopes: Vec<String>,
    /// The plan of a configured client, where it has one.
    pub plan: Option<String>,
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

    /// Names the issuer of its token.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Puts it on this plan.
    #[must_use]
    pub fn plan(mut self, plan: impl Into<String>) -> Self {
        self.plan = Some(plan.into());
        self
    }

    /// Sets the claims, a JSON object.
    #[must_use]
    pub fn with_claims(mut self, claims: &Value) -> Self {
        self.claims = Some(alloc::format!("{claims}"));
        self
    }

    /// The token's claims as they were written, a JSON object, if the plugin asked for them and there are some.
    #[must_use]
    pub fn claims_text(&self) -> Option<&str> {
        self.claims.as_deref()
    }

    /// The token's claims, if the plugin asked for them and there are some.
    #[must_use]
    pub fn claims(&self) -> Option<Value> {
        serde_json::from_str(self.claims.as_deref()?).ok()
    }
}

impl From<raw::Client> for Client {
    fn from(raw: raw::Client) -> Self {
        let raw::Client { name, method, issuer, scopes, plan, claims } = raw;
        Self { name, method, issuer, scopes, plan, claims }
    }
}

impl From<Client> for raw::Client {
    fn from(client: Client) -> Self {
        let Client { name, method, issuer, scopes, plan, claims } = client;
        Self { name, method, issuer, scopes, plan, claims }
    }
}
