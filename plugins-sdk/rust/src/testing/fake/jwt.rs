//! Token verification as the test scripts it.

use core::cell::RefCell;
use std::boxed::Box;
use std::string::String;
use std::vec::Vec;

use serde_json::{Map, Value};

use crate::bindings::jwt as raw;
use crate::jwt::Refusal;

type Verifier = Box<dyn FnMut(&[u8], &[String]) -> Result<Token, Refusal>>;

std::thread_local! {
    static VERIFIER: RefCell<Option<Verifier>> = const { RefCell::new(None) };
}

/// A good token.
#[derive(Clone, Debug)]
pub struct Token {
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) scope: String,
    claims: Map<String, Value>,
}

impl Token {
    /// A token of this issuer for this subject.
    pub fn new(issuer: impl Into<String>, subject: impl Into<String>) -> Self {
        Self { issuer: issuer.into(), subject: subject.into(), scope: String::new(), claims: Map::new() }
    }

    /// With these scopes, separated by spaces.
    #[must_use]
    pub fn scope(mut self, scope: &str) -> Self {
        self.scope = scope.into();
        self
    }

    /// With this claim.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.into(), value.into());
        self
    }

    pub(super) fn shown(&self, name: &str) -> Option<String> {
        match (name, self.claims.get(name)) {
            (_, Some(Value::String(text))) => Some(text.clone()),
            (_, Some(other)) => Some(std::format!("{other}")),
            ("sub", None) => Some(self.subject.clone()),
            ("iss", None) => Some(self.issuer.clone()),
            _ => None,
        }
    }
}

/// Scripts `jwt::verify`: this decides about a token, given the issuers that the plugin allows.
pub fn jwt(verifier: impl FnMut(&[u8], &[String]) -> Result<Token, Refusal> + 'static) {
    VERIFIER.set(Some(Box::new(verifier)));
}

pub(crate) fn verify(token: &[u8], issuers: &[String], claims: &[String]) -> Result<raw::Verified, raw::Refusal> {
    let verdict = VERIFIER.with_borrow_mut(|verifier| {
        let verifier = verifier.as_mut().expect("the plugin called jwt::verify: script it with testing::jwt");
        verifier(token, issuers)
    });
    let token = verdict.map_err(refusal)?;
    let claims: Vec<_> = claims.iter().map(|name| token.shown(name)).collect();
    Ok(raw::Verified { issuer: token.issuer, subject: token.subject, scope: token.scope, claims })
}

fn refusal(refusal: Refusal) -> raw::Refusal {
    match refusal {
        Refusal::Malformed => raw::Refusal::Malformed,
        Refusal::UnknownIssuer => raw::Refusal::UnknownIssuer,
        Refusal::BadSignature => raw::Refusal::BadSignature,
        Refusal::Expired => raw::Refusal::Expired,
        Refusal::NotYetValid => raw::Refusal::NotYetValid,
        Refusal::WrongAudience => raw::Refusal::WrongAudience,
        Refusal::BadClaims => raw::Refusal::BadClaims,
        Refusal::KeysUnavailable => raw::Refusal::KeysUnavailable,
    }
}
