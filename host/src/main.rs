//! The `gatehouse` command.

use std::process::ExitCode;

// Requests allocate many small short-lived things on one thread each, which is what mimalloc is fastest at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    gatehouse::cli::main()
}
