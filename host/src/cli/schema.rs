//! `gatehouse schema`: the JSON Schema of the config document.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::config;

/// Prints the schema.
pub fn run() -> ExitCode {
    let schema = config::schema();
    // A reader that closes the pipe early, such as `head`, has seen enough.
    match writeln!(io::stdout().lock(), "{schema:#}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}
