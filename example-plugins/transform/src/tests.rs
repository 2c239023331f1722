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
    check_target(json!({"query": {"rename": {"old": "new name"}}}), "/p?old=1&%6Fld&b=2&new+name=x", "/p?new%20name=1&new%20name&b=2");
    check_target(json!({"query": {"rename": {"old": "new"}}}), "/p?new=1", "/p?new=1");
    check_target(json!({"query": {"append": {"tag": "b"}}}), "/p?tag=a", "/p?tag=a&tag=b");
    check_target(json!({"query": {"append": {"tag": "{request.query.x}"}}}), "/p?tag=a", "/p?tag=a");
    check_target(json!({"query": {"set": {"page": "{request.query.page:-1}"}}}), "/p", "/p?page=1");
    check_target(json!({"path": "/{request.query.id}/x"}), "/p?id=a/b?c%2F", "/a%2Fb%3Fc%2F/x?id=a/b?c%2F");
}

#[test]
fn the_method_is_rewritten() {
    let plugin = plugin(&json!({"request": {"method": "PUT"}}));
    assert_eq!(plugin.send(Request::post("/")).forwarded().method(), "PUT", "whatever it was");
}

#[test]
fn a_path_that_cannot_be_made_or_would_climb_is_a_bad_request() {
    let plugin = plugin(&json!({"request": {"path": "/files/{request.header.x-file}"}}));
    assert_eq!(plugin.send(Request::get("/")).answered().status(), 400, "there is no such header");
    let climbing = Request::get("/").header("x-file", "..");
    assert_eq!(plugin.send(climbing).answered().status(), 400, "it would leave /files");
    let hidden = Request::get("/").header("x-file", "../x");
    assert_eq!(plugin.send(hidden).answered().status(), 400, "it would leave /files once it is decoded, as no client's own path may");
    let slash = plugin.send(Request::get("/").header("x-file", "a/x")).forwarded();
    assert_eq!(slash.path_and_query(), "/files/a%2Fx", "a slash makes no new piece");
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
    let expected = r#"{"user":{"full_name":"A"},"tags":["old","new"],"price":1.10,"id":12345678901234567890123,"contact":{"mail":"a@b"},"via":"gatehouse"}"#;
    assert_eq!(core::str::from_utf8(forwarded.body()), Ok(expected), "members keep their order, and numbers every digit");
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

#[track_caller]
fn check_body(edits: Value, sent: &str, expected: &str) {
    let plugin = plugin(&json!({"request": {"json": edits}}));
    let client = Client::new("acme", "jwt").scopes(["a", "b"]).with_claims(&json!({"sub": "s", "age": 7, "org": {"id": "o1"}}));
    let forwarded = plugin.send(Request::post("/users/a%20b?q=x%2By").client(client).body(sent)).forwarded();
    assert_eq!(core::str::from_utf8(forwarded.body()), Ok(expected), "{edits} of {sent}");
}

#[test]
fn values_keep_their_types_and_strings_are_templates() {
    check_body(json!({"set": {"a.b": 5}}), "{}", r#"{"a":{"b":5}}"#);
    check_body(json!({"set": {"a": 1.50, "b": null, "c": [true, "x"]}}), "{}", r#"{"a":1.5,"b":null,"c":[true,"x"]}"#);
    check_body(json!({"set": {"a": "{claims.age}"}}), "{}", r#"{"a":7}"#);
    check_body(json!({"set": {"a": "{claims.age} years"}}), "{}", r#"{"a":"7 years"}"#);
    check_body(json!({"set": {"a": "{client.scopes}"}}), "{}", r#"{"a":["a","b"]}"#);
    check_body(json!({"set": {"a": "{request.segment.1} {request.query.q}"}}), "{}", r#"{"a":"a b x+y"}"#);
    check_body(json!({"set": {"a": "{{x}}"}}), "{}", r#"{"a":"{x}"}"#);
    check_body(json!({"set": {"a": {"id": "{claims.org.id}", "n": 1, "gone": "{claims.gone}"}}}), "{}", r#"{"a":{"id":"o1","n":1}}"#);
    check_body(json!({"set": {"a": ["{claims.gone}", "{claims.sub}", "{claims.gone:-d}"]}}), "{}", r#"{"a":["s","d"]}"#);
}

#[test]
fn a_value_that_is_missing_removes_the_clients_own() {
    check_body(json!({"set": {"user": "{claims.gone}"}}), r#"{"user":"forged","x":1}"#, r#"{"x":1}"#);
}

#[test]
fn wildcards_reach_each_item() {
    check_body(json!({"remove": ["items[*].secret"]}), r#"{"items":[{"secret":1,"a":2},{"a":3}]}"#, r#"{"items":[{"a":2},{"a":3}]}"#);
    check_body(json!({"rename": {"*.id": "key"}}), r#"{"x":{"id":1},"y":{"id":2}}"#, r#"{"x":{"key":1},"y":{"key":2}}"#);
    check_body(json!({"set": {"[*].seen": true}}), r#"[{"a":1},{"seen":false}]"#, r#"[{"a":1,"seen":true},{"seen":true}]"#);
}

#[test]
fn a_doubled_member_is_no_way_around_an_edit() {
    check_body(json!({"remove": ["role"]}), r#"{"role":"admin","r\u006fle":"admin","x":1}"#, r#"{"x":1}"#);
    check_body(json!({"set": {"role": "user"}}), r#"{"role":"admin","x":1,"role":"admin"}"#, r#"{"role":"user","x":1}"#);
}

#[test]
fn a_compressed_body_is_refused_or_passes() {
    let edits = json!({"json": {"remove": ["a"]}});
    let rejecting = plugin(&json!({"request": edits, "response": edits}));
    let compressed = |body: &str| Request::post("/").header("content-encoding", "gzip").body(body);
    assert_eq!(rejecting.send(compressed("\u{1f}")).answered().status(), 415, "it cannot be read");
    assert_eq!(
        rejecting.send(Request::post("/").header("content-encoding", "identity").body("{}")).forwarded().body(),
        b"{}",
        "this is none"
    );
    let zipped = Answer::new(200).with_header("content-encoding", "br").with_header("etag", "\"1\"").with_body("zip");
    assert_eq!(rejecting.send(Request::get("/")).forwarded().respond(zipped.clone()).status(), 502, "the upstream was not asked to");
    let passing = plugin(&json!({"request": edits, "response": edits, "on_unparsable": "pass"}));
    let forwarded = passing.send(compressed("zip")).forwarded();
    assert_eq!(forwarded.body(), b"zip", "it passes");
    let answer = forwarded.respond(zipped);
    assert_eq!((answer.body(), answer.header("etag")), (&b"zip"[..], Some("\"1\"")), "and so it comes back, tag and all");
}

#[test]
fn a_response_without_a_body_is_left_alone() {
    let plugin = plugin(&json!({"response": {"json": {"set": {"a": 1}}}}));
    let answer = plugin.send(Request::new("HEAD", "/")).forwarded().respond(Answer::new(200).with_header("etag", "\"1\""));
    assert_eq!((answer.body(), answer.header("etag")), (&b""[..], Some("\"1\"")), "there is nothing to edit");
}

#[test]
fn a_response_remembers_its_request() {
    let plugin = plugin(&json!({"response": {
        "headers": {"set": {"x-what": "{request.method} gave {response.status}", "x-none": "{claims.sub} {response.status}"}},
        "json": {"set": {"path": "{request.path}", "status": "{response.status}", "said": "got {response.status}", "who": "{client.name}"}},
    }}));
    let answer = plugin
        .send(Request::get("/a%20{b}"))
        .forwarded()
        .respond(Answer::new(404).with_header("x-none", "forged").with_body(r#"{"who":"forged","z":0}"#));
    assert_eq!(answer.header("x-what"), Some("GET gave 404"), "both sides are known");
    assert_eq!(answer.header("x-none"), None, "what is missing is not left to others");
    let expected = json!({"z": 0, "path": "/a {b}", "status": 404, "said": "got 404"});
    assert_eq!(answer.json(), expected, "a status alone is a number");
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
    check_cost(json!({"response": {"headers": {"set": {"a": "{request.path}"}}}}), false, (false, false));
    check_cost(json!({"response": {"headers": {"set": {"a": "{response.status}"}}}}), true, (false, false));
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
    check_refused(json!({"max_body": "1 mib"}), "want a size such as 1MiB");
    check_refused(json!({"max_body": "65MiB"}), "max_body: want 64MiB or less");
    check_refused(json!({"request": {"method": "A B"}}), "request.method: got \"A B\"");
    check_refused(json!({"request": {"headers": {"set": {"a": "{claims.x:-\u{1}}"}}}}), "control characters");
    check_refused(json!({"request": {"headers": {"rename": {"a": "b", "b": "c"}}}}), "request.headers.rename: b is renamed");
    check_refused(json!({"request": {"query": {"rename": {"a": "b", "b": "c"}}}}), "request.query.rename: b is renamed");
    check_refused(json!({"request": {"headers": {"set": {"a": "{response.status}"}}}}), "known in response only");
    check_refused(json!({"request": {"json": {"set": {"a": "{response.status}"}}}}), "known in response only");
    check_refused(json!({"response": {"json": {"set": {"a": ["{response.status}"]}}}}), "want its own path");
    check_refused(json!({"response": {"json": {"move": {"a[*]": "b"}}}}), "want no *");
    check_refused(json!({"response": {"json": {"set": {"a": "{nope}"}}}}), "got {nope}, want request.method");
}
