//! Tests of `credentials`: when a token is fetched and for how long it serves, on a clock moved by hand.

use std::collections::VecDeque;

use http::{StatusCode, Uri};
use serde_json::json;
use tokio::time::{advance, sleep};

use super::*;
use crate::identity::fetch::{FetchError, Fetched, post::Posted};

// Takes 100 ms for each answer. The last one stays.
struct Script {
    answers: Mutex<VecDeque<Option<u64>>>,
    asked: Mutex<Vec<Form>>,
}

impl Script {
    // The lifetime of each token, or a failure.
    fn new(answers: &[Option<u64>]) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::new(answers.to_vec().into()), asked: Mutex::default() })
    }

    fn say(&self, answer: Option<u64>) {
        *self.answers.lock() = [answer].into();
    }

    fn asked(&self) -> usize {
        self.asked.lock().len()
    }
}

impl Post for Script {
    async fn post(&self, form: &Form, _limit: Duration) -> Result<Posted, FetchError> {
        let number = {
            let mut asked = self.asked.lock();
            asked.push(form.clone());
            asked.len()
        };
        sleep(Duration::from_millis(100)).await;
        let mut answers = self.answers.lock();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().copied() };
        Ok(match answer.flatten() {
            Some(lifetime) => {
                let body = format!(r#"{{"access_token":"token-{number}","token_type":"Bearer","expires_in":{lifetime}}}"#);
                Posted { status: StatusCode::OK, body: body.into() }
            }
            None => Posted { status: StatusCode::BAD_GATEWAY, body: "".into() },
        })
    }
}

// Says where it is asked; see `address` for that.
impl Fetch for Script {
    async fn get(&self, _url: &Uri) -> Result<Fetched, FetchError> {
        let metadata = json!({
            "issuer": "https://issuer.example",
            "jwks_uri": "https://issuer.example/jwks",
            "token_endpoint": "https://issuer.example/found",
        });
        Ok(Fetched { body: metadata.to_string().into(), cache_control: None })
    }
}

fn settings() -> Settings {
    Settings {
        endpoint: Source::Url("https://issuer.example/token".into()),
        client_id: "gateway".into(),
        client_secret: Secret(b"secret".to_vec()),
        scopes: vec!["read".into(), "write".into()],
        audience: Some("https://orders.example".into()),
    }
}

fn start(script: &Arc<Script>) -> (TokenSources, Arc<TokenSource>) {
    let sources = TokenSources::default();
    let source = sources.get(settings()).unwrap();
    sources.attend(&Handle::current(), script);
    (sources, source)
}

async fn token(source: &TokenSource) -> Option<String> {
    source.bearer().await.ok().map(|bearer| bearer.authorization.to_str().unwrap().to_owned())
}

fn numbered(number: usize) -> Option<String> {
    Some(format!("Bearer token-{number}"))
}

#[tokio::test(start_paused = true)]
async fn the_endpoint_is_asked_as_rfc_6749_says() {
    let script = Script::new(&[Some(100)]);
    let (_sources, source) = start(&script);
    assert_eq!(token(&source).await, numbered(1));
    let form = script.asked.lock()[0].clone();
    assert_eq!(form.url, "https://issuer.example/token");
    assert_eq!(form.fields, "grant_type=client_credentials&scope=read%20write&audience=https%3A%2F%2Forders.example");
    assert_eq!(form.authorization, "Basic Z2F0ZXdheTpzZWNyZXQ=", "gateway:secret");
}

#[tokio::test(start_paused = true)]
async fn everybody_shares_one_token_and_the_first_wait_for_one_fetch() {
    let script = Script::new(&[Some(100)]);
    let (sources, source) = start(&script);
    let waiting: Vec<_> = (0..100)
        .map(|_| {
            let source = sources.get(settings()).unwrap();
            tokio::spawn(async move { token(&source).await })
        })
        .collect();
    for one in waiting {
        assert_eq!(one.await.unwrap(), numbered(1));
    }
    assert_eq!(script.asked(), 1);
    let other = sources.get(Settings { audience: None, ..settings() }).unwrap();
    assert!(!Arc::ptr_eq(&source, &other), "another audience is another token");
}

#[tokio::test(start_paused = true)]
async fn a_token_is_fetched_again_at_eighty_per_cent_of_its_life_and_nobody_waits() {
    let script = Script::new(&[Some(100)]);
    let (_sources, source) = start(&script);
    sleep(Duration::from_millis(79_900)).await;
    assert_eq!((token(&source).await, script.asked()), (numbered(1), 1), "not yet");
    sleep(Duration::from_millis(150)).await;
    assert_eq!((token(&source).await, script.asked()), (numbered(1), 2), "the old one serves meanwhile");
    sleep(Duration::from_millis(100)).await;
    assert_eq!(token(&source).await, numbered(2));
}

#[tokio::test(start_paused = true)]
async fn while_the_endpoint_is_down_a_token_serves_until_it_expires() {
    let script = Script::new(&[Some(100), None]);
    let (_sources, source) = start(&script);
    sleep(Duration::from_secs(99)).await;
    assert_eq!(token(&source).await, numbered(1));
    assert!(script.asked() > 3, "and is tried for meanwhile: {}", script.asked());
    sleep(Duration::from_secs(2)).await;
    assert_eq!(token(&source).await, None, "it has expired");
    script.say(Some(100));
    sleep(TokenSource::FLOOR).await;
    assert!(token(&source).await.is_some(), "whoever finds none has it tried again");
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_requests_are_refused_at_once_for_a_second() {
    let script = Script::new(&[None]);
    let (_sources, source) = start(&script);
    assert_eq!(token(&source).await, None, "the first waits for the attempt");
    let began = Instant::now();
    for _ in 0..100 {
        assert_eq!(token(&source).await, None);
    }
    assert_eq!((began.elapsed(), script.asked()), (Duration::ZERO, 1), "nobody waited and nobody was asked");
}

#[tokio::test(start_paused = true)]
async fn retries_back_off_up_to_a_minute() {
    let script = Script::new(&[None]);
    let (_sources, _source) = start(&script);
    sleep(Duration::from_secs(1 + 2 + 4 + 8 + 16 + 32 + 60 + 60 + 2)).await;
    assert_eq!(script.asked(), 9);
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_replaced_once_for_all_who_had_it() {
    let script = Script::new(&[Some(1_000)]);
    let (_sources, source) = start(&script);
    let refused = source.bearer().await.unwrap();
    for _ in 0..10 {
        assert!(source.give_up(&refused), "another one may be had");
    }
    assert_eq!(token(&source).await, numbered(2));
    assert!(source.give_up(&refused), "it is here already");
    assert_eq!((token(&source).await, script.asked()), (numbered(2), 2));
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_refuses_every_token_has_one_fetched_in_ten_seconds() {
    let script = Script::new(&[Some(1_000)]);
    let (_sources, source) = start(&script);
    for _ in 0..200 {
        let refused = source.bearer().await.unwrap();
        source.give_up(&refused);
        advance(Duration::from_millis(100)).await;
    }
    assert!((3..=4).contains(&script.asked()), "20 s passed: {}", script.asked());
}

#[tokio::test(start_paused = true)]
async fn a_source_that_nobody_uses_is_not_kept() {
    let script = Script::new(&[Some(10)]);
    let (sources, source) = start(&script);
    assert_eq!(token(&source).await, numbered(1));
    drop(source);
    assert!(sources.is_empty());
    sleep(Duration::from_secs(60)).await;
    assert_eq!(script.asked(), 1, "the loop has ended");
}

#[tokio::test(start_paused = true)]
async fn an_issuer_says_itself_where_its_tokens_are() {
    let script = Script::new(&[Some(100)]);
    let sources = TokenSources::default();
    let source = sources.get(Settings { endpoint: Source::Issuer("https://issuer.example".into()), ..settings() }).unwrap();
    sources.attend(&Handle::current(), &script);
    assert_eq!(token(&source).await, numbered(1));
    assert_eq!(script.asked.lock()[0].url, "https://issuer.example/found");
}
