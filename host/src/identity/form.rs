//! What OAuth 2.0 endpoints are asked with: encoded fields, and the gateway's own id and secret (RFC 6749 §2.3.1).

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderValue, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::identity::issuer::Secret;

// What RFC 3986 §2.3 says never needs to be encoded.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Fields as `application/x-www-form-urlencoded`.
pub fn fields(fields: &[(&str, &str)]) -> String {
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    fields.join("&")
}

/// The value of `Authorization` for this client. Marked so that nothing prints it.
pub fn basic(id: &str, secret: &Secret) -> HeaderValue {
    let secret = percent_encoding::percent_encode(&secret.0, ENCODED);
    let credentials = STANDARD.encode(format!("{}:{secret}", encoded(id)));
    let mut value = HeaderValue::from_str(&format!("Basic {credentials}")).expect("base64 is fit for a header");
    value.set_sensitive(true);
    value
}

/// The address of something to ask: `http` or `https`, a host, and no user in it.
pub fn address(url: &str) -> Option<Uri> {
    let uri: Uri = url.parse().ok()?;
    let is_ours = matches!(uri.scheme_str(), Some("http" | "https"));
    uri.authority().filter(|authority| is_ours && !authority.as_str().contains('@'))?;
    Some(uri)
}

fn encoded(text: &str) -> percent_encoding::PercentEncode<'_> {
    utf8_percent_encode(text, ENCODED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_encoded_whatever_is_in_them() {
        assert_eq!(fields(&[("token", "a b+c&d=é"), ("x", "~-._")]), "token=a%20b%2Bc%26d%3D%C3%A9&x=~-._");
        assert_eq!(fields(&[]), "");
    }

    #[test]
    fn id_and_secret_are_encoded_before_they_are_joined() {
        // RFC 6749 §2.3.1: an id with a colon would otherwise end early.
        let value = basic("a:b", &Secret(b"p ss%".to_vec()));
        assert_eq!(value.to_str().unwrap(), format!("Basic {}", STANDARD.encode("a%3Ab:p%20ss%25")));
        assert!(value.is_sensitive() && format!("{value:?}") == "Sensitive", "no log shows it");
    }
}
