//! All issuers of a configuration, and what was verified by their keys in the last minute.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use moka::sync::Cache;

use crate::identity::{
    Issuer, Refusal, Settings, Verified,
    claims::Claims,
    demand::Setback,
    digest::DigestHasher,
    fingerprint::{Fingerprint, Fingerprints},
    issuer::IssuerError,
    key::KeySet,
    token::Token,
};

/// The issuers that tokens may come from.
#[derive(Debug)]
pub struct Issuers {
    issuers: Vec<Arc<Issuer>>,
    fingerprints: Arc<Fingerprints>,
    cache: Cache<Fingerprint, Arc<Memory>, DigestHasher>,
}

// A token seen to be good, and what that rests on.
#[derive(Debug)]
struct Memory {
    verified: Arc<Verified>,
    issuer: Arc<Issuer>,
    keys: Arc<KeySet>,
    until: SystemTime,
    weight: u32,
}

// === impl Issuers ===

impl Issuers {
    const MAX_AGE: Duration = Duration::from_secs(60);

    // About 100,000 tokens of the usual size.
    const CACHE_BYTES: u64 = 192 << 20;

    /// The issuers of a configuration, or everything that is wrong with them, each with its place in `settings`.
    ///
    /// One that is in `previous` with the same settings goes on with its keys and its verified tokens.
    pub fn build(settings: Vec<Settings>, previous: Option<&Issuers>) -> Result<Self, Vec<(usize, IssuerError)>> {
        let cache = previous.map_or_else(new_cache, |previous| previous.cache.clone());
        let fingerprints = previous.map_or_else(|| Arc::new(Fingerprints::new()), |previous| Arc::clone(&previous.fingerprints));
        let mut issuers = Self { issuers: Vec::with_capacity(settings.len()), fingerprints, cache };
        let mut errors = Vec::new();
        for (place, settings) in settings.into_iter().enumerate() {
            if let Err(error) = issuers.add(settings, previous) {
                errors.push((place, error));
            }
        }
        if errors.is_empty() { Ok(issuers) } else { Err(errors) }
    }

    /// Verifies a token by the issuers named in `allowed`, all of them if it is empty. Never waits for anything.
    pub fn verify(&self, token: &[u8], allowed: &[String]) -> Result<Arc<Verified>, Refusal> {
        self.try_verify(token, allowed).map_err(|setback| setback.refusal)
    }

    /// The same for a caller who can wait: where keys are on their way that may change the answer, it says so.
    pub fn try_verify(&self, token: &[u8], allowed: &[String]) -> Result<Arc<Verified>, Setback> {
        self.verify_at(token, allowed, SystemTime::now())
    }

    /// The issuer of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Issuer>> {
        self.issuers.iter().find(|issuer| issuer.settings().name == name)
    }

    /// All of them, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Issuer>> {
        self.issuers.iter()
    }

    fn add(&mut self, settings: Settings, previous: Option<&Issuers>) -> Result<(), IssuerError> {
        if self.get(&settings.name).is_some() {
            return Err(IssuerError::TwoOfAName(settings.name));
        }
        let issuer = Issuer::build(settings)?;
        let known = previous.and_then(|previous| previous.get(&issuer.settings().name));
        let issuer = known.filter(|known| known.is_same(&issuer)).cloned().unwrap_or_else(|| {
            issuer.warn();
            Arc::new(issuer)
        });
        self.issuers.push(issuer);
        Ok(())
    }

    fn verify_at(&self, token: &[u8], allowed: &[String], now: SystemTime) -> Result<Arc<Verified>, Setback> {
        // Before it is hashed, so that length costs nothing.
        if token.len() > Token::MAX_LENGTH {
            return Err(Refusal::Malformed.into());
        }
        let fingerprint = self.fingerprints.of(token);
        if let Some(memory) = self.cache.get(&fingerprint)
            && self.still_holds(&memory, allowed, now)
        {
            return Ok(memory.verified.clone());
        }
        let memory = self.check(token, allowed, now)?;
        let verified = memory.verified.clone();
        self.cache.insert(fingerprint, Arc::new(memory));
        Ok(verified)
    }

    // The issuer may be gone or replaced, its keys may have changed, or this caller may trust others.
    fn still_holds(&self, memory: &Memory, allowed: &[String], now: SystemTime) -> bool {
        now < memory.until
            && is_allowed(&memory.issuer, allowed)
            && memory.issuer.uses(&memory.keys)
            && self.issuers.iter().any(|issuer| Arc::ptr_eq(issuer, &memory.issuer))
    }

    fn check(&self, token: &[u8], allowed: &[String], now: SystemTime) -> Result<Memory, Setback> {
        let length = token.len();
        let token = Token::parse(token)?;
        let claims = Claims::parse(&token.payload)?;
        let (issuer, expires, keys) = self.vouch(&token, &claims, allowed, now)?;
        let verified = claims.into_verified(&issuer.settings().name, expires)?;
        Ok(Memory {
            verified: Arc::new(verified),
            issuer: issuer.clone(),
            keys,
            until: expires.min(now + Self::MAX_AGE),
            weight: weight(length),
        })
    }

    // Several configured issuers may share an `iss`, for instance with an audience each. The first that agrees counts.
    fn vouch(
        &self,
        token: &Token,
        claims: &Claims,
        allowed: &[String],
        now: SystemTime,
    ) -> Result<(&Arc<Issuer>, SystemTime, Arc<KeySet>), Setback> {
        let name = claims.issuer()?.ok_or(Refusal::UnknownIssuer)?;
        let mut worst = Setback::from(Refusal::UnknownIssuer);
        for issuer in &self.issuers {
            if issuer.settings().issuer != name || !is_allowed(issuer, allowed) {
                continue;
            }
            match issuer.verify(token, claims, now) {
                Ok((expires, keys)) => return Ok((issuer, expires, keys)),
                Err(setback) => worst = worst.and(setback),
            }
        }
        Err(worst)
    }
}

// === impl Setback ===

impl Setback {
    // Any keys that are on their way may still make the token good.
    fn and(self, other: Self) -> Self {
        Self { refusal: telling(self.refusal, other.refusal), awaited: self.awaited.or(other.awaited) }
    }
}

// Of two refusals the one that says more: an issuer without keys might still agree, and one that got past the signature
// knows the token better than one that did not.
fn telling(one: Refusal, other: Refusal) -> Refusal {
    let rank = |refusal| match refusal {
        Refusal::UnknownIssuer => 0,
        Refusal::BadSignature => 1,
        Refusal::KeysUnavailable => 3,
        _ => 2,
    };
    if rank(other) > rank(one) { other } else { one }
}

fn is_allowed(issuer: &Issuer, allowed: &[String]) -> bool {
    allowed.is_empty() || allowed.contains(&issuer.settings().name)
}

fn new_cache() -> Cache<Fingerprint, Arc<Memory>, DigestHasher> {
    Cache::builder()
        .max_capacity(Issuers::CACHE_BYTES)
        .weigher(|_: &Fingerprint, memory: &Arc<Memory>| memory.weight)
        .time_to_live(Issuers::MAX_AGE)
        .build_with_hasher(DigestHasher::default())
}

// The claims as a tree take about twice the token's length; the rest is the entry itself.
fn weight(token: usize) -> u32 {
    u32::try_from(512 + token * 2).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
