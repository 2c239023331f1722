//! The claims of a token (RFC 7519 §4.1): read strictly, held against the clock and the issuer's settings.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use crate::identity::{Refusal, json};

/// A token that passed every check.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// The name its issuer has in the configuration.
    pub issuer: String,
    /// Its `sub`; empty where there is none.
    pub subject: String,
    /// Its `scope`, or else its `scp`, separated by spaces.
    pub scope: String,
    /// All its claims.
    pub claims: Map<String, Value>,
    /// Its `exp`.
    pub expires: SystemTime,
}

/// Claims that are well-formed and whose signature has yet to be verified.
#[derive(Debug)]
pub struct Claims {
    members: Map<String, Value>,
}

// === impl Claims ===

impl Claims {
    /// Levels of objects and arrays in claims.
    pub const MAX_DEPTH: usize = 8;

    /// Reads the payload of a token.
    pub fn parse(payload: &[u8]) -> Result<Self, Refusal> {
        if payload.is_empty() {
            return Err(Refusal::Malformed);
        }
        let members = json::object(payload, Self::MAX_DEPTH).map_err(|_| Refusal::BadClaims)?;
        Ok(Self { members })
    }

    /// Who claims to have signed it.
    pub fn issuer(&self) -> Result<Option<&str>, Refusal> {
        self.text("iss")
    }

    /// Holds them against the clock. A token lives up to its `exp` and not a moment longer; `nbf` and `iat` may be ahead
    /// of our clock by `leeway`.
    pub fn check_time(&self, now: SystemTime, leeway: Duration) -> Result<SystemTime, Refusal> {
        let expires = self.time("exp")?.ok_or(Refusal::BadClaims)?;
        let starts = [self.time("nbf")?, self.time("iat")?];
        if expires <= now {
            return Err(Refusal::Expired);
        }
        let latest = now + leeway;
        match starts.into_iter().flatten().any(|start| start > latest) {
            true => Err(Refusal::NotYetValid),
            false => Ok(expires),
        }
    }

    /// Checks that they are for one of `audiences`; any will do where none is configured.
    pub fn check_audience(&self, audiences: &[String]) -> Result<(), Refusal> {
        let own = self.texts("aud")?.unwrap_or_default();
        match audiences.is_empty() || own.iter().any(|own| audiences.iter().any(|ours| ours == own)) {
            true => Ok(()),
            false => Err(Refusal::WrongAudience),
        }
    }

    /// What is known once all checks are done.
    pub fn into_verified(self, issuer: &str, expires: SystemTime) -> Result<Verified, Refusal> {
        let subject = self.text("sub")?.unwrap_or_default().to_owned();
        Ok(Verified { issuer: issuer.to_owned(), subject, scope: self.scope()?, claims: self.members, expires })
    }

    // RFC 9068 §2.2.3 says `scope`, a string; Spring's authorization server writes an array, and others write `scp`.
    fn scope(&self) -> Result<String, Refusal> {
        let scopes = match self.texts("scope")? {
            Some(scopes) => scopes,
            None => self.texts("scp")?.unwrap_or_default(),
        };
        Ok(scopes.join(" "))
    }

    /// A claim that is a text.
    pub fn text(&self, name: &str) -> Result<Option<&str>, Refusal> {
        match self.members.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Refusal::BadClaims),
        }
    }

    fn texts(&self, name: &str) -> Result<Option<Vec<&str>>, Refusal> {
        let Some(Value::Array(values)) = self.members.get(name) else {
            return Ok(self.text(name)?.map(|text| vec![text]));
        };
        let texts: Option<Vec<&str>> = values.iter().map(Value::as_str).collect();
        texts.map(Some).ok_or(Refusal::BadClaims)
    }

    /// A claim in seconds since 1970, possibly with a fraction.
    pub fn time(&self, name: &str) -> Result<Option<SystemTime>, Refusal> {
        let Some(value) = self.members.get(name) else { return Ok(None) };
        let seconds = value.as_f64().ok_or(Refusal::BadClaims)?;
        let since = Duration::try_from_secs_f64(seconds).map_err(|_| Refusal::BadClaims)?;
        SystemTime::UNIX_EPOCH.checked_add(since).map(Some).ok_or(Refusal::BadClaims)
    }
}

impl From<Map<String, Value>> for Claims {
    fn from(members: Map<String, Value>) -> Self {
        Self { members }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEEWAY: Duration = Duration::from_secs(30);

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000)
    }

    #[track_caller]
    fn check(claims: &str, expected: Result<(&str, &str), Refusal>) {
        let outcome = verify(claims);
        let outcome = outcome.as_ref().map(|verified| (verified.subject.as_str(), verified.scope.as_str()));
        assert_eq!(outcome, expected.as_ref().map(|expected| *expected), "{claims}");
    }

    fn verify(claims: &str) -> Result<Verified, Refusal> {
        let claims = Claims::parse(claims.as_bytes())?;
        let expires = claims.check_time(now(), LEEWAY)?;
        claims.check_audience(&["api".into(), "web".into()])?;
        claims.into_verified("main", expires)
    }

    #[test]
    fn claims_are_held_against_the_clock() {
        for (claims, expected) in [
            (r#"{"aud":"api","exp":1001}"#, Ok(("", ""))),
            (r#"{"aud":"api","exp":1000.5,"nbf":1029.9,"iat":1030}"#, Ok(("", ""))),
            (r#"{"aud":"api","exp":1000}"#, Err(Refusal::Expired)),
            (r#"{"aud":"api","exp":999.99}"#, Err(Refusal::Expired)),
            (r#"{"aud":"api","exp":0}"#, Err(Refusal::Expired)),
            (r#"{"aud":"api","exp":2000,"nbf":1030.1}"#, Err(Refusal::NotYetValid)),
            (r#"{"aud":"api","exp":2000,"iat":1031}"#, Err(Refusal::NotYetValid)),
            (r#"{"aud":"api"}"#, Err(Refusal::BadClaims)),
            (r#"{"aud":"api","exp":"2000"}"#, Err(Refusal::BadClaims)),
            (r#"{"aud":"api","exp":null}"#, Err(Refusal::BadClaims)),
            (r#"{"aud":"api","exp":-1}"#, Err(Refusal::BadClaims)),
            (r#"{"aud":"api","exp":1e300}"#, Err(Refusal::BadClaims)),
            (r#"{"aud":"api","exp":18446744073709551615}"#, Err(Refusal::BadClaims)),
            (r#"{"aud":"api","exp":2000,"nbf":true}"#, Err(Refusal::BadClaims)),
            (r#"{"aud":"api","exp":2000,"iat":[1]}"#, Err(Refusal::BadClaims)),
        ] {
            check(claims, expected);
        }
    }

    #[test]
    fn one_of_our_audiences_must_be_named() {
        for (claims, expected) in [
            (r#"{"exp":2000,"aud":["other","web"]}"#, Ok(("", ""))),
            (r#"{"exp":2000}"#, Err(Refusal::WrongAudience)),
            (r#"{"exp":2000,"aud":[]}"#, Err(Refusal::WrongAudience)),
            (r#"{"exp":2000,"aud":"apis"}"#, Err(Refusal::WrongAudience)),
            (r#"{"exp":2000,"aud":["api",1]}"#, Err(Refusal::BadClaims)),
            (r#"{"exp":2000,"aud":{"api":1}}"#, Err(Refusal::BadClaims)),
        ] {
            check(claims, expected);
        }
        let claims = Claims::parse(br#"{"aud":"whoever"}"#).unwrap();
        assert_eq!(claims.check_audience(&[]), Ok(()), "without audiences in the settings any will do");
    }

    #[test]
    fn subject_and_scope_are_text() {
        for (claims, expected) in [
            (r#"{"exp":2000,"aud":"api","sub":"ada","scope":"a b"}"#, Ok(("ada", "a b"))),
            (r#"{"exp":2000,"aud":"api","scp":["a","b"]}"#, Ok(("", "a b"))),
            (r#"{"exp":2000,"aud":"api","scp":"a b"}"#, Ok(("", "a b"))),
            (r#"{"exp":2000,"aud":"api","scope":"a","scp":["b"]}"#, Ok(("", "a"))),
            (r#"{"exp":2000,"aud":"api","sub":7}"#, Err(Refusal::BadClaims)),
            (r#"{"exp":2000,"aud":"api","scope":["a","b"]}"#, Ok(("", "a b"))),
            (r#"{"exp":2000,"aud":"api","scope":[],"scp":"b"}"#, Ok(("", ""))),
            (r#"{"exp":2000,"aud":"api","scope":["a",1]}"#, Err(Refusal::BadClaims)),
            (r#"{"exp":2000,"aud":"api","scope":{"a":true}}"#, Err(Refusal::BadClaims)),
            (r#"{"exp":2000,"aud":"api","scp":[1]}"#, Err(Refusal::BadClaims)),
        ] {
            check(claims, expected);
        }
    }

    #[test]
    fn doubtful_claims_are_refused() {
        check("", Err(Refusal::Malformed));
        for claims in ["[]", "x", r#"{"exp":1,"exp":2000}"#, r#"{"exp":2000,"a":[[[[[[[[]]]]]]]]}"#] {
            check(claims, Err(Refusal::BadClaims));
        }
    }
}
