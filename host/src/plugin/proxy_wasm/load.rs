//! What a core module has to be to be a Proxy-Wasm filter: it says which revision of the interface it is for, and imports
//! nothing that this host does not have.

use wasmparser::{ExternalKind, Parser, Payload};

use super::abi::Version;

/// The revision that the module says it is for. None for modules that are no Proxy-Wasm filters.
pub fn version(bytes: &[u8]) -> Option<Version> {
    let exports = Parser::new(0).parse_all(bytes).find_map(|payload| match payload {
        Ok(Payload::ExportSection(exports)) => Some(exports),
        _ => None,
    })?;
    let functions: Vec<&str> =
        exports.into_iter().flatten().filter(|export| export.kind == ExternalKind::Func).map(|export| export.name).collect();
    Version::MARKERS.into_iter().find(|(marker, _)| functions.contains(marker)).map(|(_, version)| version)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The module with one export of that name and kind: 0 for functions, 2 for memories.
    fn module(name: &str, kind: u8) -> Vec<u8> {
        let export = [&[1, name.len() as u8], name.as_bytes(), &[kind, 0]].concat();
        [&b"\0asm\x01\0\0\0"[..], &[7, export.len() as u8], &export].concat()
    }

    #[test]
    fn a_filter_is_known_by_the_name_of_an_exported_function() {
        assert_eq!(version(b"\0asm\x01\0\0\0"), None);
        assert_eq!(version(&module("proxy_abi_version_0_2_1", 2)), None, "a memory says nothing");
        assert_eq!(version(&module("proxy_abi_version_0_3_0", 0)), None, "nobody has specified that");
        for (marker, expected) in Version::MARKERS {
            assert_eq!(version(&module(marker, 0)), Some(expected));
        }
        assert_eq!(version(b"\0asm\x01\0\0\0\x07\xff"), None);
    }
}
