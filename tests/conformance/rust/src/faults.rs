//! Ways to end a call badly.

use std::hint::black_box;

/// Does the bad thing of this name; returns if there is none.
pub fn commit(action: &str) {
    match action {
        "trap" => panic!("as asked"),
        "loop" => spin(),
        "memory" => hoard(),
        _ => {}
    }
}

fn spin() {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

fn hoard() {
    let mut held = Vec::new();
    loop {
        held.push(black_box(vec![1_u8; 1 << 20]));
    }
}
