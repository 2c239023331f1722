//! Issuers whose keys are fetched: from an address, by discovery, from a file; keys that change, and issuers that are
//! gone. The issuers here play a script; `identity_provider` does the same with a real one.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use gatehouse_tests::{
    Gateway, Origin, Request, Setup, ask,
    gateway::Reload,
    get,
    origin::{Answer, Recorded, nobody},
    tokens::{AUDIENCE, SigningKey, key_set},
};
use serde_json::{Value, json};

/// An issuer with a key set that the test changes.
struct Issuer {
    origin: Origin,
    pages: Arc<Mutex<Pages>>,
}

#[derive(Clone)]
struct Pages {
    metadata: Value,
    keys: String,
    status: u16,
    delay: Duration,
}

impl Issuer {
    async fn with(keys: &[&SigningKey]) -> Self {
        let pages = Pages { metadata: Value::Null, keys: key_set(keys), status: 200, delay: Duration::ZERO };
        let pages = Arc::new(Mutex::new(pages));
        let shown = pages.clone();
        let origin = Origin::start(move |request| answer(request, &shown.lock().unwrap().clone())).await;
        let issuer = Self { origin, pages };
        let url = issuer.url();
        issuer.change(|pages| pages.metadata = json!({"issuer": url, "jwks_uri": format!("{url}/keys")}));
        issuer
    }

    fn change(&self, change: impl FnOnce(&mut Pages)) {
        change(&mut self.pages.lock().unwrap());
    }

    fn publish(&self, keys: &[&SigningKey]) {
        self.change(|pages| pages.keys = key_set(keys));
    }

    fn url(&self) -> String {
        self.origin.url()
    }

    fn token(&self, key: &SigningKey) -> String {
        token(&self.url(), key)
    }

    /// How often the keys were fetched.
    fn fetches(&self) -> usize {
        self.origin.requests().iter().filter(|request| request.target() == "/keys").count()
    }
}

fn answer(request: &Recorded, pages: &Pages) -> Answer {
    let answer = match request.target() {
        _ if pages.status != 200 => Answer::new(pages.status, &[], "not now"),
        "/keys" => Answer::new(200, &[], &pages.keys),
        "/.well-known/openid-configuration" => Answer::json(200, &pages.metadata),
        _ => Answer::new(404, &[], ""),
    };
    answer.delayed(pages.delay)
}

fn token(issuer: &str, key: &SigningKey) -> String {
    let exp = gatehouse_tests::tokens::seconds_from_now(3_600);
    key.sign(&json!({"iss": issuer, "aud": AUDIENCE, "sub": "alice", "exp": exp}))
}

fn bearing(token: &str) -> Request {
    get("/").header("authorization", &format!("Bearer {token}"))
}

/// A gateway that asks for tokens of this issuer and answers itself. `more` are further keys of the issuer's section.
async fn start(issuer: &str, more: &str) -> Gateway {
    Gateway::start(&config(issuer, more)).await
}

fn config(issuer: &str, more: &str) -> String {
    format!(
        "issuers: [{{name: main, issuer: \"{issuer}\", audiences: [{AUDIENCE}], algorithms: [RS256, ES256]{more}}}]
routes: [{{name: all, chain: [{{plugin: jwt, config: {{issuer: main}}}}, {{plugin: mock, config: {{body: in}}}}]}}]
"
    )
}

/// The keys at an address, with a floor that a test can wait for.
fn at(url: &str) -> String {
    format!(", jwks: {{url: \"{url}/keys\", refetch_floor: 300ms}}")
}

async fn status(gateway: &Gateway, token: &str) -> u16 {
    gateway.ask(bearing(token)).await.status
}

#[tokio::test]
async fn a_token_by_a_key_that_is_new_waits_for_the_key_and_gets_in() {
    let (old, new) = (SigningKey::rs256("old"), SigningKey::es256("new"));
    let issuer = Issuer::with(&[&old]).await;
    let gateway = start(&issuer.url(), &at(&issuer.url())).await;
    assert_eq!(status(&gateway, &issuer.token(&old)).await, 200, "the first request waits for the first keys");
    issuer.publish(&[&new]);
    issuer.change(|pages| pages.delay = Duration::from_millis(200));
    let began = Instant::now();
    let new_token = issuer.token(&new);
    let many: Vec<_> = (0..30).map(|_| tokio::spawn(ask(gateway.address(), bearing(&new_token)))).collect();
    for response in many {
        assert_eq!(response.await.unwrap().status, 200, "no request fails because its key is new");
    }
    assert!(began.elapsed() >= Duration::from_millis(200), "they waited");
    assert_eq!(issuer.fetches(), 2, "for one fetch");
    assert_eq!(gateway.metrics().await.sum("gatehouse_plugin_faults_total", &[]), 0.0, "and that is no fault of the plugin");
    assert!(!gateway.log().contains("plugin"), "nor is it told as one: {}", gateway.log());
}

#[tokio::test]
async fn a_token_by_an_invented_key_waits_once_and_is_refused() {
    let key = SigningKey::rs256("good");
    let issuer = Issuer::with(&[&key]).await;
    let gateway = start(&issuer.url(), &format!(", jwks: {{url: \"{}/keys\"}}", issuer.url())).await;
    assert_eq!(status(&gateway, &issuer.token(&key)).await, 200);
    issuer.change(|pages| pages.delay = Duration::from_millis(300));
    for turn in 0..20 {
        let began = Instant::now();
        let stranger = SigningKey::es256(&format!("invented-{turn}"));
        assert_eq!(status(&gateway, &issuer.token(&stranger)).await, 401, "a stranger");
        assert!(turn == 0 || began.elapsed() < Duration::from_millis(250), "only the first waits: {turn} {:?}", began.elapsed());
    }
    assert_eq!(issuer.fetches(), 2, "twenty invented keys cost one fetch in half a minute");
    assert_eq!(status(&gateway, &issuer.token(&key)).await, 200, "good tokens are none the worse");
}

#[tokio::test]
async fn keys_that_cannot_be_had_are_503_and_not_401() {
    let key = SigningKey::rs256("good");
    let gone = format!("http://{}", nobody());
    let gateway = start(&gone, &at(&gone)).await;
    let response = gateway.ask(bearing(&token(&gone, &key))).await;
    assert_eq!(response.status, 503, "the client is not to blame: {}", response.head);
    assert!(response.header("retry-after").is_some(), "and may come again");
    assert_eq!(gateway.get("/").await.status, 401, "who has no token learns that without keys");
}

#[tokio::test]
async fn the_keys_outlive_their_issuer() {
    let (key, new) = (SigningKey::rs256("good"), SigningKey::rs256("new"));
    let issuer = Issuer::with(&[&key]).await;
    let url = issuer.url();
    let gateway = start(&url, &format!(", jwks: {{url: \"{url}/keys\", ttl: 1s, refetch_floor: 100ms}}")).await;
    assert_eq!(status(&gateway, &issuer.token(&key)).await, 200);
    issuer.change(|pages| pages.status = 500);
    gateway.wait_for_log("tells of the failure", |line| line.contains("kept the issuer's keys as they are")).await;
    // Several times the second after which the keys are old.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let fresh = issuer.token(&key);
    assert_eq!(status(&gateway, &fresh).await, 200, "a token that was never seen is verified by the old keys");
    assert_eq!(status(&gateway, &issuer.token(&new)).await, 401, "a key that is not known stays unknown");
    issuer.publish(&[&new]);
    issuer.change(|pages| pages.status = 200);
    gateway.wait_for_log("tells of the keys", |line| line.contains("fetched the issuer's keys")).await;
    gatehouse_tests::wire::soon("the new key to count", async {
        while status(&gateway, &issuer.token(&new)).await != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(status(&gateway, &fresh).await, 401, "and what was verified by the key that is gone is not believed any longer");
}

#[tokio::test]
async fn an_issuer_without_keys_is_asked_where_they_are() {
    let key = SigningKey::es256("good");
    let issuer = Issuer::with(&[&key]).await;
    for more in ["", ", jwks: {}", ", jwks: {refetch_floor: 1s}"] {
        let gateway = start(&issuer.url(), more).await;
        assert_eq!(status(&gateway, &issuer.token(&key)).await, 200, "{more}");
    }
}

#[tokio::test]
async fn metadata_that_are_not_the_issuers_own_are_not_believed() {
    let key = SigningKey::es256("good");
    let issuer = Issuer::with(&[&key]).await;
    let url = issuer.url();
    issuer.change(|pages| pages.metadata = json!({"issuer": format!("{url}/"), "jwks_uri": format!("{url}/keys")}));
    let gateway = start(&url, "").await;
    assert_eq!(status(&gateway, &issuer.token(&key)).await, 503);
    gateway.wait_for_log("says why", |line| line.contains("the metadata are of the issuer")).await;
    assert_eq!(issuer.fetches(), 0, "nothing was fetched from there");
}

#[tokio::test]
async fn keys_from_a_file_change_with_the_file() {
    let (old, new) = (SigningKey::rs256("old"), SigningKey::rs256("new"));
    let url = "https://issuer.example";
    let yaml = config(url, ", jwks: {file: $DIR/keys.json}");
    let gateway = Setup::new(&yaml).file("keys.json", key_set(&[&old])).start().await;
    assert_eq!(status(&gateway, &token(url, &old)).await, 200);
    std::fs::write(gateway.folder().join("keys.json"), key_set(&[&new])).unwrap();
    assert!(matches!(gateway.reload(&yaml).await, Reload::Applied(_)), "{}", gateway.log());
    assert_eq!(status(&gateway, &token(url, &new)).await, 200, "the new key");
    assert_eq!(status(&gateway, &token(url, &old)).await, 401, "the old key is gone");
    std::fs::write(gateway.folder().join("keys.json"), "{}").unwrap();
    assert_eq!(gateway.reload(&yaml).await, Reload::Rejected, "a file without keys");
    gateway.wait_for_log("points at the file", |line| line.contains("issuers[0].jwks")).await;
    assert_eq!(status(&gateway, &token(url, &new)).await, 200, "the last good keys serve on");
}

#[tokio::test]
async fn an_issuer_that_cannot_be_meant_is_refused_with_its_place() {
    let other = "{name: other, issuer: \"https://other.example\", audiences: [a], algorithms: [RS256], jwks: {url: \"https://a.example\"}}";
    for (issuer, said) in [
        ("{name: main, issuer: \"http://issuer.example\", audiences: [a], algorithms: [RS256]}", "issuers[1].issuer"),
        ("{name: main, issuer: x, audiences: [a], algorithms: [RS256], jwks: {file: nowhere.json}}", "issuers[1].jwks"),
        ("{name: main, issuer: x, audiences: [a], algorithms: [HS256]}", "issuers[1].algorithms[0]"),
        ("{name: main, issuer: x, audiences: [a], algorithms: [RS256], jwks: {url: \"https://a\", ttl: 1ms}}", "issuers[1].jwks.ttl"),
    ] {
        let (code, output) = Setup::new(&format!("issuers: [{other}, {issuer}]\n")).start_refused().await;
        assert_eq!(code, Some(78), "{issuer}: {output}");
        assert!(output.contains(said), "{issuer}: {output}");
    }
}
