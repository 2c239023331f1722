//! `keys`: whose API key this is.

use std::sync::Arc;

use crate::caller::Caller;
use crate::plugin::bindings::gatehouse::plugin::keys::{Holder, Host};
use crate::plugin::state::HostState;
use crate::telemetry::metrics::{AuthMethod, AuthResult};

impl Host for HostState {
    fn find(&mut self, key: Vec<u8>) -> wasmtime::Result<Option<Holder>> {
        let call = self.request()?;
        let found = call.services.clients.find(&key).map(Arc::clone);
        let result = if found.is_some() { AuthResult::Accepted } else { AuthResult::Unknown };
        call.services.decisions.auth(AuthMethod::Key, result);
        Ok(found.map(|client| {
            let holder = Holder { name: client.name.to_string(), scopes: client.scopes.iter().map(ToString::to_string).collect() };
            call.candidate = Some(Caller::Key(client));
            holder
        }))
    }
}
