//! WASI for guests: none of it.

use wasmtime::component::Linker;

use super::state::HostState;

/// Whether an import is one that is offered to everybody.
pub fn offers(_import: &str) -> bool {
    false
}

/// Links what is offered.
pub fn link(_linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    Ok(())
}
