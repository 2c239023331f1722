//! Tests of `introspection`: who is asked how often, what is remembered for how long, and what happens when nobody
//! answers. On a clock moved by hand.

use std::{collections::VecDeque, time::SystemTime};

use http::{StatusCode, Uri};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::{advance, sleep};

use super::*;
use crate::identity::fetch::{
    FetchError, Fetched,
    post::{Form, Posted},
};

pub(super) fn settings() -> Settings {
    Settings {
        name: "main".into(),
        issuer: "https://issuer.example".into(),
        audiences: vec!["api".into()],
        leeway: Duration::from_secs(30),
        endpoint: Source::Url("https://issuer.example/introspect".into()),
        client_id: "gateway".into(),
        client_secret: Secret(b"secret".to_vec()),
        timeout: Duration::from_millis(500),
        cache: Duration::from_secs(30),
        negative_cache: Duration::from_secs(5),
        allow_stale: false,
    }
}

// Takes 100 ms for each answer. The last one stays; none is a failure.
struct Script {
    answers: Mutex<VecDeque<Option<Value>>>,
    asked: Mutex<Vec<Form>>,
}

impl Script {
    fn new(answers: &[Option<Value>]) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::new(answers.to_vec().into()), asked: Mutex::default() })
    }

    fn say(&self, answer: Option<Value>) {
        *self.answers.lock() = [answer].into();
    }

    fn asked(&self) -> usize {
        self.asked.lock().len()
    }
}

impl Post for Script {
    async fn post(&self, form: &Form, _limit: Duration) -> Result<Posted, FetchError> {
        self.asked.lock().push(form.clone());
        sleep(Duration::from_millis(100)).await;
        let mut answers = self.answers.lock();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        match answer.flatten() {
            Some(body) => Ok(Posted { status: StatusCode::OK, body: body.to_string().into() }),
            None => Ok(Posted { status: StatusCode::BAD_GATEWAY, body: "".into() }),
        }
    }
}

// Says where it is asked; see `address` for that.
impl Fetch for Script {
    async fn get(&self, _url: &Uri) -> Result<Fetched, FetchError> {
        let metadata = json!({
            "issuer": "https://issuer.example",
            "jwks_uri": "https://issuer.example/jwks",
            "introspection_endpoint": "https://issuer.example/found",
        });
        Ok(Fetched { body: metadata.to_string().into(), cache_control: None })
    }
}

fn active() -> Option<Value> {
    Some(json!({"active": true, "sub": "ada", "scope": "read", "aud": "api", "exp": in_seconds(3_600)}))
}

fn inactive() -> Option<Value> {
    Some(json!({"active": false}))
}

fn in_seconds(seconds: u64) -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs() + seconds
}

fn start(settings: Settings, script: &Arc<Script>) -> Introspection {
    let mut introspection = Introspection::default();
    introspection.add(settings, None).unwrap();
    introspection.serve(&Handle::current(), script);
    introspection
}

// As a worker does it.
async fn introspect(introspection: &Introspection, token: &str) -> Result<String, Refusal> {
    let outcome = match introspection.known(token.as_bytes(), &[]) {
        Some(outcome) => outcome,
        None => introspection.ask(token.as_bytes(), &[]).await,
    };
    outcome.map(|verified| verified.subject.clone())
}

fn ada() -> Result<String, Refusal> {
    Ok("ada".into())
}

#[tokio::test(start_paused = true)]
async fn the_endpoint_is_asked_as_rfc_7662_says() {
    let script = Script::new(&[active()]);
    let introspection = start(settings(), &script);
    assert_eq!(introspect(&introspection, "a/b+c=").await, ada());
    let form = script.asked.lock()[0].clone();
    assert_eq!(form.url, "https://issuer.example/introspect");
    assert_eq!(form.fields, "token=a%2Fb%2Bc%3D&token_type_hint=access_token");
    assert_eq!(form.authorization, "Basic Z2F0ZXdheTpzZWNyZXQ=", "gateway:secret");
}

#[tokio::test(start_paused = true)]
async fn an_issuer_without_a_url_says_itself_where_it_is_asked() {
    let script = Script::new(&[active()]);
    let introspection = start(Settings { endpoint: Source::Issuer("https://issuer.example".into()), ..settings() }, &script);
    assert_eq!(introspect(&introspection, "token").await, ada());
    assert_eq!(script.asked.lock()[0].url, "https://issuer.example/found");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_who_show_one_token_wait_for_one_question() {
    let script = Script::new(&[active()]);
    let introspection = Arc::new(start(settings(), &script));
    let callers: Vec<_> = (0..1_000)
        .map(|_| {
            let introspection = Arc::clone(&introspection);
            tokio::spawn(async move { introspect(&introspection, "one").await })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), ada());
    }
    assert_eq!(script.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_active_token_is_believed_for_thirty_seconds_and_a_refused_one_refused_for_five() {
    let script = Script::new(&[active()]);
    let introspection = start(settings(), &script);
    assert_eq!(introspect(&introspection, "token").await, ada());
    script.say(inactive());
    advance(Duration::from_millis(29_800)).await;
    assert_eq!(introspect(&introspection, "token").await, ada(), "remembered");
    advance(Duration::from_millis(300)).await;
    assert_eq!(introspect(&introspection, "token").await, Err(Refusal::Inactive), "the revocation is noticed");
    script.say(active());
    advance(Duration::from_millis(4_800)).await;
    assert_eq!(introspect(&introspection, "token").await, Err(Refusal::Inactive), "remembered");
    assert_eq!(script.asked(), 2);
    advance(Duration::from_millis(300)).await;
    assert_eq!(introspect(&introspection, "token").await, ada(), "asked again");
}

#[tokio::test(start_paused = true)]
async fn a_token_is_not_believed_past_its_own_end() {
    let script = Script::new(&[Some(json!({"active": true, "sub": "ada", "aud": "api", "exp": in_seconds(10)})), inactive()]);
    let introspection = start(settings(), &script);
    assert_eq!(introspect(&introspection, "token").await, ada());
    advance(Duration::from_secs(11)).await;
    assert_eq!(introspect(&introspection, "token").await, Err(Refusal::Inactive), "asked again");
}

#[tokio::test(start_paused = true)]
async fn after_five_failures_nobody_is_asked_for_a_while() {
    let script = Script::new(&[None]);
    let introspection = start(settings(), &script);
    for token in ["a", "b", "c", "d", "e", "f", "g"] {
        assert_eq!(introspect(&introspection, token).await, Err(Refusal::Unavailable), "{token}");
    }
    assert_eq!(script.asked(), 5, "the breaker is open");
    script.say(active());
    advance(Duration::from_secs(5)).await;
    assert_eq!(introspect(&introspection, "a").await, ada(), "the probe");
    assert_eq!(introspect(&introspection, "b").await, ada(), "and it is closed again");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_the_endpoint_does_not_take_does_not_open_the_breaker() {
    struct Choosy;
    impl Post for Choosy {
        async fn post(&self, form: &Form, _limit: Duration) -> Result<Posted, FetchError> {
            let status = if form.fields.starts_with("token=odd") { StatusCode::BAD_REQUEST } else { StatusCode::OK };
            Ok(Posted { status, body: active().expect("an answer").to_string().into() })
        }
    }
    impl Fetch for Choosy {
        async fn get(&self, url: &Uri) -> Result<Fetched, FetchError> {
            unreachable!("the address is configured, and {url} asked for")
        }
    }
    let mut introspection = Introspection::default();
    introspection.add(settings(), None).unwrap();
    introspection.serve(&Handle::current(), &Arc::new(Choosy));
    for number in 0..20 {
        assert_eq!(introspect(&introspection, &format!("odd{number}")).await, Err(Refusal::Unavailable));
    }
    assert_eq!(introspect(&introspection, "good").await, ada(), "one caller cannot shut the others out");
}

#[tokio::test(start_paused = true)]
async fn while_the_issuer_is_down_the_last_answer_counts_only_where_that_is_allowed() {
    for (allow_stale, expected) in [(false, Err(Refusal::Unavailable)), (true, ada())] {
        let script = Script::new(&[active(), None]);
        let introspection = start(Settings { allow_stale, ..settings() }, &script);
        assert_eq!(introspect(&introspection, "token").await, ada());
        advance(Duration::from_secs(31)).await;
        for _ in 0..8 {
            assert_eq!(introspect(&introspection, "token").await, expected, "the breaker open or not; allow_stale: {allow_stale}");
        }
        assert_eq!(introspect(&introspection, "other").await, Err(Refusal::Unavailable), "never seen before");
        assert_eq!(script.asked(), 1 + 5, "and the breaker works");
    }
}

#[tokio::test(start_paused = true)]
async fn a_revoked_token_does_not_come_back_as_stale() {
    let script = Script::new(&[active(), inactive(), None]);
    let introspection = start(Settings { allow_stale: true, ..settings() }, &script);
    assert_eq!(introspect(&introspection, "token").await, ada());
    advance(Duration::from_secs(31)).await;
    assert_eq!(introspect(&introspection, "token").await, Err(Refusal::Inactive));
    advance(Duration::from_secs(6)).await;
    assert_eq!(introspect(&introspection, "token").await, Err(Refusal::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn a_token_without_an_end_is_never_stale() {
    let script = Script::new(&[Some(json!({"active": true, "sub": "ada", "aud": "api"})), None]);
    let introspection = start(Settings { allow_stale: true, ..settings() }, &script);
    assert_eq!(introspect(&introspection, "token").await, ada());
    advance(Duration::from_secs(31)).await;
    assert_eq!(introspect(&introspection, "token").await, Err(Refusal::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_tokens_is_turned_away_and_what_is_remembered_is_not() {
    let script = Script::new(&[active()]);
    let introspection = Arc::new(start(settings(), &script));
    assert_eq!(introspect(&introspection, "known").await, ada());
    let flood: Vec<_> = (0..200)
        .map(|number| {
            let introspection = Arc::clone(&introspection);
            tokio::spawn(async move { introspect(&introspection, &format!("made-up-{number}")).await })
        })
        .collect();
    sleep(Duration::from_millis(50)).await;
    assert_eq!(introspection.known(b"known", &[]).map(|outcome| outcome.is_ok()), Some(true), "without waiting");
    let mut turned_away = 0;
    for caller in flood {
        turned_away += usize::from(caller.await.unwrap() == Err(Refusal::Unavailable));
    }
    assert_eq!((turned_away, script.asked()), (200 - 64, 1 + 64), "so many at a time");
    assert_eq!(introspect(&introspection, "later").await, ada(), "which is no failure of the issuer");
}

#[tokio::test(start_paused = true)]
async fn issuers_are_asked_in_turn_and_only_those_allowed() {
    let (first, second) = (Script::new(&[inactive()]), Script::new(&[active()]));
    let mut introspection = Introspection::default();
    introspection.add(Settings { name: "first".into(), ..settings() }, None).unwrap();
    introspection.introspectors[0].serve(&Handle::current(), &first);
    introspection.add(Settings { name: "second".into(), ..settings() }, None).unwrap();
    introspection.introspectors[1].serve(&Handle::current(), &second);
    let by = async |allowed: &[&str]| {
        let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
        match introspection.known(b"token", &allowed) {
            Some(outcome) => outcome.map(|verified| verified.issuer.clone()),
            None => introspection.ask(b"token", &allowed).await.map(|verified| verified.issuer.clone()),
        }
    };
    assert_eq!(by(&["first"]).await, Err(Refusal::Inactive));
    assert_eq!(by(&["none"]).await, Err(Refusal::UnknownIssuer));
    assert_eq!(second.asked(), 0, "nobody asked the second");
    assert_eq!(by(&[]).await, Ok("second".into()), "any");
    assert_eq!(by(&["second", "first"]).await, Ok("second".into()));
    first.say(None);
    advance(Duration::from_secs(6)).await;
    assert_eq!(introspection.ask(b"other", &["first".into()]).await.map(drop), Err(Refusal::Unavailable));
    assert_eq!(introspection.ask(b"other", &[]).await.map(|verified| verified.issuer.clone()), Ok("second".into()), "one down is enough");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_token_reaches_no_issuer() {
    let script = Script::new(&[active()]);
    let introspection = start(settings(), &script);
    for token in ["", "a b", "a\nb", "é", &"x".repeat(8 * 1024 + 1)] {
        assert_eq!(introspect(&introspection, token).await, Err(Refusal::Malformed), "{} bytes", token.len());
    }
    assert_eq!(script.asked(), 0);
    assert_eq!(introspect(&introspection, &"x".repeat(8 * 1024)).await, ada(), "the longest");
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_stays_as_it_is_keeps_what_it_said() {
    let script = Script::new(&[active()]);
    let before = start(settings(), &script);
    assert_eq!(introspect(&before, "token").await, ada());
    let mut after = Introspection::default();
    after.add(settings(), Some(&before)).unwrap();
    assert!(after.known(b"token", &[]).is_some(), "the same settings");
    let mut changed = Introspection::default();
    changed.add(Settings { audiences: vec!["web".into()], ..settings() }, Some(&before)).unwrap();
    assert!(changed.known(b"token", &[]).is_none(), "other settings may think otherwise");
}
