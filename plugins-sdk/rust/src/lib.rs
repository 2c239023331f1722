//! Write a Gatehouse plugin in Rust: one trait, one macro, and a module for each capability.
//! Natively the same code runs against fakes (`testing`), so a plugin is tested without a gateway.
//! Not here: the raw bindings, which stay private.
//!
//! ```
//! use gatehouse_plugin::{Changes, NoConfig, Plugin, Request, Result, Verdict, next};
//!
//! struct Hello;
//!
//! impl Plugin for Hello {
//!     type Config = NoConfig;
//!
//!     fn new(_config: NoConfig) -> Result<Self> {
//!         Ok(Self)
//!     }
//!
//!     fn on_request(&self, _request: Request) -> Result<Verdict> {
//!         Ok(next().set_header("x-hello", "world").into())
//!     }
//! }
//!
//! gatehouse_plugin::export!(Hello);
//! # fn main() {}
//! ```

#![no_std]

extern crate alloc;
#[cfg(not(target_family = "wasm"))]
extern crate std;

pub mod bearer;
pub mod claims;
pub mod header;
pub mod http;
pub mod introspection;
pub mod json;
pub mod jwt;
pub mod keys;
pub mod kv;
pub mod log;
pub mod metrics;
pub mod rate_limit;
pub mod template;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
pub mod units;

mod bindings;
mod changes;
mod client;
mod error;
mod fields;
mod method;
mod needs;
mod plugin;
mod problem;
mod reply;
mod request;
mod response;
mod runtime;
mod verdict;

pub use changes::{Changes, ResponseChanges, next};
pub use client::Client;
pub use error::{Error, Result};
pub use needs::Needs;
pub use plugin::{NoConfig, Plugin};
pub use problem::Problem;
pub use reply::Reply;
pub use request::{Request, Scheme};
pub use response::Response;
pub use verdict::{Chunk, ResponseVerdict, Verdict, respond};

/// What the macros expand to. No part of the API.
#[doc(hidden)]
pub mod __private {
    #[cfg(target_family = "wasm")]
    pub use crate::runtime::bare::{ALLOCATOR, Allocator, abort};
    pub use crate::runtime::{Entry, PluginEntry};
}
