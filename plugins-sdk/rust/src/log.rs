//! Lines for the gateway's log. Each carries the plugin's name, its version and the request id by itself.

use core::fmt::Display;

use alloc::string::ToString;

#[cfg(target_family = "wasm")]
use crate::bindings::log as host;
#[cfg(not(target_family = "wasm"))]
use crate::testing::fake::log as host;

use crate::bindings::log::Level;

/// Writes a line that matters only to whoever looks for a fault.
pub fn debug(message: impl Display) {
    host::log(Level::Debug, &message.to_string());
}

/// Writes a line about what went as it should.
pub fn info(message: impl Display) {
    host::log(Level::Info, &message.to_string());
}

/// Writes a line about what an operator should know.
pub fn warn(message: impl Display) {
    host::log(Level::Warn, &message.to_string());
}

/// Writes a line about what an operator should mend.
pub fn error(message: impl Display) {
    host::log(Level::Error, &message.to_string());
}
