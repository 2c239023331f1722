//! Introspection as the test scripts it.

use core::cell::RefCell;
use std::boxed::Box;
use std::string::String;
use std::vec::Vec;

use super::jwt::Token;
use crate::bindings::introspection as raw;
use crate::introspection::Refusal;

type Issuer = Box<dyn FnMut(&[u8], &[String]) -> Result<Token, Refusal>>;

std::thread_local! {
    static ISSUER: RefCell<Option<Issuer>> = const { RefCell::new(None) };
}

/// Scripts `introspection::introspect`: this decides about a token, given the issuers that the plugin allows.
pub fn introspection(issuer: impl FnMut(&[u8], &[String]) -> Result<Token, Refusal> + 'static) {
    ISSUER.set(Some(Box::new(issuer)));
}

pub(crate) fn introspect(token: &[u8], issuers: &[String], claims: &[String]) -> Result<raw::Verified, raw::Refusal> {
    let verdict = ISSUER.with_borrow_mut(|issuer| {
        let issuer = issuer.as_mut().expect("the plugin called introspection::introspect: script it with testing::introspection");
        issuer(token, issuers)
    });
    let token = verdict.map_err(refusal)?;
    let claims: Vec<_> = claims.iter().map(|name| token.shown(name)).collect();
    Ok(raw::Verified { issuer: token.issuer, subject: token.subject, scope: token.scope, claims })
}

fn refusal(refusal: Refusal) -> raw::Refusal {
    match refusal {
        Refusal::Malformed => raw::Refusal::Malformed,
        Refusal::UnknownIssuer => raw::Refusal::UnknownIssuer,
        Refusal::Inactive => raw::Refusal::Inactive,
        Refusal::Expired => raw::Refusal::Expired,
        Refusal::NotYetValid => raw::Refusal::NotYetValid,
        Refusal::WrongAudience => raw::Refusal::WrongAudience,
        Refusal::Unavailable => raw::Refusal::Unavailable,
    }
}
