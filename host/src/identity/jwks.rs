//! Keeps the keys of issuers fresh: one loop for each issuer with keys at an address, on the background runtime.
//! The request path only reads what is here now, and may ask for more.

use std::{
    error::Error,
    sync::{Arc, Weak},
    time::Duration,
};

use http::Uri;
use thiserror::Error;
use tokio::{
    runtime::Handle,
    time::{Instant, sleep_until},
};
use tracing::{info, warn};

use crate::identity::{
    Issuer, Issuers,
    demand::Demand,
    discovery::{DiscoveryError, Metadata, discover},
    fetch::{Fetch, FetchError, Fetched},
    key::{KeySet, KeySetError},
};

/// Why a fetch brought no keys.
#[derive(Debug, Error)]
pub enum RefreshError {
    /// The issuer did not say where its keys are.
    #[error("the issuer's metadata could not be had")]
    Discovery(#[from] DiscoveryError),
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

// Where the keys are: at an address of the configuration, or at one that the issuer names and may change.
#[derive(Debug)]
enum Place {
    Url(Uri),
    Metadata { issuer: String, known: Option<(Arc<Metadata>, Instant)> },
}

// When to fetch next.
#[derive(Debug)]
struct Schedule {
    demand: Arc<Demand>,
    ttl: Duration,
    due: Instant,
    accepted: Option<Instant>,
    failures: u32,
}

const SHORTEST_LIFETIME: Duration = Duration::from_secs(60);
const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 3_600);
// The issuer may be down this long before its keys are given up.
const LONGEST_USE: Duration = Duration::from_secs(24 * 3_600);
const METADATA_LIFETIME: Duration = Duration::from_secs(3_600);
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
    let Some((mut place, mut schedule)) = issuer.upgrade().and_then(|issuer| Some((Place::of(&issuer)?, Schedule::of(&issuer)?))) else {
        return;
    };
    while issuer.strong_count() > 0 {
        let fetched = place.fetch(&*fetch, schedule.ttl).await;
        let Some(issuer) = issuer.upgrade() else { return };
        if let Some(metadata) = place.metadata() {
            issuer.describe(metadata);
        }
        match fetched {
            Ok((keys, lifetime)) => schedule.succeeded(&issuer, keys, lifetime),
            Err(error) => schedule.failed(&issuer, &error),
        }
        drop(issuer);
        schedule.wait().await;
    }
}

// === impl Place ===

impl Place {
    fn of(issuer: &Issuer) -> Option<Self> {
        let named = || Self::Metadata { issuer: issuer.settings().issuer.clone(), known: None };
        Some(issuer.remote()?.url.clone().map_or_else(named, Self::Url))
    }

    fn metadata(&self) -> Option<Arc<Metadata>> {
        match self {
            Self::Metadata { known: Some((metadata, _)), .. } => Some(metadata.clone()),
            Self::Metadata { known: None, .. } | Self::Url(_) => None,
        }
    }

    async fn fetch(&mut self, fetch: &impl Fetch, ttl: Duration) -> Result<(KeySet, Duration), RefreshError> {
        let url = self.url(fetch).await?;
        let keys = fetch.get(&url).await.map_err(RefreshError::from).and_then(|fetched| read(fetched, ttl));
        if keys.is_err() {
            self.doubt();
        }
        keys
    }

    async fn url(&mut self, fetch: &impl Fetch) -> Result<Uri, RefreshError> {
        let (issuer, known) = match self {
            Self::Url(url) => return Ok(url.clone()),
            Self::Metadata { issuer, known } => (issuer, known),
        };
        if let Some((metadata, until)) = known
            && Instant::now() < *until
        {
            return Ok(metadata.jwks_uri.clone());
        }
        let metadata = match (discover(issuer, fetch).await, &known) {
            (Ok(metadata), _) => Arc::new(metadata),
            // Where the keys were is the best guess then.
            (Err(_), Some((metadata, _))) => return Ok(metadata.jwks_uri.clone()),
            (Err(error), None) => return Err(error.into()),
        };
        *known = Some((metadata.clone(), Instant::now() + METADATA_LIFETIME));
        Ok(metadata.jwks_uri.clone())
    }

    // The keys may have moved, so the metadata are looked at again before the next try.
    fn doubt(&mut self) {
        if let Self::Metadata { known: Some((_, until)), .. } = self {
            *until = Instant::now();
        }
    }
}

fn read(fetched: Fetched, ttl: Duration) -> Result<(KeySet, Duration), RefreshError> {
    let keys = KeySet::parse(&fetched.body)?;
    if keys.is_secret() {
        return Err(RefreshError::Secret);
    }
    Ok((keys, lifetime(fetched.cache_control.as_deref(), ttl)))
}

// RFC 9111 §5.2, as far as it matters for one shared copy.
fn lifetime(cache_control: Option<&str>, ttl: Duration) -> Duration {
    let Some(cache_control) = cache_control else { return ttl };
    let directives = || cache_control.split(',').map(|directive| directive.trim().to_ascii_lowercase());
    if directives().any(|directive| directive == "no-store" || directive == "no-cache") {
        return SHORTEST_LIFETIME;
    }
    let age = directives().find_map(|directive| directive.strip_prefix("max-age=")?.trim_matches('"').parse().ok());
    age.map_or(ttl, |age| Duration::from_secs(age).clamp(SHORTEST_LIFETIME, LONGEST_LIFETIME))
}

// === impl Schedule ===

impl Schedule {
    fn of(issuer: &Issuer) -> Option<Self> {
        let demand = issuer.remote()?.demand.clone();
        Some(Self { demand, ttl: issuer.settings().refresh.ttl, due: Instant::now(), accepted: None, failures: 0 })
    }

    fn succeeded(&mut self, issuer: &Issuer, keys: KeySet, lifetime: Duration) {
        info!(issuer = issuer.settings().name, keys = keys.len(), ?lifetime, "fetched the issuer's keys");
        issuer.accept(keys);
        self.failures = 0;
        self.accepted = Some(Instant::now());
        self.due = Instant::now() + lifetime * 4 / 5;
        self.demand.succeed();
    }

    fn failed(&mut self, issuer: &Issuer, error: &RefreshError) {
        let cause = causes(error);
        warn!(issuer = issuer.settings().name, %error, cause, "kept the issuer's keys as they are");
        let now = Instant::now();
        if self.accepted.is_some_and(|accepted| now - accepted >= LONGEST_USE) {
            warn!(issuer = issuer.settings().name, "gave the issuer's keys up after a day without news");
            issuer.forget_keys();
        }
        let wait = FIRST_RETRY * 2u32.saturating_pow(self.failures.min(16));
        let wait = wait.min(LONGEST_RETRY);
        self.failures += 1;
        self.due = now + wait;
        self.demand.fail(wait);
    }

    // Until the next fetch is due, or was asked for.
    async fn wait(&mut self) {
        tokio::select! {
            () = sleep_until(self.due) => self.demand.begin(),
            () = self.demand.wanted() => {}
        }
    }
}

fn causes(error: &RefreshError) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests;
