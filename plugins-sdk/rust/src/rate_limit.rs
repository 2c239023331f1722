//! Token buckets and places, exact over all workers of this gateway.

use alloc::string::String;
use alloc::vec::Vec;
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
    /// The API key's that authenticated the client; as `Client` where it was none.
    ApiKey,
    /// What the plugin says: a header's value, a tenant …
    Text(&'a [u8]),
}

/// One of several takes.
#[derive(Clone, Copy, Debug)]
pub struct Charge<'a> {
    /// How the bucket fills.
    pub policy: &'a Policy,
    /// Whose bucket.
    pub key: Key<'a>,
    /// Tokens to take.
    pub cost: u32,
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
        Self(raw::Policy { name: None, rate, burst, strict: false })
    }

    /// Shares the buckets with every policy of this name, on all routes.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.0.name = Some(name.into());
        self
    }

    /// In a fleet: asks the shared counter each time. One gateway is always exact.
    #[must_use]
    pub fn strict(mut self, strict: bool) -> Self {
        self.0.strict = strict;
        self
    }
}

/// Takes `cost` tokens if they are there, and none if not.
#[must_use]
pub fn take(policy: &Policy, key: Key<'_>, cost: u32) -> Decision {
    host::take(&policy.0, &key.into(), cost).into()
}

/// Takes from all of these buckets (8 at most), or, if one has too little, from none. The decisions come in the order of
/// the charges, and each says whether its own bucket had enough.
#[must_use]
pub fn take_all(charges: &[Charge<'_>]) -> Vec<Decision> {
    let charges: Vec<raw::Charge> = charges.iter().map(raw::Charge::from).collect();
    host::take_all(&charges).into_iter().map(Decision::from).collect()
}

/// Takes one of `limit` places until the response was sent or the client went away. False if all are taken.
/// Places of one `name` are shared by all routes; without one they belong to this use of the plugin on this route.
#[must_use]
pub fn enter(name: Option<&str>, key: Key<'_>, limit: u32) -> bool {
    host::enter(name, &key.into(), limit)
}

impl From<raw::Decision> for Decision {
    fn from(decision: raw::Decision) -> Self {
        Self {
            allowed: decision.allowed,
            remaining: decision.remaining,
            reset: Duration::from_millis(decision.reset_ms),
            retry_after: Duration::from_millis(decision.retry_after_ms),
        }
    }
}

impl From<&Charge<'_>> for raw::Charge {
    fn from(charge: &Charge<'_>) -> Self {
        Self { policy: charge.policy.0.clone(), key: charge.key.into(), cost: charge.cost }
    }
}

impl From<Key<'_>> for raw::Key {
    fn from(key: Key<'_>) -> Self {
        match key {
            Key::Client => Self::Client,
            Key::Address => Self::Address,
            Key::Route => Self::Route,
            Key::ApiKey => Self::ApiKey,
            Key::Text(text) => Self::Text(text.into()),
        }
    }
}
