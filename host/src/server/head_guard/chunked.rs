//! Checks a chunked body as its bytes pass by and says where it ends. Copies and decodes nothing.

use memchr::memchr;

use super::head::name_end;
use super::violation::Violation;

/// Where in a chunked body the next byte stands.
#[derive(Debug, Clone)]
pub struct Chunked {
    place: Place,
    /// Extension bytes that may still come, over all chunks.
    extension_left: usize,
    /// The trailer line that is arriving, and what trailers there were.
    trailer: Vec<u8>,
    trailer_left: usize,
    trailers: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Size { digits: u8, size: u64 },
    Extension { size: u64 },
    SizeEnd { size: u64 },
    Data { left: u64 },
    DataReturn,
    DataEnd,
    Trailer,
    Done,
}

const MAX_EXTENSIONS: usize = 1024;
const MAX_TRAILER_BYTES: usize = 8 * 1024;
const MAX_TRAILERS: usize = 64;
const MAX_DIGITS: u8 = 16;
const SIZE: Place = Place::Size { digits: 0, size: 0 };

impl Chunked {
    /// The front of a body.
    pub fn new() -> Self {
        Self { place: SIZE, extension_left: MAX_EXTENSIONS, trailer: Vec::new(), trailer_left: MAX_TRAILER_BYTES, trailers: 0 }
    }

    /// Whether the last byte of the body has passed.
    pub fn is_done(&self) -> bool {
        self.place == Place::Done
    }

    /// Takes bytes of the body from the front of `bytes` and says how many; fewer than all only at the body's end.
    ///
    /// On a violation the bytes in front of it are fit to pass, and their number comes with it.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<usize, (usize, Violation)> {
        let mut used = 0;
        while used < bytes.len() && !self.is_done() {
            used += self.step(&bytes[used..]).map_err(|violation| (used, violation))?;
        }
        Ok(used)
    }

    /// One byte, or a run of data or trailer bytes.
    fn step(&mut self, rest: &[u8]) -> Result<usize, Violation> {
        let byte = rest[0];
        self.place = match (self.place, byte) {
            (Place::Data { left }, _) => {
                let run = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
                let left = left - run as u64;
                self.place = if left == 0 { Place::DataReturn } else { Place::Data { left } };
                return Ok(run);
            }
            (Place::Trailer, _) => return self.take_trailer(rest),
            (Place::Size { digits, size }, _) if byte.is_ascii_hexdigit() => grow(digits, size, byte)?,
            (Place::Size { digits: 1.., size }, b';') => self.extend(size)?,
            (Place::Size { digits: 1.., size } | Place::Extension { size }, b'\r') => Place::SizeEnd { size },
            (Place::Extension { size }, b'\t' | b' '..=b'~' | 0x80..) => self.extend(size)?,
            (Place::SizeEnd { size: 0 }, b'\n') => Place::Trailer,
            (Place::SizeEnd { size }, b'\n') => Place::Data { left: size },
            (Place::DataReturn, b'\r') => Place::DataEnd,
            (Place::DataEnd, b'\n') => SIZE,
            _ => return Err(Violation::Chunk),
        };
        Ok(1)
    }

    fn extend(&mut self, size: u64) -> Result<Place, Violation> {
        self.extension_left = self.extension_left.checked_sub(1).ok_or(Violation::ChunkExtension)?;
        Ok(Place::Extension { size })
    }

    /// Takes bytes up to the next line end; a line is looked at once it is whole.
    fn take_trailer(&mut self, rest: &[u8]) -> Result<usize, Violation> {
        let end = memchr(b'\n', rest);
        let run = end.map_or(rest.len(), |end| end + 1);
        self.trailer_left = self.trailer_left.checked_sub(run).ok_or(Violation::TrailersTooLarge)?;
        self.trailer.extend_from_slice(&rest[..run]);
        if end.is_some() {
            let line = std::mem::take(&mut self.trailer);
            self.place = self.check_trailer(&line)?;
        }
        Ok(run)
    }

    fn check_trailer(&mut self, line: &[u8]) -> Result<Place, Violation> {
        let line = line.strip_suffix(b"\r\n").ok_or(Violation::Trailer)?;
        if line.is_empty() {
            return Ok(Place::Done);
        }
        self.trailers += 1;
        if self.trailers > MAX_TRAILERS {
            return Err(Violation::TrailersTooLarge);
        }
        let colon = name_end(line, false).map_err(|_| Violation::Trailer)?;
        let is_text = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
        if line[colon..].iter().all(is_text) { Ok(Place::Trailer) } else { Err(Violation::Trailer) }
    }
}

fn grow(digits: u8, size: u64, digit: u8) -> Result<Place, Violation> {
    if digits == MAX_DIGITS {
        return Err(Violation::Chunk);
    }
    let value = char::from(digit).to_digit(16).map_or(0, u64::from);
    Ok(Place::Size { digits: digits + 1, size: size << 4 | value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(bytes: &[u8], step: usize) -> Result<(usize, bool), Violation> {
        let mut chunked = Chunked::new();
        let mut used = 0;
        for piece in bytes.chunks(step) {
            used += chunked.advance(piece).map_err(|(_, violation)| violation)?;
        }
        Ok((used, chunked.is_done()))
    }

    #[track_caller]
    fn check(body: &[u8], expected: Result<usize, Violation>) {
        for step in 1..=body.len() {
            let ran = run(body, step);
            assert_eq!(ran.map(|(used, _)| used), expected, "{:?} in pieces of {step}", body.escape_ascii().to_string());
            assert!(ran.is_err() || ran == Ok((expected.unwrap_or(0), true)), "the end was seen");
        }
    }

    #[test]
    fn a_body_ends_where_it_says() {
        check(b"0\r\n\r\n", Ok(5));
        check(b"0\r\n\r\nGET / HTTP/1.1\r\n", Ok(5));
        check(b"3\r\nabc\r\n0\r\n\r\n", Ok(13));
        check(b"3;x=y;z=\"q\"\r\na\rb\r\n00\r\nx: y\r\nz:\t\r\n\r\nrest", Ok(35));
        check(b"000000000000000A\r\n0123456789\r\n0\r\n\r\n", Ok(35));
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for body in [
            &b"\r\n"[..],
            b";x\r\n",
            b"g\r\n",
            b" 3\r\n",
            b"3 \r\n",
            b"3 ;x\r\n",
            b"+3\r\n",
            b"0x3\r\n",
            b"-1\r\n",
            b"3\nabc",
            b"3\r\rabc",
            b"00000000000000000\r\n",
            b"10000000000000000\r\n",
            b"3\r\nabcd",
            b"3\r\nabc\n",
            b"3\r\nabc\r\r",
            b"3;\n\r\n",
            b"3;a\0\r\n",
            b"3;a\x7f\r\n",
        ] {
            check(body, Err(Violation::Chunk));
        }
    }

    #[test]
    fn malformed_trailers_are_refused() {
        for body in [
            &b"0\r\n\n"[..],
            b"0\r\nx\r\n",
            b"0\r\nx : y\r\n",
            b"0\r\n x: y\r\n",
            b"0\r\nx: y\n",
            b"0\r\nx: y\0\r\n",
            b"0\r\nx: a\rb\r\n",
            b"0\r\n: y\r\n",
        ] {
            check(body, Err(Violation::Trailer));
        }
    }

    #[test]
    fn extensions_and_trailers_are_bounded_over_the_whole_body() {
        let chunk = [b"1;", "e".repeat(511).as_bytes(), b"\r\nx\r\n"].concat();
        assert_eq!(run(&chunk.repeat(2), 7), Ok((chunk.len() * 2, false)), "1024 bytes of extensions are fine");
        assert_eq!(run(&chunk.repeat(3), 7), Err(Violation::ChunkExtension), "one more is not");
        let long = [b"0\r\nx: ", "y".repeat(MAX_TRAILER_BYTES).as_bytes()].concat();
        assert_eq!(run(&long, 100), Err(Violation::TrailersTooLarge), "a long trailer");
        let many = [b"0\r\n", "x: y\r\n".repeat(MAX_TRAILERS + 1).as_bytes()].concat();
        assert_eq!(run(&many, 100), Err(Violation::TrailersTooLarge), "many trailers");
    }

    #[test]
    fn bytes_before_a_violation_are_counted() {
        let mut chunked = Chunked::new();
        assert_eq!(chunked.advance(b"3\r\nabc\r\nxyz"), Err((8, Violation::Chunk)), "the good chunk passes");
    }
}
