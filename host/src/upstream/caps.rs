//! What an upstream may have of the gateway at once: requests in flight, requests that wait for a connection, bytes of
//! bodies kept for another try. Guards give back what they took when they are dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crossbeam_utils::CachePadded;

/// The most of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests in flight. Workers that reach it in the same moment may pass it by one each.
    pub max_requests: u32,
    /// Requests that wait for a connection.
    pub max_pending: u32,
    /// Bytes of request bodies that are kept for another try.
    pub max_buffered: u64,
}

/// How much of each there is, apart from the requests in flight, which are counted with the endpoints.
#[derive(Default)]
pub struct Caps {
    pending: CachePadded<AtomicU32>,
    buffered: AtomicU64,
    refusals: [AtomicU64; Cap::ALL.len()],
}

/// One of the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cap {
    /// Requests in flight.
    Requests,
    /// Requests that wait for a connection.
    Pending,
    /// Bytes kept for another try.
    Buffered,
}

/// A place among those who wait for a connection.
pub struct Pending<'a>(&'a Caps);

/// The right to keep so many bytes.
pub struct Buffered {
    caps: Arc<Caps>,
    bytes: u64,
    most: u64,
}

impl Cap {
    /// All there are.
    pub const ALL: [Cap; 3] = [Cap::Requests, Cap::Pending, Cap::Buffered];

    /// The setting that limits it, which is its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Cap::Requests => "max_requests",
            Cap::Pending => "max_pending",
            Cap::Buffered => "max_buffered",
        }
    }
}

impl Caps {
    /// A place among those who wait for a connection; None where so many do.
    pub fn pend(&self, most: u32) -> Option<Pending<'_>> {
        let pending = Pending(self);
        if self.pending.fetch_add(1, Ordering::Relaxed) < most {
            return Some(pending);
        }
        self.refused(Cap::Pending);
        None
    }

    /// The right to keep so many bytes; None where there would be more than so many in all.
    pub fn buffer(self: &Arc<Self>, bytes: u64, most: u64) -> Option<Buffered> {
        let mut buffered = Buffered { caps: Arc::clone(self), bytes: 0, most };
        buffered.grow(bytes).then_some(buffered)
    }

    /// Counts a request that went beyond a limit.
    pub(super) fn refused(&self, cap: Cap) {
        self.refusals[cap as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Requests that wait for a connection.
    pub fn pending(&self) -> u32 {
        self.pending.load(Ordering::Relaxed)
    }

    /// Bytes kept for another try.
    pub fn buffered(&self) -> u64 {
        self.buffered.load(Ordering::Relaxed)
    }

    /// Requests that went beyond this limit.
    pub fn refusals(&self, cap: Cap) -> u64 {
        self.refusals[cap as usize].load(Ordering::Relaxed)
    }
}

impl Buffered {
    /// Takes so many more; false where there would be too many.
    pub fn grow(&mut self, bytes: u64) -> bool {
        let room = |kept: u64| kept.checked_add(bytes).filter(|sum| *sum <= self.most);
        let fits = self.caps.buffered.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok();
        match fits {
            true => self.bytes += bytes,
            false => self.caps.refused(Cap::Buffered),
        }
        fits
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.0.pending.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Buffered {
    fn drop(&mut self) {
        self.caps.buffered.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_requests: 4_096, max_pending: 256, max_buffered: 16 << 20 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_to_wait_are_given_back() {
        let caps = Caps::default();
        let (one, two) = (caps.pend(2), caps.pend(2));
        assert!(one.is_some() && two.is_some() && caps.pend(2).is_none(), "two are all");
        assert_eq!((caps.pending(), caps.refusals(Cap::Pending)), (2, 1), "who was refused does not count");
        drop(one);
        assert!(caps.pend(2).is_some(), "there is one again");
        drop(two);
        assert_eq!(caps.pending(), 0, "nobody waits");
    }

    #[test]
    fn bytes_are_kept_up_to_the_last_one() {
        let caps = Arc::<Caps>::default();
        let kept = caps.buffer(60, 100).expect("room");
        assert!(caps.buffer(41, 100).is_none(), "one too many");
        assert!(caps.buffer(u64::MAX, 100).is_none(), "more than there is");
        let rest = caps.buffer(40, 100).expect("exactly");
        assert_eq!((caps.buffered(), caps.refusals(Cap::Buffered)), (100, 2));
        drop((kept, rest));
        assert_eq!(caps.buffered(), 0, "all of it is given back");
    }

    #[test]
    fn a_panic_gives_back_too() {
        let caps = Arc::<Caps>::default();
        let inner = Arc::clone(&caps);
        let panicked = std::thread::spawn(move || {
            let _kept = (inner.buffer(10, 100).expect("room"), inner.pend(1).expect("room"));
            panic!("on purpose");
        });
        assert!(panicked.join().is_err());
        assert_eq!((caps.buffered(), caps.pending()), (0, 0), "nothing leaks");
    }

    #[test]
    fn many_at_once_never_pass_the_limit() {
        let caps = Arc::<Caps>::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let kept = caps.buffer(30, 100);
                        assert!(caps.buffered() <= 100, "never");
                        drop(kept);
                    }
                });
            }
        });
        assert_eq!(caps.buffered(), 0);
    }
}
