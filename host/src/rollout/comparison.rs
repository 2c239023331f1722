//! How often a shadow said the same as the version it shadows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;

use crate::telemetry::metrics::Decisions;

/// Copies of requests that one shadow may have at one time; further requests are not copied.
const MOST: usize = 64;
/// Characters of what differed that are kept.
const LONGEST: usize = 400;

/// The counts of one shadow, shared by all workers.
#[derive(Default)]
pub struct Comparison {
    matched: AtomicU64,
    mismatched: AtomicU64,
    skipped: AtomicU64,
    under_way: AtomicUsize,
    example: Mutex<Option<String>>,
    /// Takes what capabilities count for the shadow, and is read by nobody.
    pub decisions: Decisions,
}

/// The counts at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Verdicts that were the same.
    pub matched: u64,
    /// Verdicts that were not, faults of the shadow included.
    pub mismatched: u64,
    /// Requests that were not copied: too many were under way, or their body could not be shown twice.
    pub skipped: u64,
}

/// The right to have one more copy under way.
pub struct Place(Arc<Comparison>);

impl Comparison {
    /// Room for one more copy, if there is any.
    pub fn enter(self: &Arc<Self>) -> Option<Place> {
        let room = self.under_way.fetch_update(Relaxed, Relaxed, |copies| (copies < MOST).then_some(copies + 1));
        room.is_ok().then(|| Place(Arc::clone(self)))
    }

    /// Notes a request that was not copied.
    pub fn skip(&self) {
        self.skipped.fetch_add(1, Relaxed);
    }

    /// Notes what both said.
    pub fn compare(&self, stable: &str, shadow: &str) {
        if stable == shadow {
            self.matched.fetch_add(1, Relaxed);
            return;
        }
        self.mismatched.fetch_add(1, Relaxed);
        *self.example.lock() = Some(format!("the stable version said {}; the candidate {}", short(stable), short(shadow)));
    }

    /// The counts so far.
    pub fn counts(&self) -> Counts {
        Counts { matched: self.matched.load(Relaxed), mismatched: self.mismatched.load(Relaxed), skipped: self.skipped.load(Relaxed) }
    }

    /// What the last two that differed said.
    pub fn example(&self) -> Option<String> {
        self.example.lock().clone()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Relaxed);
    }
}

impl Counts {
    /// Both together.
    pub fn and(self, other: Counts) -> Counts {
        Counts {
            matched: self.matched + other.matched,
            mismatched: self.mismatched + other.mismatched,
            skipped: self.skipped + other.skipped,
        }
    }

    /// What was counted since an earlier moment.
    pub fn since(self, earlier: Counts) -> Counts {
        Counts {
            matched: self.matched - earlier.matched,
            mismatched: self.mismatched - earlier.mismatched,
            skipped: self.skipped - earlier.skipped,
        }
    }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_counted_and_the_last_difference_is_kept() {
        let comparison = Comparison::default();
        comparison.compare("next", "next");
        assert_eq!(comparison.example(), None);
        comparison.compare("next", "403");
        comparison.skip();
        assert_eq!(comparison.counts(), Counts { matched: 1, mismatched: 1, skipped: 1 });
        assert_eq!(comparison.example().as_deref(), Some("the stable version said next; the candidate 403"));
    }

    #[test]
    fn only_so_many_copies_are_under_way() {
        let comparison = Arc::<Comparison>::default();
        let mut places: Vec<_> = (0..MOST).map(|_| comparison.enter()).collect();
        assert!(places.iter().all(Option::is_some));
        assert!(comparison.enter().is_none(), "one more is too many");
        places.pop();
        assert!(comparison.enter().is_some(), "one that ended makes room");
    }
}
