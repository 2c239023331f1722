//! What a token endpoint answers (RFC 6749 §5), read strictly.

use std::time::Duration;

use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::identity::{
    fetch::{FetchError, post::Posted},
    json,
};

/// A token that was granted.
#[derive(Debug)]
pub struct Granted {
    /// `Bearer …`, marked as a secret.
    pub authorization: HeaderValue,
    /// How long it is good for.
    pub lifetime: Duration,
}

/// Why none was.
#[derive(Debug, Error)]
pub enum NoToken {
    /// Nothing came.
    #[error("the token endpoint could not be asked")]
    Fetch(#[from] FetchError),
    /// The endpoint said no. The code is one of RFC 6749 §5.2, such as `invalid_client`.
    #[error("the token endpoint answered {status} {code}")]
    Refused {
        /// Its status.
        status: StatusCode,
        /// Its error code; empty if it gave none.
        code: String,
    },
    /// What came is no token.
    #[error("the token endpoint answered what is no bearer token: {0}")]
    Garbage(&'static str),
}

// RFC 6749 §4.2.2 leaves it to the endpoint to say so in another way; a token without an end is fetched again after this.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(300);
const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 3_600);
const MAX_DEPTH: usize = 8;

/// Reads an answer.
pub fn read(posted: &Posted) -> Result<Granted, NoToken> {
    let members = json::object(&posted.body, MAX_DEPTH);
    if posted.status != StatusCode::OK {
        let code = members.ok().and_then(|members| error_code(&members)).unwrap_or_default();
        return Err(NoToken::Refused { status: posted.status, code });
    }
    let members = members.map_err(|_| NoToken::Garbage("not a JSON object"))?;
    let is_bearer = members.get("token_type").and_then(Value::as_str).is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"));
    if !is_bearer {
        return Err(NoToken::Garbage("its token_type is not Bearer"));
    }
    Ok(Granted { authorization: authorization(&members)?, lifetime: lifetime(&members)? })
}

fn authorization(members: &Map<String, Value>) -> Result<HeaderValue, NoToken> {
    let token = members.get("access_token").and_then(Value::as_str);
    // RFC 6749 §A.12: visible characters.
    let token = token.filter(|token| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()));
    let value = token.and_then(|token| HeaderValue::from_str(&format!("Bearer {token}")).ok());
    let mut value = value.ok_or(NoToken::Garbage("it has no access_token"))?;
    value.set_sensitive(true);
    Ok(value)
}

// A number; some endpoints write it as a text.
fn lifetime(members: &Map<String, Value>) -> Result<Duration, NoToken> {
    let seconds = match members.get("expires_in") {
        None | Some(Value::Null) => return Ok(DEFAULT_LIFETIME),
        Some(Value::String(text)) => text.parse().ok(),
        // Some write it with a fraction, which is cut off; a cast of one that is too large ends at the largest.
        Some(value) => value.as_u64().or_else(|| value.as_f64().map(|seconds| seconds as u64)),
    };
    match seconds {
        Some(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds).min(LONGEST_LIFETIME)),
        _ => Err(NoToken::Garbage("its expires_in is not a number of seconds above 0")),
    }
}

// Only what the RFC allows in a code, since it goes into the log.
fn error_code(members: &Map<String, Value>) -> Option<String> {
    let code = members.get("error")?.as_str()?;
    let fits = code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    fits.then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(status: u16, body: &str) -> Result<Granted, NoToken> {
        read(&Posted { status: StatusCode::from_u16(status).unwrap(), body: body.to_owned().into() })
    }

    #[test]
    fn a_token_comes_with_its_lifetime() {
        for (body, seconds) in [
            (r#"{"access_token":"abc","token_type":"Bearer","expires_in":3600}"#, 3_600),
            (r#"{"access_token":"abc","token_type":"bearer","expires_in":"3599","scope":"a"}"#, 3_599),
            (r#"{"access_token":"abc","token_type":"Bearer","expires_in":3600.0}"#, 3_600),
            (r#"{"access_token":"abc","token_type":"Bearer"}"#, 300),
            (r#"{"access_token":"abc","token_type":"Bearer","expires_in":18446744073709551615}"#, 86_400),
        ] {
            let granted = read_text(200, body).unwrap();
            assert_eq!((granted.authorization.to_str().unwrap(), granted.lifetime.as_secs()), ("Bearer abc", seconds), "{body}");
            assert!(granted.authorization.is_sensitive(), "no log shows it");
        }
    }

    #[test]
    fn what_is_no_bearer_token_is_refused() {
        for (body, reason) in [
            ("", "JSON"),
            ("[]", "JSON"),
            (r#"{"token_type":"Bearer"}"#, "access_token"),
            (r#"{"access_token":"","token_type":"Bearer"}"#, "access_token"),
            (r#"{"access_token":"a\r\nx: y","token_type":"Bearer"}"#, "access_token"),
            (r#"{"access_token":"a b","token_type":"Bearer"}"#, "access_token"),
            (r#"{"access_token":1,"token_type":"Bearer"}"#, "access_token"),
            (r#"{"access_token":"abc"}"#, "token_type"),
            (r#"{"access_token":"abc","token_type":"DPoP"}"#, "token_type"),
            (r#"{"access_token":"abc","access_token":"def","token_type":"Bearer"}"#, "JSON"),
            (r#"{"access_token":"abc","token_type":"Bearer","expires_in":0}"#, "expires_in"),
            (r#"{"access_token":"abc","token_type":"Bearer","expires_in":-1}"#, "expires_in"),
            (r#"{"access_token":"abc","token_type":"Bearer","expires_in":0.5}"#, "expires_in"),
            (r#"{"access_token":"abc","token_type":"Bearer","expires_in":"soon"}"#, "expires_in"),
        ] {
            let error = read_text(200, body).expect_err(body).to_string();
            assert!(error.contains(reason), "{body}: {error}");
        }
    }

    #[test]
    fn a_refusal_says_its_code_and_nothing_else() {
        let message = |body: &str| read_text(401, body).expect_err("a refusal").to_string();
        assert_eq!(message(r#"{"error":"invalid_client"}"#), "the token endpoint answered 401 Unauthorized invalid_client");
        for body in [r#"{"error":"a\nforged line"}"#, "secret", r#"{"error":7}"#] {
            assert_eq!(message(body), "the token endpoint answered 401 Unauthorized ", "{body}");
        }
    }
}
