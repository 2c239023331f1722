//! One parameter of a query: its values, and the query without it. Everything else stays as it was written.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

/// The values of the parameter, decoded.
pub fn values<'a>(query: &'a str, name: &'a str) -> impl Iterator<Item = Cow<'a, [u8]>> {
    pairs(query).filter(move |(key, _)| is(key, name)).map(|(_, value)| decoded(value))
}

/// The query without the parameter; none if it is not in there.
pub fn without(query: &str, name: &str) -> Option<String> {
    let parts = || query.split('&');
    if !parts().any(|part| is(split(part).0, name)) {
        return None;
    }
    let rest: Vec<&str> = parts().filter(|part| !is(split(part).0, name)).collect();
    Some(rest.join("&"))
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').map(split)
}

fn split(part: &str) -> (&str, &str) {
    part.split_once('=').unwrap_or((part, ""))
}

// However it is written, a server behind would read it as this name.
fn is(key: &str, name: &str) -> bool {
    *decoded(key) == *name.as_bytes()
}

/// Percent-encoding and the form's `+` undone; what is neither stays.
fn decoded(text: &str) -> Cow<'_, [u8]> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text.as_bytes());
    }
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let (byte, length) = match (first, after) {
            (b'%', [high, low, ..]) => octet(*high, *low).map_or((b'%', 1), |octet| (octet, 3)),
            (b'+', _) => (b' ', 1),
            _ => (first, 1),
        };
        bytes.push(byte);
        rest = &rest[length..];
    }
    Cow::Owned(bytes)
}

fn octet(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, expected: &[&[u8]], rest: Option<&str>) {
        let found: Vec<Vec<u8>> = values(query, "key").map(Cow::into_owned).collect();
        assert_eq!(found, expected, "the values in {query:?}");
        assert_eq!(without(query, "key").as_deref(), rest, "{query:?} without it");
    }

    #[test]
    fn a_parameter_is_found_and_cut_out_however_it_is_written() {
        check("key=abc", &[b"abc"], Some(""));
        check("a=1&key=abc&b=%20+", &[b"abc"], Some("a=1&b=%20+"));
        check("%6Bey=abc", &[b"abc"], Some(""));
        check("key=a%2Bb+c%zz%4", &[b"a+b c%zz%4"], Some(""));
        check("key=a&key=b", &[b"a", b"b"], Some(""));
        check("key&x", &[b""], Some("x"));
        check("keys=a&Key=b&&x", &[], None);
        check("", &[], None);
    }
}
