//! A guest in ordinary Rust: it prints, reads clocks, hashes, and looks for files as if it were a program.
//! The header `x-mode` says what else it does. It imports WASI without having asked for it.
#![cfg(target_family = "wasm")]

mod acts;

use std::cell::Cell;
use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use gatehouse_plugin::{Needs, NoConfig, Plugin, Request, Result, Verdict, next, respond};

struct Ordinary {
    served: Cell<u32>,
}

impl Plugin for Ordinary {
    type Config = NoConfig;

    fn new(_config: NoConfig) -> Result<Self> {
        println!("configured");
        Ok(Self { served: Cell::new(0) })
    }

    fn needs(&self) -> Needs {
        Needs::new().request_header("x-mode")
    }

    fn on_request(&self, request: Request) -> Result<Verdict> {
        self.served.set(self.served.get() + 1);
        if let Some(reply) = request.header_str("x-mode").and_then(acts::play) {
            return Ok(respond(reply));
        }
        println!("asked for {}", request.path());
        eprintln!("from {}", request.address());
        let letters = format!("{:?}", letters(request.path()));
        let changes = next().on_response_set_header("x-letters", letters).on_response_set_header("x-time", now().to_string());
        Ok(changes.on_response_set_header("x-served", self.served.get().to_string()).into())
    }
}

/// The letters that occur most, and how often.
fn letters(text: &str) -> (usize, Vec<char>) {
    let mut counts: HashMap<char, usize> = HashMap::new();
    text.chars().for_each(|letter| *counts.entry(letter).or_default() += 1);
    let most = counts.values().copied().max().unwrap_or(0);
    let mut letters: Vec<_> = counts.into_iter().filter(|(_, count)| *count == most).map(|(letter, _)| letter).collect();
    letters.sort_unstable();
    (most, letters)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

gatehouse_plugin::export!(Ordinary);
