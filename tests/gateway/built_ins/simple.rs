//! `mock` and `request-id`.

use gatehouse_tests::{Origin, get};

use super::start;

#[tokio::test]
async fn mock_answers_as_configured() {
    let gateway =
        start("{plugin: mock, config: {status: 202, headers: {x-mock: \"1\", content-type: text/css}, body: \"a {}\"}}", &[]).await;
    let response = gateway.get("/").await;
    assert_eq!((response.status, response.text().as_str()), (202, "a {}"));
    assert_eq!((response.header("x-mock"), response.header("content-type")), (Some("1"), Some("text/css")));
    assert_eq!(response.header("content-length"), Some("4"), "the framing is the gateway's");
}

#[tokio::test]
async fn mock_answers_json() {
    let gateway = start("{plugin: mock, config: {body: {a: [1, true]}}}", &[]).await;
    let response = gateway.get("/").await;
    assert_eq!(response.json(), serde_json::json!({"a": [1, true]}));
    assert_eq!(response.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn request_id_is_the_same_for_upstream_client_and_log() {
    let origin = Origin::saying("through").await;
    let gateway = start("{plugin: request-id}", &[("origin", origin.url())]).await;
    let response = gateway.ask(get("/").header("x-request-id", "chosen")).await;
    let id = response.header("x-request-id").expect("the client has it");
    assert_ne!(id, "chosen", "it is ours, unless clients are trusted");
    assert_eq!(origin.request().all("x-request-id"), [id], "the upstream has it");
    assert_eq!(gateway.access_log(1).await[0]["request_id"], id, "the log has it");
}

#[tokio::test]
async fn a_trusted_request_id_is_kept_if_it_is_a_good_one() {
    let origin = Origin::saying("through").await;
    let gateway = start("{plugin: request-id, config: {header: x-trace, trust: true}}", &[("origin", origin.url())]).await;
    let response = gateway.ask(get("/").header("x-trace", "chosen-1")).await;
    assert_eq!(response.header("x-trace"), Some("chosen-1"));
    assert_eq!(gateway.access_log(1).await[0]["request_id"], "chosen-1");
    let response = gateway.ask(get("/").header("x-trace", &"x".repeat(500))).await;
    assert!(response.header("x-trace").is_some_and(|id| id.len() == 32), "a bad one is replaced: {}", response.head);
}
