//! Clients and their API keys. Only digests of the keys are kept; a look-up is one hash and one map access, however many
//! clients there are. What did not change with a configuration is shared with the one before.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use thiserror::Error;

use crate::identity::api_key::Form;
use crate::identity::digest::{Digest, DigestHasher, Pepper};

#[cfg(test)]
mod tests;

/// A longer text is no key, and is not worth hashing.
pub const LONGEST_KEY: usize = 4096;

/// Changed keys before all are gathered anew.
const MANY_CHANGES: usize = 256;

/// Scopes in the order of the configuration. Many clients share few lists.
pub type Scopes = Arc<[Box<str>]>;

/// One consumer of the APIs.
#[derive(Debug, PartialEq, Eq)]
pub struct Client {
    /// Its name, unique among clients.
    pub name: Box<str>,
    /// What it may do.
    pub scopes: Scopes,
    /// The plan it is on.
    pub plan: Option<Box<str>>,
}

/// One key of a client.
#[derive(Debug)]
pub struct Key {
    /// Whose it is.
    pub client: Arc<Client>,
    /// What it may do: the client's scopes, or some of them.
    pub scopes: Scopes,
    /// The public part of the key, where it is configured.
    pub id: Option<Box<str>>,
    digest: Digest,
    expires: Option<SystemTime>,
    /// Seconds since 1970; 0 for never.
    last_used: AtomicU32,
}

/// All clients, by key.
#[derive(Debug, Default)]
pub struct Clients {
    // Comparing digests in the map takes time that depends on how much of them agrees. That tells a caller about the
    // digest of its own guess, which it cannot steer, and nothing about a key, so it is no way to feel for one.
    keys: Arc<HashSet<ByDigest, DigestHasher>>,
    /// Keys of clients that changed since those were gathered; None for one that opens nothing any more.
    changes: HashMap<Digest, Option<Arc<Key>>, DigestHasher>,
    pepper: Option<Pepper>,
    /// Whether there are keys known by their digest without the pepper.
    plain: bool,
    count: usize,
}

/// Why a key opens nothing. For metrics; callers are told none of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoKey {
    /// No key at all: empty, far too long, or with the gateway's prefix and not its checksum.
    Malformed,
    /// Nobody's, or that of a client that is disabled.
    Unknown,
    /// It was good once.
    Expired,
}

/// One client as configured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientSettings {
    /// Its name.
    pub name: String,
    /// The keys it may use, any of them.
    pub keys: Vec<KeySettings>,
    /// What it may do.
    pub scopes: Vec<String>,
    /// The plan it is on.
    pub plan: Option<String>,
    /// Whether its keys open nothing for now.
    pub disabled: bool,
}

/// One key of a client as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySettings {
    /// How it is known.
    pub digest: KeyDigest,
    /// When the key stops to work.
    pub expires: Option<SystemTime>,
    /// What it may do, if that is less than its client may.
    pub scopes: Option<Vec<String>>,
    /// The public part of the key.
    pub id: Option<String>,
}

/// A digest of a key, and what it was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyDigest {
    /// SHA-256.
    Plain(Digest),
    /// HMAC-SHA-256 under the pepper.
    Peppered(Digest),
}

/// What is wrong with the configured clients.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClientError {
    /// One key for two clients, or twice for one.
    #[error("a key that {holder} has already")]
    SharedKey {
        /// Whose key, by the place of the client.
        client: usize,
        /// Which of its keys, from 0.
        key: usize,
        /// The client that has it already.
        holder: String,
    },
    /// A digest that was made with a pepper where there is none.
    #[error("a digest made with a pepper, and there is none")]
    NoPepper {
        /// Whose key, by the place of the client.
        client: usize,
        /// Which of its keys, from 0.
        key: usize,
    },
}

impl ClientError {
    /// The same of the client at another place.
    pub fn at(&self, place: usize) -> Self {
        let mut error = self.clone();
        match &mut error {
            Self::SharedKey { client, .. } | Self::NoPepper { client, .. } => *client = place,
        }
        error
    }
}

/// A key, found by its digest.
#[derive(Debug, Clone)]
struct ByDigest(Arc<Key>);

// === impl Clients ===

impl Clients {
    /// The clients of a configuration, or everything that is wrong with them. Keys that are as they were in `previous`
    /// stay the same ones, with the time of their last use.
    pub fn build(
        settings: impl ExactSizeIterator<Item = ClientSettings>,
        pepper: Option<Pepper>,
        previous: Option<&Self>,
    ) -> Result<Self, Vec<ClientError>> {
        let mut clients = Self { pepper, count: settings.len(), ..Self::default() };
        clients.keys = Arc::new(HashSet::with_capacity_and_hasher(settings.len(), DigestHasher::default()));
        let (mut interned, mut errors) = (Interned::default(), Vec::new());
        for (place, settings) in settings.enumerate() {
            clients.add(place, settings, previous, &mut interned, &mut errors);
        }
        if errors.is_empty() { Ok(clients) } else { Err(errors) }
    }

    /// The clients with one of them as it is now instead of as it was; either may be missing. Costs what has changed
    /// since all were last gathered, which now and then is done again: not what there is.
    pub fn amend(&self, before: Option<&ClientSettings>, after: Option<ClientSettings>) -> Result<Self, Vec<ClientError>> {
        let mut amended = Self {
            keys: Arc::clone(&self.keys),
            changes: self.changes.clone(),
            pepper: self.pepper.clone(),
            plain: self.plain,
            count: self.count + usize::from(after.is_some()) - usize::from(before.is_some()),
        };
        let gone = before.iter().flat_map(|before| &before.keys);
        amended.changes.extend(gone.map(|key| (key.digest.digest(), None)));
        let mut errors = Vec::new();
        if let Some(after) = after {
            amended.add(0, after, Some(self), &mut Interned::default(), &mut errors);
        }
        amended.gather_many();
        if errors.is_empty() { Ok(amended) } else { Err(errors) }
    }

    /// The key of this text, if it is one and good now.
    pub fn find(&self, text: &[u8]) -> Result<&Arc<Key>, NoKey> {
        self.find_at(text, SystemTime::now)
    }

    /// Clients there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// True when there is no client.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    // The time is asked for only where there is a key.
    fn find_at(&self, text: &[u8], now: impl FnOnce() -> SystemTime) -> Result<&Arc<Key>, NoKey> {
        if text.is_empty() || text.len() > LONGEST_KEY || Form::of(text) == Form::Broken {
            return Err(NoKey::Malformed);
        }
        let key = self.look_up(text).ok_or(NoKey::Unknown)?;
        let now = now();
        if key.expires.is_some_and(|expires| expires <= now) {
            return Err(NoKey::Expired);
        }
        key.used_at(now);
        Ok(key)
    }

    fn look_up(&self, text: &[u8]) -> Option<&Arc<Key>> {
        let peppered = self.pepper.as_ref().and_then(|pepper| self.get(&pepper.digest(text)));
        peppered.or_else(|| if self.plain { self.get(&Digest::of(text)) } else { None })
    }

    fn get(&self, digest: &Digest) -> Option<&Arc<Key>> {
        if !self.changes.is_empty() {
            if let Some(changed) = self.changes.get(digest) {
                return changed.as_ref();
            }
        }
        self.keys.get(digest).map(|found| &found.0)
    }

    fn insert(&mut self, key: Arc<Key>) {
        // Keys that others look into already stay as they are.
        match Arc::get_mut(&mut self.keys) {
            Some(keys) => drop(keys.insert(ByDigest(key))),
            None => drop(self.changes.insert(key.digest, Some(key))),
        }
    }

    /// Gathers all keys anew when so many changed that looking at the changes first costs more.
    fn gather_many(&mut self) {
        if self.changes.len() < MANY_CHANGES {
            return;
        }
        let mut keys = HashSet::clone(&self.keys);
        for (digest, key) in self.changes.drain() {
            keys.remove(&digest);
            keys.extend(key.map(ByDigest));
        }
        self.keys = Arc::new(keys);
    }

    fn add(
        &mut self,
        place: usize,
        settings: ClientSettings,
        previous: Option<&Self>,
        interned: &mut Interned,
        errors: &mut Vec<ClientError>,
    ) {
        if settings.disabled {
            return;
        }
        let ClientSettings { name, keys, scopes, plan, .. } = settings;
        let client = Client { name: name.into(), scopes: interned.scopes(scopes), plan: plan.map(Into::into) };
        let known = |key: &KeySettings| previous?.get(&key.digest.digest());
        let same = keys.iter().filter_map(known).find(|known| *known.client == client).map(|known| Arc::clone(&known.client));
        let client = same.unwrap_or_else(|| Arc::new(client));
        for (index, key) in keys.into_iter().enumerate() {
            let known = known(&key);
            if let Err(error) = self.add_key(&client, (place, index), key, known, interned) {
                errors.push(error);
            }
        }
    }

    fn add_key(
        &mut self,
        client: &Arc<Client>,
        (place, index): (usize, usize),
        settings: KeySettings,
        known: Option<&Arc<Key>>,
        interned: &mut Interned,
    ) -> Result<(), ClientError> {
        let peppered = matches!(settings.digest, KeyDigest::Peppered(_));
        if peppered && self.pepper.is_none() {
            return Err(ClientError::NoPepper { client: place, key: index });
        }
        let key = Key::new(client, settings, interned);
        if let Some(other) = self.get(&key.digest) {
            return Err(ClientError::SharedKey { client: place, key: index, holder: other.client.name.to_string() });
        }
        self.plain |= !peppered;
        self.insert(key.or_the_same(known));
        Ok(())
    }
}

// === impl Key ===

impl Key {
    fn new(client: &Arc<Client>, settings: KeySettings, interned: &mut Interned) -> Self {
        let KeySettings { digest, expires, scopes, id } = settings;
        Self {
            scopes: scopes.map_or_else(|| Arc::clone(&client.scopes), |scopes| interned.scopes(narrowed(scopes, client))),
            client: Arc::clone(client),
            id: id.map(Into::into),
            digest: digest.digest(),
            expires,
            last_used: AtomicU32::new(0),
        }
    }

    /// The digest it is known by. Names the key in buckets and the like, and cannot be used as one.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// When it was last good for a request, to the second; none since the gateway started.
    pub fn last_used(&self) -> Option<SystemTime> {
        match self.last_used.load(Ordering::Relaxed) {
            0 => None,
            seconds => Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.into())),
        }
    }

    // A busy key is used thousands of times a second, and its line in the caches should not travel for each.
    fn used_at(&self, now: SystemTime) {
        let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        if self.last_used.load(Ordering::Relaxed) != seconds {
            self.last_used.store(seconds, Ordering::Relaxed);
        }
    }

    /// The key as it is known already, if nothing about it is new; else this one, which was used when that was.
    fn or_the_same(self, known: Option<&Arc<Self>>) -> Arc<Self> {
        let Some(known) = known else { return Arc::new(self) };
        let unchanged = (&self.scopes, &self.id, self.expires) == (&known.scopes, &known.id, known.expires);
        if unchanged && Arc::ptr_eq(&self.client, &known.client) {
            return Arc::clone(known);
        }
        self.last_used.store(known.last_used.load(Ordering::Relaxed), Ordering::Relaxed);
        Arc::new(self)
    }
}

// A key never reaches further than its client, whatever it says.
fn narrowed(scopes: Vec<String>, client: &Client) -> Vec<String> {
    scopes.into_iter().filter(|scope| client.scopes.iter().any(|held| **held == **scope)).collect()
}

impl KeyDigest {
    fn digest(&self) -> Digest {
        match self {
            KeyDigest::Plain(digest) | KeyDigest::Peppered(digest) => *digest,
        }
    }
}

// === impl ByDigest ===

impl Borrow<Digest> for ByDigest {
    fn borrow(&self) -> &Digest {
        &self.0.digest
    }
}

impl Hash for ByDigest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.digest.hash(state);
    }
}

impl PartialEq for ByDigest {
    fn eq(&self, other: &Self) -> bool {
        self.0.digest == other.0.digest
    }
}

impl Eq for ByDigest {}

/// Lists of scopes, each kept once.
#[derive(Default)]
struct Interned(HashMap<Vec<String>, Scopes>);

impl Interned {
    fn scopes(&mut self, scopes: Vec<String>) -> Scopes {
        if let Some(known) = self.0.get(&scopes) {
            return Arc::clone(known);
        }
        let list: Scopes = scopes.iter().map(|scope| scope.as_str().into()).collect();
        self.0.insert(scopes, Arc::clone(&list));
        list
    }
}
