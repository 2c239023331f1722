//! Look-up of API keys. The gateway keeps only their hashes.

use alloc::string::String;
use alloc::vec::Vec;

#[cfg(target_family = "wasm")]
use crate::bindings::keys as host;
#[cfg(not(target_family = "wasm"))]
use crate::testing::fake::keys as host;

/// The client that holds a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The client's name.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<String>,
}

impl Holder {
    /// Whether the client has this scope.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|granted| granted == scope)
    }
}

/// The client that holds this key. None for a key that is unknown, expired or revoked, without saying which.
/// When the plugin goes on, the gateway takes the holder as the authenticated client.
#[must_use]
pub fn find(key: &[u8]) -> Option<Holder> {
    let holder = host::find(key)?;
    Some(Holder { name: holder.name, scopes: holder.scopes })
}
