//! Look-up of API keys. The gateway keeps only their hashes.

use alloc::string::String;
use alloc::vec::Vec;

use crate::bindings::keys as raw;
#[cfg(target_family = "wasm")]
use crate::bindings::keys as host;
#[cfg(not(target_family = "wasm"))]
use crate::testing::fake::keys as host;

/// The client that holds a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The client's name.
    pub name: String,
    /// What this key may do: the client's scopes, or those of them that the key is narrowed to.
    pub scopes: Vec<String>,
    /// The client's plan, where it has one.
    pub plan: Option<String>,
    /// The key's public id, where one is configured.
    pub key_id: Option<String>,
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
    host::find(key).map(Holder::from)
}

/// The client of this name, if it holds this key: a name and a password. When the plugin goes on, the gateway takes it
/// as the authenticated client, by the method `basic-auth`.
#[must_use]
pub fn find_of(name: &str, key: &[u8]) -> Option<Holder> {
    host::find_of(name, key).map(Holder::from)
}

impl From<raw::Holder> for Holder {
    fn from(raw: raw::Holder) -> Self {
        let raw::Holder { name, scopes, plan, key_id } = raw;
        Self { name, scopes, plan, key_id }
    }
}
