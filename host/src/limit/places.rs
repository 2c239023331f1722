//! Places: how many requests of one client may be under way at a time. A place is a guard; dropping it gives it back.
//! Only places that are taken are kept, so the memory is that of the requests under way.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::BuildHasherDefault,
    sync::Arc,
};

use parking_lot::Mutex;

use crate::limit::table::{Key, Passed, Table};

/// One place, taken. Travels with the request it was taken for.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    key: Key,
}

/// How many places each key has taken.
#[derive(Debug)]
pub(super) struct Places(Box<[Shard]>);

// Own cache lines, as for buckets.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(Mutex<Taken>);

type Taken = HashMap<Key, u32, BuildHasherDefault<Passed>>;

// === impl Places ===

impl Places {
    /// Takes one of `limit` places of this key, if there is one left.
    ///
    /// Counting and comparing are one step under the shard's lock, so no interleaving takes one too many.
    pub(super) fn enter(places: &Arc<Self>, key: Key, limit: u32) -> Option<Place> {
        let mut taken = places.0[key.shard_index()].0.lock();
        let count = taken.get(&key).copied().unwrap_or_default();
        if count >= limit {
            return None;
        }
        taken.insert(key, count + 1);
        drop(taken);
        Some(Place { places: Arc::clone(places), key })
    }

    fn leave(&self, key: Key) {
        let mut taken = self.0[key.shard_index()].0.lock();
        let Entry::Occupied(mut count) = taken.entry(key) else { return };
        match *count.get() {
            0 | 1 => drop(count.remove()),
            _ => *count.get_mut() -= 1,
        }
        // A burst of callers leaves a large map behind.
        if taken.is_empty() && taken.capacity() > 64 {
            *taken = Taken::default();
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.iter().map(|shard| shard.0.lock().len()).sum()
    }
}

impl Default for Places {
    fn default() -> Self {
        Self((0..Table::SHARDS).map(|_| Shard::default()).collect())
    }
}

// === impl Place ===

impl Place {
    pub(super) fn is_of(&self, key: Key) -> bool {
        self.key == key
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.leave(self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU32, Ordering::SeqCst},
        thread,
    };

    use super::*;

    #[test]
    fn a_place_is_free_again_when_it_is_dropped() {
        let table = Table::default();
        let scope = table.scope("orders");
        let first = table.enter(&scope, b"acme", 2);
        let second = table.enter(&scope, b"acme", 2);
        assert!(first.is_some() && second.is_some(), "there are two");
        assert!(table.enter(&scope, b"acme", 2).is_none(), "and not three");
        assert!(table.enter(&scope, b"other", 2).is_some(), "others have their own");
        drop(first);
        assert!(table.enter(&scope, b"acme", 2).is_some(), "one was given back");
    }

    #[test]
    fn nobody_enters_where_there_is_no_place() {
        let table = Table::default();
        assert!(table.enter(&table.scope("orders"), b"acme", 0).is_none());
    }

    #[test]
    fn a_limit_that_was_lowered_holds_as_soon_as_enough_have_left() {
        let table = Table::default();
        let scope = table.scope("orders");
        let mut held: Vec<_> = (0..4).map(|_| table.enter(&scope, b"acme", 4).expect("four places")).collect();
        assert!(table.enter(&scope, b"acme", 2).is_none(), "four are in");
        held.truncate(2);
        assert!(table.enter(&scope, b"acme", 2).is_none(), "two are in");
        held.truncate(1);
        assert!(table.enter(&scope, b"acme", 2).is_some(), "one is in");
    }

    #[test]
    fn threads_together_never_take_one_too_many_and_leave_nothing_behind() {
        const LIMIT: u32 = 3;
        let places = Arc::<Places>::default();
        let key = Table::default().scope("orders").key(b"acme");
        let (inside, entered) = (AtomicU32::new(0), AtomicU32::new(0));
        thread::scope(|threads| {
            for _ in 0..8 {
                threads.spawn(|| {
                    for _ in 0..5_000 {
                        let Some(place) = Places::enter(&places, key, LIMIT) else { continue };
                        assert!(inside.fetch_add(1, SeqCst) < LIMIT, "one too many");
                        entered.fetch_add(1, SeqCst);
                        thread::yield_now();
                        inside.fetch_sub(1, SeqCst);
                        drop(place);
                    }
                });
            }
        });
        assert!(entered.into_inner() >= LIMIT, "some got in");
        assert_eq!(places.len(), 0, "all have left");
    }
}
