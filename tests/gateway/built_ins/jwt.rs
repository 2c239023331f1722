//! `jwt`: who gets in, who does not, and what the upstream is told. Tokens are signed here, by other code than the
//! gateway verifies them with.

use gatehouse_tests::{
    Gateway, Origin, Request, Setup, get,
    tokens::{AUDIENCE, ISSUER, SigningKey, claims, key_set, seconds_from_now},
};
use serde_json::{Value, json};

struct House {
    gateway: Gateway,
    origin: Origin,
    rs256: SigningKey,
    es256: SigningKey,
}

impl House {
    async fn new(config: &str) -> Self {
        let (rs256, es256) = (SigningKey::rs256("rsa"), SigningKey::es256("ec"));
        let origin = Origin::saying("through").await;
        let yaml = format!(
            "
            issuers: [{{name: main, issuer: \"{ISSUER}\", audiences: [{AUDIENCE}], algorithms: [RS256, ES256], jwks: {{file: $DIR/keys.json}}}}]
            upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
            routes: [{{name: all, chain: [{{plugin: jwt, config: {config}}}], upstream: origin}}]
            ",
            origin.url()
        );
        let gateway = Setup::new(&yaml).file("keys.json", key_set(&[&rs256, &es256])).start().await;
        Self { gateway, origin, rs256, es256 }
    }

    async fn check_accepted(&self, what: &str, token: &str) {
        let response = self.gateway.ask(bearing(token)).await;
        assert_eq!(response.status, 200, "{what} gets in: {}{}", response.head, response.text());
    }

    async fn check_refused(&self, what: &str, token: &str) {
        let hits = self.origin.hits();
        let response = self.gateway.ask(bearing(token)).await;
        assert_eq!(response.status, 401, "{what} stays out: {}", response.head);
        let challenge = response.header("www-authenticate").unwrap_or_else(|| panic!("{what}: 401 has a challenge"));
        assert!(challenge.starts_with("Bearer ") && challenge.contains("error=\"invalid_token\""), "{what}: {challenge}");
        assert_eq!(response.header("content-type"), Some("application/problem+json"), "{what}");
        assert_eq!(self.origin.hits(), hits, "{what} did not reach the upstream");
    }
}

fn bearing(token: &str) -> Request {
    get("/").header("authorization", &format!("Bearer {token}"))
}

/// The usual claims with one changed, or left out.
fn but(name: &str, value: Value) -> Value {
    let mut claims = claims("alice");
    match value {
        Value::Null => drop(claims.as_object_mut().expect("claims are an object").remove(name)),
        value => claims[name] = value,
    }
    claims
}

#[tokio::test]
async fn good_tokens_get_in() {
    let house = House::new("{issuer: main}").await;
    house.check_accepted("an RS256 token", &house.rs256.token("alice")).await;
    house.check_accepted("the same again", &house.rs256.token("alice")).await;
    house.check_accepted("an ES256 token", &house.es256.token("alice")).await;
    house.check_accepted("one audience of several", &house.rs256.sign(&but("aud", json!(["other", AUDIENCE])))).await;
    house.check_accepted("a clock a little ahead of ours", &house.rs256.sign(&but("nbf", json!(seconds_from_now(5))))).await;
    let typed = json!({"alg": "RS256", "kid": "rsa", "typ": "at+jwt"});
    house.check_accepted("an access token of RFC 9068", &house.rs256.sign_with_header(&typed, &claims("alice"))).await;
    house.check_accepted("a token without a key id", &house.rs256.sign_with_header(&json!({"alg": "RS256"}), &claims("alice"))).await;
}

#[tokio::test]
async fn bad_claims_stay_out() {
    let house = House::new("{issuer: main}").await;
    for (what, claims) in [
        ("an expired token", but("exp", json!(seconds_from_now(-120)))),
        ("a token without an end", but("exp", Value::Null)),
        ("a token whose end is a text", but("exp", json!("tomorrow"))),
        ("a token of tomorrow", but("nbf", json!(seconds_from_now(120)))),
        ("a token issued tomorrow", but("iat", json!(seconds_from_now(120)))),
        ("another issuer's token", but("iss", json!("https://evil.example"))),
        ("an issuer with a slash more", but("iss", json!(format!("{ISSUER}/")))),
        ("another audience's token", but("aud", json!("other"))),
        ("a token for nobody", but("aud", Value::Null)),
    ] {
        house.check_refused(what, &house.rs256.sign(&claims)).await;
    }
}

#[tokio::test]
async fn forged_tokens_stay_out() {
    let house = House::new("{issuer: main}").await;
    let good = house.rs256.token("alice");
    let parts: Vec<&str> = good.split('.').collect();
    let stranger = SigningKey::rs256("rsa");
    let with = |header: Value| house.rs256.sign_with_header(&header, &claims("alice"));
    let unsigned = with(json!({"alg": "none"}));
    let unsigned = unsigned.rsplit_once('.').expect("a token has parts").0;
    for (what, token) in [
        ("a stranger's token", stranger.token("alice")),
        ("a token without a signature", format!("{unsigned}.")),
        ("a token that says none but is signed", with(json!({"alg": "none"}))),
        ("a token that claims to be symmetric", with(json!({"alg": "HS256", "kid": "rsa"}))),
        ("an algorithm that is not allowed", with(json!({"alg": "RS512", "kid": "rsa"}))),
        ("a key of another kind", with(json!({"alg": "ES256", "kid": "ec"}))),
        ("an unknown key", with(json!({"alg": "RS256", "kid": "unknown"}))),
        ("a critical header nobody knows", with(json!({"alg": "RS256", "kid": "rsa", "crit": ["x"], "x": 1}))),
        ("a key that the token brings along", stranger.sign_with_header(&json!({"alg": "RS256", "jwk": stranger.jwk()}), &claims("alice"))),
        (
            "other claims under the same signature",
            format!("{}.{}.{}", parts[0], stranger.token("root").split('.').nth(1).expect("claims"), parts[2]),
        ),
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        ("four parts", format!("{good}.x")),
        ("padding", format!("{good}=")),
        ("nonsense", "nonsense".to_owned()),
        ("far too much", format!("{}.{}.{}", parts[0], "a".repeat(9000), parts[2])),
    ] {
        house.check_refused(what, &token).await;
    }
}

#[tokio::test]
async fn no_token_is_told_from_a_bad_one() {
    let house = House::new("{issuer: main}").await;
    for request in [get("/"), get("/").header("authorization", "Basic YTpi")] {
        let response = house.gateway.ask(request).await;
        assert_eq!(response.status, 401);
        let challenge = response.header("www-authenticate").expect("401 has a challenge");
        assert!(challenge.starts_with("Bearer") && !challenge.contains("error="), "RFC 6750 §3.1: no error without a token: {challenge}");
    }
    let token = house.rs256.token("alice");
    let twice = bearing(&token).header("authorization", &format!("Bearer {token}"));
    let status = house.gateway.ask(twice).await.status;
    assert!([400, 401].contains(&status), "two tokens are one too many: {status}");
    assert_eq!(house.origin.hits(), 0, "nobody got in");
}

#[tokio::test]
async fn the_token_stays_here_and_its_claims_go_on() {
    let house = House::new("{issuer: main, claims_to_headers: {sub: x-user, tenant: x-tenant}}").await;
    let token = house.rs256.sign(&but("tenant", json!("acme")));
    let response = house.gateway.ask(bearing(&token).header("x-user", "root").header("X-Tenant", "evil")).await;
    assert_eq!(response.status, 200);
    let arrived = house.origin.request();
    assert_eq!(arrived.all("x-user"), ["alice"], "what the client wrote there is gone");
    assert_eq!(arrived.all("x-tenant"), ["acme"]);
    assert!(arrived.header("authorization").is_none(), "the token is not forwarded");
    let entry = house.gateway.access_log(1).await.remove(0);
    assert_eq!(entry["client"], "alice", "the log knows who it was");
}

#[tokio::test]
async fn a_claim_that_is_missing_leaves_no_header() {
    let house = House::new("{issuer: main, claims_to_headers: {tenant: x-tenant}}").await;
    house.gateway.ask(bearing(&house.rs256.token("alice")).header("x-tenant", "evil")).await;
    assert!(house.origin.request().header("x-tenant").is_none(), "least of all the client's own");
}

#[tokio::test]
async fn a_claim_cannot_split_a_header() {
    let house = House::new("{issuer: main, claims_to_headers: {sub: x-user}}").await;
    let response = house.gateway.ask(bearing(&house.rs256.token("a\r\nx-forged: b"))).await;
    let forged = house.origin.requests().iter().any(|request| request.header("x-forged").is_some());
    assert!(!forged, "nothing was forged: {}", response.head);
}

#[tokio::test]
async fn scopes_are_asked_for() {
    let house = House::new("{issuer: main, scopes: [orders.read]}").await;
    house.check_accepted("the scope", &house.rs256.token("alice")).await;
    for scope in [json!(["profile", "orders.read"]), json!("profile orders.read")] {
        house.check_accepted(&scope.to_string(), &house.rs256.sign(&but("scope", scope.clone()))).await;
    }
    let response = house.gateway.ask(bearing(&house.rs256.sign(&but("scope", json!("orders.write"))))).await;
    assert_eq!(response.status, 403);
    let challenge = response.header("www-authenticate").expect("RFC 6750 §3.1");
    assert!(challenge.contains("error=\"insufficient_scope\"") && challenge.contains("scope=\"orders.read\""), "{challenge}");
}

#[tokio::test]
async fn where_a_token_is_not_required_a_bad_one_is_refused_all_the_same() {
    let house = House::new("{issuer: main, required: false, forward: true, claims_to_headers: {sub: x-user}}").await;
    assert_eq!(house.gateway.ask(get("/").header("x-user", "root")).await.status, 200, "without one, a request is anonymous");
    assert!(house.origin.request().header("x-user").is_none(), "and nobody is named");
    house.check_refused("nonsense", "nonsense").await;
    let token = house.rs256.token("alice");
    house.check_accepted("a good token", &token).await;
    let forwarded = house.origin.requests().pop().expect("it arrived").header("authorization");
    assert_eq!(forwarded, Some(format!("Bearer {token}")), "forward: true");
}
