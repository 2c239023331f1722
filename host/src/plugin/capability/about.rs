//! `about`: the request at hand, written out.

use crate::plugin::bindings::gatehouse::plugin::about::Host;
use crate::plugin::state::HostState;

impl Host for HostState {
    fn request_id(&mut self) -> wasmtime::Result<String> {
        Ok(self.request()?.id.to_string())
    }

    fn client_address(&mut self) -> wasmtime::Result<String> {
        Ok(self.request()?.address.to_string())
    }
}
