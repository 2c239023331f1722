//! How much of the history the store keeps, as the configuration says.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::config::document::History;

/// What stays, settable while changes are made.
pub struct Keeping {
    revisions: AtomicU64,
    audit: AtomicU64,
}

/// What stays at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Revisions with what changed.
    pub revisions: u64,
    /// Entries of the audit log.
    pub audit: u64,
}

impl Default for Keeping {
    fn default() -> Self {
        let History { revisions, audit } = History::default();
        Self { revisions: AtomicU64::new(revisions.into()), audit: AtomicU64::new(audit.into()) }
    }
}

impl Keeping {
    /// Sets what stays from the next change on.
    pub fn set(&self, history: History) {
        self.revisions.store(history.revisions.into(), Ordering::Relaxed);
        self.audit.store(history.audit.into(), Ordering::Relaxed);
    }

    /// What stays now.
    pub fn now(&self) -> Kept {
        Kept { revisions: self.revisions.load(Ordering::Relaxed), audit: self.audit.load(Ordering::Relaxed) }
    }
}
