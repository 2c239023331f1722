//! Tests of `jwks`: when keys are fetched and how long they are kept, on a clock moved by hand.

use std::{collections::VecDeque, time::SystemTime};

use http::{StatusCode, Uri};
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::sleep;

use super::*;
use crate::identity::{
    KeySource, Refusal, Settings,
    testing::{Signer, jwks},
};

// Answers with what it is told and remembers when it was asked. The last answer stays.
struct Script {
    answers: Mutex<VecDeque<Option<Fetched>>>,
    asked: Mutex<Vec<Instant>>,
}

impl Script {
    fn new(answers: &[Option<Fetched>]) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::new(answers.to_vec().into()), asked: Mutex::default() })
    }

    fn say(&self, answer: Option<Fetched>) {
        *self.answers.lock() = [answer].into();
    }

    fn asked(&self) -> usize {
        self.asked.lock().len()
    }

    // The seconds between one fetch and the next.
    fn gaps(&self) -> Vec<u64> {
        self.asked.lock().windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect()
    }
}

impl Fetch for Script {
    async fn get(&self, _url: &Uri) -> Result<Fetched, FetchError> {
        self.asked.lock().push(Instant::now());
        let mut answers = self.answers.lock();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        answer.flatten().ok_or(FetchError::Status(StatusCode::BAD_GATEWAY))
    }
}

fn keys(signers: &[&Signer]) -> Option<Fetched> {
    Some(Fetched { body: jwks(signers).into(), cache_control: None })
}

fn start(script: &Arc<Script>) -> Issuers {
    let settings = Settings {
        name: "main".into(),
        issuer: "https://issuer.example".into(),
        audiences: vec![],
        algorithms: vec!["RS256".into(), "ES256".into()],
        keys: KeySource::Url("https://issuer.example/keys".into()),
        leeway: Settings::DEFAULT_LEEWAY,
    };
    let issuers = Issuers::build(vec![settings], None).unwrap();
    spawn_refresh(&issuers, &Handle::current(), script);
    issuers
}

fn verify(issuers: &Issuers, signer: &Signer) -> Result<(), Refusal> {
    let exp = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs() + 3_600;
    let token = signer.sign(&json!({"iss": "https://issuer.example", "exp": exp}));
    issuers.verify(token.as_bytes(), &[]).map(drop)
}

async fn pass(seconds: u64) {
    sleep(Duration::from_millis(seconds * 1_000 + 1)).await;
}

#[tokio::test(start_paused = true)]
async fn keys_are_fetched_at_once_and_again_before_they_are_old() {
    let (signer, script) = (Signer::rsa(), Script::new(&[keys(&[&Signer::rsa()])]));
    let issuers = start(&script);
    assert_eq!(verify(&issuers, &signer), Err(Refusal::KeysUnavailable), "nothing waits for the first fetch");
    pass(0).await;
    assert_eq!(verify(&issuers, &signer), Ok(()), "here they are");
    pass(1_000).await;
    assert_eq!(script.gaps(), [240; 4], "80 % of 300 seconds");
    spawn_refresh(&issuers, &Handle::current(), &script);
    pass(0).await;
    assert_eq!(script.asked(), 5, "an issuer has one loop only");
}

#[tokio::test(start_paused = true)]
async fn a_failed_fetch_is_tried_again_and_the_old_keys_serve_for_a_day() {
    let (signer, script) = (Signer::rsa(), Script::new(&[None, None, keys(&[&Signer::rsa()]), None]));
    let issuers = start(&script);
    pass(3).await;
    assert_eq!(script.gaps(), [1, 2], "after one second, then two");
    assert_eq!(verify(&issuers, &signer), Ok(()), "the third brought them");
    pass(24 * 3_600 - 60).await;
    assert_eq!(verify(&issuers, &signer), Ok(()), "nearly a day later they still serve");
    let gaps = script.gaps();
    assert_eq!(gaps[2..10], [240, 1, 2, 4, 8, 16, 32, 60], "a minute apart in the end");
    pass(300).await;
    assert_eq!(verify(&issuers, &signer), Err(Refusal::KeysUnavailable), "a day is enough");
    script.say(keys(&[&signer]));
    pass(60).await;
    assert_eq!(verify(&issuers, &signer), Ok(()), "it came back");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_is_asked_for_once_and_not_again_for_half_a_minute() {
    let (old, new) = (Signer::rsa(), Signer::ec());
    let script = Script::new(&[keys(&[&old]), keys(&[&old, &new])]);
    let issuers = start(&script);
    pass(5).await;
    for _ in 0..50 {
        assert_eq!(verify(&issuers, &new), Err(Refusal::BadSignature), "not known yet");
    }
    pass(0).await;
    assert_eq!(script.asked(), 2, "fifty tokens, one fetch");
    assert_eq!(verify(&issuers, &new), Ok(()), "which brought the key");
    for _ in 0..100 {
        assert_eq!(verify(&issuers, &Signer::other_rsa()), Err(Refusal::BadSignature), "nobody's key");
        pass(1).await;
    }
    assert!(script.gaps()[1..].iter().all(|gap| *gap >= 30), "{:?}", script.gaps());
    assert!(script.asked() >= 5, "it is tried now and then: {:?}", script.gaps());
    let before = script.asked();
    assert_eq!(verify(&issuers, &old), Ok(()), "a good token");
    pass(31).await;
    assert!(script.asked() <= before + 1, "a good token asks for nothing");
}

#[tokio::test(start_paused = true)]
async fn a_set_not_to_trust_changes_nothing() {
    let signer = Signer::rsa();
    let mut private = signer.jwk();
    private["d"] = "AA".into();
    let published_secret = json!({"kty": "oct", "k": "A".repeat(43)});
    let script = Script::new(&[keys(&[&signer])]);
    let issuers = start(&script);
    pass(0).await;
    for set in [json!({"keys": [private]}), json!({"keys": [published_secret]}), json!({"keys": []}), json!("keys")] {
        script.say(Some(Fetched { body: set.to_string().into(), cache_control: None }));
        pass(400).await;
        assert_eq!(verify(&issuers, &signer), Ok(()), "{set} was ignored");
    }
}

#[tokio::test(start_paused = true)]
async fn the_loop_ends_with_its_issuer() {
    let script = Script::new(&[keys(&[&Signer::rsa()])]);
    let issuers = start(&script);
    pass(0).await;
    drop(issuers);
    pass(10_000).await;
    assert_eq!(script.asked(), 1, "nobody asks any more");
    assert_eq!(Arc::strong_count(&script), 1, "and the loop is gone");
}

#[test]
fn a_lifetime_is_what_the_server_says_within_bounds() {
    for (cache_control, seconds) in [
        (None, 300),
        (Some("public"), 300),
        (Some("max-age=soon"), 300),
        (Some("public, Max-Age=600"), 600),
        (Some("max-age=\"600\""), 600),
        (Some("max-age=0"), 60),
        (Some("max-age=99999999"), 86_400),
        (Some("max-age=600, no-cache"), 60),
        (Some("no-store"), 60),
    ] {
        assert_eq!(lifetime(cache_control), Duration::from_secs(seconds), "{cache_control:?}");
    }
}
