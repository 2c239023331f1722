//! Tests of `key`: what a set may hold, and the Wycheproof vectors at the signature.

use std::{collections::BTreeMap, fs, path::Path};

use super::*;

const X: &str = "04N0xi21hshyvBp7I167sbE_bXqyqkAPfefdklMO7wY";
const Y: &str = "UI8exy-C06a7DUnjIdENkxeFtHM4-l_41LqEw9nVgmw";

fn ec(more: &str) -> String {
    format!(r#"{{"kty":"EC","crv":"P-256","x":"{X}","y":"{Y}"{more}}}"#)
}

fn set(keys: &[String]) -> Result<KeySet, KeySetError> {
    KeySet::parse(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes())
}

fn secret(kid: &str) -> String {
    format!(r#"{{"kty":"oct","kid":"{kid}","k":"{}"}}"#, "A".repeat(43))
}

#[test]
fn a_key_verifies_only_what_it_is_for() {
    for (more, expected) in [
        ("", None),
        (r#","use":"sig","alg":"ES256","key_ops":["verify"]"#, None),
        (r#","use":"enc""#, Some(KeyError::NotForVerifying)),
        (r#","key_ops":["encrypt"]"#, Some(KeyError::NotForVerifying)),
        (r#","key_ops":"verify""#, Some(KeyError::NotForVerifying)),
        (r#","alg":"ES384""#, Some(KeyError::NotForVerifying)),
        (r#","alg":"HS256""#, Some(KeyError::NotForVerifying)),
        (r#","kid":7"#, Some(KeyError::BadMember("kid"))),
    ] {
        let jwk = serde_json::from_str(&ec(more)).expect("the test writes JSON");
        assert_eq!(Key::parse(&jwk).err(), expected, "{more}");
    }
}

#[test]
fn unknown_keys_are_skipped_and_the_others_serve() {
    let keys = set(&[r#"{"kty":"AKP","kid":"new"}"#.into(), ec(r#","kid":"old""#), "7".into()]).unwrap();
    assert_eq!((keys.len(), keys.has("old"), keys.has("new")), (1, true, false), "one of three");
    assert_eq!(keys.skipped().len(), 2, "and two reasons");
}

#[test]
fn a_doubtful_set_is_refused_whole() {
    for (keys, expected) in [
        (vec![secret("a"), ec("")], KeySetError::Mixed("a".into())),
        (vec![ec(r#","kid":"a""#), ec(r#","kid":"a""#)], KeySetError::SameKid("a".into())),
        (vec![ec(r#","kid":"a""#), secret("a").replace("AAA\"", "AAB\"")], KeySetError::SameKid("a".into())),
        (vec![ec(r#","kid":"a","d":"AA""#)], KeySetError::Private("\"a\"".into())),
        (vec![ec(""); 101], KeySetError::TooMany(101)),
        (vec![], KeySetError::NoKey(vec![])),
    ] {
        assert_eq!(set(&keys).err(), Some(expected), "{keys:?}");
    }
    for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#] {
        assert!(matches!(KeySet::parse(text.as_bytes()), Err(KeySetError::NotASet(_))), "{text}");
    }
    let error = set(&[ec(r#","use":"enc","kid":"a""#)]).unwrap_err().to_string();
    assert!(error.contains("\"a\": it is not for verifying"), "the reason is told: {error}");
}

#[test]
fn a_secret_is_as_long_as_its_hash() {
    for (length, count) in [(32, 1), (47, 1), (48, 2), (64, 3), (200, 3)] {
        let keys = KeySet::of_secret(&vec![7; length]).unwrap();
        let supported = HMAC.iter().filter(|(algorithm, _)| keys.supports(*algorithm)).count();
        assert_eq!(supported, count, "{length} bytes");
    }
    assert_eq!(KeySet::of_secret(&[7; 31]).err(), Some(KeyError::Weak), "below every hash");
}

// === Wycheproof ===

const SIGNATURES: &str = "json_web_signature_test.json";

// Vectors whose mark cannot be right, with what it should be and why.
const MISMARKED: [(u64, bool, &str); 6] = [
    (346, false, "a PS384 token under a key for PS256; 340 is the same kind of case and marked invalid"),
    (350, false, "the key and token of 346 once more"),
    (367, true, "letter for letter the token and key of 357, which is marked valid"),
    (370, true, "the same as 367"),
    (372, false, "a `?` in the header, which RFC 7515 §2 forbids and the MAC does not cover"),
    (373, false, "a `?` in the payload, likewise"),
];

const EVERY_ALGORITHM: [Algorithm; 12] = [
    Algorithm::HS256,
    Algorithm::HS384,
    Algorithm::HS512,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

#[test]
fn wycheproof_signatures_verify_or_fail_as_marked() {
    run(SIGNATURES, |key| format!(r#"{{"keys":[{key}]}}"#));
}

#[test]
fn wycheproof_key_sets_verify_or_fail_as_marked() {
    run("json_web_key_test.json", |set| set.to_string());
}

fn run(file: &str, jwks: impl Fn(&Value) -> String) {
    let vectors = vectors(file);
    let mut outcomes = BTreeMap::new();
    for group in vectors["testGroups"].as_array().expect("groups of vectors") {
        let key = group.get("public").or(group.get("private")).expect("a key");
        for vector in group["tests"].as_array().expect("vectors") {
            *outcomes.entry(check_vector(file, &jwks(key), vector)).or_insert(0) += 1;
        }
    }
    println!("{file}: {outcomes:?}");
    assert!(outcomes["verified"] > 0 && outcomes["refused"] > 0, "vectors of both kinds were tried");
}

fn vectors(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/wycheproof").join(file);
    let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).expect("a file of vectors is JSON")
}

#[track_caller]
fn check_vector(file: &str, jwks: &str, vector: &Value) -> &'static str {
    let id = vector["tcId"].as_u64().expect("a vector has a number");
    let Some(token) = vector["jws"].as_str() else {
        assert_eq!(vector["result"], "invalid", "{file} {id}: no compact form");
        return "not compact";
    };
    let corrected = MISMARKED.iter().find(|(number, ..)| file == SIGNATURES && *number == id);
    let valid = corrected.map_or(vector["result"] == "valid", |(_, valid, _)| *valid);
    let (verified, supported) = (verify(jwks, token).is_ok(), !is_unsupported(token));
    assert_eq!(verified, valid && supported, "{file} {id} {}: {:?}", vector["comment"], verify(jwks, token));
    match (verified, valid) {
        (true, _) => "verified",
        (false, true) => "unsupported",
        (false, false) => "refused",
    }
}

fn verify(jwks: &str, token: &str) -> Result<(), String> {
    let keys = KeySet::parse(jwks.as_bytes()).map_err(|error| error.to_string())?;
    let token = Token::parse(token.as_bytes()).map_err(|refusal| refusal.to_string())?;
    verify_signature(&keys, &EVERY_ALGORITHM, &token).map_err(|refusal| refusal.to_string())
}

// ES512 is in the vectors and not in our crypto.
fn is_unsupported(token: &str) -> bool {
    Token::parse(token.as_bytes()).is_ok_and(|token| token.header.alg == "ES512")
}
