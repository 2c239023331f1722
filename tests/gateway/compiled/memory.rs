//! Instances that serve for long: Go's collector must not run where a component may not call out, and neither language
//! may keep what a request left behind.

use std::path::Path;

use gatehouse_tests::{Answer, Gateway, Origin, Setup, authored, request};

/// A gateway whose one worker keeps its instances of the reference plugin, which take bodies in this way.
async fn house(component: &Path, body: &str) -> (Gateway, Origin) {
    let origin = Origin::start(|_| Answer::ok("x".repeat(200_000))).await;
    let config = format!(
        "
        upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
        plugins:
          - name: reference
            source: {{file: \"{}\"}}
            isolation: reuse
            grants: [log, kv, jwt, introspection, keys, rate-limit, {{http: [origin]}}, metrics, identity]
            limits: {{memory: 64MiB, cpu: 2s, wall: 10s}}
        routes:
          - {{name: all, max_body: 32MiB, chain: [{{plugin: reference, config: {{body: {body}, limit: 30000000}}}}], upstream: origin}}
        ",
        origin.url(),
        component.display()
    );
    (Setup::new(&config).one_worker().start().await, origin)
}

/// Far more goes through than an instance may have, in 200 requests.
async fn serves_for_long(component: &Path, body: &str) {
    let (gateway, _origin) = house(component, body).await;
    for round in 0..200 {
        let response = gateway.ask(request("POST", "/upper").body("y".repeat(200_000))).await;
        let text = response.text();
        assert!(response.status == 200 && text.starts_with("XXX") && text.len() >= 200_000, "round {round}: {}", response.head);
    }
    assert_eq!(gateway.metrics().await.sum("gatehouse_plugin_faults_total", &[]), 0.0, "{}", gateway.log());
}

#[tokio::test]
async fn go_serves_streams_for_long() {
    serves_for_long(&authored::go("tests/conformance/go"), "streamed").await;
}

#[tokio::test]
async fn go_serves_whole_bodies_for_long() {
    serves_for_long(&authored::go("tests/conformance/go"), "buffered").await;
}

#[tokio::test]
async fn c_serves_whole_bodies_for_long() {
    serves_for_long(&authored::c("tests/conformance/c"), "buffered").await;
}

#[tokio::test]
async fn go_takes_a_body_that_is_larger_than_all_it_had() {
    let (gateway, _origin) = house(&authored::go("tests/conformance/go"), "buffered").await;
    for _ in 0..3 {
        let response = gateway.ask(request("POST", "/pass").body("y".repeat(20_000_000))).await;
        assert_eq!(response.status, 200, "{}\n{}", response.head, gateway.log());
    }
}
