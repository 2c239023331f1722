//! The policy, against keys that the test hands out. Encodings are those of `printf … | base64`.

use gatehouse_plugin::testing::{self, Outcome, Request, Tested};

use crate::BasicAuth;

fn plugin(config: &str) -> Tested {
    testing::key("secret", "acme", &[]);
    testing::key("open:sesame", "acme", &[]);
    testing::key("café", "acme", &[]);
    testing::key("theirs", "other", &[]);
    testing::configure::<BasicAuth>(config).unwrap()
}

fn with(value: &str) -> Request {
    Request::get("/").header("authorization", value)
}

#[track_caller]
fn check_unauthorized(outcome: Outcome<'_>) {
    let answer = outcome.answered();
    assert_eq!(answer.status(), 401, "it is refused");
    assert_eq!(answer.header("www-authenticate"), Some(r#"Basic realm="gatehouse", charset="UTF-8""#), "the challenge says how");
    assert_eq!(answer.json()["detail"], "This needs a valid name and password.", "no hint at what was wrong");
}

#[test]
fn a_name_with_one_of_its_keys_passes_and_the_upstream_does_not_see_it() {
    let plugin = plugin("{}");
    // acme:secret, acme:open:sesame, acme:café
    for encoded in ["YWNtZTpzZWNyZXQ=", "YWNtZTpvcGVuOnNlc2FtZQ==", "YWNtZTpjYWbDqQ=="] {
        for scheme in ["Basic", "basic", "BASIC"] {
            let forwarded = plugin.send(with(&format!("{scheme} {encoded}"))).forwarded();
            assert_eq!(forwarded.header("authorization"), None, "{scheme} {encoded}");
        }
    }
}

#[test]
fn everything_else_gets_the_same_401() {
    let plugin = plugin("{}");
    check_unauthorized(plugin.send(Request::get("/")));
    // acme:wrong, acme:theirs, other:secret, ACME:secret, :secret, acme:, acmesecret
    for encoded in
        ["YWNtZTp3cm9uZw==", "YWNtZTp0aGVpcnM=", "b3RoZXI6c2VjcmV0", "QUNNRTpzZWNyZXQ=", "OnNlY3JldA==", "YWNtZTo=", "YWNtZXNlY3JldA=="]
    {
        check_unauthorized(plugin.send(with(&format!("Basic {encoded}"))));
    }
}

#[test]
fn what_is_not_basic_as_the_rfc_has_it_is_refused() {
    let plugin = plugin("{}");
    // Without its padding, with a hole, in Latin-1 (acme:caf\xe9), with a line end (acme:secret\n), nothing.
    for encoded in ["YWNtZTpzZWNyZXQ", "YWNtZTpz ZWNyZXQ=", "YWNtZTpjYWbp", "YWNtZTpzZWNyZXQK", ""] {
        check_unauthorized(plugin.send(with(&format!("Basic {encoded}"))));
    }
    let good = "Basic YWNtZTpzZWNyZXQ=";
    check_unauthorized(plugin.send(with(good).header("authorization", good)));
    check_unauthorized(plugin.send(with("Bearer YWNtZTpzZWNyZXQ=")));
    check_unauthorized(plugin.send(with(&format!("{good}, {good}"))));
}

#[test]
fn another_scheme_is_left_to_others_where_none_is_required() {
    let plugin = plugin(r#"{"required": false}"#);
    assert_eq!(plugin.send(with("Bearer token")).forwarded().header("authorization"), Some("Bearer token"), "not ours");
    let _ = plugin.send(Request::get("/")).forwarded();
    check_unauthorized(plugin.send(with("Basic YWNtZTp3cm9uZw==")));
}

#[test]
fn credentials_are_forwarded_and_the_realm_named_as_asked() {
    let plugin = plugin(r#"{"hide_credentials": false, "realm": "my api"}"#);
    assert_eq!(plugin.send(with("Basic YWNtZTpzZWNyZXQ=")).forwarded().header("authorization"), Some("Basic YWNtZTpzZWNyZXQ="));
    let answer = plugin.send(Request::get("/")).answered();
    assert_eq!(answer.header("www-authenticate"), Some(r#"Basic realm="my api", charset="UTF-8""#), "this realm");
    assert!(testing::configure::<BasicAuth>(r#"{"realm": "a\"b"}"#).is_err(), "a quote would end the realm");
}
