//! What templates say about a request, and where.

use alloc::rc::Rc;

use serde_json::json;

use super::*;
use crate::Client;
use crate::bindings::types as raw;

fn request() -> Request {
    let claims = json!({"sub": "s", "age": 7, "none": null, "a": {"b": [1, {"c": "deep"}]}, "x.y": {"z": true}, "empty": ""});
    let mut client = Client::new("acme", "jwt").scopes(["read", "write"]).plan("gold").with_claims(&claims);
    client.issuer = Some("main".into());
    let raw = raw::Request {
        id: (1, 2),
        method: raw::Method::Put,
        scheme: raw::Scheme::Http,
        path_with_query: "/users/4%202?lang=de&x&up=../a%2Fb?c+d&%6Eamed=1".into(),
        address: raw::IpAddress::Ipv4(0xc000_0201),
        headers: alloc::vec![raw::Header { index: 0, value: b"a b/c".to_vec() }],
        others: None,
        client: Some(client.into()),
        body: None,
    };
    Request::from_raw(raw, Rc::from(["x-tenant".to_string()]))
}

fn template(text: &str) -> Template {
    Template::try_from(text.to_string()).unwrap()
}

#[track_caller]
fn check(text: &str, expected: Option<&str>) {
    assert_eq!(template(text).render(&request()).as_deref(), expected, "{text}");
}

#[test]
fn variables_stand_for_what_the_request_says() {
    check("plain", Some("plain"));
    check("{{x}} {request.method}", Some("{x} PUT"));
    check("{request.scheme}://{request.path}", Some("http:///users/4%202"));
    check("<{request.segment.1}>", Some("<4%202>"));
    check("{request.segment.2}", None);
    check("{request.query.lang}{request.query.x}", Some("de"));
    check("{request.query.named}", Some("1"));
    check("{request.query.nope}", None);
    check("{request.header.X-Tenant}", Some("a b/c"));
    check("{request.header.other}", None);
    check("{client.name}@{request.address}", Some("acme@192.0.2.1"));
    check("{client.plan} {client.method} {client.issuer} {client.scopes}", Some("gold jwt main read write"));
    check("{claims.sub}{claims.age}", Some("s7"));
    check("{claims.a.b[1].c} {claims.a.b.0} {claims.a}", Some(r#"deep 1 {"b":[1,{"c":"deep"}]}"#));
    check("{claims.x.y}", Some(r#"{"z":true}"#));
    check("{claims.none}", None);
    check("{request.id}", Some("00000000000000010000000000000002"));
    check("{response.status}", None);
}

#[test]
fn a_default_stands_where_nothing_is() {
    check("{request.query.nope:-1}", Some("1"));
    check("{request.query.lang:-en}", Some("de"));
    check("{request.query.x:-empty}", Some("empty"));
    check("{claims.empty:-none}-{claims.empty}", Some("none-"));
    check("{claims.none:-}", Some(""));
}

#[track_caller]
fn check_in_path(text: &str, expected: &str) {
    assert_eq!(template(text).render_in_path(&request()).as_deref(), Some(expected), "{text}");
}

#[test]
fn in_a_path_foreign_text_is_encoded_and_the_path_itself_is_not() {
    check_in_path("/t/{request.header.x-tenant}{request.path}", "/t/a%20b%2Fc/users/4%202");
    check_in_path("/{request.query.up}", "/..%2Fa%2Fb%3Fc%20d");
    check_in_path("/{request.query.nope:-a/b}", "/a%2Fb");
}

#[track_caller]
fn check_path(text: &str, expected: Option<&str>) {
    assert_eq!(template(text).render_path(&request()).as_deref(), expected, "{text}");
}

#[test]
fn a_path_stays_where_it_was_put() {
    check_path("/v2{request.path}", Some("/v2/users/4%202"));
    check_path("/x?up={request.query.up}&dots=..", Some("/x?up=..%2Fa%2Fb%3Fc%20d&dots=.."));
    check_path("/{request.query.nope:-..}/x", None);
    check_path("/{request.query.nope:-.}", None);
    check_path("/{request.query.nope:-}/x", None);
    check_path("/%2E{request.query.nope:-.}/x", None);
    check_path("/{request.query.nope}", None);
}

#[test]
fn a_path_does_not_climb_once_it_is_decoded_either() {
    check_path("/{request.query.up}", None);
    check_path("/%2e%2E%2f{request.query.lang}", None);
    check_path("/{request.query.nope:-..\\}", None);
    check_path("/{request.query.nope:-..;a}", None);
    check_path("/%00{request.query.lang}", None);
    check_path("/{request.query.nope:-a..b}/..c", Some("/a..b/..c"));
    check_path("/{request.query.lang}?{request.query.up}", Some("/de?..%2Fa%2Fb%3Fc%20d"));
}

#[track_caller]
fn check_sendable(text: &str, expected: bool) {
    assert_eq!(template(text).is_sendable_path(), expected, "{text}");
}

#[test]
fn a_path_that_no_request_could_be_sent_to_is_known_by_its_text() {
    check_sendable("/v2{request.path}", true);
    check_sendable("{request.path}/x", true);
    check_sendable("/%C3%A9/{claims.sub}?a=b%20c", true);
    check_sendable("/\u{e9}", false);
    check_sendable("/a b", false);
    check_sendable("/a\\b", false);
    check_sendable("/../{request.segment.1}", false);
    check_sendable("/{request.path}", false);
    check_sendable("//other/x", false);
    check_sendable("x", false);
}

#[track_caller]
fn check_json(text: &str, expected: &str) {
    assert_eq!(template(text).render_json(&request()).as_deref(), Some(expected), "{text}");
}

#[test]
fn in_json_a_claim_alone_keeps_its_type_and_the_rest_is_text() {
    check_json("{claims.age}", "7");
    check_json("{claims.age:-0}", r#""7""#);
    check_json(" {claims.age}", r#"" 7""#);
    check_json("{claims.a.b}", r#"[1,{"c":"deep"}]"#);
    check_json("{claims.sub}", r#""s""#);
    check_json("{client.scopes}", r#"["read","write"]"#);
    check_json("{request.segment.1}", r#""4 2""#);
    check_json("{request.query.up}", r#""../a/b?c d""#);
    check_json("say \"{client.name}\"", r#""say \"acme\"""#);
}

#[test]
fn a_bound_template_waits_for_the_response_only() {
    let bound = template("{{{claims.a}}} {response.status:-0} {request.query.nope:-}").bind(&request()).unwrap();
    let again = template(&bound.to_string());
    assert_eq!(again.to_string(), bound.to_string(), "it survives being written down");
    let response = raw::Response {
        id: (1, 2),
        status: 404,
        headers: Vec::new(),
        others: None,
        client: None,
        state: None,
        from_gateway: false,
        body: None,
    };
    let response = Response::from_raw(response, Rc::from([]));
    assert_eq!(again.render_response(&response).as_deref(), Some(r#"{{"b":[1,{"c":"deep"}]}} 404 "#), "braces of values are values");
    assert_eq!(template("{claims.none} {response.status}").bind(&request()), None, "what the request lacks stays missing");
}

#[track_caller]
fn check_refused(text: &str) {
    let parsed = Template::try_from(text.to_string());
    assert!(parsed.is_err(), "{text:?} is refused, not {parsed:?}");
}

#[test]
fn a_bad_template_is_refused() {
    check_refused("{");
    check_refused("a}b");
    check_refused("{request.path");
    check_refused("{request.nope}");
    check_refused("{request.header.}");
    check_refused("{request.header.a b}");
    check_refused("{request.segment.x}");
    check_refused("{claims.:-x}");
    check_refused("{}");
}
