//! Short names under which tokens seen before are remembered, so that no cache holds anybody's token.

use std::hash::{Hash, Hasher};

use polyval::Polyval;
use polyval::universal_hash::UniversalHash;

/// Makes fingerprints under a key of its own.
///
/// POLYVAL (RFC 8452 §3) is a universal hash: two texts of up to 8 KiB have one fingerprint with a chance below 2^-119 for
/// whoever does not know the key, and no fingerprint ever leaves the process. It takes a third of the time of SHA-256.
pub struct Fingerprints(Polyval);

/// What a text is known by, under one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    hash: u128,
    /// The hash pads with zeros, which must not make two texts one.
    length: usize,
}

impl Fingerprints {
    /// A new key from the operating system's random numbers.
    pub fn new() -> Self {
        let mut key = [0; 16];
        getrandom::fill(&mut key).expect("a process without random numbers could not speak TLS either");
        Self(Polyval::new(&key.into()))
    }

    /// The fingerprint of `text`.
    pub fn of(&self, text: &[u8]) -> Fingerprint {
        let mut hash = self.0.clone();
        hash.update_padded(text);
        Fingerprint { hash: u128::from_le_bytes(hash.finalize().into()), length: text.len() }
    }
}

impl std::fmt::Debug for Fingerprints {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Fingerprints")
    }
}

impl Hash for Fingerprint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_has_one_fingerprint_and_others_have_others() {
        let fingerprints = Fingerprints::new();
        let text = b"eyJhbGciOiJSUzI1NiJ9.e30.c2ln";
        assert_eq!(fingerprints.of(text), fingerprints.of(text), "it is a name");
        for other in [&text[1..], &text[..text.len() - 1], b"", b"\0", b"\0\0", &[text.as_slice(), b"\0"].concat()] {
            assert_ne!(fingerprints.of(text), fingerprints.of(other), "{other:?}");
        }
        assert_ne!(fingerprints.of(b"\0"), fingerprints.of(b""), "padding is not text");
    }

    #[test]
    fn another_process_would_give_another_fingerprint() {
        assert_ne!(Fingerprints::new().of(b"token"), Fingerprints::new().of(b"token"), "the key decides");
    }
}
