//! The caller of a request, once somebody authenticated it. Cheap to clone: it points at what authenticated it.

use std::sync::Arc;

use crate::identity::Verified;
use crate::identity::client::Key;

/// Who a request was authenticated as, and by what.
#[derive(Debug, Clone)]
pub enum Caller {
    /// A configured client, by one of its API keys.
    Key(Arc<Key>),
    /// A configured client, by its name and one of its API keys as the password.
    Password(Arc<Key>),
    /// The subject of a token that a configured issuer signed.
    Token(Arc<Verified>),
    /// The subject of an opaque token that a configured issuer calls active.
    Introspected(Arc<Verified>),
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
    /// Its plan, where it has one.
    pub plan: Option<String>,
    /// Its claims, a JSON object.
    pub claims: Option<String>,
}

impl Caller {
    /// The client's name, or the token's subject.
    pub fn name(&self) -> &str {
        match self {
            Caller::Key(key) | Caller::Password(key) => &key.client.name,
            Caller::Token(token) | Caller::Introspected(token) => &token.subject,
            Caller::Stated(stated) => &stated.name,
        }
    }

    /// `api-key`, `basic-auth`, `jwt`, `introspection`, or what the plugin said.
    pub fn method(&self) -> &str {
        match self {
            Caller::Key(_) => "api-key",
            Caller::Password(_) => "basic-auth",
            Caller::Token(_) => "jwt",
            Caller::Introspected(_) => "introspection",
            Caller::Stated(stated) => &stated.method,
        }
    }

    /// The issuer's name, where a token was involved. Part of the caller's identity: two issuers may use one subject.
    pub fn issuer(&self) -> Option<&str> {
        match self {
            Caller::Key(_) | Caller::Password(_) => None,
            Caller::Token(token) | Caller::Introspected(token) => Some(&token.issuer),
            Caller::Stated(stated) => stated.issuer.as_deref(),
        }
    }

    /// The scopes it holds.
    pub fn scopes(&self) -> Vec<&str> {
        match self {
            Caller::Key(key) | Caller::Password(key) => key.scopes.iter().map(AsRef::as_ref).collect(),
            Caller::Token(token) | Caller::Introspected(token) => token.scope.split(' ').filter(|scope| !scope.is_empty()).collect(),
            Caller::Stated(stated) => stated.scopes.iter().map(String::as_str).collect(),
        }
    }

    /// The plan of a configured client, or what a plugin said.
    pub fn plan(&self) -> Option<&str> {
        match self {
            Caller::Key(key) | Caller::Password(key) => key.client.plan.as_deref(),
            Caller::Token(_) | Caller::Introspected(_) => None,
            Caller::Stated(stated) => stated.plan.as_deref(),
        }
    }

    /// The API key that authenticated it, where one did.
    pub fn key(&self) -> Option<&Key> {
        match self {
            Caller::Key(key) | Caller::Password(key) => Some(key),
            Caller::Token(_) | Caller::Introspected(_) | Caller::Stated(_) => None,
        }
    }

    /// The claims as a JSON object, where there are some.
    pub fn claims(&self) -> Option<String> {
        match self {
            Caller::Key(_) | Caller::Password(_) => None,
            Caller::Token(token) | Caller::Introspected(token) => serde_json::to_string(&token.claims).ok(),
            Caller::Stated(stated) => stated.claims.clone(),
        }
    }
}
