//! The gateway's own tokens towards upstreams (RFC 6749 §4.4): fetched, shared, replaced, and what happens when there is
//! none. The token endpoint is a scripted origin that numbers the tokens it gives.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use gatehouse_tests::{
    Answer, Gateway, Origin, Request, Setup, ask, get,
    origin::{Recorded, nobody},
    request,
};
use serde_json::json;
use tokio::task::JoinSet;

const REQUEST: &str = "grant_type=client_credentials&scope=orders.read%20orders.write&audience=https%3A%2F%2Forders.example";

/// A token endpoint, a gateway that is its client, and an upstream that wants its tokens.
struct House {
    gateway: Gateway,
    endpoint: Endpoint,
    upstream: Origin,
}

/// A token endpoint whose tokens are good for so many seconds, and which may be down.
struct Endpoint {
    origin: Origin,
    down: Arc<AtomicBool>,
}

impl Endpoint {
    async fn start(lifetime: u64) -> Self {
        let (down, given) = (Arc::new(AtomicBool::new(false)), AtomicUsize::new(0));
        let seen = down.clone();
        let script = move |_: &Recorded| match seen.load(Relaxed) {
            true => Answer::json(503, &json!({"error": "temporarily_unavailable"})),
            false => granted(given.fetch_add(1, Relaxed) + 1, lifetime),
        };
        Self { origin: Origin::start(script).await, down }
    }
}

impl House {
    async fn new(lifetime: u64, script: impl Fn(&Recorded) -> Answer + Send + Sync + 'static) -> Self {
        let (endpoint, upstream) = (Endpoint::start(lifetime).await, Origin::start(script).await);
        let gateway = start(&endpoint.origin.url(), &upstream.url()).await;
        Self { gateway, endpoint, upstream }
    }

    /// The tokens that the upstream was shown, in order.
    fn shown(&self) -> Vec<String> {
        self.upstream.requests().iter().map(|request| request.header("authorization").unwrap_or_default()).collect()
    }
}

fn configuration(token_url: &str, upstream: &str) -> String {
    let credentials = format!(
        "{{token_url: \"{token_url}/token\", client_id: gateway, client_secret: {{file: $DIR/secret}}, \
         scopes: [orders.read, orders.write], audience: \"https://orders.example\"}}"
    );
    format!(
        "
        upstreams:
          - {{name: orders, endpoints: [{{url: \"{upstream}\"}}], auth: {{client_credentials: {credentials}}}}}
          - {{name: same, endpoints: [{{url: \"{upstream}\"}}], auth: {{client_credentials: {credentials}}}}}
          - {{name: plain, endpoints: [{{url: \"{upstream}\"}}]}}
        routes:
          - {{name: orders, upstream: orders}}
          - {{name: same, match: [{{path: {{prefix: /same}}}}], upstream: same}}
          - {{name: plain, match: [{{path: {{prefix: /plain}}}}], upstream: plain}}
          - name: aggregate
            match: [{{path: {{prefix: /aggregate}}}}]
            chain: [{{plugin: aggregate, config: {{parts: [{{name: one, upstream: orders, path: /one}}]}}}}]
        "
    )
}

async fn start(token_url: &str, upstream: &str) -> Gateway {
    Setup::new(&configuration(token_url, upstream)).file("secret", "s3cret\n").start().await
}

fn granted(number: usize, lifetime: u64) -> Answer {
    Answer::json(200, &json!({"access_token": format!("token-{number}"), "token_type": "Bearer", "expires_in": lifetime}))
}

fn with_authorization(target: &str) -> Request {
    get(target).header("authorization", "Bearer the-clients-own")
}

/// Takes every token but those that were revoked: the first so many.
fn revoking(revoked: &Arc<AtomicUsize>) -> impl Fn(&Recorded) -> Answer + Send + Sync + 'static {
    let revoked = revoked.clone();
    move |request| {
        let shown = request.header("authorization").unwrap_or_default();
        let number: usize = shown.strip_prefix("Bearer token-").and_then(|number| number.parse().ok()).unwrap_or(0);
        match number > revoked.load(Relaxed) {
            true => Answer::ok("through"),
            false => Answer::new(401, &[("www-authenticate", "Bearer error=\"invalid_token\"")], "revoked"),
        }
    }
}

#[tokio::test]
async fn the_gateway_shows_a_token_of_its_own_in_place_of_the_clients() {
    let house = House::new(3_600, |_| Answer::ok("through")).await;
    house.endpoint.origin.wait_for_hits(1).await;
    assert_eq!(house.upstream.hits(), 0, "it was fetched before anybody asked");
    for target in ["/", "/same/1"] {
        assert_eq!(house.gateway.ask(with_authorization(target)).await.status, 200);
    }
    assert_eq!(house.shown(), ["Bearer token-1", "Bearer token-1"], "one token for both upstreams, and nothing of the client's");
    let asked = house.endpoint.origin.request();
    assert_eq!((asked.method(), asked.target()), ("POST", "/token"));
    assert_eq!(String::from_utf8_lossy(&asked.body), REQUEST);
    assert_eq!(asked.header("authorization").as_deref(), Some("Basic Z2F0ZXdheTpzM2NyZXQ="), "gateway:s3cret");
    house.gateway.ask(with_authorization("/plain/1")).await;
    assert_eq!(house.shown().pop().as_deref(), Some("Bearer the-clients-own"), "an upstream without auth is left alone");
}

#[tokio::test]
async fn what_a_plugin_fetches_is_shown_the_token_too() {
    let revoked = Arc::new(AtomicUsize::new(0));
    let answering = revoking(&revoked);
    let house = House::new(3_600, move |request| match answering(request) {
        _ if request.header("authorization").as_deref() == Some("Bearer token-2") => Answer::json(200, &json!({"ok": true})),
        refused => refused,
    })
    .await;
    revoked.store(1, Relaxed);
    let response = house.gateway.get("/aggregate").await;
    assert_eq!((response.status, response.json()), (200, json!({"one": {"ok": true}})), "{}", response.head);
    assert_eq!(house.shown(), ["Bearer token-1", "Bearer token-2"], "and tried again where one was refused");
}

#[tokio::test]
async fn the_first_requests_wait_for_one_fetch() {
    let endpoint = Origin::start(|_| granted(1, 3_600).delayed(Duration::from_millis(400))).await;
    let upstream = Origin::saying("through").await;
    let gateway = start(&endpoint.url(), &upstream.url()).await;
    let mut requests = JoinSet::new();
    (0..50).for_each(|_| drop(requests.spawn(ask(gateway.address(), get("/")))));
    while let Some(response) = requests.join_next().await {
        assert_eq!(response.expect("the client does not panic").status, 200);
    }
    assert_eq!(endpoint.hits(), 1);
    assert!(upstream.requests().iter().all(|request| request.header("authorization").as_deref() == Some("Bearer token-1")));
}

#[tokio::test]
async fn a_token_is_replaced_before_it_expires() {
    let house = House::new(2, |_| Answer::ok("through")).await;
    house.endpoint.origin.wait_for_hits(3).await;
    assert_eq!(house.upstream.hits(), 0, "without anybody's asking");
    assert_eq!(house.gateway.get("/").await.status, 200);
    assert_ne!(house.shown(), ["Bearer token-1"], "the first is long gone");
}

#[tokio::test]
async fn a_refused_token_is_replaced_and_the_request_sent_once_more() {
    let revoked = Arc::new(AtomicUsize::new(0));
    let house = House::new(3_600, revoking(&revoked)).await;
    assert_eq!(house.gateway.get("/").await.status, 200);
    revoked.store(1, Relaxed);
    let response = house.gateway.get("/orders/1?a=b").await;
    assert_eq!((response.status, response.text().as_str()), (200, "through"), "the client sees nothing of it");
    assert_eq!(house.shown(), ["Bearer token-1", "Bearer token-1", "Bearer token-2"]);
    assert!(house.upstream.requests()[1..].iter().all(|request| request.target() == "/orders/1?a=b"), "the same request");
    let log = house.gateway.access_log(2).await;
    let entry = log.iter().find(|entry| entry["path"] == "/orders/1").expect("it was logged");
    assert_eq!(entry["attempts"], 2, "the log knows of both tries: {entry}");
    house
        .gateway
        .wait_for_metric("gatehouse_upstream_requests_total", &[("upstream", "orders"), ("status_class", "4xx")], |count| count == 1.0)
        .await;
}

#[tokio::test]
async fn a_body_that_is_gone_is_not_sent_again_and_the_next_request_has_a_new_token() {
    let revoked = Arc::new(AtomicUsize::new(1));
    let house = House::new(3_600, revoking(&revoked)).await;
    let response = house.gateway.ask(request("POST", "/").body("once")).await;
    assert_eq!((response.status, response.text().as_str()), (401, "revoked"), "the upstream's own answer");
    assert_eq!(response.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
    let response = house.gateway.ask(request("POST", "/").body("twice")).await;
    assert_eq!(response.status, 200);
    assert_eq!(house.shown(), ["Bearer token-1", "Bearer token-2"]);
}

#[tokio::test]
async fn an_upstream_that_refuses_every_token_is_not_fed_a_new_one_each_time() {
    let house = House::new(3_600, |_| Answer::new(401, &[], "no")).await;
    for _ in 0..20 {
        let response = house.gateway.get("/").await;
        assert_eq!((response.status, response.text().as_str()), (401, "no"), "its answer reaches the client");
    }
    assert_eq!(house.endpoint.origin.hits(), 2, "one more was worth a try");
    assert_eq!(house.upstream.hits(), 21);
}

#[tokio::test]
async fn while_the_endpoint_is_down_the_token_serves_until_it_expires_and_then_nothing_is_sent() {
    let house = House::new(3, |_| Answer::ok("through")).await;
    assert_eq!(house.gateway.get("/").await.status, 200);
    house.endpoint.down.store(true, Relaxed);
    house.endpoint.origin.wait_for_hits(2).await;
    assert_eq!(house.gateway.get("/").await.status, 200, "it failed to be replaced, and still serves");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let before = house.upstream.hits();
    let response = house.gateway.get("/").await;
    response.assert_problem(503, "upstream_connect");
    assert_eq!(response.header("retry-after"), Some("1"));
    assert_eq!(house.upstream.hits(), before, "never without a token");
    assert_eq!(house.gateway.get("/plain/1").await.status, 200, "other upstreams are served");
    house.endpoint.down.store(false, Relaxed);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(house.gateway.get("/").await.status, 200, "back with the endpoint");
}

#[tokio::test]
async fn an_endpoint_that_gives_no_token_has_requests_refused_in_bounded_time() {
    let scripts: [(&str, fn(&Recorded) -> Answer); 6] = [
        ("silence", |_| Answer::silence()),
        ("a refusal", |_| Answer::json(401, &json!({"error": "invalid_client"}))),
        ("garbage", |_| Answer::ok("token")),
        ("another kind of token", |_| Answer::json(200, &json!({"access_token": "a", "token_type": "mac"}))),
        ("a token that is two headers", |_| Answer::json(200, &json!({"access_token": "a\r\nx-admin: 1", "token_type": "Bearer"}))),
        ("too much", |_| Answer::head(200, &[("content-length", "200000")]).then_flood(200_000)),
    ];
    for (what, script) in scripts {
        let (endpoint, upstream) = (Origin::start(script).await, Origin::saying("through").await);
        let gateway = start(&endpoint.url(), &upstream.url()).await;
        let response = tokio::time::timeout(Duration::from_millis(2_500), gateway.get("/")).await;
        let response = response.unwrap_or_else(|_| panic!("{what} keeps nobody waiting"));
        response.assert_problem(503, "upstream_connect");
        assert_eq!(upstream.hits(), 0, "{what}: nothing is sent without a token");
    }
    let upstream = Origin::saying("through").await;
    let gateway = start(&format!("http://{}", nobody()), &upstream.url()).await;
    gateway.get("/").await.assert_problem(503, "upstream_connect");
    let times = gateway.metrics().await.sum("gatehouse_upstream_duration_seconds_count", &[]);
    assert_eq!(times, 0.0, "what was never sent took the upstream no time");
    let log = gateway.wait_for_log("says what is wrong", |line| line.contains("no new token for upstreams")).await;
    assert!(!log.contains("s3cret") && !log.contains("Z2F0ZXdheTpzM2NyZXQ"), "and keeps the secret: {log}");
}

#[tokio::test]
async fn a_token_survives_a_reload() {
    let house = House::new(3_600, |_| Answer::ok("through")).await;
    assert_eq!(house.gateway.get("/").await.status, 200);
    let same = configuration(&house.endpoint.origin.url(), &house.upstream.url());
    house.gateway.reload(&same).await;
    assert_eq!((house.gateway.get("/").await.status, house.endpoint.origin.hits()), (200, 1));
    house.gateway.reload(&same.replace("orders.write", "orders.delete")).await;
    assert_eq!(house.gateway.get("/").await.status, 200);
    assert_eq!(house.shown(), ["Bearer token-1", "Bearer token-1", "Bearer token-2"], "another scope is another token");
}

#[tokio::test]
async fn an_issuer_by_its_name_says_itself_where_its_tokens_are() {
    let issuer = Origin::start(|request| match request.target() {
        "/.well-known/openid-configuration" => {
            let issuer = format!("http://{}", request.header("host").expect("HTTP/1.1 has a host"));
            Answer::json(200, &json!({"issuer": issuer, "jwks_uri": issuer, "token_endpoint": format!("{issuer}/elsewhere")}))
        }
        "/elsewhere" => granted(1, 3_600),
        _ => Answer::new(404, &[], ""),
    })
    .await;
    let upstream = Origin::saying("through").await;
    let yaml = configuration(&issuer.url(), &upstream.url()).replace(&format!("token_url: \"{}/token\"", issuer.url()), "issuer: main");
    let yaml = format!(
        "{yaml}issuers: [{{name: main, issuer: \"{}\", algorithms: [RS256], audiences: [a], jwks: {{url: \"{}/jwks\"}}}}]\n",
        issuer.url(),
        issuer.url()
    );
    let gateway = Setup::new(&yaml).file("secret", "s3cret").start().await;
    assert_eq!(gateway.get("/").await.status, 200);
    assert_eq!(upstream.request().header("authorization").as_deref(), Some("Bearer token-1"));
}

#[tokio::test]
async fn tokens_are_nowhere_in_logs_and_metrics() {
    let house = House::new(3_600, |_| Answer::ok("through")).await;
    assert_eq!(house.gateway.get("/").await.status, 200);
    let entries = house.gateway.access_log(1).await;
    let metrics = house.gateway.admin("/metrics").await.text();
    let everything = format!("{entries:?}{metrics}{}{}", house.gateway.log(), house.gateway.output());
    assert!(!everything.contains("token-1") && !everything.contains("s3cret"), "{everything}");
}

#[tokio::test]
async fn a_secret_that_is_not_there_is_an_error_of_the_configuration() {
    let yaml = configuration("http://127.0.0.1:1", "http://127.0.0.1:1");
    let (code, text) = Setup::new(&yaml).start_refused().await;
    assert_eq!(code, Some(78), "{text}");
    assert!(text.contains("upstreams[0].auth.client_credentials.client_secret"), "{text}");
}
