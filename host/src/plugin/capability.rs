//! What guests may ask of the host: one file for each interface of `wit/`. Every call is counted against the
//! plugin's limit first; what a capability was not granted is not linked at all.

use wasmtime::component::{HasSelf, Linker};

use super::bindings::gatehouse::plugin as wit;
use super::state::HostState;
use super::{Capability, Grants};

pub mod about;
pub mod http;
pub mod introspection;
pub mod jwt;
pub mod keys;
pub mod kv;
pub mod kv_store;
pub mod log;
pub mod metrics;
pub mod rate_limit;

impl wit::types::Host for HostState {}

/// Links what needs no grant, the granted interfaces, and no other.
pub fn link(linker: &mut Linker<HostState>, grants: &Grants) -> wasmtime::Result<()> {
    wit::types::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    wit::about::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    Capability::ALL.into_iter().filter(|capability| grants.allow(*capability)).try_for_each(|capability| link_one(linker, capability))
}

fn link_one(linker: &mut Linker<HostState>, capability: Capability) -> wasmtime::Result<()> {
    match capability {
        Capability::Log => wit::log::add_to_linker::<_, HasSelf<_>>(linker, |state| state),
        Capability::Kv => wit::kv::add_to_linker::<_, HasSelf<_>>(linker, |state| state),
        Capability::Jwt => wit::jwt::add_to_linker::<_, HasSelf<_>>(linker, |state| state),
        Capability::Introspection => wit::introspection::add_to_linker::<_, HasSelf<_>>(linker, |state| state),
        Capability::Keys => wit::keys::add_to_linker::<_, HasSelf<_>>(linker, |state| state),
        Capability::RateLimit => wit::rate_limit::add_to_linker::<_, HasSelf<_>>(linker, |state| state),
        Capability::Http => wit::http::add_to_linker::<_, HasSelf<_>>(linker, |state| state),
        Capability::Metrics => wit::metrics::add_to_linker::<_, HasSelf<_>>(linker, |state| state),
    }
}
