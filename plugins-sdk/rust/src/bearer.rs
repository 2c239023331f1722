//! Bearer tokens (RFC 6750): where a request has its token, the challenges that refuse one, and the policy of a plugin that
//! wants one. Whether a token is good, `jwt` and `introspection` say.

mod policy;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

pub use policy::{Config, Policy};

use crate::header::QuotableText;
use crate::{Reply, Request};

/// What a request shows for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials<'a> {
    /// No credentials, or some of another scheme.
    None,
    /// One token.
    Token(&'a [u8]),
    /// Several tokens, or something that is none.
    Ambiguous,
}

/// What a good token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The issuer's name in the configuration.
    pub issuer: String,
    /// The token's subject; of an opaque token without one, the client it was issued to.
    pub subject: String,
    /// The scopes, separated by spaces.
    pub scope: String,
    /// The claims asked for, in that order: a string as it is, any other value as JSON.
    pub claims: Vec<Option<String>>,
}

/// Why a token does not get in, as far as a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It was valid once.
    Expired,
    /// It is not valid here, for whatever reason.
    Invalid,
    /// Nobody can say at the moment.
    Unavailable,
}

/// The answers to requests without a good token. The challenge is written once for each configuration.
#[derive(Clone, Debug)]
pub struct Challenges {
    challenge: String,
    scope: String,
}

/// The credentials in the `authorization` header, which the plugin has to declare. Only that header counts (RFC 6750
/// §2.1), never a form or the query.
#[must_use]
pub fn credentials(request: &Request) -> Credentials<'_> {
    let mut lines = request.header_lines("authorization");
    let Some(line) = lines.next() else { return Credentials::None };
    if lines.next().is_some() {
        return Credentials::Ambiguous;
    }
    parse(line)
}

fn parse(line: &[u8]) -> Credentials<'_> {
    let line = line.trim_ascii();
    let end = line.iter().position(|&byte| byte == b' ').unwrap_or(line.len());
    let (scheme, rest) = line.split_at(end);
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return Credentials::None;
    }
    let token = rest.trim_ascii();
    // A comma or a space would be a second token. Whatever else is wrong with it, the gateway sees.
    match token.is_empty() || memchr::memchr2(b' ', b',', token).is_some() {
        true => Credentials::Ambiguous,
        false => Credentials::Token(token),
    }
}

impl Verified {
    /// Whether the token has this scope.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scope.split(' ').any(|granted| granted == scope)
    }
}

impl Challenges {
    /// The challenges of this realm, for requests that need these scopes.
    #[must_use]
    pub fn new(realm: &QuotableText, scopes: &[QuotableText]) -> Self {
        let scopes: Vec<_> = scopes.iter().map(QuotableText::as_str).collect();
        Self { challenge: format!(r#"Bearer realm="{}""#, realm.as_str()), scope: scopes.join(" ") }
    }

    /// 401: there is no token. RFC 6750 §3.1: no error code then.
    #[must_use]
    pub fn missing(&self) -> Reply {
        Reply::problem(401, "Unauthorized", "This needs a bearer token.").header("www-authenticate", self.challenge.as_str())
    }

    /// 400: there are several tokens, or something that is none.
    #[must_use]
    pub fn ambiguous(&self) -> Reply {
        let reply = Reply::problem(400, "Bad Request", "The Authorization header must hold exactly one bearer token.");
        self.challenged(reply, r#"error="invalid_request""#)
    }

    /// The answer to a token that was refused.
    #[must_use]
    pub fn refused(&self, refused: Refused) -> Reply {
        match refused {
            Refused::Expired => self.invalid(true),
            Refused::Invalid => self.invalid(false),
            Refused::Unavailable => self.unavailable(),
        }
    }

    /// 401: the token was refused. An honest client can act only on an expired one, so tell it no more than that.
    #[must_use]
    pub fn invalid(&self, expired: bool) -> Reply {
        let detail = if expired { "The token has expired" } else { "The token is not valid here" };
        let error = format!(r#"error="invalid_token", error_description="{detail}""#);
        self.challenged(Reply::problem(401, "Unauthorized", &format!("{detail}.")), &error)
    }

    /// 403: the token is good and does not reach this far.
    #[must_use]
    pub fn insufficient_scope(&self) -> Reply {
        let reply = Reply::problem(403, "Forbidden", "The token lacks a scope that this needs.");
        self.challenged(reply, &format!(r#"error="insufficient_scope", scope="{}""#, self.scope))
    }

    /// 503: nobody can say at the moment whether the token is good, which is not the client's fault.
    #[must_use]
    pub fn unavailable(&self) -> Reply {
        Reply::problem(503, "Service Unavailable", "Tokens cannot be verified at the moment.").header("retry-after", "1")
    }

    fn challenged(&self, reply: Reply, error: &str) -> Reply {
        reply.header("www-authenticate", format!("{}, {error}", self.challenge))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Credentials<'_>) {
        assert_eq!(parse(line.as_bytes()), expected, "{line:?}");
    }

    #[test]
    fn one_token_of_the_bearer_scheme_counts() {
        check("Bearer abc.def-_~+/==", Credentials::Token(b"abc.def-_~+/=="));
        check("bearer   abc ", Credentials::Token(b"abc"));
        check("Basic dTpw", Credentials::None);
        check("", Credentials::None);
        check("Bearer", Credentials::Ambiguous);
        check("Bearer ", Credentials::Ambiguous);
        check("Bearer a b", Credentials::Ambiguous);
        check("Bearer a, Bearer b", Credentials::Ambiguous);
        check("Bearer a=b", Credentials::Token(b"a=b"));
    }
}
