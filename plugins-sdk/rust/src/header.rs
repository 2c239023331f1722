//! Header names and values in a configuration, checked when it is read, so that no request can make them a fault.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::Deserialize;

/// The name of a header that a plugin may write: a token in lower case, and none that the gateway owns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct HeaderName(String);

/// The value of a header: no control characters but the tab (RFC 9110 §5.5).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct HeaderValue(String);

/// Text that can stand between quotes in a header: visible ASCII and spaces, without `"` and `\`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct QuotableText(String);

/// Message framing and connection handling belong to the gateway; writing one of these is a fault.
const OWNED: &[&str] = &["connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];

/// Whether this is a token (RFC 9110 §5.6.2), as names and methods are.
#[must_use]
pub fn is_token(text: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(token)
}

/// Whether these bytes can be the value of a header.
#[must_use]
pub fn is_value(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

impl HeaderName {
    /// The name, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl HeaderValue {
    /// The value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl QuotableText {
    /// The text, without quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for HeaderName {
    type Error = String;

    fn try_from(mut name: String) -> Result<Self, String> {
        name.make_ascii_lowercase();
        if !is_token(&name) {
            return Err(format!("got {name:?}, want the name of a header"));
        }
        if OWNED.contains(&&*name) {
            return Err(format!("got {name:?}, want a header that is not the gateway's own"));
        }
        Ok(Self(name))
    }
}

impl TryFrom<String> for HeaderValue {
    type Error = String;

    fn try_from(value: String) -> Result<Self, String> {
        if !is_value(value.as_bytes()) {
            return Err(format!("got {value:?}, want a header value without control characters"));
        }
        Ok(Self(value))
    }
}

impl TryFrom<String> for QuotableText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let quotable = |byte: u8| (b' '..0x7f).contains(&byte) && byte != b'"' && byte != b'\\';
        if text.is_empty() || !text.bytes().all(quotable) {
            return Err(format!("got {text:?}, want visible ASCII without quotes and backslashes"));
        }
        Ok(Self(text))
    }
}

impl From<HeaderName> for String {
    fn from(name: HeaderName) -> Self {
        name.0
    }
}

impl From<&HeaderName> for String {
    fn from(name: &HeaderName) -> Self {
        name.0.clone()
    }
}

impl From<HeaderValue> for Vec<u8> {
    fn from(value: HeaderValue) -> Self {
        value.0.into()
    }
}

impl From<&HeaderValue> for Vec<u8> {
    fn from(value: &HeaderValue) -> Self {
        value.0.as_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_name(text: &str, expected: Option<&str>) {
        let name = serde_json::from_value::<HeaderName>(text.into()).ok();
        assert_eq!(name.as_ref().map(HeaderName::as_str), expected, "{text:?}");
    }

    #[test]
    fn names_are_tokens_that_the_gateway_does_not_own() {
        check_name("X-User", Some("x-user"));
        check_name("a~b", Some("a~b"));
        check_name("", None);
        check_name("a b", None);
        check_name(":path", None);
        check_name("Content-Length", None);
        check_name("transfer-encoding", None);
    }

    #[test]
    fn values_and_quoted_texts_hold_no_control_characters() {
        let value = |text: &str| HeaderValue::try_from(String::from(text)).is_ok();
        assert!(value("a\tb \u{e9}"), "a tab and non-ASCII text are values");
        assert!(!value("a\r\nb: c"), "a line end would be a second header");
        assert!(!value("a\0"), "NUL is no value");
        let quotable = |text: &str| QuotableText::try_from(String::from(text)).is_ok();
        assert!(quotable("my api"), "spaces may be quoted");
        assert!(!quotable("a\"b"), "a quote would end the text");
        assert!(!quotable(""), "nothing is no realm");
    }
}
