//! What a guest without the standard library brings itself: memory, the end, and the canonical ABI's allocation.
//! Guests that link it import no WASI.
#![cfg(target_family = "wasm")]
#![no_std]

extern crate alloc;

use alloc::alloc::{Layout, alloc, handle_alloc_error, realloc};
use core::ptr::NonNull;

#[global_allocator]
static MEMORY: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

// memcpy and its kin.
#[link(name = "c")]
unsafe extern "C" {}

#[panic_handler]
fn end(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

/// The component model's allocation of what the host passes in.
#[unsafe(export_name = "cabi_realloc")]
unsafe extern "C" fn cabi_realloc(old: *mut u8, old_size: usize, align: usize, new_size: usize) -> *mut u8 {
    if new_size == 0 {
        return core::ptr::without_provenance_mut(align);
    }
    // SAFETY: the canonical ABI passes a power of two as the alignment.
    let layout = unsafe { Layout::from_size_align_unchecked(new_size, align) };
    let pointer = if old_size == 0 {
        // SAFETY: the size is not 0.
        unsafe { alloc(layout) }
    } else {
        // SAFETY: the host gives back what this function returned before, with its size and alignment.
        unsafe { realloc(old, Layout::from_size_align_unchecked(old_size, align), new_size) }
    };
    NonNull::new(pointer).unwrap_or_else(|| handle_alloc_error(layout)).as_ptr()
}
