//! SHA-256 digests as keys of maps, plain or with a pepper.

use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use hmac::{Hmac, Mac};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; 32]);

/// A secret that goes into digests (HMAC-SHA-256), so that whoever steals the digests cannot try guesses against them.
#[derive(Clone)]
pub struct Pepper(Hmac<Sha256>);

/// The hasher of maps keyed by [`Digest`]: eight of its bytes as they are, since they are evenly spread already.
pub type DigestHasher = BuildHasherDefault<Prefix>;

/// See [`DigestHasher`].
#[derive(Debug, Default)]
pub struct Prefix(u64);

// === impl Digest ===

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// A digest that was made elsewhere.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads 64 hexadecimal digits of either case.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut digest = [0; 32];
        for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
        }
        Some(Self(digest))
    }
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        state.write_u64(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
    }
}

// === impl Pepper ===

impl Pepper {
    /// The fewest bytes that are worth their while: a shorter secret could be guessed like a password.
    pub const SHORTEST: usize = 16;

    /// A pepper from a secret of any length.
    pub fn new(secret: &[u8]) -> Self {
        Self(Hmac::new_from_slice(secret).expect("HMAC takes keys of any length"))
    }

    /// The digest of `bytes` with this pepper.
    pub fn digest(&self, bytes: &[u8]) -> Digest {
        Digest(self.0.clone().chain_update(bytes).finalize().into_bytes().into())
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper(…)")
    }
}

// === impl Prefix ===

impl Hasher for Prefix {
    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("a digest hashes as one number");
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
    use super::*;

    #[test]
    fn a_pepper_makes_the_digest_of_rfc_4231() {
        let digest = Pepper::new(b"Jefe").digest(b"what do ya want for nothing?");
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(Digest::from_hex(expected), Some(digest), "test case 2");
    }

    #[test]
    fn hexadecimal_reads_as_the_digest_it_shows() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::from_hex(abc), Some(Digest::of(b"abc")), "FIPS 180-2, appendix B.1");
        assert_eq!(Digest::from_hex(&abc.to_uppercase()), Some(Digest::of(b"abc")), "capitals too");
        for bad in ["", &abc[1..], &format!("{abc}0"), &abc.replace('b', "g"), &"é".repeat(32)] {
            assert_eq!(Digest::from_hex(bad), None, "{bad}");
        }
    }
}
