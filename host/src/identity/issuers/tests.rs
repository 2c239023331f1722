//! Tests of `issuers`: what a token must be, and how long it is remembered.

use std::{env, fs, path::PathBuf, process};

use serde_json::{Value, json};

use super::*;
use crate::identity::{
    KeySource, Refresh,
    issuer::Secret,
    testing::{Signer, jwks},
};

const ISSUER: &str = "https://issuer.example";

// A key set in a file of its own, gone with the test.
struct KeyFile(PathBuf);

impl KeyFile {
    fn new(name: &str, text: &str) -> Self {
        let path = env::temp_dir().join(format!("gatehouse-{}-{name}.json", process::id()));
        fs::write(&path, text).expect("the temporary folder can be written");
        Self(path)
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn settings(name: &str, keys: KeySource) -> Settings {
    Settings {
        name: name.into(),
        issuer: ISSUER.into(),
        audiences: vec!["api".into()],
        algorithms: vec!["RS256".into(), "ES256".into(), "EdDSA".into()],
        keys,
        leeway: Settings::DEFAULT_LEEWAY,
        refresh: Refresh::default(),
    }
}

fn issuers(file: &KeyFile) -> Issuers {
    Issuers::build(vec![settings("main", KeySource::File(file.0.clone()))], None).unwrap()
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000)
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "api", "sub": "ada", "scope": "a b", "exp": 1_000_600, "iat": 1_000_000})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

// As one who does not wait.
fn verify_at(issuers: &Issuers, token: &str, allowed: &[String], now: SystemTime) -> Result<Arc<Verified>, Refusal> {
    issuers.verify_at(token.as_bytes(), allowed, now).map_err(|setback| setback.refusal)
}

#[track_caller]
fn check(issuers: &Issuers, token: &str, expected: Result<(), Refusal>) {
    let outcome = verify_at(issuers, token, &[], now()).map(drop);
    assert_eq!(outcome, expected, "{token}");
}

#[test]
fn a_token_by_each_kind_of_key_is_verified() {
    let signers = [Signer::rsa(), Signer::other_rsa(), Signer::ec(), Signer::ed()];
    let file = KeyFile::new("kinds", &jwks(&signers.each_ref()));
    let issuers = issuers(&file);
    for signer in &signers {
        let verified = verify_at(&issuers, &signer.sign(&claims()), &[], now()).unwrap();
        let expected = Verified {
            issuer: "main".into(),
            subject: "ada".into(),
            scope: "a b".into(),
            claims: claims().as_object().cloned().expect("claims are an object"),
            expires: now() + Duration::from_secs(600),
        };
        assert_eq!(*verified, expected, "all it says");
    }
    let nameless = Signer::other_rsa().sign_text(r#"{"alg":"RS256"}"#, &claims().to_string());
    check(&issuers, &nameless, Ok(()));
}

#[test]
fn a_token_with_a_wrong_claim_is_refused() {
    let signer = Signer::ec();
    let file = KeyFile::new("claims", &jwks(&[&signer]));
    let issuers = issuers(&file);
    for (name, value, refusal) in [
        ("iss", json!("https://issuer.example/"), Refusal::UnknownIssuer),
        ("iss", json!("HTTPS://issuer.example"), Refusal::UnknownIssuer),
        ("iss", json!([ISSUER]), Refusal::BadClaims),
        ("aud", json!("web"), Refusal::WrongAudience),
        ("exp", json!(1_000_000), Refusal::Expired),
        ("exp", Value::Null, Refusal::BadClaims),
        ("nbf", json!(1_000_031), Refusal::NotYetValid),
        ("sub", json!(7), Refusal::BadClaims),
        ("deep", json!([[[[[[[[1]]]]]]]]), Refusal::BadClaims),
    ] {
        check(&issuers, &signer.sign(&with(name, value)), Err(refusal));
    }
    let twice = format!(r#"{{"sub":"eve",{}"#, &claims().to_string()[1..]);
    check(&issuers, &signer.sign_text(r#"{"alg":"ES256"}"#, &twice), Err(Refusal::BadClaims));
    check(&issuers, &signer.sign_text(r#"{"alg":"ES256"}"#, ""), Err(Refusal::Malformed));
    check(&issuers, &signer.sign(&with("fill", "x".repeat(8_192).into())), Err(Refusal::Malformed));
}

#[test]
fn a_forged_signature_is_refused() {
    let (signer, stranger) = (Signer::rsa(), Signer::other_rsa());
    let file = KeyFile::new("forged", &jwks(&[&signer, &Signer::ec()]));
    let issuers = issuers(&file);
    let claims = claims().to_string();
    let genuine = signer.sign_text(r#"{"alg":"RS256","kid":"one"}"#, &claims);
    check(&issuers, &genuine, Ok(()));
    let (head, signature) = genuine.rsplit_once('.').expect("a token has dots");
    let forged_head = signer.sign_text(r#"{"alg":"none","kid":"one"}"#, &claims);
    let public_key_as_secret = Signer::secret(signer.jwk()["n"].as_str().expect("an RSA key").as_bytes());
    let own_key = json!({"alg": "RS256", "kid": "one", "jwk": stranger.jwk(), "jku": "http://127.0.0.1/keys"});
    for token in [
        stranger.sign_text(r#"{"alg":"RS256","kid":"one"}"#, &claims),
        stranger.sign_text(r#"{"alg":"RS256","kid":"two"}"#, &claims),
        stranger.sign_text(r#"{"alg":"RS256"}"#, &claims),
        stranger.sign_text(&own_key.to_string(), &claims),
        stranger.sign_text(r#"{"alg":"RS256","kid":"../../keys' OR 1=1"}"#, &claims),
        signer.sign_text(r#"{"alg":"RS256","kid":"three"}"#, &claims),
        signer.sign_text(r#"{"alg":"PS256","kid":"one"}"#, &claims),
        signer.sign_text(r#"{"alg":"rs256","kid":"one"}"#, &claims),
        public_key_as_secret.sign_text(r#"{"alg":"HS256","kid":"one"}"#, &claims),
        public_key_as_secret.sign_text(r#"{"alg":"RS256","kid":"one"}"#, &claims),
        forged_head.clone(),
        format!("{}.{signature}", head.replacen("eyJ", "eyI", 1)).replacen("eyI", "eyJ", 1).replace(signature, "AAAA"),
    ] {
        check(&issuers, &token, Err(Refusal::BadSignature));
    }
    let bare = forged_head.rsplit_once('.').map(|(head, _)| format!("{head}.")).expect("a token has dots");
    check(&issuers, &bare, Err(Refusal::Malformed));
    check(&issuers, &signer.sign_text(r#"{"alg":"RS256","crit":["exp"]}"#, &claims), Err(Refusal::BadClaims));
}

#[test]
fn a_secret_verifies_by_its_own_algorithms_only() {
    let secret = [7; 32];
    let mut shared = settings("shared", KeySource::Secret(Secret(secret.into())));
    shared.algorithms = vec!["HS256".into()];
    let issuers = Issuers::build(vec![shared.clone()], None).unwrap();
    check(&issuers, &Signer::secret(&secret).sign(&claims()), Ok(()));
    check(&issuers, &Signer::secret(&[8; 32]).sign(&claims()), Err(Refusal::BadSignature));
    check(&issuers, &Signer::rsa().sign(&claims()), Err(Refusal::BadSignature));
    assert!(!format!("{shared:?}").contains("7, 7"), "the secret is not shown");
}

#[test]
fn only_the_issuers_allowed_here_count() {
    let signer = Signer::ec();
    let file = KeyFile::new("allowed", &jwks(&[&signer]));
    let mut web = settings("web", KeySource::File(file.0.clone()));
    web.audiences = vec!["web".into()];
    let issuers = Issuers::build(vec![settings("main", KeySource::File(file.0.clone())), web], None).unwrap();
    let verify = |token: &str, allowed: &[&str]| {
        let allowed: Vec<String> = allowed.iter().map(|name| (*name).into()).collect();
        verify_at(&issuers, &token, &allowed, now()).map(|verified| verified.issuer.clone())
    };
    let (api, both) = (signer.sign(&claims()), signer.sign(&with("aud", json!(["web", "api"]))));
    for _ in 0..2 {
        assert_eq!(verify(&api, &["main"]), Ok("main".into()), "its audience");
        assert_eq!(verify(&api, &["web"]), Err(Refusal::WrongAudience), "remembered for another issuer only");
        assert_eq!(verify(&api, &["nobody"]), Err(Refusal::UnknownIssuer), "no such issuer");
        assert_eq!(verify(&both, &["web"]), Ok("web".into()), "the one allowed");
        assert_eq!(verify(&both, &["main"]), Ok("main".into()), "the other one allowed");
        assert_eq!(verify(&api, &["web", "main"]), Ok("main".into()), "the second that is tried");
    }
}

#[test]
fn an_issuer_of_the_same_name_without_keys_is_waited_for() {
    let signer = Signer::ec();
    let file = KeyFile::new("waiting", &jwks(&[&signer]));
    let far = settings("far", KeySource::Url("http://127.0.0.1:9/keys".into()));
    let issuers = Issuers::build(vec![far, settings("main", KeySource::File(file.0.clone()))], None).unwrap();
    check(&issuers, &signer.sign(&claims()), Ok(()));
    check(&issuers, &signer.sign(&with("aud", json!("web"))), Err(Refusal::KeysUnavailable));
}

#[test]
fn a_verified_token_is_remembered_until_it_expires() {
    let signer = Signer::ec();
    let file = KeyFile::new("cache", &jwks(&[&signer]));
    let issuers = issuers(&file);
    let token = signer.sign(&with("exp", json!(1_000_010.5)));
    let verify = |seconds: f64| verify_at(&issuers, &token, &[], now() + Duration::from_secs_f64(seconds));
    let first = verify(0.0).unwrap();
    assert!(Arc::ptr_eq(&first, &verify(10.4).unwrap()), "the same answer, not made again");
    assert_eq!(verify(10.5), Err(Refusal::Expired), "its own end is the end");
}

#[test]
fn a_verified_token_is_remembered_for_a_minute_at_most() {
    let signer = Signer::ec();
    let file = KeyFile::new("minute", &jwks(&[&signer]));
    let issuers = issuers(&file);
    let token = signer.sign(&claims());
    let verify = |seconds| verify_at(&issuers, &token, &[], now() + Duration::from_secs(seconds)).unwrap();
    let first = verify(0);
    assert!(Arc::ptr_eq(&first, &verify(59)), "within the minute");
    assert!(!Arc::ptr_eq(&first, &verify(60)), "after it the signature counts again");
}

#[test]
fn a_token_is_forgotten_with_the_key_that_signed_it() {
    let url = KeySource::Url("http://127.0.0.1:9/keys".into());
    let issuers = Issuers::build(vec![settings("main", url)], None).unwrap();
    let (signer, next) = (Signer::rsa(), Signer::ec());
    let token = signer.sign(&claims());
    check(&issuers, &token, Err(Refusal::KeysUnavailable));
    let issuer = issuers.get("main").expect("it was built");
    let accept = |signers: &[&Signer]| issuer.accept(KeySet::parse(jwks(signers).as_bytes()).unwrap());
    accept(&[&signer]);
    let verify = || verify_at(&issuers, &token, &[], now());
    let first = verify().unwrap();
    accept(&[&signer]);
    assert!(Arc::ptr_eq(&first, &verify().unwrap()), "the same keys once more change nothing");
    accept(&[&signer, &next]);
    assert!(!Arc::ptr_eq(&first, &verify().unwrap()), "other keys, so the signature counts again");
    accept(&[&next]);
    assert_eq!(verify(), Err(Refusal::BadSignature), "its key is gone");
    issuer.forget_keys();
    assert_eq!(verify(), Err(Refusal::KeysUnavailable), "all keys are");
}

#[test]
fn an_issuer_survives_a_reload_unless_it_changed() {
    let signer = Signer::ec();
    let file = KeyFile::new("reload", &jwks(&[&signer]));
    let from_file = settings("main", KeySource::File(file.0.clone()));
    let mut from_url = settings("far", KeySource::Url("http://127.0.0.1:9/keys".into()));
    from_url.issuer = "https://far.example".into();
    let build = |previous, main: &Settings| Issuers::build(vec![main.clone(), from_url.clone()], previous).unwrap();
    let kept = |one: &Issuers, other: &Issuers, name: &str| Arc::ptr_eq(one.get(name).unwrap(), other.get(name).unwrap());
    let before = build(None, &from_file);
    let token = signer.sign(&claims());
    let first = verify_at(&before, &token, &[], now()).unwrap();

    let same = build(Some(&before), &from_file);
    assert!(kept(&before, &same, "main") && kept(&before, &same, "far"), "nothing changed");
    let again = verify_at(&same, &token, &[], now()).unwrap();
    assert!(Arc::ptr_eq(&first, &again), "what was verified is remembered");

    let mut stricter = from_file.clone();
    stricter.audiences = vec!["web".into()];
    let changed = build(Some(&same), &stricter);
    assert!(!kept(&same, &changed, "main") && kept(&same, &changed, "far"), "one changed");
    assert_eq!(verify_at(&changed, &token, &[], now()), Err(Refusal::WrongAudience), "and forgot its tokens");

    fs::write(&file.0, jwks(&[&Signer::rsa()])).expect("the file can be written");
    let rotated = build(Some(&same), &from_file);
    assert!(!kept(&same, &rotated, "main"), "the file changed");
    assert_eq!(verify_at(&rotated, &token, &[], now()), Err(Refusal::BadSignature), "and the key is gone");
}

#[test]
fn settings_that_cannot_be_meant_are_refused() {
    let file = KeyFile::new("settings", &jwks(&[&Signer::ec()]));
    let garbage = KeyFile::new("garbage", "not JSON");
    let good = || settings("main", KeySource::File(file.0.clone()));
    let algorithms = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let secret = |length| KeySource::Secret(Secret(vec![7; length]));
    for (settings, expected) in [
        (Settings { issuer: String::new(), ..good() }, "does not say"),
        (Settings { algorithms: vec![], ..good() }, "allows no algorithm"),
        (Settings { algorithms: algorithms(&["ES256", "none"]), ..good() }, "allows \"none\", which is not one of RS256"),
        (Settings { algorithms: algorithms(&["ES256", "HS256"]), ..good() }, "HS algorithms need a secret"),
        (Settings { algorithms: algorithms(&["RS256"]), ..good() }, "allows RS256, and none of its keys"),
        (Settings { keys: secret(32), ..good() }, "a secret is for HS algorithms"),
        (Settings { keys: secret(31), algorithms: algorithms(&["HS256"]), ..good() }, "32 bytes are the least"),
        (Settings { keys: secret(32), algorithms: algorithms(&["HS256", "HS512"]), ..good() }, "as long as the hash"),
        (Settings { leeway: Duration::from_secs(61), ..good() }, "a minute is the most"),
        (Settings { keys: KeySource::File("/nowhere/keys.json".into()), ..good() }, "cannot be read from /nowhere/keys"),
        (Settings { keys: KeySource::File(garbage.0.clone()), ..good() }, "are not usable"),
        (Settings { keys: KeySource::Url("ftp://issuer.example/".into()), ..good() }, "not an http or https address"),
        (Settings { keys: KeySource::Url("https://me:pw@issuer.example/".into()), ..good() }, "not an http or https"),
        (Settings { keys: KeySource::Url("/keys".into()), ..good() }, "not an http or https address"),
        (Settings { keys: KeySource::Discovery, issuer: "main".into(), ..good() }, "cannot be asked"),
        (Settings { keys: KeySource::Discovery, issuer: "http://issuer.example".into(), ..good() }, "cannot be asked"),
        (Settings { keys: KeySource::Discovery, algorithms: algorithms(&["HS256"]), ..good() }, "HS algorithms need a secret"),
    ] {
        let errors = Issuers::build(vec![settings], None).expect_err(expected);
        assert!(errors.len() == 1 && errors[0].1.to_string().contains(expected), "{errors:?} is not {expected:?}");
    }
    let nobody = Settings { name: "other".into(), issuer: String::new(), ..good() };
    let errors = Issuers::build(vec![good(), good(), nobody], None).unwrap_err();
    let places: Vec<_> = errors.iter().map(|(place, error)| (*place, error.key())).collect();
    assert_eq!(places, [(1, "name"), (2, "issuer")], "every problem at once, and where it is: {errors:?}");
}
