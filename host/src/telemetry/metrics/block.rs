//! Blocks: fixed arrays of counts, each written by one worker and read by whoever renders the metrics.
//! What the places of a block mean is for its family to know.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// `N` counts on cache lines of their own.
// Aligned so that two workers never write to the same line.
#[repr(align(64))]
pub struct Block<const N: usize>([AtomicU64; N]);

impl<const N: usize> Block<N> {
    /// A block of zeros.
    pub fn new() -> Self {
        Self([const { AtomicU64::new(0) }; N])
    }

    /// Adds to a count that only this thread writes.
    #[inline]
    pub fn add(&self, place: usize, by: u64) {
        // A load and a store cost a nanosecond where a locked add costs five; with one writer nothing is lost.
        let count = &self.0[place];
        count.store(count.load(Relaxed).wrapping_add(by), Relaxed);
    }

    /// Adds to a count that other threads may write as well.
    #[inline]
    pub fn add_shared(&self, place: usize, by: u64) {
        self.0[place].fetch_add(by, Relaxed);
    }

    /// Replaces a count, for gauges.
    #[inline]
    pub fn set(&self, place: usize, value: u64) {
        self.0[place].store(value, Relaxed);
    }

    /// Adds the counts of a block that nobody writes any more; the adding thread need not be the only one.
    pub fn take_over(&self, gone: &Self) {
        for (count, more) in self.0.iter().zip(&gone.0) {
            count.fetch_add(more.load(Relaxed), Relaxed);
        }
    }

    /// Adds every count of this block to `totals`.
    pub fn add_to(&self, totals: &mut [u64; N]) {
        for (total, count) in totals.iter_mut().zip(&self.0) {
            *total = total.wrapping_add(count.load(Relaxed));
        }
    }
}

impl<const N: usize> Default for Block<N> {
    fn default() -> Self {
        Self::new()
    }
}
