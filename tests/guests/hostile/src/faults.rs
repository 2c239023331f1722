//! Ways to end a call badly: never, by a trap, by taking all there is.

use alloc::vec::Vec;
use core::hint::black_box;

/// Does the bad thing of this name; returns if there is none.
pub fn commit(mode: &str) {
    match mode {
        "loop" => spin(),
        "trap" => core::arch::wasm32::unreachable(),
        "panic" => panic!("as asked"),
        "stack" => drop(black_box(descend(black_box(1)))),
        "memory" => hoard(false),
        "memory-touched" => hoard(true),
        _ => {}
    }
}

fn spin() {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

#[expect(unconditional_recursion, reason = "the stack is to overflow")]
fn descend(depth: u64) -> u64 {
    black_box(descend(black_box(depth + 1))).wrapping_add(depth)
}

/// Takes memory for good. Touched, it is really there; untouched, the limit on memory comes before that on time.
fn hoard(touch: bool) {
    let mut held = Vec::new();
    loop {
        let mut block: Vec<u8> = Vec::with_capacity(1 << 20);
        if touch {
            block.resize(1 << 20, 1);
        }
        held.push(black_box(block));
    }
}
