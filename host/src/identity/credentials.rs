//! The gateway's own tokens towards upstreams, by the client credentials grant (RFC 6749 §4.4). One token for each
//! endpoint, client, scope and audience, shared by all workers and fetched in the background before it is needed.

mod answer;

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use http::{HeaderValue, Uri};
use parking_lot::Mutex;
use thiserror::Error;
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
    time::{Instant, sleep_until, timeout},
};
use tracing::{debug, info, warn};

use crate::identity::{
    address::{Address, AddressError, Endpoint, Source},
    fetch::{
        Fetch, FetchError,
        post::{Form, Post},
    },
    form,
    issuer::Secret,
};

use answer::{Granted, NoToken};

/// Which token. Two that are equal are the same token.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Settings {
    /// How the token endpoint is known.
    pub endpoint: Source,
    /// The gateway's id there.
    pub client_id: String,
    /// The gateway's secret there.
    pub client_secret: Secret,
    /// What the token is to be good for; empty for what the endpoint thinks right.
    pub scopes: Vec<String>,
    /// Whom it is for, where the endpoint wants to be told.
    pub audience: Option<String>,
}

/// A token as it goes to an upstream.
#[derive(Debug)]
pub struct Bearer {
    /// `Bearer …`. Marked so that nothing prints it.
    pub authorization: HeaderValue,
    expires: Instant,
}

/// The one place that a token comes from.
pub struct TokenSource {
    settings: Settings,
    address: Arc<Address>,
    token: ArcSwapOption<Bearer>,
    wake: Arc<Notify>,
    attempts: watch::Sender<Attempt>,
    // When an upstream last had a token of ours given up.
    given_up: Mutex<Option<Instant>>,
    attended: AtomicBool,
}

// The attempt to get a token that ended last.
#[derive(Debug, Clone, Copy, Default)]
struct Attempt {
    failed: Option<Instant>,
}

/// Why there is no token to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("there is no token for the upstream: its token endpoint does not give one")]
pub struct Unavailable;

/// Sources in use, so that upstreams and reloads that agree on one share its token.
#[derive(Default)]
pub struct TokenSources(Mutex<HashMap<Settings, Weak<TokenSource>>>);

// === impl TokenSources ===

impl TokenSources {
    /// The source of this token.
    pub fn get(&self, settings: Settings) -> Result<Arc<TokenSource>, AddressError> {
        let mut known = self.0.lock();
        known.retain(|_, source| source.strong_count() > 0);
        if let Some(source) = known.get(&settings).and_then(Weak::upgrade) {
            return Ok(source);
        }
        let source = Arc::new(TokenSource::new(settings.clone())?);
        known.insert(settings, Arc::downgrade(&source));
        Ok(source)
    }

    /// Whether no source is in use.
    pub fn is_empty(&self) -> bool {
        self.0.lock().values().all(|source| source.strong_count() == 0)
    }

    /// Keeps a token at hand for each source in use. To be called after each reload.
    pub fn attend(&self, runtime: &Handle, http: &Arc<impl Post + Fetch>) {
        for source in self.0.lock().values().filter_map(Weak::upgrade) {
            source.address.attend(runtime, http);
            if !source.attended.swap(true, Relaxed) {
                runtime.spawn(keep(Arc::downgrade(&source), Arc::clone(&source.wake), Arc::clone(http)));
            }
        }
    }
}

// === impl TokenSource ===

impl TokenSource {
    // How long the token endpoint may take.
    const TIMEOUT: Duration = Duration::from_millis(1_500);

    // A request that finds no token waits for the attempt under way, or for one that it asked for.
    const LONGEST_WAIT: Duration = Duration::from_secs(2);

    // After a failed attempt requests are refused for so long without another one.
    const FLOOR: Duration = Duration::from_secs(1);

    const LONGEST_RETRY: Duration = Duration::from_secs(60);

    // An upstream that refuses every token must not have us fetch one for each request.
    const GIVE_UP_FLOOR: Duration = Duration::from_secs(10);

    fn new(settings: Settings) -> Result<Self, AddressError> {
        Ok(Self {
            address: Arc::new(Address::new(settings.endpoint.clone(), Endpoint::Token)?),
            settings,
            token: ArcSwapOption::empty(),
            wake: Arc::default(),
            attempts: watch::Sender::new(Attempt::default()),
            given_up: Mutex::default(),
            attended: AtomicBool::new(false),
        })
    }

    /// The token. Waits only if there is none, and not for long.
    pub async fn bearer(&self) -> Result<Arc<Bearer>, Unavailable> {
        if let Some(bearer) = self.usable() {
            return Ok(bearer);
        }
        let mut attempts = self.attempts.subscribe();
        attempts.borrow_and_update();
        // One may have come before we listened.
        if let Some(bearer) = self.usable() {
            return Ok(bearer);
        }
        if self.failed_lately() {
            return Err(Unavailable);
        }
        self.wake.notify_one();
        // Whether an attempt ended or the wait did: a token is here or it is not.
        let _ = timeout(Self::LONGEST_WAIT, attempts.changed()).await;
        self.usable().ok_or(Unavailable)
    }

    /// An upstream did not take this token. Whether another one may be had: this one is given up, unless that was done
    /// to one before it only just now.
    pub fn give_up(&self, refused: &Arc<Bearer>) -> bool {
        let mut given_up = self.given_up.lock();
        let is_current = self.token.load().as_ref().is_some_and(|current| Arc::ptr_eq(current, refused));
        if !is_current {
            return true;
        }
        if given_up.is_some_and(|before| before.elapsed() < Self::GIVE_UP_FLOOR) {
            return false;
        }
        *given_up = Some(Instant::now());
        self.token.compare_and_swap(refused, None);
        true
    }

    fn failed_lately(&self) -> bool {
        self.attempts.borrow().failed.is_some_and(|failed| failed.elapsed() < Self::FLOOR)
    }

    fn usable(&self) -> Option<Arc<Bearer>> {
        self.token.load_full().filter(|bearer| Instant::now() < bearer.expires)
    }

    async fn fetch(&self, http: &impl Post) -> Result<Granted, NoToken> {
        let url = timeout(Self::TIMEOUT, self.address.find()).await.map_err(|_| FetchError::Late(Self::TIMEOUT))?;
        let posted = http.post(&self.form(url), Self::TIMEOUT).await?;
        answer::read(&posted)
    }

    fn form(&self, url: Uri) -> Form {
        let scope = self.settings.scopes.join(" ");
        let mut fields = vec![("grant_type", "client_credentials")];
        fields.extend((!scope.is_empty()).then_some(("scope", scope.as_str())));
        fields.extend(self.settings.audience.as_deref().map(|audience| ("audience", audience)));
        Form { url, authorization: form::basic(&self.settings.client_id, &self.settings.client_secret), fields: form::fields(&fields) }
    }

    // When to fetch the next one. The token's life is counted from when it was asked for, which is not after it began.
    fn accept(&self, granted: Granted, asked: Instant, failures: u32) -> Instant {
        let endpoint = &self.settings.endpoint;
        match failures {
            0 => debug!(?endpoint, lifetime = ?granted.lifetime, "got a token for upstreams"),
            _ => info!(?endpoint, failures, "the token endpoint gives tokens again"),
        }
        let bearer = Bearer { authorization: granted.authorization, expires: asked + granted.lifetime };
        self.token.store(Some(Arc::new(bearer)));
        self.attempts.send_replace(Attempt { failed: None });
        (asked + granted.lifetime * 4 / 5).max(Instant::now() + Self::FLOOR)
    }

    fn failed(&self, error: &NoToken, failures: u32) -> Instant {
        let endpoint = &self.settings.endpoint;
        let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        match failures {
            1 => warn!(?endpoint, %error, cause, "no new token for upstreams; the one there is serves until it expires"),
            _ => debug!(?endpoint, %error, cause, failures, "no new token for upstreams"),
        }
        let now = Instant::now();
        self.attempts.send_replace(Attempt { failed: Some(now) });
        now + (Self::FLOOR * 2u32.saturating_pow((failures - 1).min(16))).min(Self::LONGEST_RETRY)
    }
}

impl Drop for TokenSource {
    fn drop(&mut self) {
        // Its loop looks up, finds nobody, and ends.
        self.wake.notify_one();
    }
}

/// Fetches the token now, before it expires, and when somebody finds none, until its source is dropped.
async fn keep(source: Weak<TokenSource>, wake: Arc<Notify>, http: Arc<impl Post>) {
    let mut failures = 0;
    while let Some(used) = source.upgrade() {
        let asked = Instant::now();
        let due = match used.fetch(&*http).await {
            Ok(granted) => used.accept(granted, asked, std::mem::take(&mut failures)),
            Err(error) => {
                failures += 1;
                used.failed(&error, failures)
            }
        };
        drop(used);
        wait(&source, &wake, due).await;
    }
}

async fn wait(source: &Weak<TokenSource>, wake: &Notify, due: Instant) {
    loop {
        tokio::select! {
            () = sleep_until(due) => return,
            () = wake.notified() => {}
        }
        // Whoever woke us may have done so before the last attempt ended, and has its outcome by now.
        let is_settled = |source: Arc<TokenSource>| source.usable().is_some() || source.failed_lately();
        if !source.upgrade().is_some_and(is_settled) {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
