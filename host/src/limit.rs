//! Rate limits: token buckets and places in memory, exact over all workers of this gateway.
//! Knows nothing of routes or plugins; a bucket is named by a scope and a client's key. The table outlives snapshots.
//!
//! A fleet (`specs/fleet.md` §3) will decide here too: [`Decision::source`] says who did, [`Policy`] and the contract's
//! `strict` are all that a lease needs to know, and callers hold nothing but the [`Table`].

pub mod bucket;
pub mod clock;
pub mod places;
pub mod table;

pub use bucket::{Decision, Policy, PolicyError, Source};
pub use clock::{Clock, Moment};
pub use places::Place;
pub use table::{Charge, Decisions, Scope, Table};
