//! A gateway with the reference plugin in every way it is configured, an upstream that does what the query says, and
//! somebody to ask about tokens.

use std::path::Path;

use gatehouse_tests::{
    Answer, Gateway, Origin, Response, Setup, get,
    origin::{Recorded, nobody},
    request,
    tokens::{AUDIENCE, ISSUER, SigningKey, key_set, seconds_from_now, sha256},
};
use serde_json::json;

/// The key of the client `acme`.
pub const KEY: &str = "the key of acme";

/// What the plugin may use. An endless loop takes the CPU time, so it is short; slow languages need all of it to start.
const LIMITS: &str = "limits: {cpu: 500ms, wall: 10s, memory: 64MiB}";

pub struct House {
    pub gateway: Gateway,
    pub origin: Origin,
    pub key: SigningKey,
}

impl House {
    pub async fn new(component: &Path, settings: &str) -> Self {
        let origin = Origin::start(answer).await;
        let key = SigningKey::es256("kit");
        let config = config(component, settings, &origin.url());
        let setup = Setup::new(&config).file("keys.json", key_set(&[&key])).file("secret", "s3cret\n");
        Self { gateway: setup.one_worker().start().await, origin, key }
    }

    /// The answer to a GET.
    pub async fn get(&self, target: &str) -> Response {
        self.gateway.get(target).await
    }

    /// The answer to a GET with this `x-in`.
    pub async fn given(&self, target: &str, value: &str) -> Response {
        self.gateway.ask(get(target).header("x-in", value)).await
    }

    /// The answer to a POST.
    pub async fn post(&self, target: &str, body: impl Into<Vec<u8>>) -> Response {
        self.gateway.ask(request("POST", target).body(body)).await
    }

    /// The last request that reached the upstream with this target.
    pub fn arrived(&self, target: &str) -> Recorded {
        let found = self.origin.requests().into_iter().rev().find(|request| request.target() == target);
        found.unwrap_or_else(|| panic!("{target} reached the upstream"))
    }

    /// How many requests reached the upstream with this target.
    pub fn arrivals(&self, target: &str) -> usize {
        self.origin.requests().iter().filter(|request| request.target() == target).count()
    }

    /// Checks that the plugin does its work, as after a fault.
    pub async fn assert_works(&self) {
        let response = self.given("/multi", "fine").await;
        assert_eq!((response.status, response.text().as_str()), (200, "fine"), "the next request to the plugin works");
    }
}

/// Checks an answer of the plugin's own.
#[track_caller]
pub fn assert_says(response: &Response, text: &str) {
    assert_eq!((response.status, response.text().as_str()), (200, text), "{}", response.head);
}

pub fn config(component: &Path, settings: &str, origin: &str) -> String {
    let (component, key, limits) = (component.display(), sha256(KEY), if settings.contains("limits:") { "" } else { LIMITS });
    let settings: Vec<_> = [settings, limits].into_iter().filter(|setting| !setting.is_empty()).collect();
    format!(
        "
        issuers:
          - {{name: main, issuer: \"{ISSUER}\", audiences: [{AUDIENCE}], algorithms: [ES256], jwks: {{file: $DIR/keys.json}}}}
          - name: opaque
            issuer: \"https://opaque.example\"
            audiences: [{AUDIENCE}]
            introspection: {{url: \"{origin}/introspect\", client_id: kit, client_secret: {{file: $DIR/secret}}}}
        clients: [{{name: acme, plan: gold, scopes: [read, write], keys: [{{id: k1, sha256: \"{key}\"}}]}}]
        upstreams:
          - {{name: origin, endpoints: [{{url: \"{origin}\"}}]}}
          - {{name: secret, endpoints: [{{url: \"{origin}\"}}]}}
          - {{name: dead, endpoints: [{{url: \"http://{}\"}}]}}
        plugins:
          - name: reference
            source: {{file: \"{component}\"}}
            grants: [log, kv, jwt, introspection, keys, rate-limit, {{http: [origin, dead]}}, metrics, identity]
            {}
        routes:
          - {{name: plain, chain: [{{plugin: reference}}], upstream: origin}}
          - {{name: dead, match: [{{path: {{prefix: /dead}}}}], chain: [{{plugin: reference}}], upstream: dead}}
          - {{name: twice, match: [{{path: {{prefix: /twice}}}}], chain: [{{plugin: reference}}, {{plugin: reference}}], upstream: origin}}
          - {{name: known, match: [{{path: {{prefix: /known}}}}], chain: [{{plugin: api-key}}, {{plugin: reference}}], upstream: origin}}
          - {{name: others, match: [{{path: {{prefix: /all}}}}], chain: [{{plugin: reference, config: {{others: true}}}}], upstream: origin}}
          - {{name: buffered, match: [{{path: {{prefix: /buffered}}}}], chain: [{{plugin: reference, config: {{body: buffered}}}}], upstream: origin}}
          - {{name: streamed, match: [{{path: {{prefix: /streamed}}}}], chain: [{{plugin: reference, config: {{body: streamed}}}}], upstream: origin}}
        ",
        nobody(),
        settings.join("\n            "),
    )
}

/// The upstream: plain, or as the query says.
fn answer(request: &Recorded) -> Answer {
    let (path, query) = request.target().split_once('?').unwrap_or((request.target(), ""));
    match (path, query) {
        ("/introspect", _) => Answer::json(
            200,
            &json!({"active": true, "sub": "bob", "aud": AUDIENCE, "scope": "orders.write", "role": "cook", "exp": seconds_from_now(3600)}),
        ),
        ("/one" | "/two" | "/three", _) => Answer::ok(&path[1..]),
        ("/fetched", _) => Answer::new(200, &[("x-up", "high")], "answer"),
        (_, "large") => Answer::ok("x".repeat(1001)),
        (_, "full") => Answer::ok("x".repeat(1000)),
        (_, "empty") => Answer::ok(""),
        (_, "megabyte") => Answer::ok("x".repeat(1 << 20)),
        (_, "bytes") => Answer::ok((0..=255).collect::<Vec<u8>>()),
        (_, "chunks") => Answer::chunked(&["one", "two", "three"]),
        (_, "stall") => Answer::head(200, &[("transfer-encoding", "chunked")]).then_chunk("one").then_stall(),
        _ => Answer::new(200, &[("x-up", "1"), ("x-up", "2"), ("x-gone", "soon")], "hello"),
    }
}
