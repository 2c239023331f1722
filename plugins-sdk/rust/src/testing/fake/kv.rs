//! A key-value store with a time to live, by the tests' clock, and the default quota.

use core::cell::RefCell;
use core::time::Duration;
use std::collections::HashMap;
use std::string::String;
use std::vec::Vec;

use super::time::now;
use crate::bindings::kv::Error;

const QUOTA: usize = 1024 * 1024;
const ENTRY_COST: usize = 64;

struct Entry {
    value: Vec<u8>,
    counter: bool,
    ends: Option<Duration>,
}

std::thread_local! {
    static ENTRIES: RefCell<HashMap<String, Entry>> = RefCell::new(HashMap::new());
}

pub(crate) fn get(key: &str) -> Option<Vec<u8>> {
    with(|entries| entries.get(key).map(|entry| entry.value.clone()))
}

pub(crate) fn set(key: &str, value: &[u8], ttl_ms: Option<u64>) -> Result<(), Error> {
    with(|entries| write(entries, key, Entry { value: value.into(), counter: false, ends: ends(ttl_ms) }))
}

pub(crate) fn delete(key: &str) {
    with(|entries| entries.remove(key));
}

pub(crate) fn increment(key: &str, delta: i64, ttl_ms: Option<u64>) -> Result<i64, Error> {
    with(|entries| {
        let (before, ends) = match entries.get(key) {
            None => (0, ends(ttl_ms)),
            Some(entry) => (counter(entry)?, entry.ends),
        };
        let after = before.checked_add(delta).ok_or(Error::NotACounter)?;
        write(entries, key, Entry { value: after.to_le_bytes().into(), counter: true, ends })?;
        Ok(after)
    })
}

fn with<T>(act: impl FnOnce(&mut HashMap<String, Entry>) -> T) -> T {
    ENTRIES.with_borrow_mut(|entries| {
        entries.retain(|_, entry| entry.ends.is_none_or(|ends| now() < ends));
        act(entries)
    })
}

fn write(entries: &mut HashMap<String, Entry>, key: &str, entry: Entry) -> Result<(), Error> {
    let cost = |key: &str, value: &[u8]| key.len() + value.len() + ENTRY_COST;
    let others: usize = entries.iter().filter(|(name, _)| *name != key).map(|(k, v)| cost(k, &v.value)).sum();
    if others + cost(key, &entry.value) > QUOTA {
        return Err(Error::Quota);
    }
    entries.insert(key.into(), entry);
    Ok(())
}

fn counter(entry: &Entry) -> Result<i64, Error> {
    let bytes = <[u8; 8]>::try_from(&*entry.value).map_err(|_| Error::NotACounter)?;
    entry.counter.then(|| i64::from_le_bytes(bytes)).ok_or(Error::NotACounter)
}

fn ends(ttl_ms: Option<u64>) -> Option<Duration> {
    ttl_ms.map(|millis| now().saturating_add(Duration::from_millis(millis)))
}
