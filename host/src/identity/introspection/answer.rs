//! What an introspection endpoint says about a token (RFC 7662 §2.2), read strictly.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use super::{Refusal, Settings};
use crate::identity::{
    Verified,
    claims::Claims,
    fetch::{FetchError, post::Posted},
    json,
};

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum NoAnswer {
    /// Nothing came.
    #[error("the endpoint could not be asked")]
    Fetch(#[from] FetchError),
    /// The endpoint is down, is not there, or does not take the gateway's own credentials.
    #[error("the endpoint answered {0}")]
    Status(StatusCode),
    /// What came says neither yes nor no.
    #[error("the endpoint answered what is no introspection response")]
    Garbage,
    /// The token is active, and what is said of it cannot be believed: a claim of the wrong type, one named twice, deep nesting.
    #[error("the endpoint answered claims that cannot be read")]
    Claims,
}

/// A token that is good now.
#[derive(Debug)]
pub struct Active {
    /// What is known of it.
    pub verified: Verified,
    /// Its `exp`, where it has one.
    pub expires: Option<SystemTime>,
}

impl NoAnswer {
    /// Whether the endpoint itself is in trouble. A status such as 400 and odd claims may be about this one token, and one
    /// caller must not be able to have the endpoint given up for all.
    pub fn is_failure(&self) -> bool {
        let about_us = [
            StatusCode::UNAUTHORIZED,
            StatusCode::FORBIDDEN,
            StatusCode::NOT_FOUND,
            StatusCode::METHOD_NOT_ALLOWED,
            StatusCode::REQUEST_TIMEOUT,
            StatusCode::TOO_MANY_REQUESTS,
        ];
        match self {
            Self::Status(status) => !status.is_client_error() || about_us.contains(status),
            Self::Claims => false,
            Self::Fetch(_) | Self::Garbage => true,
        }
    }
}

/// Reads an answer and holds it against the clock and the issuer's settings.
pub fn read(posted: &Posted, settings: &Settings, now: SystemTime) -> Result<Result<Active, Refusal>, NoAnswer> {
    if posted.status != StatusCode::OK {
        return Err(NoAnswer::Status(posted.status));
    }
    let members = json::object(&posted.body, Claims::MAX_DEPTH).map_err(|_| unreadable(&posted.body))?;
    match members.get("active") {
        Some(Value::Bool(true)) => check(Claims::from(members), settings, now).map_err(|_| NoAnswer::Claims),
        Some(Value::Bool(false)) => Ok(Err(Refusal::Inactive)),
        _ => Err(NoAnswer::Garbage),
    }
}

// Whoever may say something of himself to the issuer can nest it.
fn unreadable(body: &[u8]) -> NoAnswer {
    #[derive(Deserialize)]
    struct Said {
        active: bool,
    }
    match serde_json::from_slice::<Said>(body) {
        Ok(Said { active: true }) => NoAnswer::Claims,
        _ => NoAnswer::Garbage,
    }
}

// The outer error is a claim of the wrong type, which is the issuer's fault and not the caller's.
fn check(claims: Claims, settings: &Settings, now: SystemTime) -> Result<Result<Active, Refusal>, crate::identity::Refusal> {
    if claims.issuer()?.is_some_and(|issuer| issuer != settings.issuer) {
        return Ok(Err(Refusal::UnknownIssuer));
    }
    let (expires, starts) = (claims.time("exp")?, claims.time("nbf")?);
    if expires.is_some_and(|expires| expires <= now - settings.leeway) {
        return Ok(Err(Refusal::Expired));
    }
    if starts.is_some_and(|starts| starts > now + settings.leeway) {
        return Ok(Err(Refusal::NotYetValid));
    }
    match claims.check_audience(&settings.audiences) {
        Err(crate::identity::Refusal::WrongAudience) => return Ok(Err(Refusal::WrongAudience)),
        checked => checked?,
    }
    let verified = verified(claims, settings, expires.unwrap_or(now + settings.cache))?;
    Ok(Ok(Active { verified, expires }))
}

// A token that a client got for itself often has no `sub`. RFC 9068 §2.2 makes the client its own subject then.
fn verified(claims: Claims, settings: &Settings, expires: SystemTime) -> Result<Verified, crate::identity::Refusal> {
    let client = claims.text("client_id")?.map(str::to_owned);
    let mut verified = claims.into_verified(&settings.name, expires)?;
    if verified.subject.is_empty() {
        verified.subject = client.unwrap_or_default();
    }
    Ok(verified)
}

/// How long an answer may be believed without asking again.
pub fn lifetime(active: &Active, settings: &Settings, now: SystemTime) -> Duration {
    let left = active.expires.map(|expires| expires.duration_since(now).unwrap_or_default());
    left.map_or(settings.cache, |left| left.min(settings.cache))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::introspection::tests::settings;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000)
    }

    fn read_text(body: &str) -> Result<Result<Active, Refusal>, NoAnswer> {
        read(&Posted { status: StatusCode::OK, body: body.to_owned().into() }, &settings(), now())
    }

    #[track_caller]
    fn check(body: &str, expected: Result<&str, Refusal>) {
        let outcome = read_text(body).unwrap_or_else(|error| panic!("{body}: {error}"));
        assert_eq!(outcome.as_ref().map(|active| active.verified.subject.as_str()), expected.as_ref().map(|subject| *subject), "{body}");
    }

    #[test]
    fn scopes_may_be_a_list() {
        let active = read_text(r#"{"active":true,"aud":"api","scope":["a","b"]}"#).unwrap().unwrap();
        assert_eq!(active.verified.scope, "a b");
    }

    #[track_caller]
    fn check_garbage(body: &str) {
        assert!(matches!(read_text(body), Err(NoAnswer::Garbage)), "{body}");
    }

    #[test]
    fn an_active_token_is_held_against_clock_and_settings() {
        for (body, expected) in [
            (r#"{"active":true,"aud":"api","sub":"ada"}"#, Ok("ada")),
            (r#"{"active":true,"aud":["x","api"],"sub":"ada","iss":"https://issuer.example"}"#, Ok("ada")),
            (r#"{"active":true,"aud":"api","client_id":"robot"}"#, Ok("robot")),
            (r#"{"active":true,"aud":"api","client_id":"robot","sub":"ada"}"#, Ok("ada")),
            (r#"{"active":true,"aud":"api"}"#, Ok("")),
            (r#"{"active":true,"aud":"api","exp":971,"nbf":1030}"#, Ok("")),
            (r#"{"active":false}"#, Err(Refusal::Inactive)),
            (r#"{"active":false,"sub":"ada","aud":"api"}"#, Err(Refusal::Inactive)),
            (r#"{"active":true,"aud":"api","iss":"https://issuer.example/"}"#, Err(Refusal::UnknownIssuer)),
            (r#"{"active":true,"aud":"api","exp":970}"#, Err(Refusal::Expired)),
            (r#"{"active":true,"aud":"api","nbf":1031}"#, Err(Refusal::NotYetValid)),
            (r#"{"active":true,"aud":"other"}"#, Err(Refusal::WrongAudience)),
            (r#"{"active":true}"#, Err(Refusal::WrongAudience)),
        ] {
            check(body, expected);
        }
    }

    #[test]
    fn what_says_neither_yes_nor_no_is_no_answer() {
        for body in [
            "",
            "active",
            "[]",
            "{}",
            r#"{"active":"true"}"#,
            r#"{"active":1}"#,
            r#"{"active":null}"#,
            r#"{"active":false,"active":true}"#,
            r#"{"active":false,"a":[[[[[[[[]]]]]]]]}"#,
        ] {
            check_garbage(body);
        }
    }

    #[test]
    fn odd_claims_of_one_token_are_no_failure_of_the_endpoint() {
        for body in [
            r#"{"active":true,"aud":"api","exp":"2000"}"#,
            r#"{"active":true,"aud":"api","exp":-1}"#,
            r#"{"active":true,"aud":"api","iss":1}"#,
            r#"{"active":true,"aud":[1]}"#,
            r#"{"active":true,"aud":"api","sub":7}"#,
            r#"{"active":true,"aud":"api","sub":"ada","sub":"bob"}"#,
            r#"{"active":true,"aud":"api","a":[[[[[[[[]]]]]]]]}"#,
        ] {
            let error = read_text(body).expect_err("such a token is not believed");
            assert!(matches!(error, NoAnswer::Claims) && !error.is_failure(), "{body}: {error}");
        }
    }

    #[test]
    fn a_status_about_one_token_is_no_failure_of_the_endpoint() {
        for (status, failure) in [
            (400, false),
            (413, false),
            (422, false),
            (401, true),
            (403, true),
            (404, true),
            (429, true),
            (302, true),
            (500, true),
            (503, true),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let answer = read(&Posted { status, body: r#"{"active":true,"aud":"api"}"#.into() }, &settings(), now());
            assert_eq!(answer.expect_err("only 200 is an answer").is_failure(), failure, "{status}");
        }
    }

    #[test]
    fn an_answer_is_believed_no_longer_than_the_token_lives() {
        for (body, seconds) in [
            (r#"{"active":true,"aud":"api"}"#, 30),
            (r#"{"active":true,"aud":"api","exp":2000}"#, 30),
            (r#"{"active":true,"aud":"api","exp":1010}"#, 10),
            (r#"{"active":true,"aud":"api","exp":990}"#, 0),
        ] {
            let active = read_text(body).unwrap().unwrap();
            assert_eq!(lifetime(&active, &settings(), now()), Duration::from_secs(seconds), "{body}");
        }
    }
}
