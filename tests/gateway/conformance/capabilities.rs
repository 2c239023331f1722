//! Cases on capabilities: each is asked for something, and something goes wrong with each.

use gatehouse_tests::{
    get,
    tokens::{SigningKey, claims, seconds_from_now},
};
use serde_json::json;

use super::house::{House, KEY, assert_says};

pub async fn lines_are_logged_at_their_levels(house: &House) {
    assert_eq!(house.get("/log").await.status, 200);
    for (text, level) in [("kit info", "INFO"), ("kit warn", "WARN"), ("kit error", "ERROR")] {
        let line = house.gateway.wait_for_log(text, |line| line.contains(text)).await;
        assert!(line.contains(&format!("\"{level}\"")) && line.contains("\"plugin\":\"reference\""), "{line}");
    }
}

pub async fn small_values_are_kept(house: &House) {
    let expected = "- ok v 2 5 not-a-counter quota ok -";
    assert_says(&house.get("/kv").await, expected);
    assert_says(&house.get("/kv").await, expected);
}

async fn bearing(house: &House, target: &str, token: &str) -> gatehouse_tests::Response {
    house.gateway.ask(get(target).header("authorization", &format!("Bearer {token}"))).await
}

pub async fn tokens_are_verified(house: &House) {
    let mut good = claims("alice");
    good["role"] = json!("cook");
    assert_says(&bearing(house, "/jwt", &house.key.sign(&good)).await, "main alice orders.read cook -");
    let mut expired = good.clone();
    expired["exp"] = json!(seconds_from_now(-3600));
    assert_says(&bearing(house, "/jwt", &house.key.sign(&expired)).await, "expired");
    assert_says(&bearing(house, "/jwt", &SigningKey::es256("kit").sign(&good)).await, "bad-signature");
    assert_says(&bearing(house, "/jwt", "no-token").await, "malformed");
}

pub async fn opaque_tokens_are_asked_about(house: &House) {
    assert_says(&bearing(house, "/introspection", "opaque").await, "opaque bob orders.write cook -");
    assert_says(&bearing(house, "/introspection", "").await, "malformed");
}

pub async fn keys_are_found(house: &House) {
    assert_says(&house.given("/keys", KEY).await, "acme read,write gold k1/acme");
    assert_says(&house.given("/keys", "another").await, "-/-");
}

pub async fn buckets_are_taken_from(house: &House) {
    assert_says(&house.given("/rate-limit", "tenant").await, "true 1,true 0,false 0");
    assert_says(&house.given("/rate-limit", "tenant").await, "false 0,false 0,false 0");
    assert_says(&house.given("/rate-limit", "another").await, "true 1,true 0,false 0");
}

pub async fn several_buckets_are_taken_from_together(house: &House) {
    assert_says(&house.given("/take-all", "tenant").await, "true 1,true 0");
    assert_says(&house.given("/take-all", "tenant").await, "true 1,false 0");
}

pub async fn a_place_is_entered(house: &House) {
    assert_says(&house.given("/enter", "tenant").await, "true true");
    assert_says(&house.given("/enter", "tenant").await, "true true");
}

pub async fn an_upstream_is_asked(house: &House) {
    assert_says(&house.given("/http", "in").await, "200 high answer");
    let arrived = house.arrived("/fetched?q=1");
    assert_eq!((arrived.method(), arrived.header("x-sent").as_deref(), &*arrived.body), ("POST", Some("in"), &b"question"[..]));
}

pub async fn an_upstream_that_is_gone_is_an_error(house: &House) {
    assert_says(&house.get("/http-dead").await, "unreachable");
}

pub async fn several_upstreams_are_asked_at_once(house: &House) {
    assert_says(&house.get("/http-all").await, "200 one,200 two,denied");
    assert_eq!(house.arrivals("/three"), 0, "what was not granted was not asked");
}

pub async fn measurements_are_published(house: &House) {
    assert_eq!(house.get("/metrics").await.status, 200);
    let plugin = ("plugin", "reference");
    house.gateway.wait_for_metric("gatehouse_plugin_kit_seen_total", &[plugin, ("kind", "a")], |value| value == 2.0).await;
    house.gateway.wait_for_metric("gatehouse_plugin_kit_level", &[plugin], |value| value == 1.5).await;
    house.gateway.wait_for_metric("gatehouse_plugin_kit_seconds_sum", &[plugin], |value| value == 0.25).await;
}
