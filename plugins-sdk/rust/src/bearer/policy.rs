//! The policy of a plugin that lets in requests with a good bearer token, whoever says that it is good.

use alloc::string::String;
use alloc::vec::Vec;

use serde::Deserialize;

use crate::claims::ClaimHeaders;
use crate::header::QuotableText;
use crate::{Changes, Error, Needs, Request, Result, Verdict, next};

use super::{Challenges, Credentials, Refused, Verified, credentials};

/// Which tokens get in, and what of them goes on.
#[derive(Clone, Debug)]
pub struct Policy {
    issuers: Vec<String>,
    required: bool,
    scopes: Vec<QuotableText>,
    claims_to_headers: ClaimHeaders,
    forward: bool,
    challenges: Challenges,
}

/// The configuration of a [`Policy`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The one issuer that counts.
    #[serde(default)]
    pub issuer: Option<String>,
    /// The issuers that count, in place of `issuer`; all of the configuration where neither is given.
    #[serde(default)]
    pub issuers: Vec<String>,
    /// Whether a request without a token is refused.
    #[serde(default = "default_true")]
    pub required: bool,
    /// The scopes that a token needs, all of them.
    #[serde(default)]
    pub scopes: Vec<QuotableText>,
    /// Claims that go on as headers.
    #[serde(default)]
    pub claims_to_headers: ClaimHeaders,
    /// Whether the token itself goes on.
    #[serde(default)]
    pub forward: bool,
    /// The realm of the challenges.
    #[serde(default = "default_realm")]
    pub realm: QuotableText,
}

impl Policy {
    /// The policy of this configuration.
    ///
    /// # Errors
    /// When it has both `issuer` and `issuers`.
    pub fn new(config: Config) -> Result<Self> {
        let challenges = Challenges::new(&config.realm, &config.scopes);
        let issuers = issuers(config.issuer, config.issuers)?;
        let Config { required, scopes, claims_to_headers, forward, .. } = config;
        Ok(Self { issuers, required, scopes, claims_to_headers, forward, challenges })
    }

    /// What a plugin with such a policy needs to see.
    #[must_use]
    pub fn needs(&self) -> Needs {
        Needs::new().request_header("authorization")
    }

    /// Decides about a request. `verify` is asked about its one token: `verify(token, issuers, claims)`.
    pub fn decide<R: Into<Refused>>(
        &self,
        request: &Request,
        verify: impl FnOnce(&[u8], &[String], &[String]) -> Result<Verified, R>,
    ) -> Verdict {
        let token = match credentials(request) {
            Credentials::Token(token) => token,
            Credentials::None if self.required => return self.challenges.missing().into(),
            Credentials::None => return self.claims_to_headers.remove(next()).into(),
            Credentials::Ambiguous => return self.challenges.ambiguous().into(),
        };
        match verify(token, &self.issuers, self.claims_to_headers.claims()) {
            Err(refusal) => self.challenges.refused(refusal.into()).into(),
            Ok(verified) if !self.may(&verified) => self.challenges.insufficient_scope().into(),
            Ok(verified) => self.passed(verified.claims).into(),
        }
    }

    fn may(&self, verified: &Verified) -> bool {
        self.scopes.iter().all(|scope| verified.has_scope(scope.as_str()))
    }

    /// The request of a client with a good token.
    fn passed(&self, claims: Vec<Option<String>>) -> Changes {
        let changes = if self.forward { next() } else { next().remove_header("authorization") };
        self.claims_to_headers.write(changes, claims)
    }
}

fn issuers(one: Option<String>, many: Vec<String>) -> Result<Vec<String>> {
    match (one, many.is_empty()) {
        (Some(_), false) => Err(Error::from("issuer: want issuer or issuers, not both")),
        (Some(issuer), true) => Ok(Vec::from([issuer])),
        (None, _) => Ok(many),
    }
}

fn default_realm() -> QuotableText {
    QuotableText::try_from(String::from("gatehouse")).expect("the default can be quoted")
}

fn default_true() -> bool {
    true
}
