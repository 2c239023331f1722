//! The examples of public SDKs, as published: what each of them is there to show.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use gatehouse_tests::{Answer, Origin, ask, get};

use super::house::{CALLS, House};

#[tokio::test]
async fn hello_world_says_hello_and_serves_no_requests() {
    let house = House::configured("hello_world", "on_error: skip", "").await;
    house.said("Hello, World!").await;
    house.said("your lucky number is").await;
    assert_eq!(house.gateway.get("/").await.status, 200, "it makes no contexts for requests, which is a fault");
}

async fn headers(filter: &str) {
    let house = House::with(filter).await;
    let hello = house.gateway.get("/hello").await;
    assert_eq!((hello.status, hello.text().as_str()), (200, "Hello, World!\n"));
    assert_eq!((hello.header("hello"), hello.header("powered-by")), (Some("World"), Some("proxy-wasm")));
    assert_eq!(house.origin.hits(), 0, "the filter answered");
    let other = house.gateway.get("/other").await;
    assert_eq!((other.status, other.text().as_str()), (200, "GET "));
}

#[tokio::test]
async fn http_headers_answers_one_path_and_lets_others_go_on() {
    headers("http_headers").await;
}

#[tokio::test]
async fn http_headers_for_the_first_revision_does_the_same() {
    headers("old_http_headers").await;
}

async fn configured(filter: &str) {
    let house = House::configured(filter, "", "config: \"from the document\"").await;
    assert_eq!(house.gateway.get("/").await.header("custom-header"), Some("from the document"));
    let house = House::configured(filter, "", "config: {a: [1]}").await;
    assert_eq!(house.gateway.get("/").await.header("custom-header"), Some(r#"{"a":[1]}"#), "other values are JSON");
}

#[tokio::test]
async fn http_config_is_given_the_configuration_of_the_step() {
    configured("http_config").await;
}

#[tokio::test]
async fn http_config_for_the_first_revision_does_the_same() {
    configured("old_http_config").await;
}

/// The example lets a response go on only when it has all of it, and replaces one that says `secret`.
async fn redacted(filter: &str) {
    let origin = Origin::start(|request| match request.target() {
        "/secret" => Answer::chunked(&["a ", "sec", "ret in pieces"]),
        _ => Answer::ok("nothing of the kind"),
    });
    let house = House::between(filter, "", "", origin.await, Origin::saying("").await).await;
    let secret = house.gateway.get("/secret").await;
    assert_eq!(secret.text(), "Original message body (18 bytes) redacted.");
    assert_eq!(secret.header("content-length"), None, "the filter took it away");
    assert_eq!(house.gateway.get("/open").await.text(), "nothing of the kind");
}

#[tokio::test]
async fn http_body_waits_for_the_whole_body_and_changes_it() {
    redacted("http_body").await;
}

#[tokio::test]
async fn http_body_for_the_first_revision_does_the_same() {
    redacted("old_http_body").await;
}

/// The example asks `httpbin` for a byte: an even one lets the request go on.
async fn authorised(filter: &str) {
    let byte = Arc::new(AtomicU8::new(0));
    let answered = Arc::clone(&byte);
    let side = Origin::start(move |_| Answer::ok([answered.load(Ordering::Relaxed)])).await;
    let house = House::between(filter, CALLS, "", Origin::saying("through").await, side).await;
    let granted = house.gateway.get("/").await;
    assert_eq!((granted.status, granted.text().as_str(), granted.header("powered-by")), (200, "through", Some("proxy-wasm")));
    byte.store(1, Ordering::Relaxed);
    let refused = house.gateway.get("/").await;
    assert_eq!((refused.status, refused.text().as_str(), refused.header("powered-by")), (403, "Access forbidden.\n", Some("proxy-wasm")));
    assert_eq!(house.origin.hits(), 1, "the other one was refused");
    let asked = &house.side.requests()[0];
    assert_eq!((asked.method(), asked.target(), asked.header("host").as_deref()), ("GET", "/bytes/1", Some("httpbin.org")));
}

#[tokio::test]
async fn http_auth_random_asks_an_upstream_before_a_request_goes_on() {
    authorised("http_auth_random").await;
}

#[tokio::test]
async fn http_auth_random_for_the_first_revision_does_the_same() {
    authorised("old_http_auth_random").await;
}

#[tokio::test]
async fn many_requests_wait_in_one_instance_and_each_gets_its_own_answer() {
    let house = House::configured("http_auth_random", CALLS, "").await;
    let address = house.gateway.address();
    let asked: Vec<_> = (0..50).map(|number| tokio::spawn(ask(address, get(&format!("/{number}"))))).collect();
    let mut statuses = Vec::new();
    for answer in asked {
        statuses.push(answer.await.expect("it was answered").status);
    }
    // The side origin's answers begin with a slash, which is odd.
    assert_eq!(statuses, [403; 50]);
    assert_eq!(house.side.hits(), 50, "each asked on its own");
}
