//! Endpoints that had registered themselves, so that a process that starts again need not wait for each to do it anew.

use serde::{Deserialize, Serialize};

use super::Record;

/// The registrations of one upstream, by whose name they go.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Kept(pub Vec<Registration>);

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The id it goes by.
    pub id: String,
    /// Where it is.
    pub url: String,
    /// What its host stood for.
    pub addresses: Vec<std::net::SocketAddr>,
    /// Its share relative to the others'.
    pub weight: u32,
    /// How long it lasts without a renewal, in milliseconds.
    pub ttl_ms: u64,
}

impl Record for Kept {
    const TABLE: &'static str = "registrations";
}
