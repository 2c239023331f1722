//! `keys`: whose API key this is.

use std::sync::Arc;

use crate::caller::Caller;
use crate::identity::client::{Key, NoKey};
use crate::plugin::bindings::gatehouse::plugin::keys::{Holder, Host};
use crate::plugin::state::{Call, HostState};
use crate::telemetry::metrics::{AuthMethod, AuthResult};

impl Host for HostState {
    fn find(&mut self, key: Vec<u8>) -> wasmtime::Result<Option<Holder>> {
        let call = self.request()?;
        let found = call.services.clients.find(&key).map(Arc::clone);
        Ok(authenticate(call, found, AuthMethod::Key, Caller::Key))
    }

    fn find_of(&mut self, name: String, key: Vec<u8>) -> wasmtime::Result<Option<Holder>> {
        let call = self.request()?;
        let found = call.services.clients.find(&key).and_then(|key| match *key.client.name == *name {
            true => Ok(Arc::clone(key)),
            false => Err(NoKey::Unknown),
        });
        Ok(authenticate(call, found, AuthMethod::Basic, Caller::Password))
    }
}

/// Counts what was found, and makes the holder the candidate for the request's caller.
fn authenticate(call: &mut Call, found: Result<Arc<Key>, NoKey>, method: AuthMethod, caller: fn(Arc<Key>) -> Caller) -> Option<Holder> {
    call.services.decisions.auth(method, found.as_ref().map_or_else(|reason| result(*reason), |_| AuthResult::Accepted));
    let key = found.ok()?;
    let holder = Holder {
        name: key.client.name.to_string(),
        scopes: key.scopes.iter().map(ToString::to_string).collect(),
        plan: key.client.plan.as_deref().map(str::to_owned),
        key_id: key.id.as_deref().map(str::to_owned),
    };
    call.candidate = Some(caller(key));
    Some(holder)
}

fn result(reason: NoKey) -> AuthResult {
    match reason {
        NoKey::Malformed => AuthResult::Malformed,
        NoKey::Unknown => AuthResult::Unknown,
        NoKey::Expired => AuthResult::Expired,
    }
}
