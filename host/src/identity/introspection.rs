//! Opaque tokens: what the issuers say of them (RFC 7662), remembered for a while. A worker only looks up or waits;
//! asking is done on the background runtime, once for all who wait.

mod answer;
mod breaker;
mod introspector;

use std::{sync::Arc, time::Duration};

use thiserror::Error;
use tokio::runtime::Handle;

use crate::identity::{
    address::{AddressError, Source},
    digest::Digest,
    fetch::{Fetch, post::Post},
    issuer::Secret,
    token::Token,
};

pub use introspector::{Introspector, Outcome};

/// How one issuer is asked. Two that are equal are the same issuer, and what it said survives a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its name in the configuration.
    pub name: String,
    /// What its answers have as `iss`, to the letter, if they have one.
    pub issuer: String,
    /// What its answers must name in `aud`, one of them; empty for anything.
    pub audiences: Vec<String>,
    /// How far its clock may be from ours.
    pub leeway: Duration,
    /// How the endpoint is known.
    pub endpoint: Source,
    /// The gateway's id there.
    pub client_id: String,
    /// The gateway's secret there.
    pub client_secret: Secret,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How long an active token is believed without asking again, if it does not expire before.
    pub cache: Duration,
    /// How long a refused token stays refused without asking again.
    pub negative_cache: Duration,
    /// Whether an active token is believed up to its `exp` while the issuer is down.
    pub allow_stale: bool,
}

/// Why a token is refused, in words that are safe to tell its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum Refusal {
    /// Not a text that could be a token, or larger than 8 KiB.
    #[error("not a token of at most 8 KiB")]
    Malformed,
    /// No configured issuer of this name that can be asked, not one of those allowed here, or the answer names another.
    #[error("the issuer is not one of those allowed")]
    UnknownIssuer,
    /// Revoked, expired, made up: the issuer does not say.
    #[error("the token is not active")]
    Inactive,
    /// Past its `exp`.
    #[error("the token has expired")]
    Expired,
    /// Before its `nbf`.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// For somebody else.
    #[error("the token is not for this audience")]
    WrongAudience,
    /// The issuer could not be asked. Not the caller's fault.
    #[error("the issuer cannot be asked at the moment")]
    Unavailable,
}

/// The issuers that are asked about tokens.
#[derive(Default)]
pub struct Introspection {
    introspectors: Vec<Arc<Introspector>>,
}

// === impl Introspection ===

impl Introspection {
    /// Adds an issuer. One that is in `previous` with the same settings goes on with what it said.
    pub fn add(&mut self, settings: Settings, previous: Option<&Self>) -> Result<(), AddressError> {
        let known = previous.and_then(|previous| previous.introspectors.iter().find(|known| *known.settings() == settings));
        let introspector = match known {
            Some(known) => Arc::clone(known),
            None => Arc::new(Introspector::new(settings)?),
        };
        self.introspectors.push(introspector);
        Ok(())
    }

    /// What is known of a token, without waiting: by one of the issuers named in `allowed`, all of them if it is empty.
    /// None if somebody has to be asked.
    pub fn known(&self, token: &[u8], allowed: &[String]) -> Option<Outcome> {
        let token = match read(token) {
            Ok(token) => token,
            Err(refusal) => return Some(Err(refusal)),
        };
        let digest = Digest::of(token.as_bytes());
        let mut refusal = Some(Refusal::UnknownIssuer);
        for introspector in self.allowed(allowed) {
            match introspector.known(digest) {
                Some(Ok(verified)) => return Some(Ok(verified)),
                Some(Err(reason)) => refusal = refusal.map(|refusal| telling(refusal, reason)),
                None => refusal = None,
            }
        }
        refusal.map(Err)
    }

    /// Asks about a token, one issuer after the other until one calls it active.
    pub async fn ask(&self, token: &[u8], allowed: &[String]) -> Outcome {
        let token = read(token)?;
        let digest = Digest::of(token.as_bytes());
        let mut refusal = Refusal::UnknownIssuer;
        for introspector in self.allowed(allowed) {
            match introspector.ask(digest, token).await {
                Ok(verified) => return Ok(verified),
                Err(reason) => refusal = telling(refusal, reason),
            }
        }
        Err(refusal)
    }

    /// Whether there is nobody to ask.
    pub fn is_empty(&self) -> bool {
        self.introspectors.is_empty()
    }

    /// Sends what is asked here from now on to the issuers.
    pub fn serve(&self, runtime: &Handle, http: &Arc<impl Post + Fetch>) {
        self.introspectors.iter().for_each(|introspector| introspector.serve(runtime, http));
    }

    fn allowed<'a>(&'a self, allowed: &'a [String]) -> impl Iterator<Item = &'a Arc<Introspector>> {
        self.introspectors.iter().filter(|introspector| allowed.is_empty() || allowed.contains(&introspector.settings().name))
    }
}

// RFC 6749 §A.12: visible characters. What is none never reaches an issuer.
fn read(token: &[u8]) -> Result<&str, Refusal> {
    let fits = !token.is_empty() && token.len() <= Token::MAX_LENGTH && token.iter().all(u8::is_ascii_graphic);
    std::str::from_utf8(token).ok().filter(|_| fits).ok_or(Refusal::Malformed)
}

// Of two refusals the one that says more: an issuer that could not be asked might still agree, and one that knows the
// token says more than one that does not.
fn telling(one: Refusal, other: Refusal) -> Refusal {
    let rank = |refusal| match refusal {
        Refusal::UnknownIssuer | Refusal::Malformed => 0,
        Refusal::Inactive => 1,
        Refusal::Expired | Refusal::NotYetValid | Refusal::WrongAudience => 2,
        Refusal::Unavailable => 3,
    };
    if rank(other) > rank(one) { other } else { one }
}

#[cfg(test)]
mod tests;
