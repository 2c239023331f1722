//! The answers to requests without a good token, with the challenges of RFC 6750 §3.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use gatehouse_plugin::header::QuotableText;
use gatehouse_plugin::{Reply, jwt};

/// The refusals of one configuration. Its challenges are written once.
pub struct Refusals {
    challenge: String,
    scope: String,
}

impl Refusals {
    /// The refusals for this realm and these scopes.
    pub fn new(realm: &QuotableText, scopes: &[QuotableText]) -> Self {
        let scopes: Vec<_> = scopes.iter().map(QuotableText::as_str).collect();
        Self { challenge: format!(r#"Bearer realm="{}""#, realm.as_str()), scope: scopes.join(" ") }
    }

    /// There is no token. RFC 6750 §3.1: no error code then.
    pub fn missing(&self) -> Reply {
        Reply::problem(401, "Unauthorized", "This needs a bearer token.").header("www-authenticate", self.challenge.as_str())
    }

    /// There are several tokens, or something that is none.
    pub fn ambiguous(&self) -> Reply {
        let reply = Reply::problem(400, "Bad Request", "The Authorization header must hold exactly one bearer token.");
        self.challenged(reply, r#"error="invalid_request""#)
    }

    /// The token was refused. An honest client can act only on an expired one, so no more than that is told.
    pub fn invalid(&self, refusal: jwt::Refusal) -> Reply {
        let detail = match refusal {
            jwt::Refusal::Expired => "The token has expired.",
            _ => "The token is not valid here.",
        };
        let error = format!(r#"error="invalid_token", error_description="{}""#, detail.trim_end_matches('.'));
        self.challenged(Reply::problem(401, "Unauthorized", detail), &error)
    }

    /// The token is good and does not reach this far.
    pub fn insufficient_scope(&self) -> Reply {
        let reply = Reply::problem(403, "Forbidden", "The token lacks a scope that this needs.");
        self.challenged(reply, &format!(r#"error="insufficient_scope", scope="{}""#, self.scope))
    }

    /// The issuer's keys are not here yet: it is not the client's fault.
    pub fn keys_unavailable(&self) -> Reply {
        Reply::problem(503, "Service Unavailable", "Tokens cannot be verified at the moment.").header("retry-after", "1")
    }

    fn challenged(&self, reply: Reply, error: &str) -> Reply {
        reply.header("www-authenticate", format!("{}, {error}", self.challenge))
    }
}
