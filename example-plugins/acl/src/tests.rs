//! The policy, with clients as the plugins before would leave them.

use gatehouse_plugin::Client;
use gatehouse_plugin::testing::{self, Request, Tested};
use serde_json::json;

use crate::Acl;

fn plugin(config: &str) -> Tested {
    testing::configure::<Acl>(config).unwrap()
}

fn acme() -> Client {
    Client::new("acme", "api-key").scopes(["orders.read", "orders.write"]).plan("gold")
}

fn alice() -> Client {
    let claims = json!({"sub": "alice", "groups": ["staff"]});
    Client::new("alice", "jwt").issuer("main").scopes(["orders.read"]).with_claims(&claims)
}

#[track_caller]
fn check(config: &str, client: Client, passes: bool) {
    let (plugin, name) = (plugin(config), client.name.clone());
    let outcome = plugin.send(Request::get("/").client(client));
    if passes {
        let _ = outcome.forwarded();
        return;
    }
    let answer = outcome.answered();
    assert_eq!(answer.status(), 403, "{name} by {config}");
    assert_eq!(answer.header("www-authenticate"), None, "it is known who calls");
}

#[test]
fn every_scope_is_needed_and_one_of_any() {
    check(r#"{"scopes": ["orders.read", "orders.write"]}"#, acme(), true);
    check(r#"{"scopes": ["orders.read", "orders.write"]}"#, alice(), false);
    check(r#"{"any_scopes": ["orders.write", "orders.read"]}"#, alice(), true);
    check(r#"{"any_scopes": ["orders.write", "orders.delete"]}"#, alice(), false);
}

#[test]
fn clients_and_plans_are_named() {
    check(r#"{"clients": ["other", "acme"]}"#, acme(), true);
    check(r#"{"clients": ["other"]}"#, acme(), false);
    check(r#"{"plans": ["gold"]}"#, acme(), true);
    check(r#"{"plans": ["silver"]}"#, acme(), false);
    check(r#"{"plans": ["gold"]}"#, alice(), false);
}

#[test]
fn a_tokens_subject_is_no_client_of_that_name() {
    check(r#"{"clients": ["alice"]}"#, alice(), false);
    check(r#"{"claims": {"sub": ["alice"]}}"#, alice(), true);
}

#[test]
fn claims_are_asked_of_tokens_alone() {
    check(r#"{"claims": {"groups": ["staff", "admin"]}}"#, alice(), true);
    check(r#"{"claims": {"groups": ["admin"]}}"#, alice(), false);
    check(r#"{"claims": {"groups": ["staff"]}}"#, acme(), false);
}

#[test]
fn all_the_rules_have_to_be_met() {
    check(r#"{"scopes": ["orders.read"], "claims": {"groups": ["staff"]}}"#, alice(), true);
    check(r#"{"scopes": ["orders.write"], "claims": {"groups": ["staff"]}}"#, alice(), false);
    check(r#"{"scopes": ["orders.read"], "clients": ["other"]}"#, acme(), false);
}

#[test]
fn nobody_in_particular_gets_a_401_with_a_challenge() {
    let answer = plugin(r#"{"clients": ["acme"]}"#).send(Request::get("/")).answered();
    assert_eq!((answer.status(), answer.header("www-authenticate")), (401, Some(r#"Bearer realm="gatehouse""#)));
    let named = plugin(r#"{"clients": ["acme"], "challenge": "ApiKey realm=\"orders\""}"#);
    assert_eq!(named.send(Request::get("/")).answered().header("www-authenticate"), Some(r#"ApiKey realm="orders""#));
}

#[track_caller]
fn check_refused(config: &str, reason: &str) {
    let refusal = testing::configure::<Acl>(config).unwrap_err().to_string();
    assert!(refusal.contains(reason), "{config}: {refusal}");
}

#[test]
fn a_rule_that_says_nothing_is_refused() {
    check_refused("{}", "got no rule");
    check_refused(r#"{"claims": {"a": []}}"#, "claims.a: got no value");
    check_refused(r#"{"claims": {"a": [{}]}}"#, "claims.a: got {}");
    check_refused(r#"{"scope": ["a"]}"#, "unknown field `scope`");
    check_refused(r#"{"clients": ["a"], "challenge": "a\nb"}"#, "without control characters");
}
