//! The key-value store of one plugin: in memory, with times to live and an exact quota, shared by all its instances.
//! Not the binding to the guest.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    mem,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use thiserror::Error;

/// The entries of one plugin. Nothing expired is ever seen; it goes when it is met, or when its room is needed.
#[derive(Debug)]
pub struct KvStore {
    shards: [Mutex<Shard>; SHARDS],
    hash: RandomState,
    used: AtomicUsize,
    quota: usize,
}

/// Why a write changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KvError {
    /// The write would pass the quota.
    #[error("the write would pass the quota")]
    Quota,
    /// The value was not written by `increment`, or the sum does not fit.
    #[error("the value is not a counter, or its sum does not fit in 64 bits")]
    NotACounter,
}

const SHARDS: usize = 16;

#[derive(Debug, Default)]
struct Shard {
    entries: HashMap<Box<str>, Entry, RandomState>,
    // No entry here expires before this, so a full store does not look through live entries again and again.
    first_expiry: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    value: Value,
    expires: Option<Instant>,
}

// A counter is told from eight bytes that `set` wrote.
#[derive(Debug)]
enum Value {
    Bytes(Box<[u8]>),
    Counter(i64),
}

// === impl KvStore ===

impl KvStore {
    /// The quota where the configuration says nothing: 1 MiB.
    pub const DEFAULT_QUOTA: usize = 1 << 20;

    /// What an entry counts for on top of its key and value.
    pub const ENTRY_OVERHEAD: usize = 64;

    /// An empty store that holds `quota` bytes.
    pub fn new(quota: usize) -> Self {
        Self { shards: Default::default(), hash: RandomState::new(), used: AtomicUsize::new(0), quota }
    }

    /// The value of `key`; a counter reads as its eight bytes, the lowest first.
    pub fn get(&self, key: &str, now: Instant) -> Option<Vec<u8>> {
        let mut shard = self.shard(key).lock();
        if shard.entries.get(key)?.is_expired(now) {
            self.remove(&mut shard, key);
            return None;
        }
        shard.entries.get(key).map(|entry| entry.value.to_bytes())
    }

    /// Writes a value, for `ttl` or until it is deleted.
    pub fn set(&self, key: &str, value: &[u8], ttl: Option<Duration>, now: Instant) -> Result<(), KvError> {
        let size = size(key, value.len());
        self.with_room(now, || {
            let mut shard = self.shard(key).lock();
            let freed = shard.entries.get(key).map_or(0, |entry| entry.size(key));
            self.reserve(freed, size)?;
            shard.put(key, Entry { value: Value::Bytes(value.into()), expires: expiry(ttl, now) });
            Ok(())
        })
    }

    /// Removes `key`, if it is there.
    pub fn delete(&self, key: &str) {
        self.remove(&mut self.shard(key).lock(), key);
    }

    /// Adds to a counter and returns its new value. One that is not there starts at 0 and gets its time to live then.
    pub fn increment(&self, key: &str, delta: i64, ttl: Option<Duration>, now: Instant) -> Result<i64, KvError> {
        self.with_room(now, || {
            let mut shard = self.shard(key).lock();
            if let Some(entry) = shard.entries.get_mut(key).filter(|entry| !entry.is_expired(now)) {
                return entry.value.add(delta);
            }
            let freed = shard.entries.get(key).map_or(0, |entry| entry.size(key));
            self.reserve(freed, size(key, mem::size_of::<i64>()))?;
            shard.put(key, Entry { value: Value::Counter(delta), expires: expiry(ttl, now) });
            Ok(delta)
        })
    }

    /// Bytes that count against the quota, entries expired but not yet met among them.
    pub fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    fn shard(&self, key: &str) -> &Mutex<Shard> {
        &self.shards[self.hash.hash_one(key) as usize % SHARDS]
    }

    // Tries a write once more after the expired entries have made room. No lock is held in between, since making room
    // takes every shard's lock in turn.
    fn with_room<T>(&self, now: Instant, write: impl Fn() -> Result<T, KvError>) -> Result<T, KvError> {
        match write() {
            Err(KvError::Quota) if self.reclaim(now) > 0 => write(),
            result => result,
        }
    }

    // Swaps `freed` bytes for `wanted` in one step, so that no two writers can both take the last room.
    fn reserve(&self, freed: usize, wanted: usize) -> Result<(), KvError> {
        let swap = |used: usize| {
            let after = used - freed + wanted;
            (after <= self.quota || wanted <= freed).then_some(after)
        };
        self.used.fetch_update(Relaxed, Relaxed, swap).map(drop).map_err(|_| KvError::Quota)
    }

    fn remove(&self, shard: &mut Shard, key: &str) {
        if let Some(entry) = shard.entries.remove(key) {
            self.used.fetch_sub(entry.size(key), Relaxed);
        }
    }

    fn reclaim(&self, now: Instant) -> usize {
        let freed = self.shards.iter().map(|shard| shard.lock().drop_expired(now)).sum();
        self.used.fetch_sub(freed, Relaxed);
        freed
    }
}

fn size(key: &str, value: usize) -> usize {
    key.len() + value + KvStore::ENTRY_OVERHEAD
}

// A time to live beyond the end of time is none.
fn expiry(ttl: Option<Duration>, now: Instant) -> Option<Instant> {
    now.checked_add(ttl?)
}

// === impl Shard ===

impl Shard {
    fn put(&mut self, key: &str, entry: Entry) {
        self.first_expiry = earlier(self.first_expiry, entry.expires);
        match self.entries.get_mut(key) {
            Some(slot) => *slot = entry,
            None => drop(self.entries.insert(key.into(), entry)),
        }
    }

    fn drop_expired(&mut self, now: Instant) -> usize {
        if self.first_expiry.is_none_or(|first| first > now) {
            return 0;
        }
        let (mut freed, mut first) = (0, None);
        self.entries.retain(|key, entry| {
            let keep = !entry.is_expired(now);
            match keep {
                true => first = earlier(first, entry.expires),
                false => freed += entry.size(key),
            }
            keep
        });
        self.first_expiry = first;
        freed
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

// === impl Entry ===

impl Entry {
    fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    fn size(&self, key: &str) -> usize {
        size(key, self.value.len())
    }
}

// === impl Value ===

impl Value {
    fn len(&self) -> usize {
        match self {
            Value::Bytes(bytes) => bytes.len(),
            Value::Counter(_) => mem::size_of::<i64>(),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        match self {
            Value::Bytes(bytes) => bytes.to_vec(),
            Value::Counter(count) => count.to_le_bytes().to_vec(),
        }
    }

    fn add(&mut self, delta: i64) -> Result<i64, KvError> {
        let Value::Counter(count) = self else { return Err(KvError::NotACounter) };
        *count = count.checked_add(delta).ok_or(KvError::NotACounter)?;
        Ok(*count)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn store() -> (KvStore, Instant) {
        (KvStore::new(KvStore::DEFAULT_QUOTA), Instant::now())
    }

    #[test]
    fn a_value_is_read_back_replaced_and_deleted() {
        let (store, now) = store();
        assert_eq!(store.get("a", now), None, "nothing is there yet");
        store.set("a", b"one", None, now).unwrap();
        store.set("a", b"another", None, now).unwrap();
        assert_eq!(store.get("a", now), Some(b"another".to_vec()), "the last write counts");
        assert_eq!(store.used(), 1 + 7 + 64, "one entry is charged once");
        store.delete("a");
        store.delete("a");
        assert_eq!(store.get("a", now), None, "it is gone");
        assert_eq!(store.used(), 0, "and its room is free");
    }

    #[test]
    fn an_expired_value_is_never_seen() {
        let (store, now) = store();
        store.set("a", b"x", Some(SECOND), now).unwrap();
        assert!(store.get("a", now + SECOND - Duration::from_nanos(1)).is_some(), "it lives a second");
        assert_eq!(store.get("a", now + SECOND), None, "and no longer");
        assert_eq!(store.used(), 0, "meeting it freed its room");
        store.set("b", b"x", Some(Duration::ZERO), now).unwrap();
        assert_eq!(store.get("b", now), None, "a life of no time");
        store.set("c", b"x", Some(Duration::MAX), now).unwrap();
        assert!(store.get("c", now + SECOND).is_some(), "a life without end");
    }

    #[test]
    fn a_write_without_a_time_to_live_outlives_the_one_before() {
        let (store, now) = store();
        store.set("a", b"x", Some(SECOND), now).unwrap();
        store.set("a", b"y", None, now).unwrap();
        assert!(store.get("a", now + SECOND * 2).is_some(), "the second write set no end");
    }

    #[test]
    fn a_write_over_the_quota_changes_nothing() {
        let (store, now) = (KvStore::new(200), Instant::now());
        store.set("a", &[0; 35], None, now).unwrap();
        store.set("b", &[0; 35], None, now).unwrap();
        assert_eq!(store.used(), 200, "full to the byte");
        assert_eq!(store.set("c", b"", None, now), Err(KvError::Quota), "no room for an empty entry");
        assert_eq!(store.set("a", &[1; 36], None, now), Err(KvError::Quota), "no room to grow");
        assert_eq!(store.increment("c", 1, None, now), Err(KvError::Quota), "no room for a counter");
        assert_eq!(store.get("a", now), Some(vec![0; 35]), "the old value stands");
        store.set("a", &[1; 35], None, now).unwrap();
        store.set("a", &[1; 34], None, now).unwrap();
        assert_eq!(store.used(), 199, "replacing and shrinking are fine");
    }

    #[test]
    fn expired_entries_make_room_before_a_write_is_refused() {
        let (store, now) = (KvStore::new(65 * 10), Instant::now());
        for key in 0..10 {
            store.set(&key.to_string(), b"", Some(SECOND * (1 + key % 2)), now).unwrap();
        }
        assert_eq!(store.set("x", b"", None, now), Err(KvError::Quota), "all are alive");
        assert_eq!(store.set("x", b"", None, now + SECOND), Ok(()), "five are not any more");
        assert_eq!(store.used(), 65 * 6, "and all five have made room");
        assert!(store.get("1", now + SECOND).is_some(), "the living stay");
    }

    #[test]
    fn a_counter_counts_in_its_fixed_window() {
        let (store, now) = store();
        let half = SECOND / 2;
        assert_eq!(store.increment("n", 5, Some(SECOND), now), Ok(5), "it starts at 0");
        assert_eq!(store.increment("n", -7, Some(SECOND * 9), now + half), Ok(-2), "and goes below");
        assert_eq!(store.get("n", now + half), Some((-2i64).to_le_bytes().to_vec()), "eight bytes");
        assert_eq!(store.increment("n", 1, None, now + SECOND), Ok(1), "the first time to live held");
        assert_eq!(store.increment("n", 1, None, now + SECOND * 99), Ok(2), "the new counter has none");
        assert_eq!(store.used(), 1 + 8 + 64, "one entry");
    }

    #[test]
    fn only_a_counter_can_be_incremented() {
        let (store, now) = store();
        store.set("a", &1i64.to_le_bytes(), None, now).unwrap();
        assert_eq!(store.increment("a", 1, None, now), Err(KvError::NotACounter), "eight bytes of somebody's");
        assert_eq!(store.increment("n", i64::MAX, None, now), Ok(i64::MAX), "the largest");
        assert_eq!(store.increment("n", 1, None, now), Err(KvError::NotACounter), "one too many");
        assert_eq!(store.increment("n", -1, None, now), Ok(i64::MAX - 1), "the value was left alone");
        store.set("n", b"text", None, now).unwrap();
        assert_eq!(store.increment("n", 1, None, now), Err(KvError::NotACounter), "set made it a value");
    }

    #[test]
    fn threads_neither_lose_counts_nor_pass_the_quota() {
        let (store, now) = (KvStore::new(65 * 100 + 73), Instant::now());
        let writes: usize = thread::scope(|scope| {
            let work = |worker: usize| {
                let store = &store;
                move || {
                    let mut written = 0;
                    for step in 0..2_000 {
                        store.increment("n", 1, None, now).expect("the counter has its room");
                        let key = char::from_u32((0x4E00 + step * 4 + worker) as u32).expect("a letter");
                        written += usize::from(store.set(&key.to_string(), b"", None, now).is_ok());
                        assert!(store.used() <= 65 * 100 + 73, "never above the quota");
                    }
                    written
                }
            };
            store.increment("n", 0, None, now).expect("an empty store");
            let workers: Vec<_> = (0..4).map(|worker| scope.spawn(work(worker))).collect();
            workers.into_iter().map(|worker| worker.join().expect("a writer does not panic")).sum()
        });
        assert_eq!(store.increment("n", 0, None, now), Ok(8_000), "every count arrived");
        assert_eq!(writes, 65 * 100 / 67, "as many entries of 67 bytes as fit, and not one more");
    }
}
