//! A bearer token taken apart: compact form (RFC 7515 §3.1) and its header. Nothing here is verified yet.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use crate::identity::{Refusal, json};

/// A signed token in its three parts.
#[derive(Debug)]
pub struct Token<'a> {
    /// What its header says, as far as it matters.
    pub header: Header,
    /// The text that is signed: header and payload with the dot between them.
    pub signed: &'a [u8],
    /// The payload, decoded.
    pub payload: Vec<u8>,
    /// The signature, in base64url that is known to be sound.
    pub signature: &'a str,
}

/// The header members that matter. `jku`, `x5u`, `jwk` and `x5c` are not among them: a token does not bring its own key.
#[derive(Debug, PartialEq, Eq)]
pub struct Header {
    /// The algorithm it claims.
    pub alg: String,
    /// The key it claims.
    pub kid: Option<String>,
}

// === impl Token ===

impl<'a> Token<'a> {
    /// The longest token read, in bytes.
    pub const MAX_LENGTH: usize = 8 * 1024;

    const MAX_HEADER_DEPTH: usize = 8;

    /// Takes a token apart. An empty payload is let through, so that the signature is what decides.
    pub fn parse(token: &'a [u8]) -> Result<Self, Refusal> {
        if token.len() > Self::MAX_LENGTH {
            return Err(Refusal::Malformed);
        }
        let token = std::str::from_utf8(token).map_err(|_| Refusal::Malformed)?;
        let (signed, signature) = token.rsplit_once('.').ok_or(Refusal::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Refusal::Malformed)?;
        if decode(signature)?.is_empty() {
            return Err(Refusal::Malformed);
        }
        let header = Header::parse(&decode(header)?)?;
        // A fourth part leaves a dot in the payload, which is no letter of base64url.
        Ok(Self { header, signed: signed.as_bytes(), payload: decode(payload)?, signature })
    }
}

// Without padding and with no bit left over, so that a token has one spelling only.
fn decode(part: &str) -> Result<Vec<u8>, Refusal> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::Malformed)
}

// === impl Header ===

impl Header {
    fn parse(text: &[u8]) -> Result<Self, Refusal> {
        let members = json::object(text, Token::MAX_HEADER_DEPTH).map_err(|_| Refusal::Malformed)?;
        // We understand no extension, so whatever is critical is not understood.
        if members.contains_key("crit") {
            return Err(Refusal::BadClaims);
        }
        check_type(&members)?;
        let alg = text_of(&members, "alg")?.ok_or(Refusal::Malformed)?;
        Ok(Self { alg, kid: text_of(&members, "kid")? })
    }
}

// RFC 7519 §5.1 and RFC 9068 §2.1; a media type whose `application/` may be left out.
fn check_type(members: &Map<String, Value>) -> Result<(), Refusal> {
    let Some(typ) = text_of(members, "typ")? else { return Ok(()) };
    let typ = typ.to_ascii_lowercase();
    match typ.strip_prefix("application/").unwrap_or(&typ) {
        "jwt" | "at+jwt" => Ok(()),
        _ => Err(Refusal::BadClaims),
    }
}

fn text_of(members: &Map<String, Value>, name: &str) -> Result<Option<String>, Refusal> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Refusal::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str) -> String {
        format!("{}.e30.c2ln", URL_SAFE_NO_PAD.encode(header))
    }

    #[track_caller]
    fn check(token: &str, expected: Result<&str, Refusal>) {
        let alg = Token::parse(token.as_bytes()).map(|token| token.header.alg);
        assert_eq!(alg, expected.map(str::to_owned), "{token}");
    }

    #[test]
    fn the_header_says_algorithm_and_key() {
        let text = token(r#"{"alg":"ES256","kid":"one","jku":"http://x","jwk":{},"x5c":[],"typ":"application/at+JWT"}"#);
        let token = Token::parse(text.as_bytes()).unwrap();
        assert_eq!(token.header, Header { alg: "ES256".into(), kid: Some("one".into()) }, "and no more");
        assert_eq!((token.payload.as_slice(), token.signature), (&b"{}"[..], "c2ln"), "the other parts");
    }

    #[test]
    fn what_is_not_compact_form_is_malformed() {
        let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256"}"#);
        check(&format!("{head}.e30.c2ln"), Ok("ES256"));
        for text in [
            "".into(),
            "..".into(),
            head.clone(),
            format!("{head}.e30"),
            format!("{head}.e30."),
            format!(".{head}.c2ln"),
            format!("{head}.e30.c2ln.c2ln"),
            format!("{head}.e30.c2ln.aaaa.c2ln"),
            format!("{head}.e30=.c2ln"),
            format!("{head}.e3 0.c2ln"),
            format!("{head}.e31.c2ln"),
            format!("{head}.e30.c2l+"),
            format!("{head}.e30.c2lé"),
            format!("{head}.e30.c2ln\n"),
            format!("{head}.e30.{}", "c2ln".repeat(2_048)),
        ] {
            check(&text, Err(Refusal::Malformed));
        }
        assert_eq!(Token::parse(b"\xff.e30.c2ln").err(), Some(Refusal::Malformed), "not UTF-8");
    }

    #[test]
    fn a_doubtful_header_is_refused() {
        for (header, refusal) in [
            (r#"{"alg":"ES256","alg":"ES256"}"#, Refusal::Malformed),
            (r#"{"kid":"one"}"#, Refusal::Malformed),
            (r#"{"alg":256}"#, Refusal::Malformed),
            (r#"{"alg":"ES256","kid":1}"#, Refusal::Malformed),
            (r#"{"alg":"ES256","typ":null}"#, Refusal::Malformed),
            (r#"["ES256"]"#, Refusal::Malformed),
            (r#"{"alg":"ES256","a":[[[[[[[[1]]]]]]]]}"#, Refusal::Malformed),
            (r#"{"alg":"ES256","typ":"JOSE"}"#, Refusal::BadClaims),
            (r#"{"alg":"ES256","crit":["exp"]}"#, Refusal::BadClaims),
            (r#"{"alg":"ES256","crit":[]}"#, Refusal::BadClaims),
            (r#"{"alg":"ES256","crit":["b64"],"b64":false}"#, Refusal::BadClaims),
        ] {
            check(&token(header), Err(refusal));
        }
    }
}
