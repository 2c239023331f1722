//! `acl` and `ip-allow`: who may use a route, once it is known who asks or from where.

use gatehouse_tests::{
    Gateway, Origin, Request, Setup, get,
    tokens::{SigningKey, claims, key_set, sha256},
};
use serde_json::json;

/// A gateway that takes keys and tokens alike and then asks `acl`.
async fn house(key: &SigningKey, acl: &str) -> (Gateway, Origin) {
    let origin = Origin::saying("through").await;
    let yaml = format!(
        "
        issuers: [{{name: main, issuer: \"https://issuer.example\", audiences: [api], algorithms: [ES256], jwks: {{file: jwks.json}}}}]
        clients:
          - {{name: acme, scopes: [orders.read, orders.write], plan: gold, keys: [{{sha256: \"{}\"}}, {{sha256: \"{}\", scopes: [orders.read]}}]}}
        upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
        routes:
          - name: all
            chain:
              - {{plugin: api-key, config: {{required: false}}}}
              - {{plugin: jwt, config: {{issuer: main, required: false}}}}
              - {{plugin: acl, config: {acl}}}
            upstream: origin
        ",
        sha256("whole"),
        sha256("narrow"),
        origin.url()
    );
    let keys = key_set(&[key]);
    (Setup::new(&yaml).file("jwks.json", keys).start().await, origin)
}

fn by_key(key: &str) -> Request {
    get("/").header("x-api-key", key)
}

fn by_token(key: &SigningKey, subject: &str) -> Request {
    let mut claims = claims(subject);
    claims["realm_access"] = json!({"roles": ["support", "staff"]});
    claims["https://example.com/tenant"] = json!("acme");
    get("/").header("authorization", &format!("Bearer {}", key.sign(&claims)))
}

#[tokio::test]
async fn scopes_are_those_of_the_key_and_not_all_of_its_client() {
    let key = SigningKey::es256("one");
    let (gateway, origin) = house(&key, "{scopes: [orders.write]}").await;
    assert_eq!(gateway.ask(by_key("whole")).await.status, 200, "the client's scopes");
    assert_eq!(gateway.ask(by_key("narrow")).await.status, 403, "the key was narrowed");
    let nobody = gateway.get("/").await;
    assert_eq!((nobody.status, nobody.header("www-authenticate")), (401, Some("Bearer realm=\"gatehouse\"")));
    assert_eq!(origin.hits(), 1, "and only the first got through");
}

#[tokio::test]
async fn claims_of_a_verified_token_open_a_route() {
    let key = SigningKey::es256("one");
    let (gateway, _origin) = house(&key, "{claims: {realm_access.roles: [admin, staff], \"https://example.com/tenant\": [acme]}}").await;
    assert_eq!(gateway.ask(by_token(&key, "alice")).await.status, 200, "staff of acme");
    assert_eq!(gateway.ask(by_key("whole")).await.status, 403, "a key has no claims");
    let (gateway, _origin) = house(&key, "{claims: {realm_access.roles: [admin]}}").await;
    assert_eq!(gateway.ask(by_token(&key, "alice")).await.status, 403, "no admin");
}

#[tokio::test]
async fn a_token_for_somebody_of_a_clients_name_is_not_that_client() {
    let key = SigningKey::es256("one");
    let (gateway, _origin) = house(&key, "{clients: [acme], plans: [gold]}").await;
    assert_eq!(gateway.ask(by_key("narrow")).await.status, 200, "the client, on its plan");
    assert_eq!(gateway.ask(by_token(&key, "acme")).await.status, 403, "a subject who chose that name");
}

#[tokio::test]
async fn an_acl_without_a_rule_is_refused_where_it_stands() {
    let (code, said) = Setup::new("routes: [{name: all, chain: [{plugin: acl, config: {}}, {plugin: mock}]}]\n").start_refused().await;
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("routes[0].chain[0].config") && said.contains("at least one of scopes"), "{said}");
}

/// A gateway that believes what the local proxy says of the address.
async fn behind_a_proxy(config: &str) -> Gateway {
    Gateway::start(&format!(
        "
        listeners: [{{name: public, address: \"127.0.0.1:0\", trusted_proxies: [127.0.0.1]}}]
        routes: [{{name: all, chain: [{{plugin: ip-allow, config: {config}}}, {{plugin: mock}}]}}]
        "
    ))
    .await
}

#[tokio::test]
async fn addresses_pass_by_their_networks_after_trusted_proxies() {
    let gateway = behind_a_proxy("{allow: [10.0.0.0/8, \"2001:db8::/32\"], deny: [10.66.0.0/16]}").await;
    for (address, status) in [
        ("10.1.2.3", 200),
        ("10.66.0.1", 403),
        ("192.0.2.1", 403),
        ("2001:db8::1", 200),
        ("2001:db9::1", 403),
        ("::ffff:10.1.2.3", 200),
        ("::ffff:10.66.0.1", 403),
    ] {
        let response = gateway.ask(get("/").header("x-forwarded-for", address)).await;
        assert_eq!(response.status, status, "{address}: {}", response.head);
    }
    assert_eq!(gateway.get("/").await.status, 403, "the proxy itself is not on the list");
}

#[tokio::test]
async fn an_address_that_nobody_vouches_for_does_not_count() {
    let gateway =
        Gateway::start("routes: [{name: all, chain: [{plugin: ip-allow, config: {deny: [127.0.0.0/8]}}, {plugin: mock}]}]\n").await;
    let response = gateway.ask(get("/").header("x-forwarded-for", "10.1.2.3")).await;
    assert_eq!(response.status, 403, "the connection's own address decides");
}
