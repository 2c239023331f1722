//! `rate-limit`: exact buckets, and answers by the draft of gateway-behaviour.md §2.3.

use gatehouse_tests::{Client, Gateway, Origin, Setup, get, tokens::sha256};

use super::start;

const SLOW: &str = "{plugin: rate-limit, config: {rate: 0.01, burst: 3}}, {plugin: mock}";

#[tokio::test]
async fn a_burst_passes_and_then_nothing() {
    let gateway = start(SLOW, &[]).await;
    for left in ["2", "1", "0"] {
        let response = gateway.get("/").await;
        assert_eq!(response.status, 200);
        // q is the burst; w is the time to fill it: 3 / 0.01 = 300 s.
        assert_eq!(response.header("ratelimit-policy"), Some("\"default\";q=3;w=300"));
        let quota = response.header("ratelimit").expect("what is left is said");
        assert!(quota.starts_with(&format!("\"default\";r={left};t=")), "{quota}");
    }
    let refused = gateway.get("/").await;
    assert_eq!(refused.status, 429);
    let seconds: u64 = refused.header("retry-after").expect("429 says when").parse().expect("in whole seconds");
    assert!((95..=111).contains(&seconds), "a token takes 100 s, and a tenth and a second are left to chance: {seconds}");
    let quota = refused.header("ratelimit").expect("what is left is said");
    let reset: u64 = quota.rsplit_once("t=").expect("t is there").1.parse().expect("a number");
    assert!(quota.starts_with("\"default\";r=0;t=") && reset <= seconds, "Retry-After is never earlier than t: {quota}");
    assert_eq!(refused.header("ratelimit-policy"), Some("\"default\";q=3;w=300"));
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    let problem = refused.json();
    assert_eq!(problem["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert_eq!(problem["violated-policies"], serde_json::json!(["default"]));
    assert!(refused.header("x-gatehouse-error").is_none(), "the plugin refused, not the gateway");
}

#[tokio::test]
async fn a_bucket_is_exact_over_all_workers() {
    let config = "routes: [{name: all, chain: [{plugin: rate-limit, config: {rate: 0.001, burst: 50}}, {plugin: mock}]}]";
    let gateway = Setup::new(config).arguments(&["--workers", "4"]).start().await;
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let address = gateway.address();
        clients.spawn(async move {
            let mut client = Client::connect(address).await;
            let mut passed = 0;
            for _ in 0..25 {
                passed += usize::from(client.ask(&get("/")).await.status == 200);
            }
            passed
        });
    }
    let passed: usize = clients.join_all().await.into_iter().sum();
    assert_eq!(passed, 50, "of 200 requests over 8 connections");
}

#[tokio::test]
async fn tokens_come_back_with_time() {
    let gateway = start("{plugin: rate-limit, config: {rate: 5, burst: 1}}, {plugin: mock}", &[]).await;
    assert_eq!(gateway.get("/").await.status, 200);
    assert_eq!(gateway.get("/").await.status, 429);
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(gateway.get("/").await.status, 200, "a fifth of a second makes a token");
}

#[tokio::test]
async fn a_key_can_be_a_header() {
    let gateway = start("{plugin: rate-limit, config: {rate: 0.01, burst: 1, key: \"header:x-tenant\"}}, {plugin: mock}", &[]).await;
    for tenant in ["a", "b"] {
        assert_eq!(gateway.ask(get("/").header("x-tenant", tenant)).await.status, 200, "{tenant} has its own");
        assert_eq!(gateway.ask(get("/").header("x-tenant", tenant)).await.status, 429, "{tenant} has no more");
    }
}

#[tokio::test]
async fn a_client_has_its_own_bucket() {
    let yaml = format!(
        "
        clients: [{{name: a, keys: [{{sha256: \"{}\"}}]}}, {{name: b, keys: [{{sha256: \"{}\"}}]}}]
        routes: [{{name: all, chain: [{{plugin: api-key}}, {{plugin: rate-limit, config: {{rate: 0.01, burst: 1}}}}, {{plugin: mock}}]}}]
        ",
        sha256("key-a"),
        sha256("key-b")
    );
    let gateway = Gateway::start(&yaml).await;
    for key in ["key-a", "key-b"] {
        assert_eq!(gateway.ask(get("/").header("x-api-key", key)).await.status, 200);
        assert_eq!(gateway.ask(get("/").header("x-api-key", key)).await.status, 429);
    }
    assert_eq!(gateway.ask(get("/").header("x-api-key", "wrong")).await.status, 401, "who is nobody takes from nobody's bucket");
}

#[tokio::test]
async fn routes_share_a_named_policy_only() {
    let gateway = Gateway::start(
        "
        routes:
          - {name: a, match: [{path: {prefix: /a}}], chain: [{plugin: rate-limit, config: {rate: 0.01, burst: 1, name: shared}}, {plugin: mock}]}
          - {name: b, match: [{path: {prefix: /b}}], chain: [{plugin: rate-limit, config: {rate: 0.01, burst: 1, name: shared}}, {plugin: mock}]}
          - {name: c, match: [{path: {prefix: /c}}], chain: [{plugin: rate-limit, config: {rate: 0.01, burst: 1}}, {plugin: mock}]}
          - {name: d, match: [{path: {prefix: /d}}], chain: [{plugin: rate-limit, config: {rate: 0.01, burst: 1}}, {plugin: mock}]}
        ",
    )
    .await;
    assert_eq!(gateway.get("/a").await.status, 200);
    let shared = gateway.get("/b").await;
    assert_eq!(shared.status, 429, "the name is the bucket");
    assert!(shared.header("ratelimit").is_some_and(|quota| quota.starts_with("\"shared\";")), "{}", shared.head);
    assert_eq!((gateway.get("/c").await.status, gateway.get("/d").await.status), (200, 200), "without a name each route has its own");
}

#[tokio::test]
async fn a_request_may_cost_more() {
    let gateway = start("{plugin: rate-limit, config: {rate: 0.01, burst: 5, cost: 2}}, {plugin: mock}", &[]).await;
    let statuses = [gateway.get("/").await.status, gateway.get("/").await.status, gateway.get("/").await.status];
    assert_eq!(statuses, [200, 200, 429], "5 tokens are two requests of 2");
}

#[tokio::test]
async fn what_is_refused_does_not_reach_the_upstream() {
    let origin = Origin::saying("through").await;
    let gateway = start("{plugin: rate-limit, config: {rate: 0.01, burst: 1}}", &[("origin", origin.url())]).await;
    for _ in 0..5 {
        gateway.get("/").await;
    }
    assert_eq!(origin.hits(), 1);
}
