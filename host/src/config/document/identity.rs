//! Issuers of tokens, and the API clients with their keys.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::text::{Sha256, Timestamp};
use crate::config::units::Period;

/// Who signs or vouches for bearer tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// The name that plugin configs use.
    pub name: String,
    /// The exact `iss` claim.
    pub issuer: String,
    /// A token must name one of these in `aud`.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// The signature algorithms that are accepted.
    #[serde(default)]
    pub algorithms: Vec<Algorithm>,
    /// The public keys. Without them, and without a secret, the issuer is asked where they are (OpenID Connect Discovery,
    /// RFC 8414).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Jwks>,
    /// The shared secret of the HS algorithms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// How far the clocks may differ.
    #[serde(default = "thirty_seconds")]
    pub leeway: Period,
    /// Ask the issuer about opaque tokens (RFC 7662).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub introspection: Option<Introspection>,
}

/// A signature algorithm of RFC 7518 or RFC 8037.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the names are those of the RFC")]
pub enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
    HS256,
    HS384,
    HS512,
}

/// Where the public keys are: at `url` or in `file`, or else where the issuer's own metadata say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Jwks {
    /// Fetched from here and kept fresh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Read from this file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// How long fetched keys are fresh where their server sends no `Cache-Control`.
    pub ttl: Period,
    /// A token with an unknown key makes the gateway fetch the keys once in this time.
    pub refetch_floor: Period,
}

/// Where a secret is; exactly one of these. The document never holds one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Secret {
    /// The content of this file, without a line end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The value of this environment variable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
}

/// How opaque tokens are asked about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Introspection {
    /// The introspection endpoint. Without it, the issuer is asked where it is (OpenID Connect Discovery, RFC 8414).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The gateway's own client id there.
    pub client_id: String,
    /// The gateway's own secret there.
    pub client_secret: Secret,
    /// How long an answer may take.
    #[serde(default = "half_a_second")]
    pub timeout: Period,
    /// The longest that an active token is believed without asking again.
    #[serde(default = "thirty_seconds")]
    pub cache: Period,
    /// How long a refused token stays refused without asking again.
    #[serde(default = "five_seconds")]
    pub negative_cache: Period,
    /// Believe the last answer while the issuer is down.
    #[serde(default)]
    pub allow_stale: bool,
}

/// How credentials are kept.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Identity {
    /// The secret that goes into the `hmac` digests of API keys, at least 16 bytes. Whoever has the configuration and
    /// not this secret cannot try guesses against it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pepper: Option<Secret>,
}

/// A consumer of the API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// The name that plugins and logs see.
    pub name: String,
    /// Its API keys; several at a time allow rotation.
    #[serde(default)]
    pub keys: Vec<ClientKey>,
    /// What it may do.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The plan it is on: a name that `rate-limit` and other plugins give a meaning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Its keys open nothing for now.
    #[serde(default)]
    pub disabled: bool,
}

/// One API key, known only by its digest: `sha256` or `hmac`. `gatehouse keys create` writes one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClientKey {
    /// The SHA-256 digest of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
    /// The HMAC-SHA-256 digest of the key under `identity.pepper`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hmac: Option<Sha256>,
    /// The public part of the key, to tell keys apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The last four characters of the key, for people who look for theirs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last4: Option<String>,
    /// From then on the key is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// What the key may do, where that is less than its client may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
}

impl Issuer {
    /// Whether it signs tokens that the gateway verifies by itself, and does not only answer questions about them.
    pub fn signs(&self) -> bool {
        self.jwks.is_some() || self.secret.is_some() || !self.algorithms.is_empty()
    }
}

impl Algorithm {
    /// Whether it is keyed by a shared secret instead of a key pair.
    pub fn is_symmetric(self) -> bool {
        matches!(self, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512)
    }
}

impl Default for Jwks {
    fn default() -> Self {
        Self { url: None, file: None, ttl: Period::secs(300), refetch_floor: Period::secs(30) }
    }
}

fn half_a_second() -> Period {
    Period::millis(500)
}

fn five_seconds() -> Period {
    Period::secs(5)
}

fn thirty_seconds() -> Period {
    Period::secs(30)
}
