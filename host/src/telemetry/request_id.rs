//! Request ids: 128 random bits for each request, written as 32 hex digits without allocating.
//! They name a request in answers and logs; they are not secrets and guard nothing.

use std::cell::RefCell;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::ops::Deref;

use fastrand::Rng;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The name of one request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RequestId(pub [u64; 2]);

/// A request id as its 32 lower-case hex digits, held inline.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestIdText([u8; 32]);

/// A worker's source of request ids.
pub struct RequestIds {
    // Two generators of 64 bits of state: one alone would cycle through only 2^64 of the 2^128 ids.
    halves: RefCell<[Rng; 2]>,
}

impl RequestId {
    /// The id's 32 hex digits.
    pub fn text(self) -> RequestIdText {
        let mut text = [0; 32];
        let (high, low) = text.split_at_mut(16);
        write_hex(high, self.0[0]);
        write_hex(low, self.0[1]);
        RequestIdText(text)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl RequestIdText {
    /// The digits as bytes, for header values.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Deref for RequestIdText {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hex digits are ASCII")
    }
}

impl fmt::Display for RequestIdText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for RequestIdText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl RequestIds {
    /// A source seeded by the operating system's randomness.
    pub fn new() -> Self {
        let halves = [Rng::with_seed(os_seed()), Rng::with_seed(os_seed())];
        Self { halves: RefCell::new(halves) }
    }

    /// The next id.
    pub fn next(&self) -> RequestId {
        let mut halves = self.halves.borrow_mut();
        RequestId(halves.each_mut().map(|half| half.u64(..)))
    }
}

impl Default for RequestIds {
    fn default() -> Self {
        Self::new()
    }
}

/// 64 random bits: std keys every `RandomState` from the operating system, and SipHash spreads that key.
fn os_seed() -> u64 {
    RandomState::new().hash_one("gatehouse request ids")
}

fn write_hex(out: &mut [u8], value: u64) {
    for (byte, pair) in value.to_be_bytes().into_iter().zip(out.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn an_id_is_written_as_32_hex_digits_with_leading_zeros() {
        let id = RequestId([0x0123_4567_89ab_cdef, 0x0f]);
        let expected = "0123456789abcdef000000000000000f";
        assert_eq!(&*id.text(), expected, "as inline text");
        assert_eq!(id.to_string(), expected, "by Display");
        assert_eq!(id.text().as_bytes(), expected.as_bytes(), "as bytes");
    }

    #[test]
    fn the_ids_of_two_workers_do_not_meet() {
        let (one, two) = (RequestIds::new(), RequestIds::new());
        let ids: HashSet<_> = (0..10_000).flat_map(|_| [one.next(), two.next()]).collect();
        assert_eq!(ids.len(), 20_000, "every id is new");
    }
}
