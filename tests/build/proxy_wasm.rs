//! Builds the filters of `proxy-wasm/`. Most are the examples of two versions of the Rust SDK.

use std::path::Path;

use crate::published;

/// What filters are built for.
pub const TARGET: &str = "wasm32-wasip1";

/// Versions of the SDK whose examples are used.
const TAKEN: [(&str, &[&str]); 2] = [("proxy-wasm-0.1.4", &["examples"]), ("proxy-wasm-0.2.0", &["examples"])];

/// Builds all of them into a target folder.
pub fn build(tests: &Path, folder: &Path) -> Result<(), String> {
    published::build(&tests.join("proxy-wasm/Cargo.toml"), folder, TARGET, &TAKEN)
}
