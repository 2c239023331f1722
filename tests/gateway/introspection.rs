//! Opaque tokens by introspection (RFC 7662): who gets in, how often the issuer is asked, and what happens when it is
//! slow, down, or talks nonsense. The issuer is a scripted origin.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use gatehouse_tests::{
    Answer, Gateway, IdentityProvider, Origin, Request, Setup, ask, get,
    identity_provider::{CLIENT, GATEWAY, Kind},
    latency::Latencies,
    origin::{Recorded, nobody},
    tokens::{AUDIENCE, ISSUER, SigningKey, seconds_from_now},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// An issuer, a gateway that asks it, and an upstream behind that. `/open` leads to the upstream without a token.
struct House {
    gateway: Gateway,
    issuer: Origin,
    origin: Origin,
}

impl House {
    async fn new(settings: &str, config: &str, script: impl Fn(&Recorded) -> Answer + Send + Sync + 'static) -> Self {
        let issuer = Origin::start(script).await;
        Self::asking(issuer.url(), issuer, settings, config).await
    }

    async fn asking(url: String, issuer: Origin, settings: &str, config: &str) -> Self {
        let origin = Origin::saying("through").await;
        let yaml = configuration(&url, settings, config, &origin.url());
        let gateway = Setup::new(&yaml).file("secret", "s3cr&t\n").one_worker().start().await;
        Self { gateway, issuer, origin }
    }

    async fn status(&self, token: &str) -> u16 {
        self.gateway.ask(bearing(token)).await.status
    }
}

fn configuration(issuer: &str, settings: &str, config: &str, origin: &str) -> String {
    format!(
        "
        issuers:
          - name: main
            issuer: \"{ISSUER}\"
            audiences: [{AUDIENCE}]
            introspection: {{url: \"{issuer}/introspect?v=1\", client_id: \"gate way\", client_secret: {{file: $DIR/secret}}{settings}}}
        upstreams: [{{name: origin, endpoints: [{{url: \"{origin}\"}}]}}]
        routes:
          - {{name: all, chain: [{{plugin: oauth2-introspection, config: {config}}}], upstream: origin}}
          - {{name: open, match: [{{path: {{prefix: /open}}}}], upstream: origin}}
        "
    )
}

fn bearing(token: &str) -> Request {
    get("/").header("authorization", &format!("Bearer {token}"))
}

fn active(more: Value) -> Answer {
    let mut answer = json!({"active": true, "sub": "alice", "aud": AUDIENCE, "scope": "orders.read", "exp": seconds_from_now(3600)});
    for (name, value) in more.as_object().expect("an object") {
        answer[name] = value.clone();
    }
    Answer::json(200, &answer)
}

fn inactive() -> Answer {
    Answer::json(200, &json!({"active": false}))
}

/// Something that a script looks at and a test turns.
fn switch(on: bool) -> (Arc<AtomicBool>, Arc<AtomicBool>) {
    let switch = Arc::new(AtomicBool::new(on));
    (switch.clone(), switch)
}

/// What an issuer publishes about itself, at whatever address it is.
fn metadata(request: &Recorded) -> Value {
    let issuer = format!("http://{}", request.header("host").expect("HTTP/1.1 has a host"));
    json!({"issuer": issuer, "jwks_uri": format!("{issuer}/jwks"), "introspection_endpoint": format!("{issuer}/elsewhere")})
}

/// The token that a question is about.
fn token_of(body: &[u8]) -> String {
    let body = String::from_utf8_lossy(body).into_owned();
    let field = body.split('&').find_map(|field| field.strip_prefix("token="));
    field.unwrap_or_else(|| panic!("a question names its token: {body}")).to_owned()
}

#[tokio::test]
async fn an_active_token_gets_in_and_the_issuer_is_asked_as_the_rfc_says() {
    let house =
        House::new("", "{issuer: main, claims_to_headers: {sub: x-user, tenant: x-tenant}}", |_| active(json!({"tenant": "acme"}))).await;
    let response = house.gateway.ask(bearing("opaque/+=").header("x-user", "root").header("x-tenant", "evil")).await;
    assert_eq!((response.status, response.text().as_str()), (200, "through"), "{}", response.head);
    let question = house.issuer.request();
    assert_eq!((question.method(), question.target()), ("POST", "/introspect?v=1"));
    assert_eq!(String::from_utf8_lossy(&question.body), "token=opaque%2F%2B%3D&token_type_hint=access_token");
    // RFC 6749 §2.3.1: `gate%20way:s3cr%26t`, encoded before they are joined.
    assert_eq!(question.header("authorization").as_deref(), Some("Basic Z2F0ZSUyMHdheTpzM2NyJTI2dA=="));
    assert_eq!(question.header("content-type").as_deref(), Some("application/x-www-form-urlencoded"));
    assert_eq!(question.header("accept").as_deref(), Some("application/json"));
    let arrived = house.origin.request();
    assert_eq!((arrived.all("x-user"), arrived.all("x-tenant")), (vec!["alice".into()], vec!["acme".into()]), "not the client's own");
    assert!(arrived.header("authorization").is_none(), "the token stays here");
    let entry = house.gateway.access_log(1).await.remove(0);
    assert_eq!(entry["client"], "alice", "the log knows who it was");
    house
        .gateway
        .wait_for_metric("gatehouse_auth_total", &[("method", "introspection"), ("result", "accepted")], |count| count == 1.0)
        .await;
}

#[tokio::test]
async fn the_issuer_has_the_last_word() {
    let house = House::new("", "{issuer: main}", |_| inactive()).await;
    let response = house.gateway.ask(bearing("revoked")).await;
    assert_eq!(response.status, 401, "{}", response.head);
    let challenge = response.header("www-authenticate").expect("401 has a challenge");
    assert!(challenge.starts_with("Bearer realm=\"gatehouse\", error=\"invalid_token\""), "{challenge}");
    assert_eq!(response.header("content-type"), Some("application/problem+json"));
    assert_eq!(house.origin.hits(), 0, "nothing reached the upstream");
    house
        .gateway
        .wait_for_metric("gatehouse_auth_total", &[("method", "introspection"), ("result", "unknown")], |count| count == 1.0)
        .await;
}

#[tokio::test]
async fn an_answer_for_somebody_else_is_a_refusal() {
    for (what, more) in [
        ("another audience", json!({"aud": "other"})),
        ("no audience", json!({"aud": []})),
        ("another issuer", json!({"iss": "https://evil.example"})),
        ("long past its end", json!({"exp": seconds_from_now(-60)})),
        ("before its beginning", json!({"nbf": seconds_from_now(60)})),
    ] {
        let house = House::new("", "{issuer: main}", move |_| active(more.clone())).await;
        assert_eq!(house.status("token").await, 401, "{what}");
        assert_eq!(house.origin.hits(), 0, "{what} reached nobody");
    }
    let agreeing = json!({"iss": ISSUER, "aud": ["other", AUDIENCE], "exp": seconds_from_now(-10), "nbf": seconds_from_now(10)});
    let house = House::new("", "{issuer: main}", move |_| active(agreeing.clone())).await;
    assert_eq!(house.status("token").await, 200, "clocks may differ by 30 s");
}

#[tokio::test]
async fn a_json_web_token_is_just_another_opaque_one() {
    let house = House::new("", "{issuer: main}", |_| active(json!({}))).await;
    let stranger = SigningKey::rs256("unknown").token("mallory");
    assert_eq!(house.status(&stranger).await, 200, "the issuer decides, not the signature");
    assert_eq!(token_of(&house.issuer.request().body), stranger);
}

#[tokio::test]
async fn scopes_are_asked_for() {
    let house = House::new("", "{issuer: main, scopes: [orders.read, orders.write]}", |_| active(json!({}))).await;
    let response = house.gateway.ask(bearing("token")).await;
    assert_eq!(response.status, 403);
    let challenge = response.header("www-authenticate").expect("RFC 6750 §3.1");
    assert!(challenge.contains("error=\"insufficient_scope\", scope=\"orders.read orders.write\""), "{challenge}");
    let house = House::new("", "{issuer: main, scopes: [orders.read]}", |_| active(json!({}))).await;
    assert_eq!(house.status("token").await, 200);
}

#[tokio::test]
async fn what_is_no_single_token_asks_nobody() {
    let house = House::new("", "{issuer: main}", |_| active(json!({}))).await;
    let response = house.gateway.get("/").await;
    let challenge = response.header("www-authenticate").expect("401 has a challenge");
    assert!(response.status == 401 && !challenge.contains("error="), "RFC 6750 §3.1: no error without a token: {challenge}");
    let twice = house.gateway.ask(bearing("a").header("authorization", "Bearer b")).await;
    assert_eq!(twice.status, 400, "two tokens");
    assert!(twice.header("www-authenticate").is_some_and(|challenge| challenge.contains("invalid_request")), "{}", twice.head);
    assert_eq!(house.status(&"x".repeat(8 * 1024 + 1)).await, 401, "a byte too long");
    assert_eq!(house.status("\u{e9}").await, 401, "no ASCII");
    assert_eq!(house.issuer.hits(), 0, "nobody was asked");
    assert_eq!(house.status(&"x".repeat(8 * 1024)).await, 200, "the longest");
}

#[tokio::test]
async fn where_a_token_is_not_required_a_bad_one_is_refused_all_the_same() {
    let house = House::new("", "{required: false, claims_to_headers: {sub: x-user}, forward: true}", |_| inactive()).await;
    assert_eq!(house.gateway.ask(get("/").header("x-user", "root")).await.status, 200, "without one, a request is anonymous");
    assert!(house.origin.request().header("x-user").is_none(), "and nobody is named");
    assert_eq!(house.status("revoked").await, 401);
    let house = House::new("", "{required: false, forward: true}", |_| active(json!({}))).await;
    assert_eq!(house.status("good").await, 200);
    assert_eq!(house.origin.request().header("authorization").as_deref(), Some("Bearer good"), "forward: true");
}

#[tokio::test]
async fn a_thousand_requests_with_one_token_are_one_question() {
    let house = House::new("", "{issuer: main}", |_| active(json!({})).delayed(Duration::from_millis(300))).await;
    let mut requests = JoinSet::new();
    for _ in 0..1_000 {
        requests.spawn(ask(house.gateway.address(), bearing("shared")));
    }
    while let Some(response) = requests.join_next().await {
        let response = response.expect("the client does not panic");
        assert_eq!(response.status, 200, "{}{}", response.head, response.text());
    }
    assert_eq!(house.issuer.hits(), 1, "they waited for one answer");
}

#[tokio::test]
async fn an_answer_is_remembered_and_a_revocation_noticed_within_the_cache_time() {
    let (revoked, seen) = switch(false);
    let script = move |_: &Recorded| if seen.load(Relaxed) { inactive() } else { active(json!({})) };
    let house = House::new(", cache: 1s, negative_cache: 1s", "{issuer: main}", script).await;
    for _ in 0..5 {
        assert_eq!(house.status("token").await, 200);
    }
    assert_eq!(house.issuer.hits(), 1, "four of them were remembered");
    revoked.store(true, Relaxed);
    let began = Instant::now();
    while house.status("token").await == 200 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(began.elapsed() < Duration::from_millis(1_500), "after {:?}", began.elapsed());
    assert_eq!(house.issuer.hits(), 2);
    for _ in 0..5 {
        assert_eq!(house.status("token").await, 401, "a refusal is remembered as well");
    }
    assert_eq!(house.issuer.hits(), 2);
    revoked.store(false, Relaxed);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(house.status("token").await, 200, "for a while");
}

#[tokio::test]
async fn what_was_said_survives_a_reload_that_does_not_touch_the_issuer() {
    let house = House::new("", "{issuer: main}", |_| active(json!({}))).await;
    assert_eq!(house.status("token").await, 200);
    let reloaded = configuration(&house.issuer.url(), "", "{issuer: main, realm: other}", &house.origin.url());
    house.gateway.reload(&reloaded).await;
    assert_eq!((house.status("token").await, house.issuer.hits()), (200, 1));
    let changed = configuration(&house.issuer.url(), ", cache: 10s", "{issuer: main}", &house.origin.url());
    house.gateway.reload(&changed).await;
    assert_eq!((house.status("token").await, house.issuer.hits()), (200, 2), "a changed one is asked anew, and is served");
}

#[tokio::test]
async fn an_issuer_that_gives_no_answer_lets_nobody_in() {
    let scripts: [(&str, fn(&Recorded) -> Answer); 9] = [
        ("silence", |_| Answer::silence()),
        ("an error", |_| Answer::json(500, &json!({"active": true}))),
        ("its refusal of our own credentials", |_| Answer::json(401, &json!({"error": "invalid_client"}))),
        ("a redirect", |_| Answer::new(302, &[("location", "/other")], "")),
        ("garbage", |_| Answer::ok("active")),
        ("another type", |_| Answer::json(200, &json!({"active": "true", "aud": AUDIENCE}))),
        ("two answers in one", |_| Answer::ok("{\"active\": false, \"active\": true}")),
        ("too much", |_| Answer::head(200, &[("content-length", "200000")]).then_flood(200_000)),
        ("half an answer", |_| Answer::head(200, &[("content-length", "100")]).then_send("{\"active\": true").then_close()),
    ];
    for (what, script) in scripts {
        let house = House::new(", timeout: 200ms", "{issuer: main}", script).await;
        let began = Instant::now();
        let response = house.gateway.ask(bearing("token")).await;
        assert_eq!(response.status, 503, "{what}: {}{}", response.head, response.text());
        assert_eq!(response.header("retry-after"), Some("1"), "{what}");
        assert!(response.header("www-authenticate").is_none(), "{what} is not the caller's fault");
        assert!(began.elapsed() < Duration::from_secs(1), "{what} took {:?}", began.elapsed());
        assert_eq!(house.origin.hits(), 0, "{what} let nobody in");
    }
    let house = House::asking(format!("http://{}", nobody()), Origin::saying("").await, "", "{issuer: main}").await;
    assert_eq!(house.status("token").await, 503, "nobody listens");
    house
        .gateway
        .wait_for_metric("gatehouse_auth_total", &[("method", "introspection"), ("result", "unavailable")], |count| count == 1.0)
        .await;
    let log = house.gateway.wait_for_log("says what is wrong", |line| line.contains("could not be introspected")).await;
    assert!(!log.contains("s3cr") && !log.contains("Z2F0ZSUyMHdheTpzM2NyJTI2dA"), "and keeps the secret: {log}");
}

#[tokio::test]
async fn after_five_failures_the_issuer_is_left_alone_until_a_probe_finds_it_back() {
    let (down, seen) = switch(true);
    let script = move |_: &Recorded| match seen.load(Relaxed) {
        true => Answer::new(502, &[], ""),
        false => active(json!({})),
    };
    let house = House::new("", "{issuer: main}", script).await;
    for number in 0..10 {
        assert_eq!(house.status(&format!("token-{number}")).await, 503);
    }
    assert_eq!(house.issuer.hits(), 5, "then nobody is asked");
    down.store(false, Relaxed);
    assert_eq!(house.status("token").await, 503, "not yet");
    tokio::time::sleep(Duration::from_millis(5_100)).await;
    assert_eq!(house.status("token").await, 200, "the probe");
    assert_eq!(house.status("another").await, 200, "and everybody after it");
}

#[tokio::test]
async fn while_the_issuer_is_down_a_token_it_knew_counts_only_where_that_is_allowed() {
    for (allow_stale, status) in [(false, 503), (true, 200)] {
        let (down, seen) = switch(false);
        let script = move |_: &Recorded| match seen.load(Relaxed) {
            true => Answer::new(502, &[], ""),
            false => active(json!({})),
        };
        let house = House::new(&format!(", cache: 200ms, allow_stale: {allow_stale}"), "{issuer: main}", script).await;
        assert_eq!(house.status("known").await, 200);
        down.store(true, Relaxed);
        tokio::time::sleep(Duration::from_millis(300)).await;
        for _ in 0..8 {
            assert_eq!(house.status("known").await, status, "allow_stale: {allow_stale}, the breaker open or not");
        }
        assert_eq!(house.status("unknown").await, 503, "nobody can say");
    }
}

#[tokio::test]
async fn a_slow_issuer_slows_no_other_route_of_its_worker() {
    let house = House::new(", timeout: 400ms", "{issuer: main}", |_| Answer::silence()).await;
    let open = Latencies::measure(house.gateway.address(), &get("/open"), Duration::from_millis(500)).await;
    let mut flood = JoinSet::new();
    for number in 0..300 {
        flood.spawn(ask(house.gateway.address(), bearing(&format!("made-up-{number}"))));
    }
    let during = Latencies::measure(house.gateway.address(), &get("/open"), Duration::from_millis(700)).await;
    let (before, meanwhile) = (open.percentile(50), during.percentile(50));
    assert!(meanwhile < before * 10 + Duration::from_millis(5), "half of the requests took {before:?} before and {meanwhile:?} meanwhile");
    while let Some(response) = flood.join_next().await {
        assert_eq!(response.expect("the client does not panic").status, 503, "and nobody got in");
    }
    assert!(house.issuer.hits() <= 64, "the issuer is not flooded: {}", house.issuer.hits());
}

#[tokio::test]
async fn without_a_url_the_issuer_is_asked_where_it_is_asked() {
    let issuer = Origin::start(|request| match request.target() {
        "/.well-known/openid-configuration" => Answer::json(200, &metadata(request)),
        "/elsewhere" => active(json!({})),
        _ => Answer::new(404, &[], ""),
    })
    .await;
    let origin = Origin::saying("through").await;
    let yaml = configuration(&issuer.url(), "", "{issuer: main}", &origin.url())
        .replace(&format!("issuer: \"{ISSUER}\""), &format!("issuer: \"{}\"", issuer.url()))
        .replace(&format!("url: \"{}/introspect?v=1\", ", issuer.url()), "");
    let gateway = Setup::new(&yaml).file("secret", "s").start().await;
    assert_eq!(gateway.ask(bearing("token")).await.status, 200);
    let asked: Vec<_> = issuer.requests().iter().map(|request| format!("{} {}", request.method(), request.target())).collect();
    assert_eq!(asked, ["GET /.well-known/openid-configuration", "POST /elsewhere"]);
}

#[tokio::test]
async fn an_issuer_that_cannot_say_where_it_is_asked_is_refused_and_one_that_does_not_lets_nobody_in() {
    let origin = Origin::saying("through").await;
    let yaml = configuration("", "", "{issuer: main}", &origin.url()).replace("url: \"/introspect?v=1\", ", "");
    let unsafe_one = yaml.replace(ISSUER, "http://issuer.example");
    let (code, text) = Setup::new(&unsafe_one).file("secret", "s").start_refused().await;
    assert!(code == Some(78) && text.contains("issuers[0].introspection"), "plain http to another machine: {text}");
    let silent = Origin::start(|_| Answer::new(404, &[], "")).await;
    let gateway = Setup::new(&yaml.replace(ISSUER, &silent.url())).file("secret", "s").start().await;
    assert_eq!(gateway.ask(bearing("token")).await.status, 503);
    assert_eq!(origin.hits(), 0);
}

#[tokio::test]
async fn connections_to_the_issuer_are_used_again() {
    let house = House::new("", "{issuer: main}", |_| active(json!({}))).await;
    for number in 0..10 {
        assert_eq!(house.status(&format!("token-{number}")).await, 200);
    }
    assert_eq!((house.issuer.hits(), house.issuer.connections()), (10, 1));
}

#[tokio::test]
async fn a_real_provider_is_asked_and_a_revocation_noticed_within_the_cache_time() {
    let (mut provider, origin) = (IdentityProvider::start().await, Origin::saying("through").await);
    let gateway = real(&provider, "audiences: [api]", &origin.url()).await;
    let token = provider.token(Kind::Opaque, "orders.read").await;
    assert_eq!(gateway.ask(bearing(&token)).await.status, 200);
    assert_eq!(origin.request().header("x-user").as_deref(), Some(CLIENT), "the client is its own subject");
    assert_eq!(gateway.ask(bearing("made-up")).await.status, 401);
    let narrow = provider.token(Kind::Opaque, "orders.write").await;
    assert_eq!(gateway.ask(bearing(&narrow)).await.status, 403, "another scope");
    provider.revoke(&token).await;
    let began = Instant::now();
    while gateway.ask(bearing(&token)).await.status == 200 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(began.elapsed() < Duration::from_millis(1_500), "after {:?}", began.elapsed());
    assert_eq!(gateway.ask(bearing(&token)).await.status, 401);
    let fresh = provider.token(Kind::Opaque, "orders.read").await;
    provider.stop().await;
    assert_eq!(gateway.ask(bearing(&fresh)).await.status, 503, "nobody to ask");
}

#[tokio::test]
async fn one_gateway_gets_a_token_of_a_real_provider_and_another_lets_it_in_for_that() {
    let (provider, origin) = (IdentityProvider::start().await, Origin::saying("through").await);
    let back = real(&provider, "", &origin.url()).await;
    let credentials = format!("{{issuer: main, client_id: {GATEWAY}, client_secret: {{file: $DIR/secret}}, scopes: [orders.read]}}");
    let front = Setup::new(&format!(
        "
        issuers: [{{name: main, issuer: \"{}\", audiences: [api], algorithms: [RS256]}}]
        upstreams: [{{name: back, endpoints: [{{url: \"http://{}\"}}], auth: {{client_credentials: {credentials}}}}}]
        routes: [{{name: all, upstream: back}}]
        ",
        provider.issuer(),
        back.address()
    ));
    let front = front.file("secret", IdentityProvider::secret(GATEWAY)).start().await;
    let response = front.ask(bearing("the-clients-own")).await;
    assert_eq!((response.status, response.text().as_str()), (200, "through"), "{}", response.head);
    assert_eq!(origin.request().header("x-user").as_deref(), Some(GATEWAY), "the back knows the front, not its client");
}

/// A gateway that asks a real provider, wherever that says it is asked.
async fn real(provider: &IdentityProvider, audiences: &str, origin: &str) -> Gateway {
    let issuer = provider.issuer();
    let yaml = format!(
        "
        issuers:
          - name: main
            issuer: \"{issuer}\"
            introspection: {{client_id: {GATEWAY}, client_secret: {{file: $DIR/secret}}, cache: 1s}}
            {audiences}
        upstreams: [{{name: origin, endpoints: [{{url: \"{origin}\"}}]}}]
        routes:
          - name: all
            chain: [{{plugin: oauth2-introspection, config: {{issuer: main, scopes: [orders.read], claims_to_headers: {{client_id: x-user}}}}}}]
            upstream: origin
        "
    );
    Setup::new(&yaml).file("secret", IdentityProvider::secret(GATEWAY)).start().await
}

#[tokio::test]
async fn a_plugin_that_was_not_granted_introspection_is_refused() {
    let yaml =
        configuration("http://127.0.0.1:1", "", "{}", "http://127.0.0.1:1") + "plugins: [{name: oauth2-introspection, grants: [jwt]}]\n";
    let (code, text) = Setup::new(&yaml).file("secret", "s").start_refused().await;
    assert_eq!(code, Some(78), "{text}");
    assert!(text.contains("gatehouse:plugin/introspection@0.1.0") && text.contains("needs the grant `introspection`"), "{text}");
}
