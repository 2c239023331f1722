//! Builds the components of `wasi-http/`. Those that are other people's are examples in crates of theirs.

use std::path::Path;

use crate::published;

/// Crates whose examples or definitions are used, with what is taken of each.
const TAKEN: [(&str, &[&str]); 3] = [
    ("wstd-0.6.8", &["examples"]),
    ("wasip2-1.0.4+wasi-0.2.12", &["examples"]),
    ("wasip3-0.10.0+wasi-0.3.2", &["examples", "wit", "wit/deps"]),
];

/// Builds all of them into a target folder.
pub fn build(tests: &Path, folder: &Path, target: &str) -> Result<(), String> {
    published::build(&tests.join("wasi-http/Cargo.toml"), folder, target, &TAKEN)
}
