//! The hash of host names and path elements: a folded multiply, a few nanoseconds for a short text.
//! It needs no secret: keys come from the config, and requests only look up.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// A map from host names or path elements.
pub(super) type TextMap<V> = HashMap<Box<str>, V, BuildHasherDefault<TextHasher>>;

/// The state of one hash.
#[derive(Default)]
pub(super) struct TextHasher(u64);

// Digits of pi, as good as any odd number without a pattern.
const FIRST: u64 = 0x243f_6a88_85a3_08d3;
const MULTIPLIER: u64 = 0x1319_8a2e_0370_7345;

impl TextHasher {
    /// One that tells the same text apart under another seed.
    pub(super) fn seeded(seed: u32) -> Self {
        Self(u64::from(seed))
    }
}

impl Hasher for TextHasher {
    fn write(&mut self, bytes: &[u8]) {
        let mut state = self.0 ^ FIRST ^ bytes.len() as u64;
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            state = fold(state ^ u64::from_le_bytes(*word));
        }
        self.0 = fold(state ^ tail(rest));
    }

    // The marker that `str` puts behind its bytes; the length is in the state already.
    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

fn fold(word: u64) -> u64 {
    let product = u128::from(word) * u128::from(MULTIPLIER);
    (product as u64) ^ (product >> 64) as u64
}

/// Up to seven bytes as one word; two reads that overlap beat a loop.
fn tail(rest: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (rest.first_chunk::<4>(), rest.last_chunk::<4>()) {
        return u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last));
    }
    rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn hash(text: &str) -> u64 {
        let mut hasher = TextHasher::default();
        hasher.write(text.as_bytes());
        hasher.finish()
    }

    #[test]
    fn similar_texts_spread_over_low_and_high_bits() {
        let hashes: Vec<u64> = (0..100_000).map(|n| hash(&format!("svc-{n}"))).collect();
        let whole: HashSet<u64> = hashes.iter().copied().collect();
        let low: HashSet<u64> = hashes.iter().map(|hash| hash & 0xffff).collect();
        let high: HashSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
        assert_eq!(whole.len(), 100_000, "no two texts share a hash");
        // 100,000 balls in 65,536 boxes leave about a fifth of them empty.
        assert!(low.len() > 48_000, "the low bits pick the bucket, {} of 65,536 used", low.len());
        assert_eq!(high.len(), 128, "the high seven bits tell neighbours apart");
    }

    #[test]
    fn length_and_every_byte_count() {
        let texts = ["", "\0", "\0\0", "a", "b", "aa", "abcd", "abcde", "abcdefgh", "abcdefgh\0", "abcdefghi"];
        let hashes: HashSet<u64> = texts.iter().map(|text| hash(text)).collect();
        assert_eq!(hashes.len(), texts.len(), "texts of every length class differ");
    }
}
