//! Gatehouse: an API gateway whose request chain is sandboxed WebAssembly components.
//!
//! In reading order: [`server::request`] is the life of one request; [`chain`] takes it through [`plugin`]s; [`route`]
//! finds its chain and [`upstream`] its endpoint; [`snapshot`] makes all of these from a [`config`] document;
//! [`worker`] runs them on one core; [`gateway`] puts everything together. `host/ARCHITECTURE.md` has the map.

pub mod admin;
pub mod author;
pub mod body;
pub mod caller;
pub mod chain;
pub mod cli;
pub mod config;
pub mod error;
pub mod fetch;
pub mod gateway;
pub mod identity;
pub mod limit;
pub mod pem;
pub mod plugin;
pub mod registry;
pub mod rollout;
pub mod route;
pub mod server;
pub mod snapshot;
pub mod store;
pub mod telemetry;
pub mod upstream;
pub mod watch;
pub mod worker;

pub use error::Error;
