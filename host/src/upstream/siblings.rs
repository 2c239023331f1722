//! What the endpoints of one upstream share, for as long as one of them is in use: counts, the circuit breaker, and a
//! number that changes whenever one of them becomes ready or ceases to be.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;
use parking_lot::{Mutex, MutexGuard};

use super::caps::Caps;
use super::circuit::Circuit;
use super::endpoint::{Endpoint, Origin};
use super::outlier::Reason;
use super::retry::{self, budget::Budget, hedge::Latency};
use super::vitals::SEED;

/// The endpoints of one upstream, by origin.
pub struct Siblings {
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// Lets requests through, or none.
    pub circuit: Arc<Circuit>,
    /// What is taken of the gateway.
    pub caps: Arc<Caps>,
    changes: CachePadded<AtomicU32>,
    in_flight: CachePadded<AtomicU32>,
    panic_picks: AtomicU64,
    out: AtomicU32,
    ejections: [AtomicU64; Reason::ALL.len()],
    /// How many retries they bear.
    pub budget: CachePadded<Budget>,
    retries: [AtomicU64; retry::Reason::ALL.len()],
    /// How long their answers take, where hedges go by it.
    pub latency: CachePadded<Latency>,
    hedges_won: AtomicU64,
    known: Mutex<HashMap<Origin, Weak<Endpoint>>>,
    ejecting: Mutex<()>,
}

impl Siblings {
    /// None yet.
    pub fn new(upstream: &str) -> Self {
        let upstream: Arc<str> = upstream.into();
        Self {
            circuit: Arc::new(Circuit::new(Arc::clone(&upstream), Instant::now())),
            caps: Arc::default(),
            upstream,
            changes: CachePadded::default(),
            in_flight: CachePadded::default(),
            panic_picks: AtomicU64::default(),
            out: AtomicU32::default(),
            ejections: Default::default(),
            budget: CachePadded::new(Budget::new(Instant::now())),
            retries: Default::default(),
            latency: CachePadded::default(),
            hedges_won: AtomicU64::default(),
            known: Mutex::default(),
            ejecting: Mutex::default(),
        }
    }

    /// Those in use.
    pub fn all(&self) -> Vec<Arc<Endpoint>> {
        let mut known = self.known.lock();
        known.retain(|_, endpoint| endpoint.strong_count() > 0);
        known.values().filter_map(Weak::upgrade).collect()
    }

    /// The one of that origin, if it is in use.
    pub(super) fn find(&self, origin: &Origin) -> Option<Arc<Endpoint>> {
        self.known.lock().get(origin).and_then(Weak::upgrade)
    }

    /// Keeps a new one in mind. If somebody else was faster, theirs is the one, which is given back.
    pub(super) fn add(&self, endpoint: Endpoint) -> Result<Arc<Endpoint>, Arc<Endpoint>> {
        let endpoint = Arc::new(endpoint);
        // Dropped before `endpoint` is where that is the one too many: its end needs no lock of ours, but takes its time.
        let mut known = self.known.lock();
        if let Some(other) = known.get(&endpoint.origin).and_then(Weak::upgrade) {
            return Err(other);
        }
        known.insert(endpoint.origin.clone(), Arc::downgrade(&endpoint));
        Ok(endpoint)
    }

    /// The mean latency of those that are ready: what one that joins or comes back is taken to have, so that its slow
    /// start alone decides how soon it gets its share.
    pub fn typical_latency(&self, now: Instant) -> Duration {
        let ready = self.all().into_iter().filter(|endpoint| endpoint.vitals.flags().is_ready());
        let latencies: Vec<f64> = ready.map(|endpoint| endpoint.vitals.latency(now)).collect();
        match latencies.len() {
            0 => SEED,
            count => Duration::from_nanos((latencies.iter().sum::<f64>() / count as f64) as u64),
        }
    }

    // === readiness ===

    /// A number that is another one after each change of readiness.
    #[inline]
    pub fn changes(&self) -> u32 {
        self.changes.load(Ordering::Acquire)
    }

    /// One of them became ready, or ceased to be.
    pub fn changed(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// The right to eject one, so that two are not ejected for the same last place. None while somebody else has it:
    /// nobody waits here.
    pub(super) fn try_ejecting(&self) -> Option<MutexGuard<'_, ()>> {
        self.ejecting.try_lock()
    }

    // === counts ===

    /// Requests in flight to all of them.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// One more.
    pub(super) fn enter(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub(super) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts a pick among all, because too few were ready.
    pub(super) fn panicked(&self) {
        self.panic_picks.fetch_add(1, Ordering::Relaxed);
    }

    /// Picks among all, because too few were ready.
    pub fn panic_picks(&self) -> u64 {
        self.panic_picks.load(Ordering::Relaxed)
    }

    /// One of them was ejected.
    pub(super) fn ejected(&self, reason: Reason) {
        self.ejections[reason as usize].fetch_add(1, Ordering::Relaxed);
        self.out.fetch_add(1, Ordering::Relaxed);
        self.changed();
    }

    /// An ejection has ended, if only because the endpoint is gone.
    pub(super) fn pardoned(&self) {
        self.out.fetch_sub(1, Ordering::Relaxed);
        self.changed();
    }

    /// How many are ejected.
    pub fn out(&self) -> u32 {
        self.out.load(Ordering::Relaxed)
    }

    /// Ejections for this reason.
    pub fn ejections(&self, reason: Reason) -> u64 {
        self.ejections[reason as usize].load(Ordering::Relaxed)
    }
    // === retries ===

    /// A request was tried again, or was not because there were too many.
    pub(super) fn retried(&self, reason: retry::Reason) {
        self.retries[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A hedge was the first to have a good answer.
    pub(super) fn hedge_won(&self) {
        self.hedges_won.fetch_add(1, Ordering::Relaxed);
    }

    /// Hedges that were the first to have a good answer.
    pub fn hedges_won(&self) -> u64 {
        self.hedges_won.load(Ordering::Relaxed)
    }

    /// Retries for this reason.
    pub fn retries(&self, reason: retry::Reason) -> u64 {
        self.retries[reason as usize].load(Ordering::Relaxed)
    }
}
