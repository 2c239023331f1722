//! Endpoints that register themselves, and are forgotten when they do not do it again in time. A renewal moves one instant;
//! who has expired is found by a heap that is corrected only when something comes due.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use thiserror::Error;

use crate::upstream::endpoint::Origin;

use super::{Source, Target};

/// The most registrations of one upstream.
pub const MOST: usize = 10_000;

/// What became of registrations, to be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Somebody new.
    Registered,
    /// Somebody known, again.
    Renewed,
    /// Somebody who said so.
    Removed,
    /// Somebody who was not heard of any more.
    Expired,
}

/// There is no place for one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("there are {MOST} registrations already")]
pub struct Full;

/// The registrations of one upstream, by id.
#[derive(Default)]
pub struct Registrations(Mutex<State>);

#[derive(Default)]
struct State {
    entries: HashMap<Box<str>, Entry>,
    due: BinaryHeap<Reverse<(Instant, Box<str>)>>,
    /// Whether there is something that was not published yet.
    changed: bool,
    counts: [u64; Event::ALL.len()],
    /// Another one after each change of what is to be remembered.
    version: u64,
}

/// One that is registered.
pub struct Listed {
    /// The id it goes by.
    pub id: Box<str>,
    /// Where it is.
    pub target: Target,
    /// How long it lasts without a renewal,
    pub ttl: Duration,
    /// and from now on.
    pub left: Duration,
}

struct Entry {
    target: Target,
    ttl: Duration,
    expires: Instant,
    /// Its place in the heap. Earlier than `expires` after a renewal; one of another instant is an old one and means nothing.
    queued: Instant,
}

impl Event {
    /// Each of them.
    pub const ALL: [Event; 4] = [Event::Registered, Event::Renewed, Event::Removed, Event::Expired];

    /// As metrics have it.
    pub fn name(self) -> &'static str {
        match self {
            Event::Registered => "registered",
            Event::Renewed => "renewed",
            Event::Removed => "removed",
            Event::Expired => "expired",
        }
    }
}

// === impl Source ===

impl Source {
    /// Keeps a registration for another `ttl`. False if there is none of this id and origin, which is to be registered then.
    pub fn renew(&self, id: &str, origin: &Origin, weight: u32, ttl: Duration, now: Instant) -> bool {
        let mut state = self.registrations.0.lock();
        let renewed = state.renew(id, origin, weight, ttl, now);
        self.ring(&state);
        renewed
    }

    /// Keeps a new registration for `ttl`, in the place of another one of the same id. True if there was none.
    pub fn register(&self, id: &str, target: Target, ttl: Duration, now: Instant) -> Result<bool, Full> {
        let mut state = self.registrations.0.lock();
        let registered = state.register(id, target, ttl, now);
        self.ring(&state);
        registered
    }

    /// Forgets a registration. False if there was none.
    pub fn remove(&self, id: &str) -> bool {
        let mut state = self.registrations.0.lock();
        let removed = state.remove(id, Event::Removed);
        self.ring(&state);
        removed
    }

    fn ring(&self, state: &State) {
        if state.changed {
            self.bell.notify_one();
        }
    }
}

// === impl Registrations ===

impl Registrations {
    /// How often this happened.
    pub fn count(&self, event: Event) -> u64 {
        self.0.lock().counts[event as usize]
    }

    /// Each, in the order of their ids.
    pub fn list(&self, now: Instant) -> Vec<Listed> {
        let state = self.0.lock();
        let listed = |(id, entry): (&Box<str>, &Entry)| Listed {
            id: id.clone(),
            target: entry.target.clone(),
            ttl: entry.ttl,
            left: entry.expires.saturating_duration_since(now),
        };
        let mut list: Vec<_> = state.entries.iter().map(listed).collect();
        drop(state);
        list.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        list
    }

    /// A number that is another one after each change but a renewal; 0 before the first.
    pub fn version(&self) -> u64 {
        self.0.lock().version
    }

    /// Who is registered now, if that is not what it was the last time.
    pub(super) fn changes(&self, now: Instant) -> Option<Vec<Target>> {
        let mut state = self.0.lock();
        state.expire(now);
        std::mem::take(&mut state.changed).then(|| state.entries.values().map(|entry| entry.target.clone()).collect())
    }
}

impl State {
    fn renew(&mut self, id: &str, origin: &Origin, weight: u32, ttl: Duration, now: Instant) -> bool {
        let Some(entry) = self.entries.get_mut(id).filter(|entry| entry.target.origin == *origin) else { return false };
        let expires = now + ttl;
        self.changed |= entry.target.weight != weight;
        self.version += u64::from((entry.target.weight, entry.ttl) != (weight, ttl));
        (entry.target.weight, entry.ttl, entry.expires) = (weight, ttl, expires);
        // Only a shorter time has to be noticed before the one it is queued for.
        if expires < entry.queued {
            entry.queued = expires;
            self.due.push(Reverse((expires, id.into())));
        }
        self.counted(Event::Renewed);
        true
    }

    fn register(&mut self, id: &str, target: Target, ttl: Duration, now: Instant) -> Result<bool, Full> {
        let is_new = !self.entries.contains_key(id);
        if is_new && self.entries.len() >= MOST {
            return Err(Full);
        }
        let expires = now + ttl;
        self.entries.insert(id.into(), Entry { target, ttl, expires, queued: expires });
        self.due.push(Reverse((expires, id.into())));
        self.changed = true;
        self.version += 1;
        self.counted(if is_new { Event::Registered } else { Event::Renewed });
        Ok(is_new)
    }

    fn remove(&mut self, id: &str, event: Event) -> bool {
        let was_there = self.entries.remove(id).is_some();
        if was_there {
            self.changed = true;
            self.version += 1;
            self.counted(event);
        }
        was_there
    }

    fn expire(&mut self, now: Instant) {
        while self.due.peek().is_some_and(|Reverse((due, _))| *due <= now) {
            let Some(Reverse((due, id))) = self.due.pop() else { return };
            let Some(entry) = self.entries.get_mut(&id).filter(|entry| entry.queued == due) else { continue };
            if entry.expires <= now {
                tracing::info!(endpoint = %entry.target.origin.authority, %id, "registration not renewed");
                self.remove(&id, Event::Expired);
                continue;
            }
            entry.queued = entry.expires;
            self.due.push(Reverse((entry.expires, id)));
        }
    }

    fn counted(&mut self, event: Event) {
        self.counts[event as usize] += 1;
    }
}

impl Target {
    /// A registered endpoint.
    pub fn registered(origin: Origin, addresses: Vec<SocketAddr>, weight: u32) -> Self {
        Self { origin, addresses, weight, priority: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(10);

    fn target(host: u8) -> Target {
        let address = SocketAddr::from(([10, 0, 0, host], 80));
        Target::registered(Origin::parse(&format!("http://{address}")).expect("a good URL"), vec![address], 1)
    }

    fn hosts(registrations: &Registrations, now: Instant) -> Option<Vec<String>> {
        let mut hosts: Vec<String> = registrations.changes(now)?.iter().map(|target| target.origin.host.to_string()).collect();
        hosts.sort_unstable();
        Some(hosts)
    }

    #[test]
    fn who_renews_in_time_stays_and_who_does_not_goes() {
        let (registrations, began) = (Registrations::default(), Instant::now());
        for host in [1, 2] {
            assert_eq!(registrations.0.lock().register(&host.to_string(), target(host), TTL, began), Ok(true));
        }
        assert_eq!(hosts(&registrations, began).expect("two are new"), ["10.0.0.1", "10.0.0.2"]);
        let later = began + Duration::from_secs(6);
        assert!(registrations.0.lock().renew("1", &target(1).origin, 1, TTL, later), "it is known");
        assert_eq!(hosts(&registrations, later), None, "a renewal changes nothing");
        assert_eq!(hosts(&registrations, began + TTL).expect("one expired"), ["10.0.0.1"]);
        assert_eq!(hosts(&registrations, later + TTL).expect("the other too").len(), 0);
        assert_eq!(Event::ALL.map(|event| registrations.count(event)), [2, 1, 0, 2]);
    }

    #[test]
    fn a_shorter_time_counts_from_the_renewal_that_brought_it() {
        let (registrations, began) = (Registrations::default(), Instant::now());
        registrations.0.lock().register("1", target(1), TTL, began).expect("there is room");
        registrations.changes(began);
        registrations.0.lock().renew("1", &target(1).origin, 1, TTL / 10, began);
        assert_eq!(hosts(&registrations, began + TTL / 10).expect("expired").len(), 0);
    }

    #[test]
    fn who_comes_again_after_leaving_is_not_taken_for_the_one_that_left() {
        let (registrations, began) = (Registrations::default(), Instant::now());
        registrations.0.lock().register("1", target(1), TTL, began).expect("there is room");
        assert!(registrations.0.lock().remove("1", Event::Removed) && !registrations.0.lock().remove("1", Event::Removed));
        registrations.0.lock().register("1", target(2), TTL * 2, began).expect("there is room");
        assert_eq!(hosts(&registrations, began + TTL).expect("it is new"), ["10.0.0.2"], "the old time means nothing");
        assert_eq!(registrations.0.lock().due.len(), 1, "and is not kept");
    }

    #[test]
    fn another_origin_is_not_a_renewal_but_takes_its_place() {
        let (registrations, began) = (Registrations::default(), Instant::now());
        registrations.0.lock().register("1", target(1), TTL, began).expect("there is room");
        assert!(!registrations.0.lock().renew("1", &target(2).origin, 1, TTL, began), "somewhere else");
        assert_eq!(registrations.0.lock().register("1", target(2), TTL, began), Ok(false), "the id is known");
        assert_eq!(hosts(&registrations, began).expect("a change"), ["10.0.0.2"]);
    }

    #[test]
    fn a_change_of_weight_is_a_change() {
        let (registrations, began) = (Registrations::default(), Instant::now());
        registrations.0.lock().register("1", target(1), TTL, began).expect("there is room");
        registrations.changes(began);
        registrations.0.lock().renew("1", &target(1).origin, 5, TTL, began);
        assert_eq!(registrations.changes(began).expect("a change")[0].weight, 5);
    }

    #[test]
    fn there_is_an_end_to_registrations() {
        let (registrations, now) = (Registrations::default(), Instant::now());
        for id in 0..MOST {
            registrations.0.lock().register(&id.to_string(), target(1), TTL, now).expect("there is room");
        }
        assert_eq!(registrations.0.lock().register("one more", target(1), TTL, now), Err(Full));
        assert_eq!(registrations.0.lock().register("0", target(2), TTL, now), Ok(false), "who is there may change");
    }
}
