//! `jwt`: token verification by the host.

use serde_json::Value;

use crate::caller::Caller;
use crate::identity::{self, demand::Setback};
use crate::plugin::bindings::gatehouse::plugin::jwt::{Host, Refusal, Verified};
use crate::plugin::state::{Call, HostState};
use crate::telemetry::metrics::{AuthMethod, AuthResult};

impl Host for HostState {
    fn verify(&mut self, token: Vec<u8>, issuers: Vec<String>, claims: Vec<String>) -> wasmtime::Result<Result<Verified, Refusal>> {
        let call = self.request()?;
        let outcome = match call.services.issuers.try_verify(&token, &issuers) {
            Ok(verified) => Ok(verified),
            Err(setback) => Err(settle(call, setback)?),
        };
        call.services.decisions.auth(AuthMethod::Jwt, outcome.as_ref().map_or_else(|refusal| result(*refusal), |_| AuthResult::Accepted));
        Ok(outcome.map_err(Refusal::from).map(|verified| {
            let answer = Verified {
                issuer: verified.issuer.to_string(),
                subject: verified.subject.to_string(),
                scope: verified.scope.to_string(),
                claims: claims.iter().map(|name| verified.claims.get(name).map(text)).collect(),
            };
            // A token about nobody in particular authenticates nobody.
            call.candidate = Some(Caller::Token(verified)).filter(|caller| !caller.name().is_empty());
            answer
        }))
    }
}

/// The refusal, unless keys are on their way: then this call of the plugin ends here, and the chain makes it once more
/// when they have come. So a plugin is called without a fibre, and yet no good token fails because its key is new.
fn settle(call: &mut Call, setback: Setback) -> wasmtime::Result<identity::Refusal> {
    match setback.awaited.and_then(|awaited| call.wait_for(awaited)) {
        Some(end) => Err(end.into()),
        None => Ok(setback.refusal),
    }
}

/// A string as it is, anything else as JSON.
pub(super) fn text(claim: &Value) -> String {
    match claim {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl From<identity::Refusal> for Refusal {
    fn from(refusal: identity::Refusal) -> Self {
        match refusal {
            identity::Refusal::Malformed => Refusal::Malformed,
            identity::Refusal::UnknownIssuer => Refusal::UnknownIssuer,
            identity::Refusal::BadSignature => Refusal::BadSignature,
            identity::Refusal::Expired => Refusal::Expired,
            identity::Refusal::NotYetValid => Refusal::NotYetValid,
            identity::Refusal::WrongAudience => Refusal::WrongAudience,
            identity::Refusal::BadClaims => Refusal::BadClaims,
            identity::Refusal::KeysUnavailable => Refusal::KeysUnavailable,
        }
    }
}

fn result(refusal: identity::Refusal) -> AuthResult {
    match refusal {
        identity::Refusal::Malformed => AuthResult::Malformed,
        identity::Refusal::UnknownIssuer => AuthResult::UnknownIssuer,
        identity::Refusal::BadSignature => AuthResult::BadSignature,
        identity::Refusal::Expired => AuthResult::Expired,
        identity::Refusal::NotYetValid => AuthResult::NotYetValid,
        identity::Refusal::WrongAudience => AuthResult::WrongAudience,
        identity::Refusal::BadClaims => AuthResult::BadClaims,
        identity::Refusal::KeysUnavailable => AuthResult::Unavailable,
    }
}
