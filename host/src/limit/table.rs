//! All buckets of the gateway, in shards, found by a keyed hash of scope and client. Takers of known clients never
//! block one another; idle buckets are swept; a hard cap bounds the memory whatever keys are sent.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use parking_lot::RwLock;

use crate::limit::{Decision, Moment, Place, Policy, bucket::Bucket, places::Places};

mod all_or_none;

pub use all_or_none::{Charge, Decisions};

/// The buckets. One table serves all workers and lives through config reloads, so limits do too.
#[derive(Debug)]
pub struct Table {
    shards: Box<[Shard]>,
    shard_capacity: usize,
    hash: RandomState,
    places: Arc<Places>,
}

/// A named set of buckets, such as one rate-limit use on one route. Made once, hashed once.
#[derive(Debug, Clone)]
pub struct Scope {
    halves: [DefaultHasher; 2],
}

// Own cache lines, so that two workers on neighbouring shards do not slow each other down.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(RwLock<Slots>);

type Slots = HashMap<Key, Slot, BuildHasherDefault<Passed>>;

// The rate and burst the bucket was last written under; enough to read it again after they change.
#[derive(Debug, Clone)]
struct Slot {
    bucket: Bucket,
    rate: f64,
    burst: u32,
}

// The policy met last. Most slots of a shard share a few, and working one out takes longer than the look at a slot.
#[derive(Debug, Default)]
struct Recent(Option<Policy>);

// 128 bits of a keyed hash stand for the key itself: among a million keys two collide with odds of 1 in 10^26, and
// nobody outside can look for such two, because the hash key is random in each process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    shard: u64,
    slot: u64,
}

// A key is a hash already.
#[derive(Debug, Default)]
pub(super) struct Passed(u64);

// === impl Table ===

impl Table {
    /// Buckets kept by default.
    pub const DEFAULT_CAPACITY: usize = 1_000_000;

    pub(super) const SHARDS: usize = 256;

    // How many buckets go in one hold of a shard's lock.
    const SWEEP_STEP: usize = 64;

    /// A table that keeps at most about `capacity` buckets.
    pub fn new(capacity: usize) -> Self {
        Self {
            shards: (0..Self::SHARDS).map(|_| Shard::default()).collect(),
            shard_capacity: capacity.div_ceil(Self::SHARDS).max(1),
            hash: RandomState::new(),
            places: Arc::default(),
        }
    }

    /// The set of buckets of this name; the same name gives the same buckets for as long as the table lives.
    pub fn scope(&self, name: &str) -> Scope {
        // One secret key, two messages: SipHash is a pseudo-random function, so the halves are independent.
        let half = |domain: u8| {
            let mut hasher = self.hash.build_hasher();
            hasher.write_u8(domain);
            hasher.write_usize(name.len());
            hasher.write(name.as_bytes());
            hasher
        };
        Scope { halves: [half(0), half(1)] }
    }

    /// Takes `cost` tokens from the client's bucket in this scope, which starts full.
    pub fn take(&self, scope: &Scope, client: &[u8], policy: &Policy, cost: u32, now: Moment) -> Decision {
        let key = scope.key(client);
        let shard = self.shard(key);
        if let Some(slot) = shard.0.read().get(&key)
            && slot.is_under(policy)
        {
            return slot.bucket.take(policy, cost, now);
        }
        self.take_slowly(shard, key, policy, cost, now)
    }

    /// Takes one of `limit` places that the client has in this scope. None if all are taken; a place is given back when
    /// it is dropped. Places have nothing to do with the buckets of the same names.
    pub fn enter(&self, scope: &Scope, client: &[u8], limit: u32) -> Option<Place> {
        Places::enter(&self.places, scope.key(client), limit)
    }

    /// Whether this is such a place: of this client in this scope.
    pub fn is_place_of(&self, place: &Place, scope: &Scope, client: &[u8]) -> bool {
        place.is_of(scope.key(client))
    }

    /// Forgets the buckets that are full again, a few at a time; returns how many.
    ///
    /// To be called every few seconds off the request path. It looks at one shard of 256 at a time, beside takers from
    /// known buckets, and holds it alone only to forget a few dozen: nobody waits longer than some tens of microseconds.
    pub fn sweep(&self, now: Moment) -> usize {
        self.shards.iter().map(|shard| shard.sweep(now)).sum()
    }

    /// Buckets kept now.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.0.read().len()).sum()
    }

    /// True when no bucket is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, key: Key) -> &Shard {
        &self.shards[key.shard_index()]
    }

    // A client seen for the first time, or a policy that changed.
    #[cold]
    fn take_slowly(&self, shard: &Shard, key: Key, policy: &Policy, cost: u32, now: Moment) -> Decision {
        let mut slots = shard.0.write();
        let slot = self.slot(&mut slots, key, policy, now);
        slot.adopt(policy, now);
        slot.bucket.take(policy, cost, now)
    }

    // The client's slot, under whichever policy it was last; a full one if there was none.
    fn slot<'a>(&self, slots: &'a mut Slots, key: Key, policy: &Policy, now: Moment) -> &'a mut Slot {
        if slots.len() >= self.shard_capacity && !slots.contains_key(&key) {
            make_room(slots, now);
        }
        slots.entry(key).or_insert_with(|| Slot::full(policy))
    }
}

impl Default for Table {
    fn default() -> Self {
        Self::new(Self::DEFAULT_CAPACITY)
    }
}

// Drops the sixteenth of the shard that would be full again soonest. A client who is being held back has the longest to
// go, so a flood of fresh keys pushes out other fresh keys and cannot reset the bucket of a client over its limit.
fn make_room(slots: &mut Slots, now: Moment) {
    let mut policies = Recent::default();
    let wait = |(key, slot): (&Key, &Slot)| (slot.bucket.time_to_full(&policies.of(slot), now), *key);
    let mut waits: Vec<(Duration, Key)> = slots.iter().map(wait).collect();
    let last = waits.len() / 16;
    waits.select_nth_unstable_by_key(last, |(wait, _)| *wait);
    for (_, key) in &waits[..=last] {
        slots.remove(key);
    }
}

// === impl Scope ===

impl Scope {
    /// Buckets beside these, for requests that are only copies: taking from them takes nothing from anybody.
    pub fn apart(&self) -> Self {
        let mut apart = self.clone();
        apart.halves.iter_mut().for_each(|half| half.write(b"apart"));
        apart
    }

    pub(super) fn key(&self, client: &[u8]) -> Key {
        let finish = |half: &DefaultHasher| {
            let mut hasher = half.clone();
            hasher.write(client);
            hasher.finish()
        };
        Key { shard: finish(&self.halves[0]), slot: finish(&self.halves[1]) }
    }
}

// === impl Shard ===

impl Shard {
    fn sweep(&self, now: Moment) -> usize {
        let idle = self.idle(now);
        let swept = idle.chunks(Table::SWEEP_STEP).map(|keys| self.forget(keys, now)).sum();
        self.shrink();
        swept
    }

    fn idle(&self, now: Moment) -> Vec<Key> {
        let slots = self.0.read();
        let mut policies = Recent::default();
        slots.iter().filter(|(_, slot)| slot.bucket.is_full(&policies.of(slot), now)).map(|(key, _)| *key).collect()
    }

    fn forget(&self, keys: &[Key], now: Moment) -> usize {
        let mut slots = self.0.write();
        let before = slots.len();
        for key in keys {
            // Somebody may have taken from it since we looked.
            if slots.get(key).is_some_and(|slot| slot.is_full(now)) {
                slots.remove(key);
            }
        }
        before - slots.len()
    }

    // Only when nearly empty, so that little has to move while the lock is held.
    fn shrink(&self) {
        let nearly_empty = |slots: &Slots| slots.capacity() > 64 && slots.len() < slots.capacity() / 8;
        if nearly_empty(&self.0.read()) {
            let mut slots = self.0.write();
            let room = slots.len() * 2;
            slots.shrink_to(room);
        }
    }
}

// === impl Slot ===

impl Slot {
    fn full(policy: &Policy) -> Self {
        Self { bucket: Bucket::full(), rate: policy.rate(), burst: policy.burst() }
    }

    fn is_under(&self, policy: &Policy) -> bool {
        self.rate == policy.rate() && self.burst == policy.burst()
    }

    fn adopt(&mut self, policy: &Policy, now: Moment) {
        if self.is_under(policy) {
            return;
        }
        let old = self.policy();
        self.bucket.convert(&old, policy, now);
        (self.rate, self.burst) = (policy.rate(), policy.burst());
    }

    fn is_full(&self, now: Moment) -> bool {
        self.bucket.is_full(&self.policy(), now)
    }

    fn policy(&self) -> Policy {
        Policy::new(self.rate, self.burst).expect("a slot keeps the numbers of a policy")
    }
}

// === impl Recent ===

impl Recent {
    fn of(&mut self, slot: &Slot) -> Policy {
        let policy = self.0.filter(|policy| slot.is_under(policy)).unwrap_or_else(|| slot.policy());
        *self.0.insert(policy)
    }
}

// === impl Key ===

impl Key {
    pub(super) fn shard_index(self) -> usize {
        self.shard as usize % Table::SHARDS
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.slot);
    }
}

impl Hasher for Passed {
    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("keys hash as one number");
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, Ordering::Relaxed},
        thread,
    };

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after(Duration::from_secs(seconds))
    }

    fn policy(rate: f64, burst: u32) -> Policy {
        Policy::new(rate, burst).expect("a policy in range")
    }

    #[test]
    fn clients_and_scopes_have_buckets_of_their_own() {
        let (table, policy) = (Table::default(), policy(1.0, 1));
        let (orders, users) = (table.scope("orders"), table.scope("users"));
        assert!(table.take(&orders, b"acme", &policy, 1, at(1)).allowed, "acme's first");
        assert!(!table.take(&orders, b"acme", &policy, 1, at(1)).allowed, "acme's second");
        assert!(table.take(&orders, b"other", &policy, 1, at(1)).allowed, "another client");
        assert!(table.take(&users, b"acme", &policy, 1, at(1)).allowed, "another scope");
        assert!(!table.take(&table.scope("orders"), b"acme", &policy, 1, at(1)).allowed, "the same scope made again");
    }

    #[test]
    fn a_scope_and_a_client_do_not_run_together() {
        let (table, policy) = (Table::default(), policy(1.0, 1));
        assert!(table.take(&table.scope("ab"), b"c", &policy, 1, at(1)).allowed, "ab and c");
        assert!(table.take(&table.scope("a"), b"bc", &policy, 1, at(1)).allowed, "a and bc is another bucket");
    }

    #[test]
    fn a_changed_policy_carries_the_bucket_over() {
        let table = Table::default();
        let scope = table.scope("orders");
        assert!(table.take(&scope, b"acme", &policy(1.0, 10), 8, at(1)).allowed, "eight of ten");
        let decision = table.take(&scope, b"acme", &policy(2.0, 20), 1, at(1));
        assert_eq!(decision.remaining, 11, "eight and one are missing of twenty");
        assert_eq!(table.len(), 1, "it is the same bucket");
    }

    #[test]
    fn a_sweep_forgets_full_buckets_only() {
        let (table, policy) = (Table::default(), policy(1.0, 10));
        let scope = table.scope("orders");
        for client in 0..10_000u32 {
            table.take(&scope, &client.to_le_bytes(), &policy, 1 + client % 2, at(1));
        }
        assert_eq!(table.sweep(at(1)), 0, "none is full yet");
        assert_eq!(table.sweep(at(3) /* one token and a bit later */), 10_000, "all are full after two seconds");
        assert!(table.is_empty(), "nothing is left");
        for client in 0..10_000u32 {
            table.take(&scope, &client.to_le_bytes(), &policy, 1 + client % 2 * 8, at(10));
        }
        assert_eq!(table.sweep(at(12)), 5_000, "half have nine tokens to wait for");
        let decision = table.take(&scope, &1u32.to_le_bytes(), &policy, 0, at(12));
        assert_eq!(decision.remaining, 3, "a kept bucket is unchanged");
    }

    #[test]
    fn a_flood_of_keys_neither_grows_the_table_nor_frees_a_client_over_its_limit() {
        let (table, policy) = (Table::new(10_000), policy(1.0, 100));
        let scope = table.scope("orders");
        assert!(table.take(&scope, b"greedy", &policy, 100, at(1)).allowed, "the burst");
        for client in 0..200_000u32 {
            assert!(table.take(&scope, &client.to_le_bytes(), &policy, 1, at(1)).allowed, "a fresh client is served");
        }
        assert!(table.len() <= 10_000 + Table::SHARDS, "{} buckets are kept", table.len());
        assert!(!table.take(&scope, b"greedy", &policy, 1, at(1)).allowed, "the flood did not refill it");
    }

    #[test]
    fn threads_share_a_bucket_exactly_while_sweeps_and_floods_go_on() {
        let (table, policy) = (Table::new(2_000), policy(0.001, 5_000));
        let scope = table.scope("orders");
        let done = AtomicBool::new(false);
        let admitted: u32 = thread::scope(|threads| {
            threads.spawn(|| {
                let mut client = 0u64;
                while !done.load(Relaxed) {
                    table.take(&scope, &client.to_le_bytes(), &policy, 1, at(1));
                    client += 1;
                    if client.is_multiple_of(512) {
                        table.sweep(at(1));
                    }
                }
            });
            let take = || (0..5_000).filter(|_| table.take(&scope, b"acme", &policy, 1, at(1)).allowed).count() as u32;
            let workers: Vec<_> = (0..3).map(|_| threads.spawn(take)).collect();
            let admitted = workers.into_iter().map(|worker| worker.join().expect("a taker does not panic")).sum();
            done.store(true, Relaxed);
            admitted
        });
        assert_eq!(admitted, 5_000, "three threads asked for 15,000 and got the burst between them");
    }

    #[test]
    fn a_client_within_its_rate_is_never_refused_whatever_others_do() {
        let (table, policy) = (Table::default(), policy(10.0, 1));
        let scope = table.scope("orders");
        for step in 0..500u64 {
            let now = Moment::after(Duration::from_millis(101 * step));
            for greedy in 0..20u8 {
                table.take(&scope, &[greedy], &policy, 1, now);
            }
            assert!(table.take(&scope, b"polite", &policy, 1, now).allowed, "step {step}");
        }
    }
}
