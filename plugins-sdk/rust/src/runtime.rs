//! Between the contract's exports and the author's trait: one instance, made by `configure`, called by the phases.

#[cfg(target_family = "wasm")]
pub mod bare;
#[cfg(target_family = "wasm")]
mod exports;

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::marker::PhantomData;

use crate::bindings::types as raw;
use crate::fields::Names;
use crate::{Needs, Plugin, Request, Response, Result};

/// A plugin's type, before there is an instance of it.
pub trait Entry {
    /// The JSON Schema of its configuration.
    fn config_schema(&self) -> Option<&'static str>;

    /// An instance with this configuration, a JSON document.
    #[expect(private_interfaces, reason = "called by this crate alone; public for the macro's sake")]
    fn configure(&self, config: &str) -> Result<Configured>;
}

/// The [`Entry`] of the plugin `P`.
pub struct PluginEntry<P>(PhantomData<P>);

/// A configured plugin and what it needs.
pub(crate) struct Configured {
    pub(crate) instance: Box<dyn Instance>,
    pub(crate) needs: Needs,
}

/// The phases, over the contract's own types.
pub(crate) trait Instance {
    fn on_request(&self, request: raw::Request) -> Result<raw::RequestVerdict>;
    fn on_request_body(&self, chunk: Vec<u8>, last: bool) -> Result<raw::ChunkVerdict>;
    fn on_response(&self, response: raw::Response) -> Result<raw::ResponseVerdict>;
    fn on_response_body(&self, chunk: Vec<u8>, last: bool) -> Result<raw::ChunkVerdict>;
}

/// A plugin with the header names it declared, which the contract only numbers.
struct Named<P> {
    plugin: P,
    request_headers: Names,
    response_headers: Names,
}

// === impl PluginEntry ===

impl<P: Plugin> PluginEntry<P> {
    /// The entry of `P`.
    pub const NEW: Self = Self(PhantomData);
}

impl<P: Plugin> Entry for PluginEntry<P> {
    fn config_schema(&self) -> Option<&'static str> {
        P::config_schema()
    }

    #[expect(private_interfaces, reason = "called by this crate alone; public for the macro's sake")]
    fn configure(&self, config: &str) -> Result<Configured> {
        let plugin = P::new(serde_json::from_str(config)?)?;
        let needs = plugin.needs();
        let instance =
            Named { request_headers: names(&needs.raw().request_headers), response_headers: names(&needs.raw().response_headers), plugin };
        Ok(Configured { instance: Box::new(instance), needs })
    }
}

fn names(declared: &[String]) -> Names {
    Rc::from(declared)
}

// === impl Named ===

impl<P: Plugin> Instance for Named<P> {
    fn on_request(&self, request: raw::Request) -> Result<raw::RequestVerdict> {
        let request = Request::from_raw(request, self.request_headers.clone());
        self.plugin.on_request(request).map(Into::into)
    }

    fn on_request_body(&self, chunk: Vec<u8>, last: bool) -> Result<raw::ChunkVerdict> {
        self.plugin.on_request_body(chunk, last).map(Into::into)
    }

    fn on_response(&self, response: raw::Response) -> Result<raw::ResponseVerdict> {
        let response = Response::from_raw(response, self.response_headers.clone());
        self.plugin.on_response(response).map(Into::into)
    }

    fn on_response_body(&self, chunk: Vec<u8>, last: bool) -> Result<raw::ChunkVerdict> {
        self.plugin.on_response_body(chunk, last).map(Into::into)
    }
}

/// Makes this type the plugin of the component.
///
/// `export!(Type)` is an ordinary Rust plugin: it imports WASI, which the gateway answers with nothing (no files,
/// no sockets, no environment). `export!(Type, bare)` is for a crate that is `#![no_std]` on wasm: it imports no
/// WASI at all, is a third of the size and starts faster.
///
/// ```ignore
/// #![cfg_attr(target_family = "wasm", no_std)]
/// extern crate alloc;
/// // … impl Plugin for Jwt …
/// gatehouse_plugin::export!(Jwt, bare);
/// ```
#[macro_export]
macro_rules! export {
    ($plugin:ty) => {
        const _: () = {
            #[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
            #[cfg_attr(not(target_family = "wasm"), expect(dead_code, reason = "natively there is no gateway to call it"))]
            fn gatehouse_plugin_entry() -> &'static dyn $crate::__private::Entry {
                &$crate::__private::PluginEntry::<$plugin>::NEW
            }
        };
    };
    ($plugin:ty, bare) => {
        $crate::export!($plugin);

        #[cfg(target_family = "wasm")]
        #[global_allocator]
        static ALLOCATOR: $crate::__private::Allocator = $crate::__private::ALLOCATOR;

        #[cfg(target_family = "wasm")]
        #[panic_handler]
        fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
            $crate::__private::abort()
        }
    };
}
