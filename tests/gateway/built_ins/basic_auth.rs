//! `basic-auth`: a client's name and one of its keys.

use base64::{Engine, engine::general_purpose::STANDARD};
use gatehouse_tests::{Gateway, Origin, Request, get, tokens::sha256};

async fn house(config: &str) -> (Gateway, Origin) {
    let origin = Origin::saying("through").await;
    let yaml = format!(
        "
        clients:
          - {{name: acme, keys: [{{sha256: \"{}\"}}], plan: gold, scopes: [orders.read]}}
          - {{name: other, keys: [{{sha256: \"{}\"}}]}}
          - {{name: gone, disabled: true, keys: [{{sha256: \"{}\"}}]}}
        upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
        routes: [{{name: all, chain: [{{plugin: basic-auth, config: {config}}}], upstream: origin}}]
        ",
        sha256("se:cret"),
        sha256("theirs"),
        sha256("lost"),
        origin.url()
    );
    (Gateway::start(&yaml).await, origin)
}

fn with(user: &str, password: &str) -> Request {
    get("/").header("authorization", &format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}

#[tokio::test]
async fn a_client_gets_in_by_its_name_and_key_and_the_upstream_sees_neither() {
    let (gateway, origin) = house("{}").await;
    assert_eq!(gateway.ask(with("acme", "se:cret")).await.status, 200);
    assert_eq!(origin.request().header("authorization"), None, "the key stays here");
    assert_eq!(gateway.access_log(1).await[0]["client"], "acme");
    gateway.wait_for_metric("gatehouse_auth_total", &[("method", "basic-auth"), ("result", "accepted")], |count| count >= 1.0).await;
}

#[tokio::test]
async fn nobody_else_does_and_nobody_learns_why() {
    let (gateway, origin) = house("{realm: orders}").await;
    for (user, password) in [("acme", "theirs"), ("other", "se:cret"), ("gone", "lost"), ("nobody", "se:cret"), ("acme", "")] {
        let response = gateway.ask(with(user, password)).await;
        assert_eq!(response.status, 401, "{user}");
        assert_eq!(response.header("www-authenticate"), Some("Basic realm=\"orders\", charset=\"UTF-8\""), "{user}");
        assert_eq!(response.json()["detail"], "This needs a valid name and password.", "{user}");
    }
    assert_eq!(gateway.get("/").await.status, 401, "no credentials at all");
    assert_eq!(origin.hits(), 0, "nobody got in");
    assert_eq!(gateway.metrics().await.sum("gatehouse_auth_total", &[("result", "accepted")]), 0.0, "a key of somebody else is no login");
}
