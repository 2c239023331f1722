//! The policy, against a scripted issuer.

use gatehouse_plugin::introspection::Refusal;
use gatehouse_plugin::testing::{self, Answer, Request, Tested, Token};
use serde_json::json;

use crate::Introspection;

fn plugin(config: &str) -> Tested {
    testing::introspection(|token, issuers| match token {
        b"good" if issuers.is_empty() || issuers.contains(&"main".into()) => Ok(Token::new("main", "alice")
            .scope("read write")
            .claim("username", "Alice A.")
            .claim("roles", json!(["x"]))
            .claim("evil", "a\r\nx-admin: 1")),
        b"good" => Err(Refusal::UnknownIssuer),
        b"old" => Err(Refusal::Expired),
        b"down" => Err(Refusal::Unavailable),
        _ => Err(Refusal::Inactive),
    });
    testing::configure::<Introspection>(config).unwrap()
}

fn bearing(token: &str) -> Request {
    Request::get("/").header("authorization", format!("Bearer {token}"))
}

#[track_caller]
fn check(answer: &Answer, status: u16, challenge: Option<&str>) {
    assert_eq!(answer.status(), status, "{answer:?}");
    assert_eq!(answer.header("www-authenticate"), challenge, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
    assert_eq!(answer.json()["status"], json!(status), "the problem repeats the status");
}

#[test]
fn an_active_token_passes_and_the_upstream_does_not_see_it() {
    let plugin = plugin(r#"{"issuer": "main"}"#);
    assert_eq!(plugin.send(bearing("good")).forwarded().header("authorization"), None, "the token stays here");
}

#[test]
fn the_token_is_forwarded_if_asked() {
    let plugin = plugin(r#"{"forward": true}"#);
    assert_eq!(plugin.send(bearing("good")).forwarded().header("authorization"), Some("Bearer good"), "as it came");
}

#[test]
fn a_missing_token_gets_a_challenge_without_an_error() {
    let plugin = plugin(r#"{"realm": "orders"}"#);
    check(&plugin.send(Request::get("/")).answered(), 401, Some(r#"Bearer realm="orders""#));
    let basic = Request::get("/").header("authorization", "Basic dTpw");
    check(&plugin.send(basic).answered(), 401, Some(r#"Bearer realm="orders""#));
}

#[test]
fn a_refused_token_is_answered_by_its_refusal() {
    let plugin = plugin("{}");
    let invalid = r#"Bearer realm="gatehouse", error="invalid_token", error_description="The token is not valid here""#;
    check(&plugin.send(bearing("revoked")).answered(), 401, Some(invalid));
    let expired = r#"Bearer realm="gatehouse", error="invalid_token", error_description="The token has expired""#;
    check(&plugin.send(bearing("old")).answered(), 401, Some(expired));
    let unavailable = plugin.send(bearing("down")).answered();
    check(&unavailable, 503, None);
    assert_eq!(unavailable.header("retry-after"), Some("1"), "the client may come again");
}

#[test]
fn two_tokens_are_an_invalid_request() {
    let plugin = plugin("{}");
    let challenge = Some(r#"Bearer realm="gatehouse", error="invalid_request""#);
    check(&plugin.send(bearing("good").header("authorization", "Bearer good")).answered(), 400, challenge);
    check(&plugin.send(bearing("good, Bearer good")).answered(), 400, challenge);
    check(&plugin.send(bearing("")).answered(), 400, challenge);
}

#[test]
fn only_the_configured_issuers_are_asked() {
    let plugin = plugin(r#"{"issuers": ["other", "another"]}"#);
    assert_eq!(plugin.send(bearing("good")).answered().status(), 401, "main is not among them");
}

#[test]
fn every_scope_is_needed() {
    let _ = plugin(r#"{"scopes": ["read", "write"]}"#).send(bearing("good")).forwarded();
    let answer = plugin(r#"{"scopes": ["read", "admin"]}"#).send(bearing("good")).answered();
    check(&answer, 403, Some(r#"Bearer realm="gatehouse", error="insufficient_scope", scope="read admin""#));
}

const CLAIMS: &str = r#"{"required": false, "claims_to_headers":
    {"sub": "X-User", "username": "x-name", "roles": "x-roles", "none": "x-none", "evil": "x-evil"}}"#;

const HEADERS: [&str; 5] = ["x-user", "x-name", "x-roles", "x-none", "x-evil"];

fn with_copies(request: Request) -> Request {
    HEADERS.iter().fold(request, |request, name| request.header(name, "forged"))
}

#[test]
fn claims_replace_the_clients_own_headers() {
    let plugin = plugin(CLAIMS);
    let forwarded = plugin.send(with_copies(bearing("good"))).forwarded();
    assert_eq!(forwarded.header_lines("x-user"), ["alice"], "a string as it is");
    assert_eq!(forwarded.header_lines("x-name"), ["Alice A."], "another claim");
    assert_eq!(forwarded.header_lines("x-roles"), [r#"["x"]"#], "anything else as JSON");
    assert_eq!(forwarded.header("x-none"), None, "no claim, no header");
    assert_eq!(forwarded.header("x-evil"), None, "a claim with a line end is no header");
}

#[test]
fn an_anonymous_client_keeps_no_header_of_a_claim() {
    let plugin = plugin(CLAIMS);
    let forwarded = plugin.send(with_copies(Request::get("/"))).forwarded();
    for name in HEADERS {
        assert_eq!(forwarded.header(name), None, "{name} would pass for a claim");
    }
}

#[test]
fn a_bad_token_is_refused_even_where_none_is_required() {
    let plugin = plugin(r#"{"required": false}"#);
    let _ = plugin.send(Request::get("/")).forwarded();
    assert_eq!(plugin.send(bearing("revoked")).answered().status(), 401, "bad is worse than none");
}

#[track_caller]
fn check_refused(config: &str, reason: &str) {
    let refusal = testing::configure::<Introspection>(config).unwrap_err().to_string();
    assert!(refusal.contains(reason), "{config}: {refusal}");
}

#[test]
fn a_contradictory_configuration_is_refused() {
    check_refused(r#"{"issuer": "a", "issuers": ["b"]}"#, "not both");
    check_refused(r#"{"claims_to_headers": {"a": "x", "b": "X"}}"#, "the same header");
    check_refused(r#"{"claims_to_headers": {"a": "Authorization"}}"#, "holds no credentials");
    check_refused(r#"{"scopes": ["a\"b"]}"#, "without quotes");
    check_refused(r#"{"scope": "a"}"#, "unknown field `scope`");
}
