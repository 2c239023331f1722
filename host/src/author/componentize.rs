//! From a core module, as compilers of C, Go and others make one, to a component for the world `plugin`.
//! The module imports and exports the contract by its names, and may import WASI preview 1 besides.

use thiserror::Error;
use wasi_preview1_component_adapter_provider::{WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, SourceMap, WorldId};

use super::embedded;

/// Why a module does not become a component.
#[derive(Debug, Error)]
pub enum ComponentizeError {
    /// The file is something else.
    #[error("this is no core module of WebAssembly")]
    NoModule,
    /// It does not fit the world `plugin`: an export is missing, or an import unknown.
    #[error("the module does not fit the world `plugin`: {0:#}")]
    Misfit(#[source] anyhow::Error),
}

/// A core module's first bytes: the magic number and version 1. A component has another version.
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// The component of this module. Only what the module imports is among its imports; WASI preview 1 becomes 0.2.
///
/// # Errors
/// When it is no module, or does not fit the world.
pub fn componentize(module: &[u8]) -> Result<Vec<u8>, ComponentizeError> {
    if !module.starts_with(MODULE) {
        return Err(ComponentizeError::NoModule);
    }
    encode(module.to_vec()).map_err(ComponentizeError::Misfit)
}

fn encode(mut module: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    let (contract, world) = contract();
    embed_component_metadata(&mut module, &contract, world, StringEncoding::UTF8)?;
    ComponentEncoder::default()
        .validate(true)
        .module(&module)?
        .adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?
        .encode()
}

/// The contract, read, and the world in it that plugins are for.
fn contract() -> (Resolve, WorldId) {
    let mut files = SourceMap::new();
    for (name, text) in embedded::below("wit") {
        files.push_str(name, str::from_utf8(text).expect("the contract is text"));
    }
    let mut resolve = Resolve::default();
    let group = files.parse().map_err(|(_, error)| error).expect("a test reads the same files");
    let package = resolve.push_group(group).expect("the contract stands alone");
    let world = resolve.select_world(&[package], Some("plugin")).expect("the contract has the world");
    (resolve, world)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_can_be_read() {
        let (contract, world) = contract();
        let world = &contract.worlds[world];
        assert_eq!((world.name.as_str(), world.exports.len()), ("plugin", 6));
    }

    #[test]
    fn what_is_no_module_is_refused() {
        assert!(matches!(componentize(b"int main() {}"), Err(ComponentizeError::NoModule)));
        assert!(matches!(componentize(b"\0asm\x0d\0\x01\0"), Err(ComponentizeError::NoModule)), "a component is one already");
    }

    #[test]
    fn a_module_without_the_exports_is_told_which_is_missing() {
        let error = componentize(MODULE).unwrap_err().to_string();
        assert!(error.contains("config-schema"), "{error}");
    }
}
