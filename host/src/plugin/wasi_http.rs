//! Components of `wasi:http`, as `wasmtime serve`, Spin and wasmCloud run them, unchanged: the compatibility tier. They
//! know nothing of the gateway's contract, run in an engine of their own, and each request has an instance to itself.
//!
//! In reading order: what they may import ([`offer`]), what a store holds ([`guest`]), how a request goes in and an
//! answer comes out ([`run`], [`call`], [`body`]), what they may send ([`outgoing`]), and what is behind a middleware ([`next`]).

use wasmtime::component::{Component, Linker};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p3::bindings::ServicePre;

use super::{Kind, Refusal};
use guest::Guest;

pub mod body;
mod call;
mod guest;
mod meter;
mod next;
mod offer;
pub mod outgoing;
mod output;
pub mod run;

pub use body::WasiBody;

/// A component that is ready to be instantiated.
pub enum Linked {
    /// `wasi:http/incoming-handler@0.2`.
    Proxy(ProxyPre<Guest>),
    /// `wasi:http/handler@0.3`, be it a service or a middleware.
    Service(ServicePre<Guest>),
}

impl Linked {
    fn engine(&self) -> &wasmtime::Engine {
        match self {
            Linked::Proxy(pre) => pre.engine(),
            Linked::Service(pre) => pre.engine(),
        }
    }
}

/// Links a component with all that is offered; grants decide what comes of its requests to others.
///
/// # Errors
/// When it imports something else, or does not export what its kind says.
pub fn link(component: &Component, kind: Kind, imports: &[String]) -> Result<Linked, Refusal> {
    imports.iter().try_for_each(|import| offer::offered(import, kind))?;
    let mut linker = Linker::new(component.engine());
    offer::link(&mut linker).map_err(refused)?;
    if kind == Kind::Middleware {
        next::link(&mut linker).map_err(refused)?;
    }
    let linked = linker.instantiate_pre(component).map_err(refused)?;
    match kind {
        Kind::Proxy => ProxyPre::new(linked).map(Linked::Proxy).map_err(refused),
        Kind::Plugin | Kind::Service | Kind::Middleware | Kind::ProxyWasm(_) => {
            ServicePre::new(linked).map(Linked::Service).map_err(refused)
        }
    }
}

fn refused(error: wasmtime::Error) -> Refusal {
    Refusal::NotAPlugin(format!("{error:#}"))
}
