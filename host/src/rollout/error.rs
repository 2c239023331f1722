//! Why a version is not taken, or not rolled out.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::plugin::Refusal;
use crate::store::StoreError;

/// Why a change of versions is refused, or failed.
#[derive(Debug, Error)]
pub enum RolloutError {
    /// The gateway has nowhere to remember versions.
    #[error("the gateway keeps no versions: it runs without an admin API and a data folder")]
    NoStore,
    /// No plugin of that name has versions or serves.
    #[error("no plugin is named {0}")]
    UnknownPlugin(String),
    /// No version has that number.
    #[error("plugin {plugin} has no version {version}")]
    UnknownVersion {
        /// The plugin.
        plugin: String,
        /// The number.
        version: u64,
    },
    /// The component cannot be a version.
    #[error("{0}")]
    Component(Refusal),
    /// The component needs grants, and no configuration declares its plugin.
    #[error(
        "it needs grants, which a plugin that is only uploaded has none of; declare it first, with `plugins: [{{name: {plugin}, source: \
         {{uploaded: true}}, grants: [{grants}]}}]`"
    )]
    Undeclared {
        /// The plugin.
        plugin: String,
        /// The grants.
        grants: String,
    },
    /// The component does not do for a configuration that is in use.
    #[error("with the configuration {config}, {refusal}")]
    Configured {
        /// The configuration.
        config: String,
        /// Why.
        refusal: Refusal,
    },
    /// The signature is missing or wrong.
    #[error("{0}")]
    Signature(String),
    /// A version that was taken before anybody had to sign it, or by another key.
    #[error("version {version}: {reason}; push it again with its signature")]
    Unsigned {
        /// The version.
        version: u64,
        /// What is wrong with its signature.
        reason: String,
    },
    /// The weight is no percentage.
    #[error("weight is {0}, want 0 to 100")]
    Weight(f64),
    /// The version serves already.
    #[error("version {0} is the stable one")]
    Stable(u64),
    /// The version serves, served before, is being tried, or is what the configuration declares.
    #[error("version {0} is in use: it serves, served before or is being tried, or the configuration declares it")]
    HasPart(u64),
    /// There is nothing to go back to.
    #[error("plugin {0} has no candidate and no version before the stable one")]
    NothingBefore(String),
    /// Nothing is being rolled out.
    #[error("plugin {0} has no candidate")]
    NoCandidate(String),
    /// The file of the configuration is not what was loaded from it.
    #[error("{0} has changed since it was loaded; reload first")]
    FileChanged(PathBuf),
    /// A component is gone, or not what it was.
    #[error("the component {digest} cannot be read: {cause}")]
    Module {
        /// Its digest.
        digest: String,
        /// Why.
        cause: io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
