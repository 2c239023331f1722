//! Tests of `discovery`: where an issuer's metadata are looked for, and what of them is believed.

use http::StatusCode;
use parking_lot::Mutex;
use serde_json::json;

use super::*;
use crate::identity::fetch::Fetched;

// Has these pages, by path, and remembers what it was asked for.
struct Site {
    pages: Vec<(&'static str, String)>,
    asked: Mutex<Vec<String>>,
}

impl Fetch for Site {
    async fn get(&self, url: &Uri) -> Result<Fetched, FetchError> {
        self.asked.lock().push(url.to_string());
        let page = self.pages.iter().find(|(path, _)| *path == url.path());
        let body = page.map(|(_, text)| text.clone().into()).ok_or(FetchError::Status(StatusCode::NOT_FOUND))?;
        Ok(Fetched { body, cache_control: None })
    }
}

const ISSUER: &str = "https://issuer.example/realm";
const OPENID: &str = "/realm/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server/realm";

fn site(pages: &[(&'static str, String)]) -> Site {
    Site { pages: pages.to_vec(), asked: Mutex::default() }
}

fn metadata() -> serde_json::Value {
    json!({"issuer": ISSUER, "jwks_uri": "https://keys.example/keys", "token_endpoint": "https://issuer.example/token"})
}

fn but(name: &str, value: serde_json::Value) -> String {
    let mut metadata = metadata();
    metadata[name] = value;
    metadata.to_string()
}

#[tokio::test]
async fn the_metadata_are_found_at_either_place() {
    for (path, asked) in [(OPENID, 1), (OAUTH, 2)] {
        let site = site(&[(path, metadata().to_string())]);
        let found = discover(ISSUER, &site).await.unwrap();
        assert_eq!(found.jwks_uri, Uri::from_static("https://keys.example/keys"), "{path}");
        assert_eq!(found.token_endpoint, Some(Uri::from_static("https://issuer.example/token")), "{path}");
        assert_eq!(found.introspection_endpoint, None, "{path}: it names none");
        assert_eq!(site.asked.lock().len(), asked, "{path}");
    }
    let error = discover(ISSUER, &site(&[])).await.unwrap_err();
    assert!(matches!(error, DiscoveryError::Fetch(FetchError::Status(StatusCode::NOT_FOUND))), "{error:?}");
}

#[test]
fn the_places_follow_from_the_issuer() {
    for (issuer, openid, oauth) in [
        (
            "https://a.example",
            "https://a.example/.well-known/openid-configuration",
            "https://a.example/.well-known/oauth-authorization-server",
        ),
        (
            "https://a.example/",
            "https://a.example/.well-known/openid-configuration",
            "https://a.example/.well-known/oauth-authorization-server",
        ),
        (
            "http://[::1]:81/x/",
            "http://[::1]:81/x/.well-known/openid-configuration",
            "http://[::1]:81/.well-known/oauth-authorization-server/x",
        ),
    ] {
        assert_eq!(addresses(issuer).unwrap().map(|uri| uri.to_string()), [openid, oauth], "{issuer}");
    }
}

#[test]
fn only_safe_addresses_are_asked() {
    for issuer in ["https://a.example", "http://127.0.0.1:9", "http://127.9.9.9", "http://localhost:9", "http://[::1]:9"] {
        assert!(addresses(issuer).is_ok(), "{issuer}");
    }
    for issuer in [
        "http://a.example",
        "http://10.0.0.1",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "https://me:pw@a.example",
        "https://a.example/?x=1",
        "https://a.example/#x",
        "ftp://a.example",
        "a.example",
        "",
    ] {
        assert!(matches!(addresses(issuer), Err(DiscoveryError::Issuer(_))), "{issuer}");
    }
}

#[tokio::test]
async fn what_is_not_the_issuers_own_word_is_refused() {
    for (what, text) in [
        ("another issuer", but("issuer", json!("https://issuer.example/realm/"))),
        ("an issuer that is no text", but("issuer", json!([ISSUER]))),
        ("no issuer", json!({"jwks_uri": "https://keys.example/keys"}).to_string()),
        ("keys for all to tamper with", but("jwks_uri", json!("http://keys.example/keys"))),
        ("keys in a file", but("jwks_uri", json!("file:///etc/passwd"))),
        ("keys that are no text", but("jwks_uri", json!(7))),
        ("no keys", json!({"issuer": ISSUER}).to_string()),
        ("two issuers", format!(r#"{{"issuer":"https://evil.example",{}"#, &metadata().to_string()[1..])),
        ("a list", "[]".into()),
        ("a page for people", "<html>".into()),
    ] {
        assert!(discover(ISSUER, &site(&[(OPENID, text)])).await.is_err(), "{what}");
    }
    let lax = but("introspection_endpoint", json!("http://issuer.example/ask"));
    let found = discover(ISSUER, &site(&[(OPENID, lax)])).await.unwrap();
    assert_eq!(found.introspection_endpoint, None, "an unsafe address that keys do not need is as good as none");
}
