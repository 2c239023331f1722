//! `transform`: headers, path, query and JSON, both ways.

use gatehouse_tests::{Answer, Origin, get, request};
use serde_json::json;

use super::start;

#[tokio::test]
async fn request_headers_path_and_query_are_rewritten() {
    let origin = Origin::saying("through").await;
    let chain = "{plugin: transform, config: {request: {path: /new, query: {set: {q: \"1 2\"}, remove: [drop]}, \
        headers: {set: {x-set: s}, append: {x-many: b}, remove: [x-gone], rename: {x-old: x-new}}}}}";
    let gateway = start(chain, &[("origin", origin.url())]).await;
    let asked = get("/old?drop=1&keep=2").header("x-set", "client").header("x-many", "a").header("x-gone", "g").header("x-old", "o");
    assert_eq!(gateway.ask(asked).await.status, 200);
    let arrived = origin.request();
    let (path, query) = arrived.target().split_once('?').expect("a query is left");
    assert_eq!(path, "/new");
    let pairs: Vec<&str> = query.split('&').collect();
    assert!(pairs.contains(&"keep=2") && (pairs.contains(&"q=1%202") || pairs.contains(&"q=1+2")) && pairs.len() == 2, "{query}");
    assert_eq!(arrived.all("x-set"), ["s"]);
    assert_eq!(arrived.all("x-many"), ["a", "b"]);
    assert!(arrived.header("x-gone").is_none() && arrived.header("x-old").is_none());
    assert_eq!(arrived.all("x-new"), ["o"]);
}

#[tokio::test]
async fn json_is_rewritten_both_ways() {
    let origin = Origin::start(|_| Answer::json(200, &json!({"secret": 1, "old": {"deep": 2}, "kept": [3]}))).await;
    let chain = "{plugin: transform, config: {request: {json: {set: {added: true}, remove: [password], rename: {a: b}}}, \
        response: {json: {remove: [secret], move: {old.deep: shallow}}}}}";
    let gateway = start(chain, &[("origin", origin.url())]).await;
    let body = json!({"a": 1, "password": "p"}).to_string();
    let response = gateway.ask(request("POST", "/").header("content-type", "application/json").body(body)).await;
    let arrived: serde_json::Value = serde_json::from_slice(&origin.request().body).expect("JSON arrived");
    assert_eq!(arrived, json!({"added": true, "b": 1}));
    assert_eq!(origin.request().header("content-length"), Some(origin.request().body.len().to_string()), "the length fits the new body");
    assert_eq!(response.json(), json!({"old": {}, "kept": [3], "shallow": 2}));
}

#[tokio::test]
async fn what_is_no_json_is_refused() {
    let origin = Origin::saying("not json").await;
    let chain = "{plugin: transform, config: {request: {json: {remove: [a]}}, response: {json: {remove: [a]}}}}";
    let gateway = start(chain, &[("origin", origin.url())]).await;
    let refused = gateway.ask(request("POST", "/").header("content-type", "application/json").body("{")).await;
    assert_eq!(refused.status, 400, "{}", refused.head);
    assert_eq!(origin.hits(), 0, "half-read bodies do not go on");
    let refused = gateway.ask(request("POST", "/").header("content-type", "application/json").body("{}")).await;
    assert_eq!(refused.status, 502, "an upstream's answer that cannot be edited is not passed on: {}", refused.head);
}

#[tokio::test]
async fn response_status_and_headers_are_rewritten() {
    let origin = Origin::start(|_| Answer::new(200, &[("server", "origin/1"), ("x-old", "o")], "through")).await;
    let chain =
        "{plugin: transform, config: {response: {status: 203, headers: {set: {x-set: s}, remove: [server], rename: {x-old: x-new}}}}}";
    let gateway = start(chain, &[("origin", origin.url())]).await;
    let response = gateway.get("/").await;
    assert_eq!((response.status, response.text().as_str()), (203, "through"));
    assert_eq!((response.header("x-set"), response.header("server"), response.header("x-new")), (Some("s"), None, Some("o")));
}
