//! Bytes of a body that are held: pieces as they came, put together only when a guest changes them.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// A body, or what is there of it.
#[derive(Debug, Default, Clone)]
pub struct Rope {
    pieces: VecDeque<Bytes>,
    len: usize,
}

impl Rope {
    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Adds to the end.
    pub fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.len += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// Takes the first piece.
    pub fn pop(&mut self) -> Option<Bytes> {
        let piece = self.pieces.pop_front()?;
        self.len -= piece.len();
        Some(piece)
    }

    /// Copies the bytes from `start` on; there have to be as many as `to` has room for.
    pub fn copy(&self, start: usize, mut to: &mut [u8]) {
        let mut skip = start;
        for piece in &self.pieces {
            let from = &piece[skip.min(piece.len())..];
            skip = skip.saturating_sub(piece.len());
            let part = from.len().min(to.len());
            let (head, rest) = to.split_at_mut(part);
            head.copy_from_slice(&from[..part]);
            to = rest;
        }
    }

    /// Puts these bytes in place of `length` others. A place past the end is the end.
    pub fn splice(&mut self, start: usize, length: usize, bytes: &[u8]) {
        let start = start.min(self.len);
        let end = start.saturating_add(length).min(self.len);
        if start == self.len {
            return self.push(Bytes::copy_from_slice(bytes));
        }
        let mut whole = BytesMut::zeroed(start);
        self.copy(0, &mut whole);
        whole.extend_from_slice(bytes);
        let kept = whole.len();
        whole.resize(kept + self.len - end, 0);
        self.copy(end, &mut whole[kept..]);
        *self = Self::default();
        self.push(whole.freeze());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rope() -> Rope {
        let mut rope = Rope::default();
        for piece in ["ab", "", "cde", "f"] {
            rope.push(Bytes::from(piece));
        }
        rope
    }

    fn text(rope: &Rope) -> String {
        let mut bytes = vec![0; rope.len()];
        rope.copy(0, &mut bytes);
        String::from_utf8(bytes).expect("letters")
    }

    #[track_caller]
    fn check(start: usize, length: usize, bytes: &str, expected: &str) {
        let mut rope = rope();
        rope.splice(start, length, bytes.as_bytes());
        assert_eq!((text(&rope).as_str(), rope.len()), (expected, expected.len()));
    }

    #[test]
    fn bytes_are_replaced_where_they_are() {
        check(0, 6, "whole", "whole");
        check(0, 99, "", "");
        check(0, 0, "before ", "before abcdef");
        check(6, 0, " after", "abcdef after");
        check(99, 5, " after", "abcdef after");
        check(1, 3, "-", "a-ef");
        check(5, usize::MAX, "!", "abcde!");
    }

    #[test]
    fn a_part_is_copied_from_wherever_it_lies() {
        let mut part = [0; 3];
        rope().copy(1, &mut part);
        assert_eq!(&part, b"bcd");
    }

    #[test]
    fn pieces_leave_as_they_came() {
        let mut rope = rope();
        let pieces: Vec<Bytes> = std::iter::from_fn(|| rope.pop()).collect();
        assert_eq!((pieces, rope.len()), (vec![Bytes::from("ab"), Bytes::from("cde"), Bytes::from("f")], 0));
    }
}
