//! Tests of `jwks`: when keys are fetched and how long they are kept, on a clock moved by hand.

use std::{collections::VecDeque, time::SystemTime};

use http::{StatusCode, Uri};
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::sleep;

use super::*;
use crate::identity::{
    KeySource, Refresh, Refusal, Settings,
    demand::Setback,
    testing::{Signer, jwks},
};

// Answers with what it is told, after a while, and remembers when it was asked. The last answer stays.
struct Script {
    answers: Mutex<VecDeque<Option<Fetched>>>,
    asked: Mutex<Vec<Instant>>,
    urls: Mutex<Vec<String>>,
    takes: Mutex<Duration>,
}

impl Script {
    fn new(answers: &[Option<Fetched>]) -> Arc<Self> {
        Arc::new(Self {
            answers: Mutex::new(answers.to_vec().into()),
            asked: Mutex::default(),
            urls: Mutex::default(),
            takes: Mutex::default(),
        })
    }

    fn say(&self, answer: Option<Fetched>) {
        *self.answers.lock() = [answer].into();
    }

    fn take(&self, time: Duration) {
        *self.takes.lock() = time;
    }

    // The addresses asked so far, and forgets them.
    fn urls(&self) -> Vec<String> {
        std::mem::take(&mut self.urls.lock())
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
    async fn get(&self, url: &Uri) -> Result<Fetched, FetchError> {
        self.asked.lock().push(Instant::now());
        self.urls.lock().push(url.to_string());
        let takes = *self.takes.lock();
        sleep(takes).await;
        let mut answers = self.answers.lock();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        answer.flatten().ok_or(FetchError::Status(StatusCode::BAD_GATEWAY))
    }
}

fn keys(signers: &[&Signer]) -> Option<Fetched> {
    Some(Fetched { body: jwks(signers).into(), cache_control: None })
}

fn start(script: &Arc<Script>) -> Issuers {
    start_with(script, KeySource::Url("https://issuer.example/keys".into()))
}

fn start_with(script: &Arc<Script>, keys: KeySource) -> Issuers {
    let settings = Settings {
        name: "main".into(),
        issuer: "https://issuer.example".into(),
        audiences: vec![],
        algorithms: vec!["RS256".into(), "ES256".into()],
        keys,
        leeway: Settings::DEFAULT_LEEWAY,
        refresh: Refresh::default(),
    };
    let issuers = Issuers::build(vec![settings], None).unwrap();
    spawn_refresh(&issuers, &Handle::current(), script);
    issuers
}

fn token(signer: &Signer) -> String {
    let exp = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs() + 100_000;
    signer.sign(&json!({"iss": "https://issuer.example", "exp": exp}))
}

fn verify(issuers: &Issuers, signer: &Signer) -> Result<(), Refusal> {
    issuers.verify(token(signer).as_bytes(), &[]).map(drop)
}

// As a request does it: waits when that may help, twice at most. Also says how long it waited.
async fn patiently(issuers: &Issuers, token: &str) -> (Result<(), Refusal>, Duration) {
    let began = Instant::now();
    for _ in 0..2 {
        match issuers.try_verify(token.as_bytes(), &[]) {
            Ok(_) => return (Ok(()), began.elapsed()),
            Err(Setback { refusal, awaited: None }) => return (Err(refusal), began.elapsed()),
            Err(Setback { awaited: Some(awaited), .. }) => awaited.over().await,
        }
    }
    (issuers.verify(token.as_bytes(), &[]).map(drop), began.elapsed())
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

const MS: fn(u64) -> Duration = Duration::from_millis;

#[tokio::test(start_paused = true)]
async fn the_first_request_waits_for_the_first_keys() {
    let (signer, script) = (Signer::rsa(), Script::new(&[keys(&[&Signer::rsa()])]));
    script.take(MS(300));
    let issuers = start(&script);
    assert_eq!(patiently(&issuers, &token(&signer)).await, (Ok(()), MS(300)), "as long as they take");
    assert_eq!(patiently(&issuers, &token(&signer)).await, (Ok(()), MS(0)), "and nobody after it");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_an_issuer_that_just_failed() {
    let (signer, script) = (Signer::rsa(), Script::new(&[None]));
    script.take(MS(1_500));
    let issuers = start(&script);
    let (outcome, waited) = patiently(&issuers, &token(&signer)).await;
    assert_eq!((outcome, waited), (Err(Refusal::KeysUnavailable), MS(1_500)), "one fetch and no more");
    assert_eq!(patiently(&issuers, &token(&signer)).await, (Err(Refusal::KeysUnavailable), MS(0)), "known to be away");
}

#[tokio::test(start_paused = true)]
async fn a_request_with_a_new_key_waits_for_it_and_many_share_one_fetch() {
    let (old, new) = (Signer::rsa(), Signer::ec());
    let script = Script::new(&[keys(&[&old]), keys(&[&new])]);
    let issuers = Arc::new(start(&script));
    pass(5).await;
    script.take(MS(200));
    let token = Arc::new(token(&new));
    let clients: Vec<_> = (0..100)
        .map(|_| {
            let (issuers, token) = (issuers.clone(), token.clone());
            tokio::spawn(async move { patiently(&issuers, &token).await })
        })
        .collect();
    for client in clients {
        assert_eq!(client.await.unwrap(), (Ok(()), MS(200)), "each waits for the one fetch");
    }
    assert_eq!(script.asked(), 2, "one at the start and one for the hundred");
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_began_before_the_keys_changed_is_not_the_last_word() {
    let (old, new) = (Signer::rsa(), Signer::ec());
    let script = Script::new(&[keys(&[&old]), keys(&[&old]), keys(&[&new])]);
    let issuers = start(&script);
    pass(239).await;
    script.take(MS(200));
    sleep(MS(1_100)).await;
    assert_eq!(script.asked(), 2, "the fetch of every four minutes is under way");
    let (outcome, waited) = patiently(&issuers, &token(&new)).await;
    assert_eq!(outcome, Ok(()), "it brought the old keys, and one of its own the new ones");
    assert!(waited > MS(200) && waited < MS(400), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn invented_keys_cost_one_fetch_in_the_floor_and_nobody_else_a_moment() {
    let (signer, script) = (Signer::rsa(), Script::new(&[keys(&[&Signer::rsa()])]));
    let issuers = start(&script);
    pass(1).await;
    script.take(MS(100));
    let invented = token(&Signer::other_rsa());
    assert_eq!(patiently(&issuers, &invented).await, (Err(Refusal::BadSignature), MS(100)), "the first waits");
    for second in 1..29 {
        assert_eq!(patiently(&issuers, &invented).await, (Err(Refusal::BadSignature), MS(0)), "second {second}");
        assert_eq!(patiently(&issuers, &token(&signer)).await, (Ok(()), MS(0)), "a good token never waits");
        pass(1).await;
    }
    assert_eq!(script.asked(), 2, "one fetch");
    pass(2).await;
    assert_eq!(patiently(&issuers, &invented).await, (Err(Refusal::BadSignature), MS(100)), "after the floor the next");
    assert_eq!(script.asked(), 3, "one more");
}

#[tokio::test(start_paused = true)]
async fn only_tokens_that_a_key_could_save_ask_for_keys() {
    let signer = Signer::rsa();
    let script = Script::new(&[keys(&[&signer])]);
    let issuers = start(&script);
    pass(60).await;
    let claims = |exp: u64| json!({"iss": "https://issuer.example", "exp": exp}).to_string();
    let other = Signer::other_rsa();
    for (what, token) in [
        ("an old token by a retired key", other.sign_text(r#"{"alg":"RS256","kid":"two"}"#, &claims(1_000_000))),
        ("an algorithm that is not allowed", other.sign_text(r#"{"alg":"PS256","kid":"two"}"#, &claims(99_999_999_999))),
        ("no algorithm", other.sign_text(r#"{"alg":"none","kid":"two"}"#, &claims(99_999_999_999))),
        ("a false signature by a key that is here", other.sign_text(r#"{"alg":"RS256","kid":"one"}"#, &claims(99_999_999_999))),
    ] {
        assert_eq!(patiently(&issuers, &token).await, (Err(Refusal::BadSignature), MS(0)), "{what}");
    }
    pass(60).await;
    assert_eq!(script.asked(), 1, "nobody asked");
}

#[tokio::test(start_paused = true)]
async fn a_token_without_a_key_id_asks_once_the_keys_are_older_than_the_floor() {
    let new = Signer::other_rsa();
    let script = Script::new(&[keys(&[&Signer::rsa()]), keys(&[&new])]);
    let issuers = start(&script);
    pass(1).await;
    let exp = 99_999_999_999u64;
    let nameless = new.sign_text(r#"{"alg":"RS256"}"#, &json!({"iss": "https://issuer.example", "exp": exp}).to_string());
    assert_eq!(patiently(&issuers, &nameless).await, (Err(Refusal::BadSignature), MS(0)), "the keys are fresh");
    pass(30).await;
    assert_eq!(patiently(&issuers, &nameless).await, (Ok(()), MS(0)), "they may have changed since, and had");
    assert_eq!(script.asked(), 2, "by one fetch");
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_is_back_is_asked_before_its_turn() {
    let (old, new) = (Signer::rsa(), Signer::ec());
    let script = Script::new(&[keys(&[&old]), None]);
    let issuers = start(&script);
    pass(240 + 1 + 2 + 4 + 8 + 16 + 32 + 31).await;
    let asked = script.asked();
    script.say(keys(&[&new]));
    assert_eq!(patiently(&issuers, &token(&new)).await.0, Ok(()), "half of the minute between two tries is enough");
    assert_eq!(script.asked(), asked + 1, "by one fetch");
}

fn metadata(keys: &str) -> Option<Fetched> {
    let text = json!({"issuer": "https://issuer.example", "jwks_uri": keys, "introspection_endpoint": "https://issuer.example/ask"});
    Some(Fetched { body: text.to_string().into(), cache_control: None })
}

const OPENID: &str = "https://issuer.example/.well-known/openid-configuration";

#[tokio::test(start_paused = true)]
async fn an_issuer_without_keys_is_asked_where_they_are_once_an_hour() {
    let signer = Signer::rsa();
    let set = Fetched { cache_control: Some("max-age=2000".into()), ..keys(&[&signer]).expect("keys") };
    let script = Script::new(&[metadata("https://keys.example/a"), Some(set.clone()), Some(set.clone()), Some(set.clone())]);
    let issuers = start_with(&script, KeySource::Discovery);
    assert_eq!(patiently(&issuers, &token(&signer)).await.0, Ok(()), "two fetches that the first request waits for");
    assert_eq!(script.urls(), [OPENID, "https://keys.example/a"]);
    let known = issuers.get("main").and_then(|issuer| issuer.metadata()).expect("it said so");
    assert_eq!(known.introspection_endpoint, Some(Uri::from_static("https://issuer.example/ask")));
    pass(3_201).await;
    assert_eq!(script.urls(), ["https://keys.example/a"; 2], "the address is known for an hour");
    *script.answers.lock() = [metadata("https://keys.example/b"), Some(set)].into();
    pass(1_600).await;
    assert_eq!(script.urls(), [OPENID, "https://keys.example/b"], "and then asked for again");
}

#[tokio::test(start_paused = true)]
async fn an_issuer_whose_keys_moved_is_asked_where_they_are_now() {
    let (old, new) = (Signer::rsa(), Signer::ec());
    let script = Script::new(&[metadata("https://keys.example/a"), keys(&[&old]), None, metadata("https://keys.example/b"), keys(&[&new])]);
    let issuers = start_with(&script, KeySource::Discovery);
    pass(250).await;
    assert_eq!(script.urls()[2..], ["https://keys.example/a", OPENID, "https://keys.example/b"], "gone, so asked");
    assert_eq!(verify(&issuers, &new), Ok(()), "and found");
}

#[tokio::test(start_paused = true)]
async fn metadata_of_another_issuer_bring_no_keys() {
    let forged = json!({"issuer": "https://evil.example", "jwks_uri": "https://evil.example/keys"});
    let script = Script::new(&[Some(Fetched { body: forged.to_string().into(), cache_control: None })]);
    let issuers = start_with(&script, KeySource::Discovery);
    let outcome = patiently(&issuers, &token(&Signer::rsa())).await.0;
    assert_eq!(outcome, Err(Refusal::KeysUnavailable), "nothing was believed");
    assert!(script.urls().iter().all(|url| url == OPENID), "and nothing fetched from there");
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
        assert_eq!(lifetime(cache_control, Duration::from_secs(300)), Duration::from_secs(seconds), "{cache_control:?}");
    }
    assert_eq!(lifetime(Some("public"), Duration::from_secs(7)), Duration::from_secs(7), "as configured");
}
