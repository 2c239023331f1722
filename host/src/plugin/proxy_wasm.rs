//! Proxy-Wasm 0.2.x: HTTP filters as Envoy, Istio, Kong and Higress run them, as steps of a chain. One instance serves the
//! interleaved streams of a worker and keeps their state in its own memory, so a request stays with the instance it met.
//!
//! In reading order: the numbers of the interface ([`abi`]), what a module has to be ([`load`], [`program`]), an instance
//! ([`guest`]) and what it works on ([`host`], [`stream`], [`message`], [`rope`]), what it may ask (`functions`, `wasi`), and how
//! a worker runs it ([`vm`], [`vms`]). Of chains and bodies on their way it knows nothing.

pub mod abi;
mod calls;
mod common;
mod functions;
mod guest;
mod host;
pub mod load;
mod memory;
mod message;
mod program;
mod rope;
mod stream;
mod vm;
mod vms;
mod wasi;

pub use guest::Guest;
pub use message::{Head, Line};
pub use program::{Program, check, default_grants, default_limits, imports};
pub use rope::Rope;
pub use stream::{Direction, Facts};
pub use vm::{Flow, Stream};
pub use vms::Vms;

pub(super) use common::Commons;
