//! Clients and their API keys. Only SHA-256 digests of the keys are kept; a look-up is one hash and one map access.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use thiserror::Error;

use crate::identity::digest::{Digest, DigestHasher};

/// One consumer of the APIs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its name, unique among clients.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<String>,
}

/// All clients, by key.
#[derive(Debug, Default)]
pub struct Clients {
    // Comparing digests in the map takes time that depends on how much of them agrees. That tells a caller about the
    // digest of its own guess, which it cannot steer, and nothing about a key, so it is no way to feel for one.
    keys: HashMap<Digest, Holding, DigestHasher>,
    count: usize,
}

/// One client as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSettings {
    /// Its name.
    pub name: String,
    /// The keys it may use, any of them.
    pub keys: Vec<KeySettings>,
    /// What it may do.
    pub scopes: Vec<String>,
}

/// One key of a client as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySettings {
    /// The SHA-256 digest of the key, as 64 hexadecimal digits.
    pub sha256: String,
    /// When the key stops to work.
    pub expires: Option<SystemTime>,
}

/// What is wrong with the configured clients.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClientError {
    /// A digest that is none.
    #[error("key {index} of client {client} is not a SHA-256 digest of 64 hexadecimal digits")]
    NotADigest {
        /// Whose key.
        client: String,
        /// Which of its keys, from 0.
        index: usize,
    },
    /// One key for two clients, or twice for one.
    #[error("key {index} of client {client} is already a key of client {holder}")]
    SharedKey {
        /// Whose key.
        client: String,
        /// Which of its keys, from 0.
        index: usize,
        /// The client that has it already.
        holder: String,
    },
    /// Two clients of one name.
    #[error("there are two clients named {0}")]
    TwoOfAName(String),
}

#[derive(Debug)]
struct Holding {
    client: Arc<Client>,
    expires: Option<SystemTime>,
}

// === impl Clients ===

impl Clients {
    /// The clients of a configuration, or everything that is wrong with them.
    pub fn build(settings: Vec<ClientSettings>) -> Result<Self, Vec<ClientError>> {
        let mut errors = two_of_a_name(&settings);
        let mut clients = Self { keys: HashMap::default(), count: settings.len() };
        clients.keys.reserve(settings.len());
        for settings in settings {
            clients.add(settings, &mut errors);
        }
        if errors.is_empty() { Ok(clients) } else { Err(errors) }
    }

    /// The client that holds this key; none for a key that is unknown or expired.
    pub fn find(&self, key: &[u8]) -> Option<&Arc<Client>> {
        self.find_at(key, SystemTime::now)
    }

    /// Clients there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// True when there is no client.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    // The time is asked for only where a key has an end.
    fn find_at(&self, key: &[u8], now: impl FnOnce() -> SystemTime) -> Option<&Arc<Client>> {
        let holding = self.keys.get(&Digest::of(key))?;
        match holding.expires {
            Some(expires) if expires <= now() => None,
            _ => Some(&holding.client),
        }
    }

    fn add(&mut self, settings: ClientSettings, errors: &mut Vec<ClientError>) {
        let client = Arc::new(Client { name: settings.name, scopes: settings.scopes });
        for (index, key) in settings.keys.iter().enumerate() {
            if let Err(error) = self.add_key(&client, index, key) {
                errors.push(error);
            }
        }
    }

    fn add_key(&mut self, client: &Arc<Client>, index: usize, key: &KeySettings) -> Result<(), ClientError> {
        let Some(digest) = Digest::from_hex(&key.sha256) else {
            return Err(ClientError::NotADigest { client: client.name.clone(), index });
        };
        if let Some(other) = self.keys.get(&digest) {
            let (client, holder) = (client.name.clone(), other.client.name.clone());
            return Err(ClientError::SharedKey { client, index, holder });
        }
        self.keys.insert(digest, Holding { client: client.clone(), expires: key.expires });
        Ok(())
    }
}

fn two_of_a_name(settings: &[ClientSettings]) -> Vec<ClientError> {
    let mut names: Vec<&str> = settings.iter().map(|client| client.name.as_str()).collect();
    names.sort_unstable();
    let mut twice: Vec<&str> = names.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    twice.dedup();
    twice.into_iter().map(|name| ClientError::TwoOfAName(name.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sha2::{Digest as _, Sha256};

    use super::*;

    fn client(name: &str, keys: &[&str]) -> ClientSettings {
        let key = |key: &&str| KeySettings { sha256: hex(key), expires: None };
        ClientSettings { name: name.into(), keys: keys.iter().map(key).collect(), scopes: vec!["orders.read".into()] }
    }

    fn hex(key: &str) -> String {
        Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn each_key_of_a_client_finds_it() {
        let clients = Clients::build(vec![client("acme", &["one", "two"]), client("other", &["three"])]).unwrap();
        for key in ["one", "two"] {
            let found = clients.find(key.as_bytes()).expect("a known key");
            assert_eq!((found.name.as_str(), found.scopes.as_slice()), ("acme", &["orders.read".to_owned()][..]), "{key}");
        }
        assert_eq!(clients.find(b"three").map(|client| client.name.as_str()), Some("other"), "the other's key");
        for key in ["", "four", "ONE", &hex("one")] {
            assert!(clients.find(key.as_bytes()).is_none(), "{key} is nobody's");
        }
    }

    #[test]
    fn a_key_ends_when_it_says() {
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let mut acme = client("acme", &["one", "two"]);
        acme.keys[0].expires = Some(end);
        let clients = Clients::build(vec![acme]).unwrap();
        let before = end - Duration::from_nanos(1);
        assert!(clients.find_at(b"one", || before).is_some(), "up to its end");
        assert!(clients.find_at(b"one", || end).is_none(), "not at its end");
        assert!(clients.find_at(b"two", || end).is_some(), "the other key has none");
        assert!(clients.find(b"one").is_none(), "1970 is over");
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let mut bad = client("bad", &["x"]);
        bad.keys[0].sha256 = "secret".into();
        let settings = vec![client("acme", &["one"]), client("acme", &["two", "one"]), bad];
        let expected = vec![
            ClientError::TwoOfAName("acme".into()),
            ClientError::SharedKey { client: "acme".into(), index: 1, holder: "acme".into() },
            ClientError::NotADigest { client: "bad".into(), index: 0 },
        ];
        assert_eq!(Clients::build(settings).err(), Some(expected), "all three");
    }

    #[test]
    fn a_hundred_thousand_clients_are_found() {
        let settings = (0..100_000).map(|n| client(&format!("client-{n}"), &[&format!("key-{n}")])).collect();
        let clients = Clients::build(settings).unwrap();
        assert_eq!(clients.len(), 100_000, "all are there");
        for n in (0..100_000).step_by(997) {
            let found = clients.find(format!("key-{n}").as_bytes()).expect("a known key");
            assert_eq!(found.name, format!("client-{n}"), "and its own");
        }
        assert!(clients.find(b"key-100000").is_none(), "one more than there are");
    }
}
