//! The plugins of `example-plugins/` in JavaScript and Python.

use std::collections::HashMap;
use std::path::Path;

use gatehouse_tests::{Answer, Gateway, Origin, Setup, authored, get};
use serde_json::json;

/// A gateway with this plugin on every path, and an upstream that answers like that.
async fn house(component: &Path, config: &str, answer: Answer) -> (Gateway, Origin) {
    let origin = Origin::start(move |_| answer.clone()).await;
    let (url, component) = (origin.url(), component.display());
    let config = format!(
        "
        upstreams: [{{name: origin, endpoints: [{{url: \"{url}\"}}]}}]
        clients: [{{name: acme, keys: [{{sha256: \"{}\"}}]}}]
        plugins: [{{name: example, source: {{file: \"{component}\"}}}}]
        routes:
          - {{name: all, chain: [{{plugin: example, config: {config}}}], upstream: origin}}
          - {{name: known, match: [{{path: {{prefix: /known}}}}], chain: [{{plugin: api-key}}, {{plugin: example, config: {config}}}], upstream: origin}}
        ",
        gatehouse_tests::tokens::sha256("key"),
    );
    (Setup::new(&config).one_worker().start().await, origin)
}

async fn greets(component: &Path) {
    let (gateway, origin) = house(component, "{}", Answer::ok("through")).await;
    let response = gateway.get("/").await;
    assert_eq!((response.status, response.header("x-hello")), (200, Some("world")), "the client is greeted");
    assert_eq!(origin.requests()[0].header("x-hello-from").as_deref(), Some("127.0.0.1"), "the upstream learns the address");
}

#[tokio::test]
async fn javascript_says_hello() {
    greets(&authored::javascript("example-plugins/hello-js")).await;
}

#[tokio::test]
async fn python_says_hello() {
    greets(&authored::python("example-plugins/hello-python")).await;
}

const ORDER: &str = r#"{"id": 7, "secret": "s", "who": {"name": "Ada", "mail": "a@b"}, "items": [{"price": 1, "cost": 9}, {"price": 2}]}"#;

/// What the reshaping example makes of an answer in JSON.
#[track_caller]
fn reshaped(config: &'static str, document: &'static str, expected: serde_json::Value) -> impl Future<Output = ()> {
    let component = authored::javascript("example-plugins/reshape-js");
    async move {
        let (gateway, _origin) = house(&component, config, Answer::new(200, &[("content-type", "application/json")], document)).await;
        assert_eq!(gateway.get("/").await.json(), expected, "{config}");
    }
}

#[tokio::test]
async fn an_answer_is_reshaped() {
    reshaped("{pick: [id, who.name]}", ORDER, json!({"id": 7, "who": {"name": "Ada"}})).await;
    let dropped = json!({"id": 7, "who": {"name": "Ada"}, "items": [{"price": 1}, {"price": 2}]});
    reshaped("{drop: [secret, who.mail, items.cost, none.such]}", ORDER, dropped).await;
    let renamed = json!({"id": 7, "items": [{"amount": 1}, {"amount": 2}]});
    reshaped("{pick: [id, items.price], rename: {items.price: amount}}", ORDER, renamed).await;
    reshaped("{pick: [a]}", r#"[{"a": 1, "b": 2}, {"b": 3}, 4]"#, json!([{"a": 1}, {}, 4])).await;
    reshaped("{drop: [a]}", r#"{"__proto__": {"a": 1}, "a": 2}"#, json!({"__proto__": {"a": 1}})).await;
}

#[tokio::test]
async fn an_answer_that_is_not_json_passes_as_it_is() {
    let component = authored::javascript("example-plugins/reshape-js");
    for (kind, body) in [("text/html", "<secret>"), ("application/json", "{broken"), ("application/json", "")] {
        let (gateway, _origin) = house(&component, "{drop: [secret]}", Answer::new(200, &[("content-type", kind)], body)).await;
        assert_eq!(gateway.get("/").await.text(), body, "{kind}");
    }
}

const EXPERIMENT: &str = "{experiment: cart, weights: {control: 75, new: 25}}";

#[tokio::test]
async fn callers_stay_with_their_variant() {
    let (gateway, origin) = house(&authored::python("example-plugins/ab-python"), EXPERIMENT, Answer::ok("")).await;
    let first = gateway.get("/").await;
    let cookie = first.header("set-cookie").and_then(|cookie| cookie.split(';').next()).expect("a visitor gets a cookie").to_owned();
    let variant = first.header("x-variant").expect("and a variant").to_owned();
    assert_eq!(origin.requests()[0].header("x-variant"), Some(variant.clone()), "which the upstream learns");
    for _ in 0..3 {
        let again = gateway.ask(get("/").header("cookie", &format!("a=b; {cookie}"))).await;
        assert_eq!((again.header("x-variant"), again.header("set-cookie")), (Some(&*variant), None), "a known visitor stays");
    }
    let mut known = Vec::new();
    for _ in 0..2 {
        let response = gateway.ask(get("/known").header("x-api-key", "key")).await;
        assert_eq!(response.header("set-cookie"), None, "a client needs no cookie");
        known.push(response.header("x-variant").map(str::to_owned));
    }
    assert_eq!(known[0], known[1], "a client stays");
}

#[tokio::test]
async fn variants_are_dealt_out_by_their_weights() {
    let (gateway, _origin) = house(&authored::python("example-plugins/ab-python"), EXPERIMENT, Answer::ok("")).await;
    let mut dealt = HashMap::new();
    for visitor in 0..400 {
        let response = gateway.ask(get("/").header("cookie", &format!("visitor={visitor}"))).await;
        *dealt.entry(response.header("x-variant").expect("everybody gets one").to_owned()).or_insert(0_u32) += 1;
    }
    // The same every time, as the names are. A share of 25 % of 400 strays by more than 35 in one set of names of 20,000.
    assert!(dealt["new"].abs_diff(100) <= 35 && dealt.len() == 2, "{dealt:?}");
}

#[tokio::test]
async fn an_experiment_without_shares_is_refused() {
    let component = authored::python("example-plugins/ab-python");
    for (config, said) in [
        ("{experiment: cart, weights: {a: 0}}", "weights wants variants"),
        ("{experiment: cart, weights: {a: 1}, force: {acme: b}}", "force.acme is no variant"),
        ("{experiment: cart, weights: {a: much}}", "weights"),
    ] {
        let config = format!(
            "
            upstreams: [{{name: origin, endpoints: [{{url: \"http://127.0.0.1:9\"}}]}}]
            plugins: [{{name: example, source: {{file: \"{}\"}}}}]
            routes: [{{name: all, chain: [{{plugin: example, config: {config}}}], upstream: origin}}]
            ",
            component.display()
        );
        let (code, written) = Setup::new(&config).start_refused().await;
        assert!(code != Some(0) && written.contains(said), "{said:?} is said: {written}");
    }
}
