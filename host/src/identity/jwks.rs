//! Keeps the keys of issuers fresh: one loop for each issuer with keys at an address, on the background runtime.
//! The request path only reads what is here now, and may ask for more.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use thiserror::Error;
use tokio::{
    runtime::Handle,
    sync::Notify,
    time::{Instant, sleep_until},
};
use tracing::{info, warn};

use crate::identity::{
    Issuer, Issuers,
    fetch::{Fetch, FetchError, Fetched},
    key::{KeySet, KeySetError},
};

/// Why a fetch brought no keys.
#[derive(Debug, Error)]
pub enum RefreshError {
    /// Nothing came.
    #[error("the key set could not be fetched")]
    Fetch(#[from] FetchError),
    /// What came is no key set to trust.
    #[error("the key set is not usable")]
    Keys(#[from] KeySetError),
    /// Shared secrets for everybody to read.
    #[error("the key set publishes shared secrets")]
    Secret,
}

// When to fetch next, and why not earlier.
#[derive(Debug)]
struct Schedule {
    due: Instant,
    accepted: Option<Instant>,
    asked: Option<Instant>,
    failures: u32,
}

const DEFAULT_LIFETIME: Duration = Duration::from_secs(300);
const SHORTEST_LIFETIME: Duration = Duration::from_secs(60);
const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 3_600);
// The issuer may be down this long before its keys are given up.
const LONGEST_USE: Duration = Duration::from_secs(24 * 3_600);
// Between two fetches because somebody brought an unknown `kid`, which is free to invent.
const ASK_FLOOR: Duration = Duration::from_secs(30);
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// Starts a loop for each issuer that has keys to fetch and no loop yet. A loop ends when its issuer is dropped.
pub fn spawn_refresh(issuers: &Issuers, runtime: &Handle, fetch: &Arc<impl Fetch>) {
    for issuer in issuers.iter().filter(|issuer| issuer.remote().is_some() && issuer.claim()) {
        runtime.spawn(keep_fresh(Arc::downgrade(issuer), fetch.clone()));
    }
}

/// Fetches the issuer's keys now, before they grow old, and when they are asked for, until the issuer is dropped.
pub async fn keep_fresh(issuer: Weak<Issuer>, fetch: Arc<impl Fetch>) {
    let Some((url, wake)) = issuer.upgrade().and_then(|issuer| issuer.remote()) else { return };
    let mut schedule = Schedule::new();
    while issuer.strong_count() > 0 {
        let fetched = fetch.get(&url).await.map_err(RefreshError::from).and_then(read);
        let Some(issuer) = issuer.upgrade() else { return };
        match fetched {
            Ok((keys, lifetime)) => schedule.succeeded(&issuer, keys, lifetime),
            Err(error) => schedule.failed(&issuer, &error),
        }
        drop(issuer);
        schedule.wait(&wake).await;
    }
}

fn read(fetched: Fetched) -> Result<(KeySet, Duration), RefreshError> {
    let keys = KeySet::parse(&fetched.body)?;
    if keys.is_secret() {
        return Err(RefreshError::Secret);
    }
    Ok((keys, lifetime(fetched.cache_control.as_deref())))
}

// RFC 9111 §5.2, as far as it matters for one shared copy.
fn lifetime(cache_control: Option<&str>) -> Duration {
    let Some(cache_control) = cache_control else { return DEFAULT_LIFETIME };
    let directives = || cache_control.split(',').map(|directive| directive.trim().to_ascii_lowercase());
    if directives().any(|directive| directive == "no-store" || directive == "no-cache") {
        return SHORTEST_LIFETIME;
    }
    let age = directives().find_map(|directive| directive.strip_prefix("max-age=")?.trim_matches('"').parse().ok());
    age.map_or(DEFAULT_LIFETIME, Duration::from_secs).clamp(SHORTEST_LIFETIME, LONGEST_LIFETIME)
}

// === impl Schedule ===

impl Schedule {
    fn new() -> Self {
        Self { due: Instant::now(), accepted: None, asked: None, failures: 0 }
    }

    fn succeeded(&mut self, issuer: &Issuer, keys: KeySet, lifetime: Duration) {
        info!(issuer = issuer.settings().name, keys = keys.len(), ?lifetime, "fetched the issuer's keys");
        issuer.accept(keys);
        self.failures = 0;
        self.accepted = Some(Instant::now());
        self.due = Instant::now() + lifetime * 4 / 5;
    }

    fn failed(&mut self, issuer: &Issuer, error: &RefreshError) {
        let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        warn!(issuer = issuer.settings().name, %error, cause, "kept the issuer's keys as they are");
        let now = Instant::now();
        if self.accepted.is_some_and(|accepted| now - accepted >= LONGEST_USE) {
            warn!(issuer = issuer.settings().name, "gave the issuer's keys up after a day without news");
            issuer.forget_keys();
        }
        let wait = FIRST_RETRY * 2u32.saturating_pow(self.failures.min(16));
        self.failures += 1;
        self.due = now + wait.min(LONGEST_RETRY);
    }

    // Until the next fetch is due or asked for. After a failure it is due soon, and asking makes it no sooner.
    async fn wait(&mut self, wake: &Notify) {
        tokio::select! {
            () = sleep_until(self.due) => return,
            () = wake.notified(), if self.failures == 0 => {}
        }
        let earliest = self.asked.map_or_else(Instant::now, |asked| asked + ASK_FLOOR);
        sleep_until(earliest.min(self.due)).await;
        self.asked = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests;
