//! Calls to upstreams.

use gatehouse_tests::{ask, get, request};

use super::house::{CALLS, House};

#[tokio::test]
async fn a_filter_makes_several_calls_at_a_time() {
    let house = House::configured("probe", CALLS, "").await;
    let response = house.play("parallel").await;
    assert_eq!(response.status, 200);
    assert_eq!(house.origin.request().header("x-answers").as_deref(), Some("200 3 /one!; 200 3 /two!"));
    let asked = house.side.requests();
    assert!(asked.iter().all(|asked| asked.header("host").as_deref() == Some("side.test")), "{asked:?}");
    assert!(asked.iter().all(|asked| asked.body == b"asked" && asked.header("x-from").as_deref() == Some("probe")), "{asked:?}");
}

#[tokio::test]
async fn a_filter_answers_with_what_its_calls_said() {
    let house = House::configured("probe", CALLS, "").await;
    let response = house.play("call-and-answer").await;
    assert_eq!((response.status, response.text().as_str()), (200, "200 3 /one!; 200 3 /two!"));
    assert_eq!(house.origin.hits(), 0);
}

#[tokio::test]
async fn a_filter_calls_while_it_holds_a_body_and_replaces_that() {
    let house = House::configured("probe", CALLS, "").await;
    house.gateway.ask(request("POST", "/").header("x-mode", "call-in-body").chunks(&[b"a", b"b"])).await;
    assert_eq!(house.body().await, "200 3 /body!");
}

#[tokio::test]
async fn an_upstream_that_was_not_granted_does_not_exist() {
    let house = House::configured("probe", CALLS, "").await;
    assert_eq!(house.play("denied").await.text(), "Err(BadArgument)");
    house.gateway.wait_for_log("says why", |line| line.contains("needs the grant `http`")).await;
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_answered_without_headers() {
    let house = House::configured("probe", CALLS, "").await;
    house.play("slow").await;
    assert_eq!(house.origin.request().header("x-answers").as_deref(), Some("none 0"));
}

#[tokio::test]
async fn a_request_does_not_wait_for_ever() {
    let house = House::configured("probe", "limits: {wall: 100ms, cpu: 50ms}", "").await;
    house.play("pause").await.assert_problem(503, "plugin_timeout");
    let skipping = House::configured("probe", "limits: {wall: 100ms, cpu: 50ms}, on_error: skip", "").await;
    let response = skipping.play("pause").await;
    assert_eq!(response.status, 200);
    assert_eq!(skipping.origin.request().header("x-context"), None, "it goes on as it came");
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_with_it() {
    let house = House::with("probe").await;
    let waiting = tokio::spawn(ask(house.gateway.address(), get("/").header("x-mode", "pause")));
    house.gateway.wait_for_metric("gatehouse_plugin_instances", &[("plugin", "filter"), ("state", "busy")], |busy| busy == 1.0).await;
    waiting.abort();
    house.gateway.wait_for_metric("gatehouse_plugin_instances", &[("plugin", "filter"), ("state", "idle")], |idle| idle == 1.0).await;
    house.assert_works().await;
}

#[tokio::test]
async fn a_filter_calls_on_its_own_time() {
    let house = House::configured("probe", CALLS, "config: tick").await;
    house.play("call-on-tick").await;
    house.side.wait_for_hits(1).await;
    assert_eq!(house.side.request().target(), "/tick");
}
