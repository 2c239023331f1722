//! A store in memory, shared by all instances of this plugin on this gateway and seen by no other plugin.

use alloc::vec::Vec;
use core::time::Duration;

use crate::bindings::kv as raw;
#[cfg(target_family = "wasm")]
use crate::bindings::kv as host;
#[cfg(not(target_family = "wasm"))]
use crate::testing::fake::kv as host;

/// Why nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The write would pass the plugin's quota.
    #[error("the key-value store is full")]
    Quota,
    /// The value is no counter, or it would overflow.
    #[error("the value is not a counter, or it would overflow")]
    NotACounter,
}

/// The value of this key, if it is there and has not run out.
#[must_use]
pub fn get(key: &str) -> Option<Vec<u8>> {
    host::get(key)
}

/// Writes a value, for this long or until it is deleted.
///
/// # Errors
/// [`Error::Quota`]; nothing was changed then.
pub fn set(key: &str, value: &[u8], ttl: Option<Duration>) -> Result<(), Error> {
    host::set(key, value, ttl.map(millis)).map_err(Error::from)
}

/// Deletes a value.
pub fn delete(key: &str) {
    host::delete(key);
}

/// Adds to a counter, atomically over all instances, and returns its new value. The time to live is set when the
/// counter starts, so a counter with one is a fixed window.
///
/// # Errors
/// [`Error::NotACounter`] when another value is there, [`Error::Quota`] when there is no room for a new one.
pub fn increment(key: &str, delta: i64, ttl: Option<Duration>) -> Result<i64, Error> {
    host::increment(key, delta, ttl.map(millis)).map_err(Error::from)
}

fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)
}

impl From<raw::Error> for Error {
    fn from(error: raw::Error) -> Self {
        match error {
            raw::Error::Quota => Self::Quota,
            raw::Error::NotACounter => Self::NotACounter,
        }
    }
}
