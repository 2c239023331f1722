//! Filters that mean harm, or come to it: each harms its own request, and those that were in the same instance with it.

use gatehouse_tests::{Client, get};

use super::house::House;

/// Checks the problem that a mode ends with, and that the next request has an instance that works.
async fn check(mode: &str, reason: &str) {
    let house = House::with("harm").await;
    house.play(mode).await.assert_problem(503, reason);
    assert_eq!(house.origin.hits(), 0, "{mode}: nothing went on");
    house.assert_works().await;
}

#[tokio::test]
async fn a_panic_ends_the_request_and_the_instance() {
    check("panic", "plugin_trap").await;
}

#[tokio::test]
async fn an_endless_loop_is_cut_off() {
    check("spin", "plugin_timeout").await;
}

#[tokio::test]
async fn memory_without_end_is_not_given() {
    let house = House::configured("harm", "limits: {memory: 16MiB}", "").await;
    house.play("grow").await.assert_problem(503, "plugin_memory");
    house.assert_works().await;
}

#[tokio::test]
async fn host_calls_without_end_are_cut_off() {
    check("calls", "plugin_trap").await;
}

#[tokio::test]
async fn a_stack_without_end_is_cut_off() {
    check("abyss", "plugin_trap").await;
}

#[tokio::test]
async fn pointers_that_lead_nowhere_and_values_that_are_no_http_are_told_so() {
    let house = House::with("harm").await;
    house.play("pointers").await;
    house.play("values").await;
    let told: Vec<_> = house.origin.requests().iter().filter_map(|request| request.header("x-told")).collect();
    assert_eq!(told, ["[6, 6, 6, 6]", "[2, 2, 2, 2, 2, 10, 2]"]);
    let sent = &house.origin.requests()[1];
    assert_eq!((sent.method(), sent.target(), sent.header("x-evil")), ("GET", "/a?b=c", None));
}

#[tokio::test]
async fn a_log_has_an_end() {
    let house = House::with("harm").await;
    assert_eq!(house.play("log").await.status, 200);
    let lines = house.gateway.log().lines().filter(|line| line.contains("xxxxxxxxxx")).count();
    assert!((1..=4).contains(&lines), "{lines} lines of 1000 bytes where 4 KiB are allowed");
}

#[tokio::test]
async fn a_step_that_is_skipped_leaves_no_trace() {
    let house = House::configured("harm", "on_error: skip", "").await;
    let response = house.play("panic").await;
    assert_eq!((response.status, house.origin.request().header("x-touched")), (200, None));
    let response = house.gateway.ask(get("/").header("x-mode", "panic").header("x-when", "response")).await;
    assert_eq!((response.status, response.header("x-touched")), (200, None));
    let response =
        house.gateway.ask(gatehouse_tests::request("POST", "/").header("x-mode", "panic").header("x-when", "body").body("abc")).await;
    assert_eq!(response.status, 200);
    assert_eq!(house.origin.requests().last().map(|request| request.body.clone()), Some(b"abc".to_vec()));
}

#[tokio::test]
async fn a_response_does_not_go_out_unseen() {
    let house = House::with("harm").await;
    let response = house.gateway.ask(get("/").header("x-mode", "panic").header("x-when", "response")).await;
    response.assert_problem(503, "plugin_trap");
    house.assert_works().await;
}

#[tokio::test]
async fn what_happens_after_a_request_is_in_the_log_and_harms_no_other() {
    let house = House::with("harm").await;
    let response = house.gateway.ask(get("/").header("x-mode", "panic").header("x-when", "log")).await;
    assert_eq!(response.status, 200);
    house.assert_works().await;
    let labels = [("plugin", "filter"), ("reason", "trap")];
    house.gateway.wait_for_metric("gatehouse_plugin_faults_total", &labels, |faults| faults == 1.0).await;
}

#[tokio::test]
async fn requests_that_were_in_the_same_instance_are_told_so() {
    let house = House::configured("harm", "", "").await;
    let mut client = Client::connect(house.gateway.address()).await;
    client.send(b"POST / HTTP/1.1\r\nhost: test.example\r\ncontent-length: 10\r\n\r\nhalf ").await;
    house.origin.wait_for_hits(1).await;
    house.play("panic").await.assert_problem(503, "plugin_trap");
    client.send(b"done.").await;
    client.response_to("POST").await.assert_problem(503, "plugin_unavailable");
    house.assert_works().await;
}
