//! Whole, partial and refused answers, against scripted upstreams.

use core::time::Duration;

use gatehouse_plugin::http::{Error, Response};
use gatehouse_plugin::testing::{self, Answer, Request, Tested};
use serde_json::{Value, json};

use crate::Aggregate;

fn plugin(config: &Value) -> Tested {
    testing::configure::<Aggregate>(&config.to_string()).unwrap()
}

/// Upstreams by name: `users` and `orders` are well, the others fail each in its way.
fn upstreams() {
    testing::http(|request| match request.upstream() {
        "users" => Ok(Response::new(200).with_body(r#"{"data":{"id":1.10,"name":"A"},"meta":{}}"#)),
        "orders" => Ok(Response::new(200).with_body("[1,2]")),
        "nothing" => Ok(Response::new(204)),
        "moved" => Ok(Response::new(302).with_header("location", "/elsewhere").with_body("{}")),
        "huge" => Err(Error::TooLarge),
        "gone" => Ok(Response::new(404).with_header("content-type", "text/plain").with_header("server", "s").with_body("no such")),
        "ill" => Ok(Response::new(503).with_body("sorry")),
        "odd" => Ok(Response::new(200).with_body("<html>")),
        "slow" => Err(Error::Timeout),
        _ => Err(Error::Unreachable),
    });
}

fn part(name: &str, upstream: &str, more: Value) -> Value {
    let mut part = json!({"name": name, "upstream": upstream, "path": "/x"});
    part.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    part
}

fn get(config: &Value) -> Answer {
    upstreams();
    plugin(config).send(Request::get("/")).answered()
}

#[test]
fn the_parts_come_in_one_document() {
    let answer = get(&json!({"parts": [
        part("user", "users", json!({"select": "data", "rename": {"id": "key"}})),
        part("orders", "orders", json!({"group": "list"})),
        part("meta", "users", json!({"group": ""})),
    ]}));
    assert_eq!(answer.status(), 200, "every part is there");
    let expected = r#"{"user":{"key":1.10,"name":"A"},"list":[1,2],"data":{"id":1.10,"name":"A"},"meta":{}}"#;
    assert_eq!(answer.text(), expected, "selected, renamed, grouped and merged, in order and with every digit");
    assert_eq!(answer.header("content-type"), Some("application/json"), "it is JSON");
    assert_eq!(answer.header("x-gatehouse-partial"), None, "nothing is missing");
    assert_eq!(answer.header("cache-control"), None, "it may be cached as the route says");
}

#[test]
fn each_part_asks_with_what_it_was_given() {
    testing::http(|request| {
        let header = request.header_value("authorization").map(<[u8]>::to_vec);
        assert_eq!(request.path_and_query(), "/users/42?full=1", "{request:?}");
        assert_eq!(header.as_deref(), Some(&b"Bearer t"[..]), "{request:?}");
        assert_eq!(request.header_value("x-other"), None, "{request:?}");
        assert_eq!(request.time_limit(), Some(Duration::from_millis(800)), "{request:?}");
        Ok(Response::new(200).with_body("{}"))
    });
    let plugin = plugin(&json!({"parts": [{
        "name": "user", "upstream": "users", "path": "/users/{request.segment.1}", "query": true,
        "headers": ["Authorization"], "timeout": "800ms",
    }]}));
    let request = Request::get("/page/42?full=1").header("authorization", "Bearer t").header("x-other", "o");
    assert_eq!(plugin.send(request).answered().status(), 200, "the upstream was asked");
}

#[test]
fn a_part_without_a_time_of_its_own_has_that_of_the_whole() {
    testing::http(|request| {
        let expected = if request.upstream() == "users" { Duration::from_millis(300) } else { Duration::from_secs(3) };
        assert_eq!(request.time_limit(), Some(expected), "{request:?}");
        Ok(Response::new(200).with_body("{}"))
    });
    let parts = [part("a", "users", json!({"timeout": "300ms"})), part("b", "orders", json!({}))];
    assert_eq!(plugin(&json!({"timeout": "3s", "parts": parts})).send(Request::get("/")).answered().status(), 200, "both were asked");
}

#[test]
fn a_part_is_asked_by_its_method_with_the_body() {
    testing::http(|request| {
        assert_eq!((request.method(), request.body_bytes()), ("POST", &b"q"[..]), "{request:?}");
        assert_eq!(request.header_value("content-type"), Some(&b"application/x-query"[..]), "{request:?}");
        Ok(Response::new(200).with_body("{}"))
    });
    let plugin = plugin(&json!({"parts": [part("found", "search", json!({"method": "POST", "body": true}))]}));
    assert_eq!(plugin.buffers(), (true, false), "the body is asked for");
    let request = Request::post("/").header("content-type", "application/x-query").body("q");
    assert_eq!(plugin.send(request).answered().status(), 200, "a POST goes where a part is a POST");
    let other = plugin.send(Request::new("PUT", "/")).answered();
    assert_eq!((other.status(), other.header("allow")), (405, Some("GET, HEAD, POST")), "and nothing else does");
}

#[test]
fn a_list_of_paths_keeps_what_is_there() {
    let answer = get(&json!({"parts": [part("user", "users", json!({"select": ["data.name", "nope"], "rename": {"data": "d"}}))]}));
    assert_eq!(answer.text(), r#"{"user":{"d":{"name":"A"}}}"#, "the rest is gone");
}

#[test]
fn an_empty_success_is_a_null() {
    let answer =
        get(&json!({"parts": [part("user", "users", json!({"select": "data.name"})), part("none", "nothing", json!({"select": "x"}))]}));
    assert_eq!((answer.status(), answer.text().as_str()), (200, r#"{"user":"A","none":null}"#), "it did not fail");
    let merged =
        get(&json!({"parts": [part("user", "users", json!({"select": "data.name"})), part("none", "nothing", json!({"group": ""}))]}));
    assert_eq!(merged.text(), r#"{"user":"A"}"#, "it has no members");
}

#[test]
fn a_missing_optional_part_makes_a_partial_answer() {
    let answer = get(&json!({"parts": [
        part("user", "users", json!({"select": "data.name"})),
        part("stock", "ill", json!({"required": false})),
        part("ads", "slow", json!({"required": false, "fallback": []})),
    ]}));
    assert_eq!(answer.status(), 200, "what is required is there");
    assert_eq!(answer.json(), json!({"user": "A", "ads": []}), "the fallback stands in");
    assert_eq!(answer.header("x-gatehouse-partial"), Some("stock;status=503, ads;status=504"), "both are named");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "nobody keeps half an answer");
}

#[track_caller]
fn check_refusal(upstream: &str, more: Value, status: u16, detail: &str) {
    let answer = get(&json!({"parts": [part("user", "users", json!({})), part("bad", upstream, more)]}));
    assert_eq!(answer.status(), status, "{upstream}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "it is a problem document");
    let problem = answer.json();
    assert_eq!(problem["part"], "bad", "{problem}");
    assert_eq!(problem["detail"], detail, "{problem}");
}

#[test]
fn a_missing_required_part_is_named() {
    check_refusal("ill", json!({}), 502, "The part bad is missing: its upstream answered 503.");
    check_refusal("slow", json!({}), 504, "The part bad is missing: the upstream took too long.");
    check_refusal("down", json!({}), 502, "The part bad is missing: the upstream cannot be reached.");
    check_refusal("moved", json!({}), 502, "The part bad is missing: its upstream answered 302.");
    check_refusal("huge", json!({}), 502, "The part bad is missing: the answer is too large.");
    check_refusal("odd", json!({}), 502, "The part bad is missing: its body is not the JSON expected.");
    check_refusal("users", json!({"select": "nope"}), 502, "The part bad is missing: its body is not the JSON expected.");
    check_refusal("orders", json!({"group": ""}), 502, "The part bad is missing: its body is not the JSON expected.");
}

#[test]
fn a_required_parts_4xx_passes_through() {
    let answer = get(&json!({"parts": [part("user", "users", json!({})), part("item", "gone", json!({}))]}));
    assert_eq!(answer.status(), 404, "it is the client's error");
    assert_eq!(answer.text(), "no such", "in the upstream's words");
    assert_eq!(answer.header("content-type"), Some("text/plain"), "with their type");
    assert_eq!(answer.header("server"), None, "and nothing more of the upstream");
}

#[test]
fn a_fallback_stands_in_for_a_required_part_too() {
    let answer = get(&json!({"parts": [part("item", "gone", json!({"fallback": null}))]}));
    assert_eq!(answer.status(), 200, "the fallback is enough");
    assert_eq!(answer.json(), json!({"item": null}), "a null is a value");
    assert_eq!(answer.header("x-gatehouse-partial"), Some("item;status=404"), "and it is told");
}

#[track_caller]
fn check_policy(policy: &str, upstreams: [&str; 2], status: u16) {
    let parts = [part("a", upstreams[0], json!({"required": false})), part("b", upstreams[1], json!({}))];
    assert_eq!(get(&json!({"policy": policy, "parts": parts})).status(), status, "{policy} of {upstreams:?}");
}

#[test]
fn the_policy_says_which_parts_must_be_there() {
    check_policy("all", ["users", "orders"], 200);
    check_policy("all", ["ill", "orders"], 502);
    check_policy("required", ["ill", "orders"], 200);
    check_policy("required", ["users", "slow"], 504);
    check_policy("any", ["ill", "orders"], 200);
    check_policy("any", ["users", "slow"], 200);
    check_policy("any", ["ill", "slow"], 502);
    check_policy("any", ["gone", "gone"], 502);
    check_policy("all", ["gone", "orders"], 404);
    check_policy("required", ["gone", "orders"], 200);
    check_policy("required", ["gone", "gone"], 404);
}

#[test]
fn when_every_part_fails_each_is_named() {
    let optional = json!({"required": false});
    let answer = get(&json!({"parts": [part("a", "ill", optional.clone()), part("b", "slow", optional)]}));
    assert_eq!(answer.status(), 502, "nothing is left to answer with");
    let expected = json!([
        {"name": "a", "status": 503, "reason": "its upstream answered 503"},
        {"name": "b", "status": 504, "reason": "the upstream took too long"},
    ]);
    assert_eq!(answer.json()["parts"], expected, "and why");
    let answer = get(&json!({"policy": "any", "parts": [part("a", "ill", json!({"fallback": 1})), part("b", "slow", json!({}))]}));
    assert_eq!((answer.status(), answer.text().as_str()), (200, r#"{"a":1}"#), "a fallback is something");
}

#[test]
fn a_partial_answer_has_the_status_that_was_chosen() {
    let parts = [part("a", "users", json!({"select": "data.id"})), part("b", "ill", json!({"required": false}))];
    assert_eq!(get(&json!({"partial_status": 206, "parts": parts})).status(), 206, "one part is missing");
    assert_eq!(get(&json!({"partial_status": 206, "parts": [parts[0]]})).status(), 200, "nothing is missing");
}

#[test]
fn a_merged_part_never_takes_the_place_of_another() {
    let answer = get(&json!({"parts": [
        part("top", "users", json!({"group": ""})),
        part("data", "orders", json!({})),
    ]}));
    assert_eq!(answer.json(), json!({"data": [1, 2], "meta": {}}), "the part keeps its key");
    let answer = get(&json!({"parts": [
        part("top", "users", json!({"group": ""})),
        part("data", "ill", json!({"required": false})),
    ]}));
    assert_eq!(answer.json(), json!({"meta": {}}), "even when it is missing");
}

#[test]
fn only_reads_are_answered() {
    let plugin = plugin(&json!({"parts": [part("user", "users", json!({}))]}));
    let answer = plugin.send(Request::post("/")).answered();
    assert_eq!(answer.status(), 405, "no upstream was asked");
    assert_eq!(answer.header("allow"), Some("GET, HEAD"), "these would do");
}

#[test]
fn a_path_that_climbs_is_a_bad_request() {
    let plugin = plugin(&json!({"parts": [{"name": "f", "upstream": "users", "path": "/f/{request.header.x-file}"}]}));
    assert_eq!(plugin.send(Request::get("/").header("x-file", "..")).answered().status(), 400, "it would leave /f");
    assert_eq!(plugin.send(Request::get("/")).answered().status(), 400, "it cannot be made");
}

#[track_caller]
fn check_refused(parts: Value, reason: &str) {
    let config = json!({"parts": parts});
    let refusal = testing::configure::<Aggregate>(&config.to_string()).unwrap_err().to_string();
    assert!(refusal.contains(reason), "{config}: {refusal}");
}

#[track_caller]
fn check_whole_refused(more: Value, reason: &str) {
    let mut config = json!({"parts": [part("a", "users", json!({}))]});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let refusal = testing::configure::<Aggregate>(&config.to_string()).unwrap_err().to_string();
    assert!(refusal.contains(reason), "{config}: {refusal}");
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    check_whole_refused(json!({"timeout": "31s"}), "timeout: got 31s, want 30s or less");
    check_whole_refused(json!({"partial_status": 99}), "partial_status: got 99");
    check_whole_refused(json!({"policy": "most"}), "unknown variant `most`");
    let a = part("a", "users", json!({}));
    check_refused(json!([]), "parts: got 0, want 1 to 16");
    check_refused(json!(vec![a.clone(); 17]), "parts: got 17, want 1 to 16");
    check_refused(json!([a, a]), "parts[1].name: \"a\" is taken");
    check_refused(json!([a, part("b", "users", json!({"group": "a"}))]), "parts[1].group: the key \"a\" is taken by \"a\"");
    check_refused(json!([a, part("b", "users", json!({"group": "", "fallback": {"a": 1}}))]), "parts[1].group: the key \"a\"");
    let top = |name: &str, more: Value| {
        let mut top = part(name, "users", json!({"group": ""}));
        top.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        top
    };
    check_refused(json!([top("b", json!({"select": ["id", "a.x"]})), a]), "parts[1].group: the key \"a\" is taken by \"b\"");
    check_refused(json!([top("b", json!({"select": ["id"]})), top("c", json!({"select": ["id"]}))]), "the key \"id\" is taken by \"b\"");
    check_refused(json!([top("b", json!({"rename": {"x": "id"}})), top("c", json!({"select": ["id"]}))]), "the key \"id\"");
    check_refused(json!([part("b", "users", json!({"select": ["x", "y"], "rename": {"x": "y"}}))]), "parts[0].rename: \"y\" is selected");
    check_refused(json!([part("b", "users", json!({"select": 5}))]), "select: got 5, want a path");
    check_refused(json!([part("b", "users", json!({"select": ["a..b"]}))]), "select: got \"a..b\", but a path has no empty steps");
    check_refused(json!([part("b", "users", json!({"timeout": "3s"}))]), "parts[0].timeout: got 3s, want no more than the 2s of the whole");
    check_refused(json!([part("b", "users", json!({"method": "HEAD"}))]), "parts[0].method: got \"HEAD\"");
    check_refused(json!([part("b", "users", json!({"group": "", "fallback": 1}))]), "parts[0].fallback: want an object");
    check_refused(json!([part("a b", "users", json!({}))]), "parts[0].name: got \"a b\"");
    check_refused(json!([part("a", "users", json!({"path": "x"}))]), "parts[0].path: want a path");
    check_refused(json!([part("a", "users", json!({"timeout": "soon"}))]), "got \"soon\", want a time");
    check_refused(json!([part("a", "users", json!({"rename": {"x": "z", "y": "z"}}))]), "parts[0].rename: two members");
    check_refused(json!([part("a", "", json!({}))]), "parts[0].upstream");
    check_refused(json!([part("a", "users", json!({"optional": true}))]), "unknown field `optional`");
}
