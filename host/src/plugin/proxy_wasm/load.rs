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

    #[track_caller]
    fn check(text: &str, expected: Option<Version>) {
        assert_eq!(version(&wat::parse_str(text).expect("a module")), expected, "{text}");
    }

    #[test]
    fn a_filter_is_known_by_the_name_of_an_export() {
        check("(module)", None);
        check(r#"(module (memory (export "proxy_abi_version_0_2_1") 1))"#, None);
        check(r#"(module (func (export "proxy_abi_version_0_2_0")))"#, Some(Version::V0_2_0));
        check(r#"(module (func (export "proxy_abi_version_0_1_0")) (func (export "proxy_abi_version_0_2_1")))"#, Some(Version::V0_2_1));
        assert_eq!(version(b"\0asm\x01\0\0\0\xff"), None);
    }
}
