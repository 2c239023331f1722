//! Guests as files: those built from Rust, and those that are assembled here because Rust cannot say them.

use std::path::PathBuf;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::files;

/// The guest of `tests/guests/hostile`, built.
#[must_use]
pub fn hostile() -> PathBuf {
    files::guest("hostile")
}

/// The guest of `tests/guests/witness`, built.
#[must_use]
pub fn witness() -> PathBuf {
    files::guest("witness")
}

/// The guest of `tests/guests/std`, built.
#[must_use]
pub fn ordinary() -> PathBuf {
    files::guest("std-guest")
}

/// The reference plugin of the conformance kit in Rust, built.
#[must_use]
pub fn conformance() -> PathBuf {
    files::guest("conformance")
}

/// A component of `tests/wasi-http`, built: other people's examples and our own.
#[must_use]
pub fn foreign(name: &str) -> PathBuf {
    files::foreign(name)
}

/// The example that redacts streams, built.
#[must_use]
pub fn pii_redact() -> PathBuf {
    files::guest("gatehouse-pii-redact")
}

/// A component that says it is of `wasi:http`, and imports something of that name.
///
/// # Panics
/// When the name is none.
#[must_use]
pub fn importing(name: &str) -> Vec<u8> {
    let import = format!("(import \"{name}\" (instance (export \"open\" (func))))");
    let export = "(instance $nothing) (export \"wasi:http/incoming-handler@0.2.0\" (instance $nothing))";
    wat::parse_str(format!("(component {import} {export})")).expect("it is a component")
}

/// A version of the guest of `tests/guests/version`: `mode` says how it behaves, and `label` is what it tells.
///
/// # Panics
/// When one of them is too long, or the guest does not hold its marks exactly once.
#[must_use]
pub fn version(mode: &str, label: &str) -> Vec<u8> {
    let built = std::fs::read(files::guest("version")).expect("the guest was built");
    let marks = format!("{:<16}{:<16}", format!("@mode:{mode}"), format!("@label:{label}"));
    assert_eq!(marks.len(), 32, "{mode} and {label} fit into their places");
    let places: Vec<usize> = built.windows(6).enumerate().filter(|(_, bytes)| bytes == b"@mode:").map(|(place, _)| place).collect();
    let [place] = places[..] else { panic!("one place for marks: {places:?}") };
    [&built[..place], marks.as_bytes(), &built[place + 32..]].concat()
}

/// The same component with another digest: a section of this name says nothing.
///
/// # Panics
/// When the name is too long for a one-byte length.
#[must_use]
pub fn renamed(component: &[u8], name: &str) -> Vec<u8> {
    let length = u8::try_from(name.len()).expect("a short name");
    [component, &[0, length + 1, length], name.as_bytes()].concat()
}

/// The same component with about so many bytes more: a module beside its own, that is compiled and never run.
#[must_use]
pub fn enlarged(component: &[u8], bytes: usize) -> Vec<u8> {
    [component, &crate::bombs::module_of_functions(bytes / 400, 400)].concat()
}

/// The guest that takes table elements without end, as a component's bytes.
///
/// # Panics
/// When its text and the contract in `wit/` do not fit.
#[must_use]
pub fn table_bomb() -> Vec<u8> {
    component(include_str!("../guests/by-hand/table_bomb.wat"))
}

/// A component for the world `plugin`, of a core module's text.
fn component(text: &str) -> Vec<u8> {
    let mut module = wat::parse_str(text).expect("the guest's text is a module");
    let mut contract = Resolve::default();
    let (package, _) = contract.push_path(files::repository().join("wit")).expect("the contract can be read");
    let world = contract.select_world(&[package], Some("plugin")).expect("the contract has the world");
    embed_component_metadata(&mut module, &contract, world, StringEncoding::UTF8).expect("the contract can be embedded");
    let encoder = ComponentEncoder::default().validate(true).module(&module);
    encoder.and_then(|mut encoder| encoder.encode()).expect("the guest exports what the world asks for")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_guest_written_by_hand_fits_the_contract() {
        assert!(super::table_bomb().starts_with(b"\0asm\x0d\0\x01\0"), "a component has its own version");
    }
}
