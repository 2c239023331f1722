//! `cors`: preflights are answered here, other answers are decorated.

use gatehouse_tests::{Answer, Gateway, Origin, get, request};

use super::start;

const CORS: &str = "{plugin: cors, config: {origins: [\"https://app.example\", \"https://*.team.example\"], methods: [GET, PUT], \
    headers: [x-one], expose: [x-two], credentials: true, max_age: 600}}";

async fn house() -> (Gateway, Origin) {
    let origin = Origin::start(|_| Answer::new(200, &[("access-control-allow-origin", "*"), ("vary", "Accept")], "through")).await;
    (start(CORS, &[("origin", origin.url())]).await, origin)
}

#[tokio::test]
async fn a_preflight_is_answered_here() {
    let (gateway, origin) = house().await;
    let preflight = request("OPTIONS", "/")
        .header("origin", "https://app.example")
        .header("access-control-request-method", "PUT")
        .header("access-control-request-headers", "x-one");
    let response = gateway.ask(preflight).await;
    assert_eq!(response.status, 204);
    for (name, value) in [
        ("access-control-allow-origin", "https://app.example"),
        ("access-control-allow-methods", "GET, PUT"),
        ("access-control-allow-headers", "x-one"),
        ("access-control-allow-credentials", "true"),
        ("access-control-max-age", "600"),
    ] {
        assert_eq!(response.header(name), Some(value), "{name}");
    }
    assert!(response.all("vary").join(",").to_lowercase().contains("origin"), "caches must tell origins apart");
    assert_eq!(origin.hits(), 0, "the upstream has nothing to do with it");
}

#[tokio::test]
async fn an_answer_is_decorated_for_those_who_may_read_it() {
    let (gateway, _origin) = house().await;
    for asking in ["https://app.example", "https://x.team.example"] {
        let response = gateway.ask(get("/").header("origin", asking)).await;
        assert_eq!(response.header("access-control-allow-origin"), Some(asking), "once, and not the upstream's own");
        assert_eq!(response.header("access-control-expose-headers"), Some("x-two"));
        let vary = response.all("vary").join(", ").to_lowercase();
        assert!(vary.contains("origin") && vary.contains("accept"), "what the upstream says is kept: {vary}");
    }
    for asking in ["https://evil.example", "http://app.example", "https://app.example.evil.example", "https://team.example", "null"] {
        let response = gateway.ask(get("/").header("origin", asking)).await;
        assert_eq!(response.status, 200, "a gateway is no browser");
        assert!(response.header("access-control-allow-origin").is_none(), "{asking} may not read it");
    }
}

#[tokio::test]
async fn options_that_are_no_preflight_go_on() {
    let (gateway, origin) = house().await;
    assert_eq!(gateway.ask(request("OPTIONS", "/").header("origin", "https://app.example")).await.text(), "through");
    assert_eq!(origin.hits(), 1);
}
