//! What a plugin without std lacks: an allocator that starts in a static arena and really frees, a way to panic,
//! and a libc for the linker. Used only by `export!(…, bare)`.

use core::alloc::Layout;
use core::arch::wasm32;
use core::ptr::{self, NonNull};

use talc::base::Talc;
use talc::base::binning::Binning;
use talc::cell::TalcSyncCell;
use talc::source::Source;
use talc::wasm::WasmBinning;

/// The allocator's type.
pub type Allocator = TalcSyncCell<Arena, WasmBinning>;

/// A new allocator. One for each component.
#[expect(clippy::declare_interior_mutable_const, reason = "only ever the initial value of one static")]
pub const ALLOCATOR: Allocator = TalcSyncCell::new_wasm(Arena { claimed: false, grown_end: None });

/// Where memory comes from: the static arena first, then `memory.grow`.
#[derive(Debug)]
pub struct Arena {
    claimed: bool,
    /// Where the grown memory ends, so that more of it joins on.
    grown_end: Option<NonNull<u8>>,
}

// Enough for a request with a full set of headers and its verdict, so that a typical call never grows the memory:
// growing costs a call into the gateway, and in a fresh instance page faults besides.
const ARENA_SIZE: usize = 64 * 1024;
const PAGE_SIZE: usize = 64 * 1024;

static mut ARENA: [u8; ARENA_SIZE] = [0; ARENA_SIZE];

// The start-up code of the target wants libc, which std would have brought.
#[link(name = "c")]
unsafe extern "C" {}

/// Ends the call with a trap. The gateway drops the instance.
pub fn abort() -> ! {
    wasm32::unreachable()
}

// SAFETY: `acquire` touches no allocator but the one it was handed.
unsafe impl Source for Arena {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        if talc.source.claimed {
            return grow(talc, layout);
        }
        talc.source.claimed = true;
        // SAFETY: the arena is claimed this once and touched by nobody else.
        unsafe { talc.claim((&raw mut ARENA).cast(), ARENA_SIZE) }.map(drop).ok_or(())
    }
}

/// Adds fresh pages that hold at least `layout`, joined on to those before, so that a large value can follow a small one.
fn grow<B: Binning>(talc: &mut Talc<Arena, B>, layout: Layout) -> Result<(), ()> {
    // Slack for the allocator's own marks and for alignment.
    let bytes = layout.size().checked_add(layout.align()).and_then(|sum| sum.checked_add(256)).ok_or(())?;
    let pages = bytes.div_ceil(PAGE_SIZE);
    let before = match wasm32::memory_grow::<0>(pages) {
        usize::MAX => return Err(()),
        before => before,
    };
    let base = ptr::with_exposed_provenance_mut::<u8>(before * PAGE_SIZE);
    let end = base.wrapping_add(pages * PAGE_SIZE);
    talc.source.grown_end = match talc.source.grown_end {
        // SAFETY: the pages are fresh, and they start where this allocator's last ones end.
        Some(last) if last.as_ptr() == base => Some(unsafe { talc.extend(last, end) }),
        // SAFETY: fresh pages belong to whoever grew them.
        _ => unsafe { talc.claim(base, pages * PAGE_SIZE) },
    };
    talc.source.grown_end.map(drop).ok_or(())
}
