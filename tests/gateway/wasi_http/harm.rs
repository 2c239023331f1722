//! Components that mean harm, or fall down: each harms its own request and nothing else.

use std::time::Duration;

use gatehouse_tests::{Client, Gateway, get};

/// The harmful component, on one worker, with limits that it soon meets.
async fn harmful() -> Gateway {
    super::with("harm", "limits: {cpu: 100ms, wall: 500ms, memory: 32MiB, log: 1KiB}").await
}

/// The next request is served, by the same worker.
async fn is_unharmed(gateway: &Gateway) {
    assert_eq!(gateway.get("/fields-none").await.status, 404, "the next request is served");
}

async fn check(gateway: &Gateway, path: &str, status: u16, reason: &str) {
    gateway.get(path).await.assert_problem(status, reason);
    is_unharmed(gateway).await;
}

#[tokio::test]
async fn a_component_that_never_ends_runs_out_of_time() {
    let gateway = harmful().await;
    check(&gateway, "/spin", 504, "plugin_timeout").await;
    check(&gateway, "/sleep", 504, "plugin_timeout").await;
}

#[tokio::test]
async fn a_component_that_spins_holds_nobody_up() {
    let gateway = super::with("harm", "limits: {cpu: 20s, wall: 30s}").await;
    let mut spinning = Client::connect(gateway.address()).await;
    spinning.send(get("/spin").bytes()).await;
    for _ in 0..10 {
        is_unharmed(&gateway).await;
    }
    assert!(spinning.is_quiet(Duration::from_millis(10)).await, "it spins on");
}

#[tokio::test]
async fn a_component_that_takes_memory_without_end_is_stopped() {
    let gateway = harmful().await;
    check(&gateway, "/bomb", 502, "plugin_memory").await;
    check(&gateway, "/handles", 502, "plugin_trap").await;
}

#[tokio::test]
async fn a_component_that_traps_or_says_nothing_is_answered_for() {
    let gateway = harmful().await;
    for path in ["/panic", "/exit", "/nothing", "/error", "/status/100", "/status/700", "/status/101"] {
        check(&gateway, path, 502, "plugin_trap").await;
    }
    gateway.wait_for_log("says why", |line| line.contains("component app") || line.contains("\"plugin\":\"app\"")).await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_does_not_look_complete() {
    let gateway = harmful().await;
    for path in ["/late-panic", "/late-spin", "/late-sleep"] {
        let mut client = Client::connect(gateway.address()).await;
        client.send(get(path).bytes()).await;
        let (answer, _) = client.rest().await;
        let text = String::from_utf8_lossy(&answer);
        // What was on its way when it ended may be lost with it; what was a while before is not.
        assert!(text.contains("the beginning") || path == "/late-panic", "{path}: {text:?}");
        assert!(!text.ends_with("0\r\n\r\n"), "{path}: {text:?}");
        is_unharmed(&gateway).await;
    }
    gateway.wait_for_metric("gatehouse_plugin_faults_total", &[("plugin", "app"), ("reason", "trap")], |count| count >= 1.0).await;
}

#[tokio::test]
async fn a_body_shorter_than_declared_is_no_complete_answer() {
    let gateway = harmful().await;
    let mut client = Client::connect(gateway.address()).await;
    client.send(get("/short").bytes()).await;
    // Nothing comes, or what there is and then the end of the connection.
    let (answer, _) = client.rest().await;
    let text = String::from_utf8_lossy(&answer);
    assert!(text.is_empty() || text.contains("content-length: 100\r\n") && text.ends_with("\r\n\r\nshort"), "{text:?}");
    is_unharmed(&gateway).await;
}

#[tokio::test]
async fn there_are_only_so_many_header_fields() {
    let gateway = harmful().await;
    check(&gateway, "/fields/10000", 502, "plugin_trap").await;
    let response = gateway.get("/fields/90").await;
    let fields = response.headers.iter().filter(|(name, _)| name.starts_with("x-many-")).count();
    assert_eq!((response.status, fields), (200, 90));
}

#[tokio::test]
async fn framing_is_not_a_components_to_make() {
    let gateway = harmful().await;
    let response = gateway.get("/forbidden").await;
    assert_eq!(response.text(), "[false, false, false, true] false");
}

#[tokio::test]
async fn a_component_finds_nothing_of_the_machine_but_its_own_environment() {
    let gateway = super::with("harm", "env: {TONE: kind, PLACE: \"by the sea\"}").await;
    let found = gateway.get("/surroundings").await.text();
    let own = "files [false, false, false], variables [\"PLACE=by the sea\", \"TONE=kind\"], arguments 0";
    assert!(found.matches("access-denied").count() == 2 && found.ends_with(own), "{found}");
}

#[tokio::test]
async fn what_a_component_prints_is_logged_up_to_its_limit() {
    let gateway = harmful().await;
    assert_eq!(gateway.get("/print/1000").await.text(), "printed");
    gateway.wait_for_log("the first line", |line| line.contains("line 0") && line.contains("\"plugin\":\"app\"")).await;
    let lines = gateway.log().lines().filter(|line| line.contains("\"plugin\":\"app\"") && line.contains("line ")).count();
    assert!((50..1_000).contains(&lines), "one kibibyte of lines: {lines}");
}

#[tokio::test]
async fn a_component_may_go_on_after_its_answer_for_a_while() {
    let gateway = super::answering("harm").await;
    assert_eq!(gateway.get("/after").await.text(), "answered");
    gateway.wait_for_log("what it did then", |line| line.contains("done after the answer")).await;
}

#[tokio::test]
async fn a_component_whose_client_is_gone_is_stopped() {
    let gateway = super::with("harm", "limits: {instances: 1, cpu: 20s, wall: 60s}").await;
    let mut client = Client::connect(gateway.address()).await;
    client.send(get("/flood").bytes()).await;
    assert_eq!(client.head().await.status, 200);
    client.read(100_000).await.expect("it floods");
    drop(client);
    is_unharmed(&gateway).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send(get("/sleep").bytes()).await;
    assert!(client.is_quiet(Duration::from_millis(50)).await, "it sleeps");
    drop(client);
    // There is one instance, and it is free again.
    is_unharmed(&gateway).await;
}

#[tokio::test]
async fn a_slow_reader_slows_a_component() {
    let gateway = super::with("harm", "limits: {cpu: 20s, wall: 60s}").await;
    let mut client = Client::connect(gateway.address()).await;
    client.send(get("/flood").bytes()).await;
    assert_eq!(client.head().await.status, 200);
    let before = gateway.rss();
    for _ in 0..20 {
        is_unharmed(&gateway).await;
    }
    assert!(gateway.rss() < before + (32 << 20), "what nobody reads is not made");
}

#[tokio::test]
async fn when_all_instances_are_in_use_a_request_is_turned_away() {
    let gateway = super::with("harm", "limits: {instances: 1, cpu: 20s, wall: 60s}").await;
    let mut client = Client::connect(gateway.address()).await;
    client.send(get("/sleep").bytes()).await;
    assert!(client.is_quiet(Duration::from_millis(50)).await, "it has the instance");
    gateway.get("/fields-none").await.assert_problem(503, "plugin_unavailable");
}
