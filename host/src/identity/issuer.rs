//! One issuer of tokens: its settings, checked once, and the keys it is known to sign with at the moment.

use std::{
    fmt, fs, io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwapOption;
use http::{Uri, uri::Scheme};
use jsonwebtoken::{Algorithm, AlgorithmFamily};
use thiserror::Error;
use tracing::warn;

use crate::identity::{
    Refusal,
    claims::Claims,
    demand::{Awaited, Demand, Setback},
    discovery::{self, DiscoveryError, Metadata},
    key::{self, KeyError, KeySet, KeySetError},
    token::Token,
};

/// An issuer as configured. Two that are equal are the same issuer, whose keys survive a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its name in the configuration.
    pub name: String,
    /// What its tokens have as `iss`, to the letter.
    pub issuer: String,
    /// What its tokens must name in `aud`, one of them; empty for anything.
    pub audiences: Vec<String>,
    /// The algorithms it may sign with, by their JOSE names.
    pub algorithms: Vec<String>,
    /// Where its keys are.
    pub keys: KeySource,
    /// How far ahead of our clock its `nbf` and `iat` may be.
    pub leeway: Duration,
    /// When its keys are fetched, if they are.
    pub refresh: Refresh,
}

/// When an issuer's keys are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refresh {
    /// How long they are fresh where their server says nothing of it.
    pub ttl: Duration,
    /// The least time between two fetches that tokens with unknown keys give rise to.
    pub floor: Duration,
}

/// Where an issuer's keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A JSON Web Key Set in a file, read when the configuration is.
    File(PathBuf),
    /// A JSON Web Key Set at an `http` or `https` address, fetched again and again.
    Url(String),
    /// A JSON Web Key Set at the address that the issuer's own metadata name.
    Discovery,
    /// A secret shared with the issuer, for HS256, HS384 and HS512.
    Secret(Secret),
}

/// A secret that no log shows.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(pub Vec<u8>);

/// An issuer at work.
#[derive(Debug)]
pub struct Issuer {
    settings: Settings,
    algorithms: Vec<Algorithm>,
    keys: ArcSwapOption<KeySet>,
    remote: Option<Remote>,
    metadata: ArcSwapOption<Metadata>,
    attended: AtomicBool,
}

/// Keys that have to be fetched.
#[derive(Debug, Clone)]
pub struct Remote {
    /// Where they are. None for the address in the issuer's metadata.
    pub url: Option<Uri>,
    /// What asks for them out of turn.
    pub demand: Arc<Demand>,
}

/// What is wrong with a configured issuer.
#[derive(Debug, Error)]
pub enum IssuerError {
    /// Two issuers of one name.
    #[error("there are two issuers named {0}")]
    TwoOfAName(String),
    /// An empty `issuer`.
    #[error("issuer {0} does not say what its tokens have as `iss`")]
    NoIssuer(String),
    /// No algorithm at all.
    #[error("issuer {0} allows no algorithm")]
    NoAlgorithm(String),
    /// Not an algorithm we verify with; `none` is one of those.
    #[error("issuer {issuer} allows {algorithm:?}, which is not one of {}", ALGORITHMS.join(" "))]
    UnknownAlgorithm {
        /// Its name.
        issuer: String,
        /// What it allows.
        algorithm: String,
    },
    /// An algorithm that none of its keys can do.
    #[error("issuer {issuer} allows {algorithm}, and none of its keys is for that{}", hint(.algorithm, *.secret))]
    NoKeyFor {
        /// Its name.
        issuer: String,
        /// What it allows.
        algorithm: &'static str,
        /// It has a secret and not public keys.
        secret: bool,
    },
    /// A leeway too long to be safe.
    #[error("issuer {issuer} has a leeway of {leeway:?}; a minute is the most")]
    Leeway {
        /// Its name.
        issuer: String,
        /// What it has.
        leeway: Duration,
    },
    /// A key set that cannot be read.
    #[error("the keys of issuer {issuer} cannot be read from {}", path.display())]
    Unreadable {
        /// Its name.
        issuer: String,
        /// Where its keys should be.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A key set that is none, or not one to trust.
    #[error("the keys of issuer {issuer} in {} are not usable", path.display())]
    BadKeys {
        /// Its name.
        issuer: String,
        /// Where they are.
        path: PathBuf,
        /// Why not.
        source: KeySetError,
    },
    /// A secret that can be guessed.
    #[error("the secret of issuer {issuer} is not usable; 32 bytes are the least")]
    BadSecret {
        /// Its name.
        issuer: String,
        /// Why not.
        source: KeyError,
    },
    /// An address we do not fetch from.
    #[error("issuer {issuer} has its keys at {url:?}, which is not an http or https address of a host")]
    BadUrl {
        /// Its name.
        issuer: String,
        /// What it has.
        url: String,
    },
    /// An issuer that cannot be asked where its keys are.
    #[error("issuer {issuer} has neither keys nor a secret, and cannot be asked where its keys are")]
    Undiscoverable {
        /// Its name.
        issuer: String,
        /// Why not.
        source: DiscoveryError,
    },
}

/// The algorithms tokens are verified with, by their JOSE names.
pub const ALGORITHMS: [&str; 12] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "HS256", "HS384", "HS512"];

// === impl IssuerError ===

impl IssuerError {
    /// The setting it is about, by its key in an issuer's configuration.
    pub fn key(&self) -> &'static str {
        match self {
            Self::TwoOfAName(_) => "name",
            Self::NoIssuer(_) | Self::Undiscoverable { .. } => "issuer",
            Self::NoAlgorithm(_) | Self::UnknownAlgorithm { .. } | Self::NoKeyFor { .. } => "algorithms",
            Self::Leeway { .. } => "leeway",
            Self::Unreadable { .. } | Self::BadKeys { .. } | Self::BadUrl { .. } => "jwks",
            Self::BadSecret { .. } => "secret",
        }
    }
}

// === impl Settings ===

impl Settings {
    /// The leeway where the configuration says nothing.
    pub const DEFAULT_LEEWAY: Duration = Duration::from_secs(30);

    const MAX_LEEWAY: Duration = Duration::from_secs(60);

    fn check(&self) -> Result<Vec<Algorithm>, IssuerError> {
        let issuer = || self.name.clone();
        if self.issuer.is_empty() {
            return Err(IssuerError::NoIssuer(issuer()));
        }
        if self.algorithms.is_empty() {
            return Err(IssuerError::NoAlgorithm(issuer()));
        }
        if self.leeway > Self::MAX_LEEWAY {
            return Err(IssuerError::Leeway { issuer: issuer(), leeway: self.leeway });
        }
        let unknown = |algorithm: &String| IssuerError::UnknownAlgorithm { issuer: issuer(), algorithm: algorithm.clone() };
        self.algorithms.iter().map(|name| key::algorithm(name).ok_or_else(|| unknown(name))).collect()
    }
}

// === impl Issuer ===

impl Issuer {
    /// Checks the settings and reads the keys, unless they have to be fetched.
    pub fn build(settings: Settings) -> Result<Self, IssuerError> {
        let algorithms = settings.check()?;
        let (keys, remote) = match &settings.keys {
            KeySource::File(path) => (Some(read(&settings.name, path)?), None),
            KeySource::Secret(secret) => (Some(share(&settings.name, secret)?), None),
            KeySource::Url(url) => (None, Some(Remote::at(Some(address(&settings.name, url)?), settings.refresh))),
            KeySource::Discovery => (None, Some(Remote::discovered(&settings)?)),
        };
        check_algorithms(&settings.name, &algorithms, keys.as_ref())?;
        let (keys, metadata) = (ArcSwapOption::from_pointee(keys), ArcSwapOption::empty());
        Ok(Self { settings, algorithms, keys, remote, metadata, attended: AtomicBool::new(false) })
    }

    /// Its settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Verifies the signature, then the claims; says when the token ends and by which keys that holds.
    pub fn verify(&self, token: &Token, claims: &Claims, now: SystemTime) -> Result<(SystemTime, Arc<KeySet>), Setback> {
        loop {
            let keys = self.keys.load_full();
            match self.verify_by(keys.as_ref(), token, claims, now) {
                // Others came while these were tried, so it was too late to ask for them.
                Err(Setback { awaited: None, .. }) if !self.is_keyed_by(keys.as_ref()) => {}
                outcome => return outcome.map(|expires| (expires, keys.expect("it was verified by keys"))),
            }
        }
    }

    /// True while tokens are verified by exactly these keys.
    pub fn uses(&self, keys: &Arc<KeySet>) -> bool {
        self.is_keyed_by(Some(keys))
    }

    /// True once there are keys.
    pub fn has_keys(&self) -> bool {
        self.keys.load().is_some()
    }

    /// Takes over what was fetched. The keys in use stay if nothing changed, and with them what was verified by them.
    pub fn accept(&self, keys: KeySet) {
        self.warn_of_skipped(&keys);
        let unchanged = self.keys.load().as_ref().is_some_and(|current| current.is_same(&keys));
        if !unchanged {
            self.keys.store(Some(Arc::new(keys)));
        }
    }

    /// Tells of the keys that are here and cannot be used.
    pub fn warn(&self) {
        if let Some(keys) = self.keys.load().as_ref() {
            self.warn_of_skipped(keys);
        }
    }

    /// Stops to trust the keys.
    pub fn forget_keys(&self) {
        self.keys.store(None);
    }

    /// Where its keys are fetched from, if they are.
    pub fn remote(&self) -> Option<&Remote> {
        self.remote.as_ref()
    }

    /// What it publishes about itself. None before that was fetched, and where it is not needed.
    pub fn metadata(&self) -> Option<Arc<Metadata>> {
        self.metadata.load_full()
    }

    /// Takes over what it publishes about itself.
    pub fn describe(&self, metadata: Arc<Metadata>) {
        self.metadata.store(Some(metadata));
    }

    /// True the first time it is asked, so that one loop fetches the keys and no second.
    pub fn claim(&self) -> bool {
        !self.attended.swap(true, Relaxed)
    }

    /// True if `other`, configured now, is this very issuer: the same settings and, from a file, the same keys.
    pub fn is_same(&self, other: &Issuer) -> bool {
        let same_keys = || match (self.keys.load().as_ref(), other.keys.load().as_ref()) {
            (Some(ours), Some(theirs)) => ours.is_same(theirs),
            _ => false,
        };
        self.settings == other.settings && (self.remote.is_some() || same_keys())
    }

    fn warn_of_skipped(&self, keys: &KeySet) {
        for skipped in keys.skipped() {
            warn!(issuer = self.settings.name, key = skipped.key, reason = %skipped.reason, "skipped a key");
        }
    }

    fn is_keyed_by(&self, keys: Option<&Arc<KeySet>>) -> bool {
        self.keys.load().as_ref().map(Arc::as_ptr) == keys.map(Arc::as_ptr)
    }

    fn verify_by(&self, keys: Option<&Arc<KeySet>>, token: &Token, claims: &Claims, now: SystemTime) -> Result<SystemTime, Setback> {
        let Some(keys) = keys else { return Err(self.without_keys(claims, now)) };
        if let Err(refusal) = key::verify_signature(keys, &self.algorithms, token) {
            return Err(Setback { refusal, awaited: self.ask_for_key(keys, token, claims, now) });
        }
        Ok(self.check_claims(claims, now)?)
    }

    fn check_claims(&self, claims: &Claims, now: SystemTime) -> Result<SystemTime, Refusal> {
        let expires = claims.check_time(now, self.settings.leeway)?;
        claims.check_audience(&self.settings.audiences)?;
        Ok(expires)
    }

    // The first fetch, or one after the keys were given up.
    fn without_keys(&self, claims: &Claims, now: SystemTime) -> Setback {
        let remote = self.remote.as_ref().filter(|_| self.check_claims(claims, now).is_ok());
        Setback { refusal: Refusal::KeysUnavailable, awaited: remote.and_then(|remote| remote.demand.ask()) }
    }

    // Only where another key could make the token good: not for a key that is here, for an algorithm that is not allowed,
    // nor for old tokens, of which many are about when keys have changed.
    fn ask_for_key(&self, keys: &KeySet, token: &Token, claims: &Claims, now: SystemTime) -> Option<Awaited> {
        let demand = &self.remote.as_ref()?.demand;
        let allowed = key::algorithm(&token.header.alg).is_some_and(|algorithm| self.algorithms.contains(&algorithm));
        if !allowed || self.check_claims(claims, now).is_err() {
            return None;
        }
        match token.header.kid.as_deref() {
            Some(kid) if keys.has(kid) => None,
            Some(_) => demand.ask(),
            None => demand.ask_nameless(),
        }
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        if let Some(remote) = &self.remote {
            remote.demand.close();
        }
    }
}

// === impl Remote ===

impl Remote {
    fn at(url: Option<Uri>, refresh: Refresh) -> Self {
        Self { url, demand: Arc::new(Demand::new(refresh.floor)) }
    }

    fn discovered(settings: &Settings) -> Result<Self, IssuerError> {
        let undiscoverable = |source| IssuerError::Undiscoverable { issuer: settings.name.clone(), source };
        discovery::addresses(&settings.issuer).map_err(undiscoverable)?;
        Ok(Self::at(None, settings.refresh))
    }
}

// === impl Refresh ===

impl Default for Refresh {
    fn default() -> Self {
        Self { ttl: Duration::from_secs(300), floor: Duration::from_secs(30) }
    }
}

fn read(issuer: &str, path: &PathBuf) -> Result<KeySet, IssuerError> {
    let text = fs::read(path).map_err(|source| IssuerError::Unreadable { issuer: issuer.into(), path: path.clone(), source })?;
    KeySet::parse(&text).map_err(|source| IssuerError::BadKeys { issuer: issuer.into(), path: path.clone(), source })
}

fn share(issuer: &str, secret: &Secret) -> Result<KeySet, IssuerError> {
    KeySet::of_secret(&secret.0).map_err(|source| IssuerError::BadSecret { issuer: issuer.into(), source })
}

fn address(issuer: &str, url: &str) -> Result<Uri, IssuerError> {
    let is_ours = |uri: &Uri| {
        let scheme = uri.scheme().is_some_and(|scheme| [Scheme::HTTP, Scheme::HTTPS].contains(scheme));
        let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        scheme && plain
    };
    let uri = url.parse().ok().filter(is_ours);
    uri.ok_or_else(|| IssuerError::BadUrl { issuer: issuer.into(), url: url.into() })
}

// A public key must never be taken for a secret. Keys yet to be fetched are public, whatever they turn out to be.
fn check_algorithms(issuer: &str, algorithms: &[Algorithm], keys: Option<&KeySet>) -> Result<(), IssuerError> {
    let able = |algorithm: &Algorithm| match keys {
        Some(keys) => keys.supports(*algorithm),
        None => algorithm.family() != AlgorithmFamily::Hmac,
    };
    let secret = keys.is_some_and(KeySet::is_secret);
    // Several are allowed ahead of a rotation; a kind of key that can never come is a mistake.
    let possible = |algorithm: &Algorithm| (algorithm.family() == AlgorithmFamily::Hmac) == secret;
    let impossible = algorithms.iter().find(|algorithm| !possible(algorithm));
    let useless = || algorithms.first().filter(|_| !algorithms.iter().any(able));
    let short = || algorithms.iter().find(|algorithm| secret && !able(algorithm));
    match impossible.or_else(useless).or_else(short) {
        Some(algorithm) => Err(IssuerError::NoKeyFor { issuer: issuer.into(), algorithm: name_of(*algorithm), secret }),
        None => Ok(()),
    }
}

fn name_of(algorithm: Algorithm) -> &'static str {
    let is_it = |name: &&&str| key::algorithm(name) == Some(algorithm);
    ALGORITHMS.iter().find(is_it).copied().expect("the list names every algorithm there is")
}

fn hint(algorithm: &str, secret: bool) -> &'static str {
    match (algorithm.starts_with("HS"), secret) {
        (true, false) => "; HS algorithms need a secret",
        (true, true) => "; a secret must be at least as long as the hash",
        (false, true) => "; a secret is for HS algorithms",
        (false, false) => "",
    }
}

// === impl Secret ===

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{} bytes", self.0.len())
    }
}
