//! What a token of the admin API may do.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One right. Each of them includes `read`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// To see everything but secrets.
    Read,
    /// To change routes, upstreams, clients and issuers.
    Write,
    /// To bring in plugins and to roll them out.
    Plugin,
    /// To make and revoke tokens, and to read the audit log.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Scope; 4] = [Scope::Read, Scope::Write, Scope::Plugin, Scope::Admin];

    /// Its name in requests and answers.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Write => "write",
            Scope::Plugin => "plugin",
            Scope::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
