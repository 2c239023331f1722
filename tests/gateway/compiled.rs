//! Plugins in Go and C, and the streaming example in Rust: the examples through the front door, what a bad plugin costs
//! the others, and what the languages' own memory does under load.

mod examples;
mod from_nothing;
mod hostile;
mod memory;
