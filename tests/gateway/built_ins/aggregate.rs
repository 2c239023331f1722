//! `aggregate`: several upstreams in one answer.

use std::time::Duration;

use gatehouse_tests::{Answer, Gateway, Origin, origin::nobody};
use serde_json::json;
use tokio::time::Instant;

use super::start;

async fn user() -> Origin {
    Origin::start(|_| Answer::json(200, &json!({"name": "Ada", "id": 7}))).await
}

async fn orders() -> Origin {
    Origin::start(|_| Answer::json(200, &json!({"items": [1, 2], "total": 2}))).await
}

async fn aggregating(parts: &str, user: String, orders: String) -> Gateway {
    start(&format!("{{plugin: aggregate, config: {{parts: [{parts}]}}}}"), &[("user", user), ("orders", orders)]).await
}

#[tokio::test]
async fn parts_are_fetched_together_and_put_in_their_places() {
    let user = Origin::start(|_| Answer::json(200, &json!({"name": "Ada", "id": 7})).delayed(Duration::from_millis(400))).await;
    let orders = Origin::start(|_| Answer::json(200, &json!({"items": [1, 2]})).delayed(Duration::from_millis(400))).await;
    let parts = "{name: user, upstream: user, path: /user, rename: {name: called}}, {name: orders, upstream: orders, path: /orders?n=2, select: items}";
    let gateway = aggregating(parts, user.url(), orders.url()).await;
    let begun = Instant::now();
    let response = gateway.get("/").await;
    assert!(begun.elapsed() < Duration::from_millis(750), "they were fetched at once: {:?}", begun.elapsed());
    assert_eq!(response.status, 200);
    assert_eq!(response.json(), json!({"user": {"called": "Ada", "id": 7}, "orders": [1, 2]}));
    assert!(response.header("x-gatehouse-partial").is_none(), "nothing is missing");
    assert_eq!((user.request().target(), orders.request().target()), ("/user", "/orders?n=2"));
}

#[tokio::test]
async fn an_optional_part_may_be_missing() {
    let user = user().await;
    let parts = "{name: user, upstream: user, path: /}, {name: orders, upstream: orders, path: /, required: false}";
    let gateway = aggregating(parts, user.url(), format!("http://{}", nobody())).await;
    let response = gateway.get("/").await;
    assert_eq!(response.status, 200);
    assert_eq!(response.json(), json!({"user": {"name": "Ada", "id": 7}}));
    assert_eq!(response.header("x-gatehouse-partial"), Some("orders;status=502"), "what is missing is said");
    assert_eq!(response.header("cache-control"), Some("no-store"), "and nobody keeps it");
}

#[tokio::test]
async fn a_fallback_takes_a_parts_place() {
    let user = user().await;
    let parts = "{name: user, upstream: user, path: /}, {name: orders, upstream: orders, path: /, fallback: {items: []}}";
    let gateway = aggregating(parts, user.url(), format!("http://{}", nobody())).await;
    let response = gateway.get("/").await;
    assert_eq!(response.json()["orders"], json!({"items": []}));
    assert_eq!(response.header("x-gatehouse-partial"), Some("orders;status=502"));
}

#[tokio::test]
async fn a_required_part_decides() {
    let orders = orders().await;
    let parts = "{name: user, upstream: user, path: /}, {name: orders, upstream: orders, path: /}";
    let missing = Origin::start(|_| Answer::new(404, &[("content-type", "text/plain")], "no such user")).await;
    let response = aggregating(parts, missing.url(), orders.url()).await.get("/").await;
    assert_eq!((response.status, response.text().as_str()), (404, "no such user"), "a client's error is the client's to read");

    let broken = Origin::start(|_| Answer::new(500, &[], "stack trace")).await;
    let response = aggregating(parts, broken.url(), orders.url()).await.get("/").await;
    assert_eq!(response.status, 502);
    assert!(
        response.text().contains("user") && !response.text().contains("stack trace"),
        "the part is named, its inside is not: {}",
        response.text()
    );

    let silent = Origin::start(|_| Answer::silence()).await;
    let slow = "{name: user, upstream: user, path: /, timeout: 200ms}, {name: orders, upstream: orders, path: /}";
    let response = aggregating(slow, silent.url(), orders.url()).await.get("/").await;
    assert_eq!(response.status, 504);
}

#[tokio::test]
async fn a_group_of_nothing_merges_at_the_top() {
    let (user, orders) = (user().await, orders().await);
    let parts = "{name: user, upstream: user, path: /, group: \"\"}, {name: orders, upstream: orders, path: /, group: list}";
    let response = aggregating(parts, user.url(), orders.url()).await.get("/").await;
    assert_eq!(response.json(), json!({"name": "Ada", "id": 7, "list": {"items": [1, 2], "total": 2}}));
}
