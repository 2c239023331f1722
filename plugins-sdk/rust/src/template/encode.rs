//! Percent-encoding (RFC 3986 §2.1).

use alloc::string::String;
use alloc::vec::Vec;

/// Percent-encodes everything but unreserved characters (RFC 3986 §2.3).
#[must_use]
pub fn percent_encode(text: &str) -> String {
    encode(text, |bytes, at| is_unreserved(bytes[at]))
}

/// A parameter of a query as part of a path: what it has encoded stays so, and the rest opens neither a piece of a
/// path nor a query. `+` is a space in a query and not in a path.
pub(super) fn sent_in_path(value: &str) -> String {
    encode(&value.replace('+', "%20"), |bytes, at| {
        let hex = |offset: usize| bytes.get(at + offset).is_some_and(u8::is_ascii_hexdigit);
        is_unreserved(bytes[at]) || b"!$'()*,:@".contains(&bytes[at]) || bytes[at] == b'%' && hex(1) && hex(2)
    })
}

/// The text as it was before it was encoded (RFC 3986 §2.1), which need not be UTF-8. In a query `+` may be a space.
#[must_use]
pub fn percent_decode(text: &str, plus_is_space: bool) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = |offset: usize| bytes.get(at + offset).and_then(|&digit| char::from(digit).to_digit(16));
        match (byte, hex(1), hex(2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
                continue;
            }
            (b'+', ..) if plus_is_space => decoded.push(b' '),
            _ => decoded.push(byte),
        }
        at += 1;
    }
    decoded
}

fn encode(text: &str, stays: impl Fn(&[u8], usize) -> bool) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let bytes = text.as_bytes();
    let mut encoded = String::with_capacity(text.len());
    for (at, &byte) in bytes.iter().enumerate() {
        if stays(bytes, at) {
            encoded.push(byte.into());
        } else {
            encoded.push('%');
            encoded.push(DIGITS[usize::from(byte >> 4)].into());
            encoded.push(DIGITS[usize::from(byte & 0xf)].into());
        }
    }
    encoded
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}
