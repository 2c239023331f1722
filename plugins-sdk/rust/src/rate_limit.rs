//! Token buckets, exact over all workers of this gateway.

use alloc::string::String;
use core::time::Duration;

use crate::bindings::rate_limit as raw;
#[cfg(target_family = "wasm")]
use crate::bindings::rate_limit as host;
#[cfg(not(target_family = "wasm"))]
use crate::testing::fake::rate_limit as host;

/// How fast tokens come and how many the bucket holds. Made once, when the plugin is configured.
#[derive(Clone, Debug)]
pub struct Policy(raw::Policy);

/// Whose bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    /// The authenticated client's; its address's where there is none.
    Client,
    /// The address's.
    Address,
    /// One bucket for everybody.
    Route,
    /// What the plugin says: a header's value, a tenant …
    Text(&'a [u8]),
}

/// What the bucket said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether the tokens were there, and taken.
    pub allowed: bool,
    /// Whole tokens left.
    pub remaining: u32,
    /// Until there is a whole token more. Zero if the bucket is full.
    pub reset: Duration,
    /// Until this call would be allowed. Zero if it was.
    pub retry_after: Duration,
}

impl Policy {
    /// `rate` tokens a second (more than 0, 1e9 at most) into a bucket of `burst` (1 at least).
    #[must_use]
    pub fn new(rate: f64, burst: u32) -> Self {
        Self(raw::Policy { name: None, rate, burst })
    }

    /// Shares the buckets with every policy of this name, on all routes.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.0.name = Some(name.into());
        self
    }
}

/// Takes `cost` tokens if they are there, and none if not.
#[must_use]
pub fn take(policy: &Policy, key: Key<'_>, cost: u32) -> Decision {
    let decision = host::take(&policy.0, &key.into(), cost);
    Decision {
        allowed: decision.allowed,
        remaining: decision.remaining,
        reset: Duration::from_millis(decision.reset_ms),
        retry_after: Duration::from_millis(decision.retry_after_ms),
    }
}

impl From<Key<'_>> for raw::Key {
    fn from(key: Key<'_>) -> Self {
        match key {
            Key::Client => Self::Client,
            Key::Address => Self::Address,
            Key::Route => Self::Route,
            Key::Text(text) => Self::Text(text.into()),
        }
    }
}
