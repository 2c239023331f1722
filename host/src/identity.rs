//! Who is calling: clients by their API keys, and bearer tokens by the keys of their issuers.
//! Answers in memory only; what has to be fetched is fetched in the background, by `jwks`, `introspection` and
//! `credentials`, which is about the gateway itself: its own tokens towards upstreams.

pub mod address;
pub mod api_key;
pub mod claims;
pub mod client;
pub mod credentials;
pub mod demand;
pub mod digest;
pub mod discovery;
pub mod fetch;
pub mod fingerprint;
pub mod form;
pub mod introspection;
pub mod issuer;
pub mod issuers;
pub mod json;
pub mod jwks;
pub mod key;
pub mod roca;
pub mod token;

#[cfg(test)]
mod testing;

pub use claims::Verified;
pub use client::{Client, Clients};
pub use introspection::Introspection;
pub use issuer::{Issuer, KeySource, Refresh, Settings};
pub use issuers::Issuers;

use thiserror::Error;

/// Why a token is refused, in words that are safe to tell its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum Refusal {
    /// Not a signed token in compact form, or larger than 8 KiB.
    #[error("not a signed token in compact form of at most 8 KiB")]
    Malformed,
    /// No configured issuer of this name, or not one of those allowed here.
    #[error("the issuer is not one of those allowed")]
    UnknownIssuer,
    /// The signature does not verify, or its algorithm or key is not allowed.
    #[error("the signature is not by an allowed key and algorithm")]
    BadSignature,
    /// Past its `exp`.
    #[error("the token has expired")]
    Expired,
    /// Before its `nbf` or `iat`.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// For somebody else.
    #[error("the token is not for this audience")]
    WrongAudience,
    /// A claim is missing or has the wrong type, or a critical header is not understood.
    #[error("a claim is missing or of the wrong type, or a header is not understood")]
    BadClaims,
    /// The issuer's keys could not be had yet. Not the caller's fault.
    #[error("the issuer's keys are not known yet")]
    KeysUnavailable,
}
