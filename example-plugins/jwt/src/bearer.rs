//! The bearer token of a request (RFC 6750 §2.1). Only the Authorization header counts, never a form or the query.

use gatehouse_plugin::Request;

/// What a request shows for itself.
#[derive(Debug, PartialEq, Eq)]
pub enum Credentials<'a> {
    /// No credentials, or some of another scheme.
    None,
    /// One token.
    Token(&'a [u8]),
    /// Several tokens, or something that is none.
    Ambiguous,
}

/// The credentials in the Authorization header.
pub fn credentials(request: &Request) -> Credentials<'_> {
    let mut lines = request.header_lines("authorization");
    let Some(line) = lines.next() else { return Credentials::None };
    if lines.next().is_some() {
        return Credentials::Ambiguous;
    }
    parse(line)
}

fn parse(line: &[u8]) -> Credentials<'_> {
    let line = line.trim_ascii();
    let end = line.iter().position(|&byte| byte == b' ').unwrap_or(line.len());
    let (scheme, rest) = line.split_at(end);
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return Credentials::None;
    }
    let token = rest.trim_ascii();
    // A comma or a space would be a second token. Whatever else is wrong with it, the gateway sees when it verifies.
    match token.is_empty() || memchr::memchr2(b' ', b',', token).is_some() {
        true => Credentials::Ambiguous,
        false => Credentials::Token(token),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Credentials<'_>) {
        assert_eq!(parse(line.as_bytes()), expected, "{line:?}");
    }

    #[test]
    fn one_token_of_the_bearer_scheme_counts() {
        check("Bearer abc.def-_~+/==", Credentials::Token(b"abc.def-_~+/=="));
        check("bearer   abc ", Credentials::Token(b"abc"));
        check("Basic dTpw", Credentials::None);
        check("", Credentials::None);
        check("Bearer", Credentials::Ambiguous);
        check("Bearer ", Credentials::Ambiguous);
        check("Bearer a b", Credentials::Ambiguous);
        check("Bearer a, Bearer b", Credentials::Ambiguous);
        check("Bearer a=b", Credentials::Token(b"a=b"));
    }
}
