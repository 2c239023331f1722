//! Requests and responses, before and after.

use gatehouse_plugin::Client;
use gatehouse_plugin::testing::{self, Answer, Request, Tested};
use serde_json::{Value, json};

use crate::Transform;

fn plugin(config: &Value) -> Tested {
    testing::configure::<Transform>(&config.to_string()).unwrap()
}

#[test]
fn request_headers_are_renamed_removed_set_and_appended() {
    let plugin = plugin(&json!({"request": {"headers": {
        "rename": {"x-old": "x-new"},
        "remove": ["x-secret"],
        "set": {"X-Gateway": "gatehouse", "x-path": "{request.method} {request.path}"},
        "append": {"x-list": "mine"},
    }}}));
    let request = Request::get("/a?b")
        .header("x-old", "1")
        .header("x-old", "2")
        .header("x-new", "taken")
        .header("x-secret", "s")
        .header("x-gateway", "forged")
        .header("x-list", "theirs");
    let forwarded = plugin.send(request).forwarded();
    assert_eq!(forwarded.header("x-old"), None, "the old name is gone");
    assert_eq!(forwarded.header_lines("x-new"), ["1", "2"], "every line came over");
    assert_eq!(forwarded.header("x-secret"), None, "it is removed");
    assert_eq!(forwarded.header_lines("x-gateway"), ["gatehouse"], "it is replaced");
    assert_eq!(forwarded.header("x-path"), Some("GET /a"), "the template is filled in");
    assert_eq!(forwarded.header_lines("x-list"), ["theirs", "mine"], "it is added");
}

#[test]
fn a_header_without_a_value_is_removed_so_that_nobody_can_forge_it() {
    let plugin = plugin(&json!({"request": {"headers": {"set": {"x-client": "{client.name}", "x-sub": "{claims.sub}"}}}}));
    let anonymous = plugin.send(Request::get("/").header("x-client", "forged")).forwarded();
    assert_eq!(anonymous.header("x-client"), None, "there is no client");
    let client = Client::new("acme", "jwt").with_claims(&json!({"sub": "a\r\nx-admin: 1"}));
    let known = plugin.send(Request::get("/").client(client)).forwarded();
    assert_eq!(known.header("x-client"), Some("acme"), "there is one");
    assert_eq!(known.header("x-sub"), None, "a line end is no header value");
}

#[track_caller]
fn check_target(edits: Value, sent: &str, expected: &str) {
    let plugin = plugin(&json!({"request": edits}));
    assert_eq!(plugin.send(Request::get(sent)).forwarded().path_and_query(), expected, "{edits}");
}

#[test]
fn path_and_query_are_rewritten() {
    check_target(json!({"path": "/v2"}), "/v1?a=1", "/v2?a=1");
    check_target(json!({"path": "/v2{request.path}"}), "/v1", "/v2/v1");
    check_target(json!({"path": "/u/{request.segment.1}"}), "/users/4%2F2/x", "/u/4%2F2");
    check_target(json!({"query": {"remove": ["a"]}}), "/p?a=1&b=2&%61=3&a", "/p?b=2");
    check_target(json!({"query": {"remove": ["a"]}}), "/p?a=1", "/p");
    check_target(json!({"query": {"set": {"k": "v w&x"}}}), "/p?k=1&z=%20", "/p?z=%20&k=v%20w%26x");
    check_target(json!({"query": {"set": {"from": "{request.query.to}"}}}), "/p?to=a%20b", "/p?to=a%20b&from=a%20b");
    check_target(json!({"query": {"set": {"from": "{request.query.to}"}}}), "/p?from=forged", "/p");
}

#[test]
fn a_path_that_cannot_be_made_or_would_climb_is_a_bad_request() {
    let plugin = plugin(&json!({"request": {"path": "/files/{request.header.x-file}"}}));
    assert_eq!(plugin.send(Request::get("/")).answered().status(), 400, "there is no such header");
    let climbing = Request::get("/").header("x-file", "..");
    assert_eq!(plugin.send(climbing).answered().status(), 400, "it would leave /files");
    let slash = plugin.send(Request::get("/").header("x-file", "../x")).forwarded();
    assert_eq!(slash.path_and_query(), "/files/..%2Fx", "a slash makes no new piece");
}

#[test]
fn a_request_body_is_edited() {
    let plugin = plugin(&json!({"request": {"json": {
        "remove": ["password"],
        "rename": {"user.name": "full_name"},
        "move": {"user.mail": "contact.mail"},
        "set": {"via": "gatehouse", "/tags/-": "new"},
    }}}));
    let body = r#"{"password":"x","user":{"name":"A","mail":"a@b"},"tags":["old"],"price":1.10,"id":12345678901234567890123}"#;
    let request = Request::post("/").header("content-digest", "sha-256=:x:").body(body);
    let forwarded = plugin.send(request).forwarded();
    let expected = r#"{"contact":{"mail":"a@b"},"id":12345678901234567890123,"price":1.10,"tags":["old","new"],"user":{"full_name":"A"},"via":"gatehouse"}"#;
    assert_eq!(core::str::from_utf8(forwarded.body()), Ok(expected), "numbers keep every digit");
    assert_eq!(forwarded.header("content-digest"), None, "it was of the body as it came");
}

#[test]
fn a_body_that_does_not_fit_is_refused_or_passes() {
    let edits = json!({"json": {"set": {"a.b": 1}}});
    let refusing = plugin(&json!({"request": edits, "response": edits}));
    assert_eq!(refusing.send(Request::post("/").body("<xml>")).answered().status(), 400, "it is no JSON");
    assert_eq!(refusing.send(Request::post("/").body(r#"{"a":1}"#)).answered().status(), 400, "a is in the way");
    let upstream = Answer::new(200).with_body("<xml>");
    let answer = refusing.send(Request::get("/")).forwarded().respond(upstream.clone());
    assert_eq!(answer.status(), 502, "the upstream is to blame");
    let passing = plugin(&json!({"request": edits, "response": edits, "on_unparsable": "pass"}));
    let forwarded = passing.send(Request::post("/").body("<xml>")).forwarded();
    assert_eq!(forwarded.body(), b"<xml>", "it goes on as it is");
    assert_eq!(forwarded.respond(upstream).body(), b"<xml>", "and so it comes back");
}

#[test]
fn a_response_is_edited() {
    let plugin = plugin(&json!({"response": {
        "status": 202,
        "headers": {"rename": {"x-up": "x-down"}, "remove": ["server"], "set": {"x-for": "{request.path}"}},
        "json": {"rename": {"id": "key"}},
    }}));
    let request = Request::get("/a").header("accept-encoding", "gzip").header("range", "bytes=0-1");
    let forwarded = plugin.send(request).forwarded();
    assert_eq!(forwarded.header("accept-encoding"), None, "the body must come readable");
    assert_eq!(forwarded.header("range"), None, "and whole");
    let upstream =
        Answer::new(200).with_header("x-up", "1").with_header("server", "s").with_header("etag", "\"1\"").with_body(r#"{"id":7}"#);
    let answer = forwarded.respond(upstream);
    assert_eq!(answer.status(), 202, "the status is set");
    assert_eq!((answer.header("x-up"), answer.header("x-down")), (None, Some("1")), "the header is renamed");
    assert_eq!(answer.header("server"), None, "the header is removed");
    assert_eq!(answer.header("x-for"), Some("/a"), "the template saw the request");
    assert_eq!(answer.header("etag"), None, "it was of another body");
    assert_eq!(answer.json(), json!({"key": 7}), "the body is edited");
}

#[test]
fn the_gateways_own_errors_keep_status_and_body() {
    let plugin = plugin(&json!({"response": {"status": 200, "json": {"remove": ["title"]}, "headers": {"set": {"x-a": "b"}}}}));
    let problem = Answer::new(503).with_body(r#"{"title":"no endpoint"}"#);
    let answer = plugin.send(Request::get("/")).forwarded().respond_as_gateway(problem);
    assert_eq!(answer.status(), 503, "a fault is not called a success");
    assert_eq!(answer.json(), json!({"title": "no endpoint"}), "the problem is whole");
    assert_eq!(answer.header("x-a"), Some("b"), "headers are decorated");
}

#[track_caller]
fn check_cost(config: Value, response: bool, buffers: (bool, bool)) {
    let plugin = plugin(&config);
    assert_eq!((plugin.wants_response(), plugin.buffers()), (response, buffers), "{config}");
}

#[test]
fn nothing_is_asked_for_that_is_not_used() {
    check_cost(json!({"request": {"headers": {"set": {"a": "b"}}}}), false, (false, false));
    check_cost(json!({"response": {"headers": {"set": {"a": "b"}}}}), false, (false, false));
    check_cost(json!({"response": {"headers": {"rename": {"a": "b"}}}}), true, (false, false));
    check_cost(json!({"response": {"status": 201}}), true, (false, false));
    check_cost(json!({"request": {"json": {"remove": ["a"]}}}), false, (true, false));
    check_cost(json!({"response": {"json": {"remove": ["a"]}}}), true, (false, true));
}

#[track_caller]
fn check_refused(config: Value, reason: &str) {
    let refusal = testing::configure::<Transform>(&config.to_string()).unwrap_err().to_string();
    assert!(refusal.contains(reason), "{config}: {refusal}");
}

#[test]
fn a_configuration_that_would_fault_is_refused() {
    check_refused(json!({"request": {"headers": {"set": {"host:": "x"}}}}), "want the name of a header");
    check_refused(json!({"request": {"headers": {"set": {"a": "b\r\nc: d"}}}}), "control characters");
    check_refused(json!({"request": {"headers": {"remove": ["connection"]}}}), "not the gateway's own");
    check_refused(json!({"request": {"headers": {"set": {"a": "{nope}"}}}}), "got {nope}, want request.method");
    check_refused(json!({"request": {"path": "v2"}}), "starts with /");
    check_refused(json!({"request": {"path": "/v2?x"}}), "want it in request.query");
    check_refused(json!({"request": {"json": {"remove": ["a..b"]}}}), "no empty steps");
    check_refused(json!({"response": {"status": 99}}), "response.status: got 99");
    check_refused(json!({"reqest": {}}), "unknown field `reqest`");
    check_refused(json!({"on_unparsable": "drop"}), "unknown variant `drop`");
}
