//! What the configured issuers say of opaque tokens (RFC 7662). A call simply blocks where the issuer has to be asked.

use alloc::string::String;

use crate::bearer::Refused;
pub use crate::bearer::Verified;
use crate::bindings::introspection as raw;
#[cfg(target_family = "wasm")]
use crate::bindings::introspection as host;
#[cfg(not(target_family = "wasm"))]
use crate::testing::fake::introspection as host;

/// Why a token was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is no text that could be a token, or it is larger than 8 KiB.
    #[error("the token is malformed")]
    Malformed,
    /// No issuer of this name can be asked, it is not one of those allowed, or the answer names another.
    #[error("the token's issuer is not accepted")]
    UnknownIssuer,
    /// The issuer does not call it active: revoked, expired, made up.
    #[error("the token is not active")]
    Inactive,
    /// It was valid once.
    #[error("the token has expired")]
    Expired,
    /// It will be valid later.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// It was made for somebody else.
    #[error("the token is for another audience")]
    WrongAudience,
    /// The issuer could not be asked. Answer 503, not 401.
    #[error("the issuer cannot be asked")]
    Unavailable,
}

/// Asks about a token. `issuers` are names from the configuration; none allows all that can be asked. When the plugin
/// goes on, the gateway takes the token's subject as the authenticated client.
///
/// # Errors
/// Why the token was refused.
pub fn introspect(token: &[u8], issuers: &[String], claims: &[String]) -> Result<Verified, Refusal> {
    let verified = host::introspect(token, issuers, claims)?;
    Ok(Verified { issuer: verified.issuer, subject: verified.subject, scope: verified.scope, claims: verified.claims })
}

impl From<raw::Refusal> for Refusal {
    fn from(refusal: raw::Refusal) -> Self {
        match refusal {
            raw::Refusal::Malformed => Self::Malformed,
            raw::Refusal::UnknownIssuer => Self::UnknownIssuer,
            raw::Refusal::Inactive => Self::Inactive,
            raw::Refusal::Expired => Self::Expired,
            raw::Refusal::NotYetValid => Self::NotYetValid,
            raw::Refusal::WrongAudience => Self::WrongAudience,
            raw::Refusal::Unavailable => Self::Unavailable,
        }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Expired => Self::Expired,
            Refusal::Unavailable => Self::Unavailable,
            _ => Self::Invalid,
        }
    }
}
