//! Discovery: endpoints that come and go without the configuration. A source publishes what it knows at the moment, and
//! upstreams take it from there; where it knows it from is in `dns` and `register`. Neither router nor revision is touched.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

use super::endpoint::Origin;

mod discovered;
pub mod dns;
pub mod gauges;
pub mod keep;
pub mod register;

pub use discovered::Discovered;

use register::Registrations;

/// What [`super::EndpointStatus`] says of endpoints that the configuration names.
pub const STATIC: &str = "static";

/// One endpoint, as a source knows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// Where it is.
    pub origin: Origin,
    /// What its host stands for.
    pub addresses: Vec<SocketAddr>,
    /// Its share relative to the others'; 0 takes it out of use.
    pub weight: u32,
    /// Those of the lowest number take all requests, as long as one of them is ready.
    pub priority: u16,
}

/// What a source knows.
#[derive(Debug, Default)]
pub struct Found {
    /// A number that is another one after each change; 0 for nothing yet.
    pub version: u64,
    /// In the order of their origins.
    pub targets: Vec<Target>,
}

/// Which source it is: upstreams and reloads that agree on this share one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Settings {
    /// A name in DNS.
    Dns(dns::Settings),
    /// What registers itself for this upstream.
    Register(Arc<str>),
}

/// Where endpoints of upstreams come from.
pub struct Source {
    settings: Settings,
    found: ArcSwap<Found>,
    /// When it was last sure of what it knows.
    confirmed: Mutex<Option<Instant>>,
    /// Whether it has had the time to find anything out.
    answered: watch::Sender<bool>,
    attended: AtomicBool,
    lookups: [AtomicU64; dns::Outcome::ALL.len()],
    registrations: Registrations,
    bell: Arc<Notify>,
}

/// Sources in use.
#[derive(Default)]
pub struct Discovery {
    known: Mutex<HashMap<Settings, Weak<Source>>>,
    bell: Arc<Notify>,
}

// === impl Discovery ===

impl Discovery {
    /// The source of these settings, which knows what it knew if it is in use already.
    pub fn get(&self, settings: Settings) -> Arc<Source> {
        let mut known = self.known.lock();
        known.retain(|_, source| source.strong_count() > 0);
        if let Some(source) = known.get(&settings).and_then(Weak::upgrade) {
            return source;
        }
        let source = Arc::new(Source::new(settings.clone(), Arc::clone(&self.bell)));
        known.insert(settings, Arc::downgrade(&source));
        source
    }

    /// Has each source in use find out what there is. To be called after each reload.
    pub fn attend(&self, runtime: &Handle) {
        for source in self.in_use() {
            if source.attended.swap(true, Ordering::Relaxed) {
                continue;
            }
            if let Settings::Dns(settings) = &source.settings {
                runtime.spawn(dns::watch(Arc::downgrade(&source), settings.clone()));
            }
        }
        self.bell.notify_one();
    }

    /// Waits until each source in use has had an answer of any kind, but not longer than this.
    async fn first_answers(&self, patience: Duration) {
        let answers = async {
            for source in self.in_use() {
                // Its end is as good as an answer.
                let _ = source.answered.subscribe().wait_for(|answered| *answered).await;
            }
        };
        let _ = tokio::time::timeout(patience, answers).await;
    }

    /// Rings when a source has changed.
    pub fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.bell)
    }

    fn in_use(&self) -> Vec<Arc<Source>> {
        self.known.lock().values().filter_map(Weak::upgrade).collect()
    }
}

// === impl Source ===

impl Source {
    fn new(settings: Settings, bell: Arc<Notify>) -> Self {
        // Nobody waits for who may register some day.
        let answered = matches!(settings, Settings::Register(_));
        Self {
            settings,
            found: ArcSwap::default(),
            confirmed: Mutex::default(),
            answered: watch::Sender::new(answered),
            attended: AtomicBool::new(false),
            lookups: Default::default(),
            registrations: Registrations::default(),
            bell,
        }
    }

    /// What kind of source it is, as metrics and the admin API call it.
    pub fn kind(&self) -> &'static str {
        match self.settings {
            Settings::Dns(_) => "dns",
            Settings::Register(_) => "register",
        }
    }

    /// What it knows.
    pub fn found(&self) -> Arc<Found> {
        self.found.load_full()
    }

    /// Puts what is known now in the place of what was known before. Upstreams take it within about 50 ms.
    pub fn publish(&self, mut targets: Vec<Target>) {
        targets.sort_unstable();
        targets.dedup_by(|one, other| one.origin == other.origin);
        let before = self.found.load();
        if before.version == 0 || before.targets != targets {
            self.found.store(Arc::new(Found { version: before.version + 1, targets }));
            self.bell.notify_one();
        }
        self.answered.send_replace(true);
    }

    /// Those that registered themselves, where the source is one of them.
    pub fn registrations(&self) -> Option<&Registrations> {
        matches!(self.settings, Settings::Register(_)).then_some(&self.registrations)
    }

    /// How long ago it was last sure of what it knows.
    pub fn age(&self, now: Instant) -> Option<Duration> {
        self.confirmed.lock().map(|confirmed| now.saturating_duration_since(confirmed))
    }

    /// Lookups that came to this.
    pub fn lookups(&self, outcome: dns::Outcome) -> u64 {
        self.lookups[outcome as usize].load(Ordering::Relaxed)
    }

    /// Publishes at once what is registered now.
    pub fn settle(&self, now: Instant) {
        self.tick(now);
    }

    /// All of what it knows is true at the moment.
    fn confirm(&self) {
        *self.confirmed.lock() = Some(Instant::now());
    }

    fn count(&self, outcome: dns::Outcome) {
        self.lookups[outcome as usize].fetch_add(1, Ordering::Relaxed);
        self.answered.send_replace(true);
    }

    /// What is to be done now and then: registrations that changed or were not renewed are published.
    fn tick(&self, now: Instant) {
        if let Some(targets) = self.registrations().and_then(|registrations| registrations.changes(now)) {
            self.publish(targets);
        }
    }
}

#[cfg(test)]
mod tests;
