//! Verification of JSON Web Tokens by the gateway, with the keys of the configured issuers.

use alloc::string::String;

use crate::bearer::Refused;
pub use crate::bearer::Verified;
use crate::bindings::jwt as raw;
#[cfg(target_family = "wasm")]
use crate::bindings::jwt as host;
#[cfg(not(target_family = "wasm"))]
use crate::testing::fake::jwt as host;

/// Why a token was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is no signed token in compact form, or it is larger than 8 KiB.
    #[error("the token is malformed")]
    Malformed,
    /// No issuer of this name is configured, or not one of those allowed.
    #[error("the token's issuer is not accepted")]
    UnknownIssuer,
    /// The signature does not verify, or its algorithm or key is not allowed.
    #[error("the token's signature does not verify")]
    BadSignature,
    /// It was valid once.
    #[error("the token has expired")]
    Expired,
    /// It will be valid later.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// It was made for somebody else.
    #[error("the token is for another audience")]
    WrongAudience,
    /// A claim has the wrong type, or a critical header is not understood.
    #[error("a claim of the token is not acceptable")]
    BadClaims,
    /// The issuer's keys could not be had yet. Answer 503, not 401.
    #[error("the issuer's keys are not available")]
    KeysUnavailable,
}

/// Verifies a token. `issuers` are names from the configuration; none allows them all. When the plugin goes on,
/// the gateway takes the token's subject as the authenticated client.
///
/// # Errors
/// Why the token was refused.
pub fn verify(token: &[u8], issuers: &[String], claims: &[String]) -> Result<Verified, Refusal> {
    let verified = host::verify(token, issuers, claims)?;
    Ok(Verified { issuer: verified.issuer, subject: verified.subject, scope: verified.scope, claims: verified.claims })
}

impl From<raw::Refusal> for Refusal {
    fn from(refusal: raw::Refusal) -> Self {
        match refusal {
            raw::Refusal::Malformed => Self::Malformed,
            raw::Refusal::UnknownIssuer => Self::UnknownIssuer,
            raw::Refusal::BadSignature => Self::BadSignature,
            raw::Refusal::Expired => Self::Expired,
            raw::Refusal::NotYetValid => Self::NotYetValid,
            raw::Refusal::WrongAudience => Self::WrongAudience,
            raw::Refusal::BadClaims => Self::BadClaims,
            raw::Refusal::KeysUnavailable => Self::KeysUnavailable,
        }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Expired => Self::Expired,
            Refusal::KeysUnavailable => Self::Unavailable,
            _ => Self::Invalid,
        }
    }
}
