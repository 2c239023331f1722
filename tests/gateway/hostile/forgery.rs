//! Values that no gateway may pass on: split headers, forged framing, statuses and paths that are none.

use gatehouse_tests::Client;

use super::{House, provocation};

/// Header lines that a plugin may not write.
const HEADERS: [&str; 15] = [
    "value-crlf",
    "value-lf",
    "value-nul",
    "name-crlf",
    "name-space",
    "name-empty",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "upgrade",
    "te",
    "trailer",
    "pseudo-status",
    "pseudo-path",
];

/// Statuses that a plugin may not answer with.
const STATUSES: [&str; 5] = ["status-99", "status-100", "status-101", "status-600", "status-65535"];

/// Checks that each is a fault, that nothing of it reached the upstream, and that the connection is still in step.
async fn check(house: &House, modes: impl IntoIterator<Item = String>) {
    let mut client = Client::connect(house.gateway.address()).await;
    for mode in modes {
        let response = client.ask(&provocation(&mode)).await;
        assert_eq!(response.status, 503, "{mode} is a fault: {}{}", response.head, response.text());
        response.assert_problem(503, "plugin_trap");
        assert!(response.header("x-forged").is_none(), "{mode} forged nothing");
        house.assert_works().await;
    }
    for request in house.origin.requests() {
        assert!(request.header("x-forged").is_none(), "nothing was forged upstream: {}", request.head);
    }
}

#[tokio::test]
async fn forged_request_headers_are_refused() {
    let house = House::new().await;
    check(&house, HEADERS.map(str::to_owned)).await;
    let through = house.origin.requests().iter().all(|request| request.header("x-mode").is_none());
    assert!(through, "no request with a forged header went on");
}

#[tokio::test]
async fn forged_response_headers_are_refused() {
    let house = House::new().await;
    check(&house, HEADERS.map(|header| format!("response-{header}"))).await;
}

#[tokio::test]
async fn forged_headers_for_later_are_refused_at_once() {
    let house = House::new().await;
    check(&house, HEADERS.map(|header| format!("later-{header}"))).await;
    assert!(house.origin.requests().iter().all(|request| request.header("x-mode").is_none()), "none of them went on");
}

#[tokio::test]
async fn forged_headers_in_a_reply_are_refused() {
    let house = House::new().await;
    check(&house, HEADERS.map(|header| format!("reply-{header}"))).await;
    check(&house, ["many-headers".to_owned()]).await;
}

#[tokio::test]
async fn statuses_that_are_none_are_refused() {
    let house = House::new().await;
    check(&house, STATUSES.map(str::to_owned)).await;
    check(&house, STATUSES.map(|status| format!("response-{status}"))).await;
}

#[tokio::test]
async fn methods_and_paths_that_are_none_are_refused() {
    let house = House::new().await;
    let modes =
        ["method-space", "method-empty", "method-split", "path-relative", "path-absolute", "path-space", "path-split", "path-empty"];
    check(&house, modes.map(str::to_owned)).await;
    let targets: Vec<_> = house.origin.requests().iter().map(|request| request.target().to_owned()).collect();
    assert!(targets.iter().all(|target| target == "/hostile"), "only what clients asked for arrived: {targets:?}");
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let house = House::new().await;
    check(&house, ["huge-reply", "huge-state"].map(str::to_owned)).await;
}

#[tokio::test]
async fn what_a_plugin_was_not_lent_it_cannot_set() {
    let house = House::new().await;
    check(&house, ["set-client", "request-id", "response-body"].map(str::to_owned)).await;
}

#[tokio::test]
async fn a_good_reply_of_the_same_plugin_passes() {
    let house = House::new().await;
    let response = house.provoke("reply").await;
    assert_eq!((response.status, response.header("x-reply")), (200, Some("good")), "only forgeries are refused");
    assert_eq!(house.origin.hits(), 0, "a reply never reaches the upstream");
}
