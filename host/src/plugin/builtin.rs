//! The plugins that come with the gateway: components built from `example-plugins/` by the build script, embedded, and
//! loaded through the same door as anybody's.

/// Name and bytes of each, by name.
pub static BUILTINS: &[(&str, &[u8])] = &include!(concat!(env!("OUT_DIR"), "/builtins.rs"));

/// The component of that name.
pub fn find(name: &str) -> Option<&'static [u8]> {
    BUILTINS.iter().find(|(builtin, _)| *builtin == name).map(|(_, bytes)| *bytes)
}
