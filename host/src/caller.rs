//! The caller of a request, once somebody authenticated it. Cheap to clone: it points at what authenticated it.

use std::sync::Arc;

use crate::identity::{Client, Verified};

/// Who a request was authenticated as, and by what.
#[derive(Debug, Clone)]
pub enum Caller {
    /// A configured client, by one of its API keys.
    Key(Arc<Client>),
    /// The subject of a token that a configured issuer signed.
    Token(Arc<Verified>),
    /// What a plugin with the grant `identity` said.
    Stated(Arc<Stated>),
}

/// A caller that a plugin authenticated in its own way.
#[derive(Debug)]
pub struct Stated {
    /// The client's name.
    pub name: String,
    /// How it was authenticated, in the plugin's words.
    pub method: String,
    /// The issuer, where there was one.
    pub issuer: Option<String>,
    /// Its scopes.
    pub scopes: Vec<String>,
    /// Its claims, a JSON object.
    pub claims: Option<String>,
}

impl Caller {
    /// The client's name, or the token's subject.
    pub fn name(&self) -> &str {
        match self {
            Caller::Key(client) => &client.name,
            Caller::Token(token) => &token.subject,
            Caller::Stated(stated) => &stated.name,
        }
    }

    /// `api-key`, `jwt`, or what the plugin said.
    pub fn method(&self) -> &str {
        match self {
            Caller::Key(_) => "api-key",
            Caller::Token(_) => "jwt",
            Caller::Stated(stated) => &stated.method,
        }
    }

    /// The issuer's name, where a token was involved. Part of the caller's identity: two issuers may use one subject.
    pub fn issuer(&self) -> Option<&str> {
        match self {
            Caller::Key(_) => None,
            Caller::Token(token) => Some(&token.issuer),
            Caller::Stated(stated) => stated.issuer.as_deref(),
        }
    }

    /// The scopes it holds.
    pub fn scopes(&self) -> Vec<&str> {
        match self {
            Caller::Key(client) => client.scopes.iter().map(AsRef::as_ref).collect(),
            Caller::Token(token) => token.scope.split(' ').filter(|scope| !scope.is_empty()).collect(),
            Caller::Stated(stated) => stated.scopes.iter().map(String::as_str).collect(),
        }
    }

    /// The claims as a JSON object, where there are some.
    pub fn claims(&self) -> Option<String> {
        match self {
            Caller::Key(_) => None,
            Caller::Token(token) => serde_json::to_string(&token.claims).ok(),
            Caller::Stated(stated) => stated.claims.clone(),
        }
    }
}
