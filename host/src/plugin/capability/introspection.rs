//! `introspection`: what issuers say of opaque tokens. A remembered answer is given at once; else the guest waits.

use std::sync::Arc;

use crate::caller::Caller;
use crate::identity::introspection;
use crate::plugin::bindings::gatehouse::plugin::introspection::{Host, Refusal, Verified};
use crate::plugin::state::HostState;
use crate::telemetry::metrics::{AuthMethod, AuthResult};

use super::jwt;

impl Host for HostState {
    async fn introspect(
        &mut self,
        token: Vec<u8>,
        issuers: Vec<String>,
        claims: Vec<String>,
    ) -> wasmtime::Result<Result<Verified, Refusal>> {
        let services = Arc::clone(&self.request()?.services);
        let outcome = match services.introspection.known(&token, &issuers) {
            Some(outcome) => outcome,
            None => {
                self.cpu.pause();
                let outcome = services.introspection.ask(&token, &issuers).await;
                self.cpu.resume();
                outcome
            }
        };
        let result = outcome.as_ref().map_or_else(|refusal| result(*refusal), |_| AuthResult::Accepted);
        services.decisions.auth(AuthMethod::Introspection, result);
        Ok(outcome.map_err(Refusal::from).map(|verified| {
            let answer = Verified {
                issuer: verified.issuer.clone(),
                subject: verified.subject.clone(),
                scope: verified.scope.clone(),
                claims: claims.iter().map(|name| verified.claims.get(name).map(jwt::text)).collect(),
            };
            if let Some(call) = &mut self.call {
                // A token about nobody in particular authenticates nobody.
                call.candidate = Some(Caller::Introspected(verified)).filter(|caller| !caller.name().is_empty());
            }
            answer
        }))
    }
}

impl From<introspection::Refusal> for Refusal {
    fn from(refusal: introspection::Refusal) -> Self {
        match refusal {
            introspection::Refusal::Malformed => Refusal::Malformed,
            introspection::Refusal::UnknownIssuer => Refusal::UnknownIssuer,
            introspection::Refusal::Inactive => Refusal::Inactive,
            introspection::Refusal::Expired => Refusal::Expired,
            introspection::Refusal::NotYetValid => Refusal::NotYetValid,
            introspection::Refusal::WrongAudience => Refusal::WrongAudience,
            introspection::Refusal::Unavailable => Refusal::Unavailable,
        }
    }
}

fn result(refusal: introspection::Refusal) -> AuthResult {
    match refusal {
        introspection::Refusal::Malformed => AuthResult::Malformed,
        introspection::Refusal::UnknownIssuer => AuthResult::UnknownIssuer,
        introspection::Refusal::Inactive => AuthResult::Unknown,
        introspection::Refusal::Expired => AuthResult::Expired,
        introspection::Refusal::NotYetValid => AuthResult::NotYetValid,
        introspection::Refusal::WrongAudience => AuthResult::WrongAudience,
        introspection::Refusal::Unavailable => AuthResult::Unavailable,
    }
}
