//! Whether requests should be sent here, and whether anybody asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use crate::config::Problems;

/// Readiness, as probes see it.
pub struct Readiness {
    ready: AtomicBool,
    started: Instant,
    /// When readiness was last asked for, in milliseconds after `started`, plus one; 0 for never.
    asked: AtomicU64,
    /// Why the files are not what serves.
    refused: ArcSwapOption<Problems>,
}

impl Readiness {
    /// Not ready yet.
    pub fn starting() -> Self {
        Self { ready: AtomicBool::new(false), started: Instant::now(), asked: AtomicU64::new(0), refused: ArcSwapOption::empty() }
    }

    /// Says whether requests should be sent here.
    pub fn set(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }

    /// Whether requests should be sent here.
    pub fn get(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// The same, for somebody who asks in order to send requests here or not.
    pub fn ask(&self) -> bool {
        self.asked.store(self.started.elapsed().as_millis() as u64 + 1, Ordering::Relaxed);
        self.get()
    }

    /// Whether anybody asked within this time: if not, nobody has to be waited for on the way out.
    pub fn was_asked_within(&self, time: Duration) -> bool {
        match self.asked.load(Ordering::Relaxed) {
            0 => false,
            asked => self.started.elapsed().saturating_sub(Duration::from_millis(asked)) < time,
        }
    }

    /// Says why the files of the configuration are not what serves, or that they are.
    pub fn refuse_files(&self, problems: Option<Problems>) {
        self.refused.store(problems.map(Arc::new));
    }

    /// Why the files of the configuration are not what serves; None if they are.
    pub fn refused_files(&self) -> Option<Arc<Problems>> {
        self.refused.load_full()
    }

    /// How long the gateway has been running.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
}
