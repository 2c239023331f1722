//! Rate limits: token buckets in memory, exact over all workers of this gateway.
//! Knows nothing of routes or plugins; a bucket is named by a scope and a client's key. The table outlives snapshots.

pub mod bucket;
pub mod clock;
pub mod table;

pub use bucket::{Decision, Policy, PolicyError};
pub use clock::{Clock, Moment};
pub use table::{Scope, Table};
