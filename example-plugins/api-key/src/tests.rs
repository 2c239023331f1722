//! The policy, against keys that the test hands out.

use gatehouse_plugin::testing::{self, Forwarded, Outcome, Request, Tested};

use crate::ApiKey;

fn plugin(config: &str) -> Tested {
    testing::key("secret", "acme", &["orders.read", "orders.write"]);
    testing::configure::<ApiKey>(config).unwrap()
}

#[track_caller]
fn check_unauthorized(outcome: Outcome<'_>) {
    let answer = outcome.answered();
    assert_eq!(answer.status(), 401, "it is refused");
    assert_eq!(answer.header("www-authenticate"), Some(r#"ApiKey realm="gatehouse""#), "the challenge says how");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "the body is a problem");
    assert_eq!(
        answer.text(),
        r#"{"type":"about:blank","title":"Unauthorized","status":401,"detail":"This needs a valid API key."}"#,
        "no hint at what was wrong"
    );
}

#[test]
fn a_missing_an_unknown_and_a_double_key_get_the_same_401() {
    let plugin = plugin("{}");
    check_unauthorized(plugin.send(Request::get("/")));
    check_unauthorized(plugin.send(Request::get("/").header("x-api-key", "")));
    check_unauthorized(plugin.send(Request::get("/").header("x-api-key", "guess")));
    check_unauthorized(plugin.send(Request::get("/").header("x-api-key", "secret").header("x-api-key", "secret")));
}

#[test]
fn a_good_key_passes_and_is_hidden_from_the_upstream() {
    let forwarded = plugin("{}");
    let forwarded = forwarded.send(Request::get("/").header("x-api-key", "secret")).forwarded();
    assert_eq!(forwarded.header("x-api-key"), None, "the upstream does not see the key");
}

#[test]
fn the_key_is_forwarded_if_asked() {
    let plugin = plugin(r#"{"header": "Api-Token", "hide_credentials": false}"#);
    let forwarded = plugin.send(Request::get("/").header("api-token", "secret")).forwarded();
    assert_eq!(forwarded.header("api-token"), Some("secret"), "the upstream sees the key");
}

#[test]
fn every_scope_is_needed() {
    let request = || Request::get("/").header("x-api-key", "secret");
    let both = plugin(r#"{"scopes": ["orders.read", "orders.write"]}"#);
    let _ = both.send(request()).forwarded();
    let more = plugin(r#"{"scopes": ["orders.read", "orders.delete"]}"#);
    let answer = more.send(request()).answered();
    assert_eq!(answer.status(), 403, "one scope is missing");
    assert_eq!(answer.header("www-authenticate"), None, "another key is not asked for");
}

#[test]
fn a_realm_that_would_break_the_challenge_is_refused() {
    let refusal = testing::configure::<ApiKey>(r#"{"realm": "a\"b"}"#).unwrap_err().to_string();
    assert!(refusal.contains("without quotes"), "{refusal}");
}

#[test]
fn a_key_in_the_query_counts_only_if_asked_and_is_hidden_too() {
    check_unauthorized(plugin("{}").send(Request::get("/a?key=secret")));
    let plugin = plugin(r#"{"query": "key"}"#);
    for (target, rest) in [("/a?key=secret", "/a"), ("/a?b=1&key=secret&c=%20", "/a?b=1&c=%20"), ("/a?k%65y=secr%65t", "/a")] {
        assert_eq!(plugin.send(Request::get(target)).forwarded().path_and_query(), rest, "{target}");
    }
    let _ = plugin.send(Request::get("/a").header("x-api-key", "secret")).forwarded();
    check_unauthorized(plugin.send(Request::get("/a?key=secret&key=secret")));
    check_unauthorized(plugin.send(Request::get("/a?key=secret").header("x-api-key", "secret")));
    check_unauthorized(plugin.send(Request::get("/a?key")));
}

#[test]
fn a_key_in_the_query_is_forwarded_if_asked() {
    let plugin = plugin(r#"{"query": "key", "hide_credentials": false}"#);
    assert_eq!(plugin.send(Request::get("/a?key=secret")).forwarded().path_and_query(), "/a?key=secret", "as it came");
}

#[test]
fn a_request_without_a_key_passes_where_none_is_required_and_a_bad_one_does_not() {
    let plugin = plugin(r#"{"required": false, "client_to_headers": {"name": "x-client"}}"#);
    let forwarded = plugin.send(Request::get("/").header("x-client", "root")).forwarded();
    assert_eq!(forwarded.header("x-client"), None, "nobody says who they are");
    check_unauthorized(plugin.send(Request::get("/").header("x-api-key", "guess")));
}

const HEADERS: &str = r#"{"client_to_headers": {"name": "X-Client", "plan": "x-plan", "scopes": "x-scopes", "key_id": "x-key-id"}}"#;

fn with_copies(request: Request) -> Request {
    ["x-client", "x-plan", "x-scopes", "x-key-id"].iter().fold(request, |request, name| request.header(name, "forged"))
}

#[track_caller]
fn check_header(forwarded: &Forwarded<'_>, name: &str, expected: &[&str]) {
    assert_eq!(forwarded.header_lines(name), expected, "{name}");
}

#[test]
fn the_upstream_is_told_who_calls_and_never_by_the_client() {
    let plugin = plugin(HEADERS);
    testing::plan("acme", "gold");
    let forwarded = plugin.send(with_copies(Request::get("/").header("x-api-key", "secret"))).forwarded();
    check_header(&forwarded, "x-client", &["acme"]);
    check_header(&forwarded, "x-plan", &["gold"]);
    check_header(&forwarded, "x-scopes", &["orders.read orders.write"]);
    check_header(&forwarded, "x-key-id", &[]);
}

#[test]
fn contradictory_headers_are_refused() {
    let refusal = |config| testing::configure::<ApiKey>(config).unwrap_err().to_string();
    assert!(refusal(r#"{"client_to_headers": {"name": "x", "plan": "X"}}"#).contains("the same header"));
    assert!(refusal(r#"{"client_to_headers": {"name": "x-api-key"}}"#).contains("other than the one of the key"));
    assert!(refusal(r#"{"client_to_headers": {"tenant": "x"}}"#).contains("unknown field `tenant`"));
    assert!(refusal(r#"{"query": ""}"#).contains("the name of a query parameter"));
}
