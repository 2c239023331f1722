//! What an `Authorization` header says in the scheme `Basic` (RFC 7617 §2).

use alloc::string::String;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gatehouse_plugin::Request;

/// The credentials of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Credentials {
    /// None of this scheme.
    None,
    /// A name and a password.
    Basic {
        /// The name. Never holds a colon.
        user: String,
        /// The password, which may.
        password: String,
    },
    /// Several lines, or something that is not base64 of UTF-8 with a colon and without control characters.
    Malformed,
}

impl Credentials {
    /// Those of this request.
    pub fn of(request: &Request) -> Self {
        let mut lines = request.header_lines("authorization");
        match (lines.next(), lines.next()) {
            (None, _) => Self::None,
            (Some(line), None) => Self::in_line(line),
            // Two of them, and whoever comes next may look at the other one.
            (Some(_), Some(_)) => Self::Malformed,
        }
    }

    fn in_line(line: &[u8]) -> Self {
        let end = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
        let (scheme, rest) = line.split_at(end);
        match scheme.eq_ignore_ascii_case(b"basic") {
            true => parse(rest.trim_ascii()).unwrap_or(Self::Malformed),
            false => Self::None,
        }
    }
}

fn parse(encoded: &[u8]) -> Option<Credentials> {
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    if text.chars().any(char::is_control) {
        return None;
    }
    let (user, password) = text.split_once(':')?;
    Some(Credentials::Basic { user: user.into(), password: password.into() })
}
