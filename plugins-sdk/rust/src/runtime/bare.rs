//! What a plugin without std lacks: an allocator that starts in a static arena and really frees, a way to panic,
//! and a libc for the linker. Used only by `export!(…, bare)`.

use core::alloc::Layout;
use core::arch::wasm32;

use talc::base::Talc;
use talc::base::binning::Binning;
use talc::cell::TalcSyncCell;
use talc::source::Source;
use talc::wasm::WasmBinning;

/// The allocator's type.
pub type Allocator = TalcSyncCell<Arena, WasmBinning>;

/// A new allocator. One for each component.
#[expect(clippy::declare_interior_mutable_const, reason = "only ever the initial value of one static")]
pub const ALLOCATOR: Allocator = TalcSyncCell::new_wasm(Arena { claimed: false });

/// Where memory comes from: the static arena first, then `memory.grow`.
#[derive(Debug)]
pub struct Arena {
    claimed: bool,
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
        let (base, size) = if talc.source.claimed { grow(layout)? } else { ((&raw mut ARENA).cast(), ARENA_SIZE) };
        talc.source.claimed = true;
        // SAFETY: the arena is claimed once and by nobody else; fresh pages belong to whoever grew them.
        unsafe { talc.claim(base, size) }.map(drop).ok_or(())
    }
}

/// Fresh pages that hold at least `layout`.
fn grow(layout: Layout) -> Result<(*mut u8, usize), ()> {
    // Slack for the allocator's own marks and for alignment.
    let bytes = layout.size().checked_add(layout.align()).and_then(|sum| sum.checked_add(256)).ok_or(())?;
    let pages = bytes.div_ceil(PAGE_SIZE);
    match wasm32::memory_grow::<0>(pages) {
        usize::MAX => Err(()),
        before => Ok((core::ptr::with_exposed_provenance_mut(before * PAGE_SIZE), pages * PAGE_SIZE)),
    }
}
