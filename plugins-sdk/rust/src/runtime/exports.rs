//! The world's exports, on wasm: each finds the one instance of this component and calls its phase.

use alloc::alloc::{Layout, alloc, realloc};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::OnceCell;

use super::bare::abort;
use super::{Configured, Entry, Instance};
use crate::bindings::{self, types as raw};
use crate::{Error, Result};

struct Exports;

struct Slot(OnceCell<Box<dyn Instance>>);

// SAFETY: a component instance has one thread; nothing here is ever shared.
unsafe impl Sync for Slot {}

static INSTANCE: Slot = Slot(OnceCell::new());

// SAFETY: defined by `export!` with this very signature.
unsafe extern "Rust" {
    safe fn gatehouse_plugin_entry() -> &'static dyn Entry;
}

bindings::export!(Exports with_types_in bindings);

impl bindings::Guest for Exports {
    fn config_schema() -> Option<String> {
        gatehouse_plugin_entry().config_schema().map(Into::into)
    }

    fn configure(config: String) -> Result<raw::Needs, String> {
        let Configured { instance, needs } = gatehouse_plugin_entry().configure(&config).map_err(Error::into_string)?;
        match INSTANCE.0.set(instance) {
            Ok(()) => Ok(needs.into_raw()),
            Err(_) => Err("the instance is configured already".into()),
        }
    }

    fn on_request(request: raw::Request) -> Result<raw::RequestVerdict, String> {
        call(|instance| instance.on_request(request))
    }

    fn on_request_body(chunk: Vec<u8>, last: bool) -> Result<raw::ChunkVerdict, String> {
        call(|instance| instance.on_request_body(chunk, last))
    }

    fn on_response(response: raw::Response) -> Result<raw::ResponseVerdict, String> {
        call(|instance| instance.on_response(response))
    }

    fn on_response_body(chunk: Vec<u8>, last: bool) -> Result<raw::ChunkVerdict, String> {
        call(|instance| instance.on_response_body(chunk, last))
    }
}

fn call<T>(phase: impl FnOnce(&dyn Instance) -> Result<T>) -> Result<T, String> {
    let instance = INSTANCE.0.get().ok_or("the instance was not configured")?;
    phase(&**instance).map_err(Error::into_string)
}

/// Memory for what the gateway hands in. Ours and not wit-bindgen's, whose C shim a bare plugin could not link.
///
/// # Safety
/// Called by the canonical ABI alone: `old_ptr` is null or came from here with `old_len` and `align`.
#[unsafe(export_name = "cabi_realloc")]
unsafe extern "C" fn cabi_realloc(old_ptr: *mut u8, old_len: usize, align: usize, new_len: usize) -> *mut u8 {
    if new_len == 0 {
        return core::ptr::without_provenance_mut(align);
    }
    // SAFETY: `align` comes from the canonical ABI, a power of two of 8 at most, and lengths fit 32-bit memory.
    let ptr = unsafe {
        match old_len {
            0 => alloc(Layout::from_size_align_unchecked(new_len, align)),
            _ => realloc(old_ptr, Layout::from_size_align_unchecked(old_len, align), new_len),
        }
    };
    if ptr.is_null() {
        abort()
    }
    ptr
}
