//! The plugins that come with the gateway: components built from `example-plugins/` by the build script, embedded, and
//! loaded through the same door as anybody's.

use std::time::Duration;

use super::Limits;

/// Name and bytes of each, by name.
pub static BUILTINS: &[(&str, &[u8])] = &include!(concat!(env!("OUT_DIR"), "/builtins.rs"));

/// The component of that name.
pub fn find(name: &str) -> Option<&'static [u8]> {
    BUILTINS.iter().find(|(builtin, _)| *builtin == name).map(|(_, bytes)| *bytes)
}

/// What the built-in of that name may use, unless the document says otherwise: as much as its purpose takes.
pub fn limits(name: &str) -> Limits {
    let plain = Limits::default();
    match name {
        // Up to 8 MiB of parts, read and written once, and an answer as large. Its own time limits end before the wall.
        "aggregate" => Limits {
            memory: 64 << 20,
            // 8 MiB of JSON take about a third of this. It waits for the network, so it runs on a fibre and gives way.
            cpu: Duration::from_millis(300),
            wall: Duration::from_secs(31),
            reply_bytes: 9 << 20,
            fetch_bytes: 8 << 20,
            ..plain
        },
        // A JSON body of 1 MiB takes some milliseconds, made up to be dear some more, and up to twenty times its length.
        "transform" => Limits { memory: 64 << 20, cpu: Duration::from_millis(150), ..plain },
        _ => plain,
    }
}
