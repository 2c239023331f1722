//! The keys of an issuer: read from a JSON Web Key Set (RFC 7517) or made from a secret, and what each may verify.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::identity::{Refusal, json, roca, token::Token};

/// The keys that may verify an issuer's tokens.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<Key>,
    skipped: Vec<Skipped>,
    source: Vec<u8>,
}

/// A key of a published set that is not used, as RFC 7517 §5 asks, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its `kid`, or its place in the set.
    pub key: String,
    /// What is wrong with it.
    pub reason: KeyError,
}

/// Why a set is refused as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeySetError {
    /// Not JSON, or not an object with an array `keys`.
    #[error("not a JSON Web Key Set: {0}")]
    NotASet(String),
    /// More keys than [`KeySet::MAX_KEYS`].
    #[error("it has {0} keys; {max} are the most", max = KeySet::MAX_KEYS)]
    TooMany(usize),
    /// A private key where anybody may read it.
    #[error("key {0} is a private key, so anybody who reads the set can sign")]
    Private(String),
    /// A secret next to public keys.
    #[error("key {0} is a secret among public keys")]
    Mixed(String),
    /// Two keys that a token could mean by one `kid`.
    #[error("two keys for the same algorithm have the kid {0}")]
    SameKid(String),
    /// Nothing is left.
    #[error("it has no key that can verify a token{}", list(.0))]
    NoKey(Vec<Skipped>),
}

/// Why a key is not used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// A type of key or curve we do not verify with.
    #[error("its type or curve is not supported")]
    Unsupported,
    /// Its `alg`, `use` or `key_ops` is for something else.
    #[error("it is not for verifying signatures with an algorithm of its type")]
    NotForVerifying,
    /// A member is missing or not what it should be.
    #[error("its member {0} is missing or wrong")]
    BadMember(&'static str),
    /// An RSA modulus outside 2,048 to 8,192 bits, an exponent of 1, or a secret shorter than its hash.
    #[error("it is too weak")]
    Weak,
}

struct Key {
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
    secret: bool,
    decoding: DecodingKey,
}

const HMAC: [(Algorithm, usize); 3] = [(Algorithm::HS256, 32), (Algorithm::HS384, 48), (Algorithm::HS512, 64)];

/// The algorithm of a JOSE name, if we verify with it.
pub fn algorithm(name: &str) -> Option<Algorithm> {
    match name {
        // RFC 9864 gives EdDSA with this curve a name of its own; it is the only curve we have.
        "Ed25519" => Some(Algorithm::EdDSA),
        _ => name.parse().ok(),
    }
}

/// Verifies a token's signature, and no more. The algorithm must be among `allowed` and be one of the key's own.
pub fn verify_signature(keys: &KeySet, allowed: &[Algorithm], token: &Token) -> Result<(), Refusal> {
    let algorithm = algorithm(&token.header.alg).filter(|algorithm| allowed.contains(algorithm));
    let algorithm = algorithm.ok_or(Refusal::BadSignature)?;
    let kid = token.header.kid.as_deref();
    let mut fitting = keys.keys.iter().filter(|key| key.fits(algorithm, kid));
    match fitting.any(|key| key.verifies(algorithm, token)) {
        true => Ok(()),
        false => Err(Refusal::BadSignature),
    }
}

// === impl KeySet ===

impl KeySet {
    /// The most keys a set may have.
    pub const MAX_KEYS: usize = 100;

    const MAX_DEPTH: usize = 8;

    /// Reads `{"keys": […]}`. Keys we cannot use are skipped; keys that make the whole set doubtful refuse it.
    pub fn parse(text: &[u8]) -> Result<Self, KeySetError> {
        let jwks = members(text)?;
        let mut set = Self { keys: Vec::new(), skipped: Vec::new(), source: text.to_vec() };
        for (place, jwk) in jwks.iter().enumerate() {
            set.add(name_of(jwk, place), jwk)?;
        }
        set.check()?;
        Ok(set)
    }

    /// The one key that a shared secret is. It fits every `kid`.
    pub fn of_secret(secret: &[u8]) -> Result<Self, KeyError> {
        let key = Key::of_secret(secret, None)?;
        Ok(Self { keys: vec![key], skipped: Vec::new(), source: Vec::new() })
    }

    /// Keys that are not used.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// Keys in use.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// True of no set that was read, as one without a key is refused.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// True for shared secrets, which must not come over a network.
    pub fn is_secret(&self) -> bool {
        self.keys.iter().any(|key| key.secret)
    }

    /// True if some key may verify with this algorithm.
    pub fn supports(&self, algorithm: Algorithm) -> bool {
        self.keys.iter().any(|key| key.algorithms.contains(&algorithm))
    }

    /// True if a key bears exactly this name.
    pub fn has(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid.as_deref() == Some(kid))
    }

    /// True if the set was read from the very same text.
    pub fn is_same(&self, other: &KeySet) -> bool {
        self.source == other.source
    }

    fn add(&mut self, name: String, jwk: &Value) -> Result<(), KeySetError> {
        if jwk.get("d").is_some() {
            return Err(KeySetError::Private(name));
        }
        match Key::parse(jwk) {
            Ok(key) => self.keys.push(key),
            Err(reason) => self.skipped.push(Skipped { key: name, reason }),
        }
        Ok(())
    }

    fn check(&self) -> Result<(), KeySetError> {
        if self.keys.is_empty() {
            return Err(KeySetError::NoKey(self.skipped.clone()));
        }
        let secrets = self.keys.iter().filter(|key| key.secret).count();
        if secrets > 0 && secrets < self.keys.len() {
            let secret = self.keys.iter().find(|key| key.secret).and_then(|key| key.kid.clone());
            return Err(KeySetError::Mixed(secret.unwrap_or_else(|| "without a kid".into())));
        }
        match self.doubled().or_else(|| self.shadowed()) {
            Some(kid) => Err(KeySetError::SameKid(kid.to_owned())),
            None => Ok(()),
        }
    }

    fn doubled(&self) -> Option<&str> {
        let mut pairs = self.keys.iter().enumerate().flat_map(|(place, key)| self.keys[place + 1..].iter().map(move |other| (key, other)));
        pairs.find(|(key, other)| key.is_mistakable_for(other)).and_then(|(key, _)| key.kid.as_deref())
    }

    // A broken key under the name of a sound one: nobody can say which of the two was meant.
    fn shadowed(&self) -> Option<&str> {
        let mut kids = self.keys.iter().filter_map(|key| key.kid.as_deref());
        kids.find(|kid| self.skipped.iter().any(|skipped| skipped.is_broken() && skipped.key == quoted(kid)))
    }
}

fn members(text: &[u8]) -> Result<Vec<Value>, KeySetError> {
    let mut set = json::object(text, KeySet::MAX_DEPTH).map_err(|error| KeySetError::NotASet(error.to_string()))?;
    let Some(Value::Array(jwks)) = set.remove("keys") else {
        return Err(KeySetError::NotASet("it has no array `keys`".into()));
    };
    match jwks.len() {
        count if count > KeySet::MAX_KEYS => Err(KeySetError::TooMany(count)),
        _ => Ok(jwks),
    }
}

fn name_of(jwk: &Value, place: usize) -> String {
    let kid = jwk.get("kid").and_then(Value::as_str);
    kid.map_or_else(|| format!("#{place}"), quoted)
}

// Escaped too, as it ends up in logs.
fn quoted(kid: &str) -> String {
    format!("{kid:?}")
}

fn list(skipped: &[Skipped]) -> String {
    skipped.iter().map(|Skipped { key, reason }| format!("; {key}: {reason}")).collect()
}

impl Skipped {
    fn is_broken(&self) -> bool {
        matches!(self.reason, KeyError::BadMember(_) | KeyError::Weak)
    }
}

// === impl Key ===

impl Key {
    fn parse(jwk: &Value) -> Result<Self, KeyError> {
        let jwk = jwk.as_object().ok_or(KeyError::Unsupported)?;
        let mut key = match text(jwk, "kty")? {
            "RSA" => Self::parse_rsa(jwk)?,
            "EC" => Self::parse_ec(jwk)?,
            "OKP" => Self::parse_okp(jwk)?,
            "oct" => Self::of_secret(&bytes(jwk, "k")?, None)?,
            _ => return Err(KeyError::Unsupported),
        };
        key.kid = optional_text(jwk, "kid")?.map(str::to_owned);
        key.narrow(jwk)?;
        Ok(key)
    }

    fn parse_rsa(jwk: &Map<String, Value>) -> Result<Self, KeyError> {
        let (modulus, exponent) = (unsigned(&bytes(jwk, "n")?), unsigned(&bytes(jwk, "e")?));
        let bits = modulus.len() * 8 - modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
        // The bounds of the verifier. An even exponent is none, and 1 makes every message its own signature.
        let exponent_is_sound = matches!(exponent.as_slice(), [.., last] if last % 2 == 1) && exponent != [1];
        if !(2_048..=8_192).contains(&bits) || !exponent_is_sound || roca::is_marked(&modulus) {
            return Err(KeyError::Weak);
        }
        let decoding = DecodingKey::from_rsa_raw_components(&modulus, &exponent);
        Ok(Self::public(AlgorithmFamily::Rsa.algorithms().to_vec(), decoding))
    }

    fn parse_ec(jwk: &Map<String, Value>) -> Result<Self, KeyError> {
        let (algorithm, length) = match text(jwk, "crv")? {
            "P-256" => (Algorithm::ES256, 32),
            "P-384" => (Algorithm::ES384, 48),
            _ => return Err(KeyError::Unsupported),
        };
        let (x, y) = (text(jwk, "x")?, text(jwk, "y")?);
        // RFC 7518 §6.2.1.2: leading zeros are written out.
        if bytes(jwk, "x")?.len() != length || bytes(jwk, "y")?.len() != length {
            return Err(KeyError::BadMember("x or y"));
        }
        let decoding = DecodingKey::from_ec_components(x, y).map_err(|_| KeyError::BadMember("x or y"))?;
        Ok(Self::public(vec![algorithm], decoding))
    }

    fn parse_okp(jwk: &Map<String, Value>) -> Result<Self, KeyError> {
        if text(jwk, "crv")? != "Ed25519" {
            return Err(KeyError::Unsupported);
        }
        let x = bytes(jwk, "x")?;
        if x.len() != 32 {
            return Err(KeyError::BadMember("x"));
        }
        Ok(Self::public(vec![Algorithm::EdDSA], DecodingKey::from_ed_der(&x)))
    }

    // RFC 7518 §3.2: a secret is at least as long as the hash.
    fn of_secret(secret: &[u8], kid: Option<String>) -> Result<Self, KeyError> {
        let long_enough = HMAC.iter().filter(|(_, length)| secret.len() >= *length);
        let algorithms: Vec<_> = long_enough.map(|(algorithm, _)| *algorithm).collect();
        if algorithms.is_empty() {
            return Err(KeyError::Weak);
        }
        Ok(Self { kid, algorithms, secret: true, decoding: DecodingKey::from_secret(secret) })
    }

    fn public(algorithms: Vec<Algorithm>, decoding: DecodingKey) -> Self {
        Self { kid: None, algorithms, secret: false, decoding }
    }

    // To what the key itself says it is for.
    fn narrow(&mut self, jwk: &Map<String, Value>) -> Result<(), KeyError> {
        if optional_text(jwk, "use")?.is_some_and(|purpose| purpose != "sig") {
            return Err(KeyError::NotForVerifying);
        }
        if jwk.get("key_ops").is_some_and(|operations| !names_verify(operations)) {
            return Err(KeyError::NotForVerifying);
        }
        if let Some(name) = optional_text(jwk, "alg")? {
            self.algorithms.retain(|own| algorithm(name) == Some(*own));
        }
        match self.algorithms.is_empty() {
            true => Err(KeyError::NotForVerifying),
            false => Ok(()),
        }
    }

    // A key without a name fits any name, and a token without one any key: the signature decides in the end.
    fn fits(&self, algorithm: Algorithm, kid: Option<&str>) -> bool {
        let named = match (self.kid.as_deref(), kid) {
            (Some(own), Some(asked)) => own == asked,
            _ => true,
        };
        named && self.algorithms.contains(&algorithm)
    }

    fn verifies(&self, algorithm: Algorithm, token: &Token) -> bool {
        jsonwebtoken::crypto::verify(token.signature, token.signed, &self.decoding, algorithm).unwrap_or(false)
    }

    fn is_mistakable_for(&self, other: &Key) -> bool {
        let shared = self.algorithms.iter().any(|algorithm| other.algorithms.contains(algorithm));
        self.kid.is_some() && self.kid == other.kid && shared
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.debug_struct("Key").field("kid", &self.kid).field("algorithms", &self.algorithms).finish_non_exhaustive()
    }
}

fn names_verify(operations: &Value) -> bool {
    operations.as_array().is_some_and(|operations| operations.iter().any(|operation| operation == "verify"))
}

fn text<'a>(jwk: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, KeyError> {
    optional_text(jwk, name)?.ok_or(KeyError::BadMember(name))
}

fn optional_text<'a>(jwk: &'a Map<String, Value>, name: &'static str) -> Result<Option<&'a str>, KeyError> {
    match jwk.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(KeyError::BadMember(name)),
    }
}

fn bytes(jwk: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, KeyError> {
    URL_SAFE_NO_PAD.decode(text(jwk, name)?).map_err(|_| KeyError::BadMember(name))
}

// Some publishers write a sign byte or more in front.
fn unsigned(number: &[u8]) -> Vec<u8> {
    number.iter().copied().skip_while(|byte| *byte == 0).collect()
}

#[cfg(test)]
mod tests;
