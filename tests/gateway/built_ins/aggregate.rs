//! `aggregate`: several upstreams in one answer.

use std::time::Duration;

use gatehouse_tests::{Answer, Gateway, Origin, Response, origin::nobody};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::start;

async fn user() -> Origin {
    Origin::start(|_| Answer::json(200, &json!({"name": "Ada", "id": 7}))).await
}

async fn orders() -> Origin {
    Origin::start(|_| Answer::json(200, &json!({"items": [1, 2], "total": 2}))).await
}

async fn aggregating(parts: &str, user: String, orders: String) -> Gateway {
    start(&format!("{{plugin: aggregate, config: {{parts: [{parts}]}}}}"), &[("user", user), ("orders", orders)]).await
}

#[tokio::test]
async fn parts_are_fetched_together_and_put_in_their_places() {
    let user = Origin::start(|_| Answer::json(200, &json!({"name": "Ada", "id": 7})).delayed(Duration::from_millis(400))).await;
    let orders = Origin::start(|_| Answer::json(200, &json!({"items": [1, 2]})).delayed(Duration::from_millis(400))).await;
    let parts = "{name: user, upstream: user, path: /user, rename: {name: called}}, {name: orders, upstream: orders, path: /orders?n=2, select: items}";
    let gateway = aggregating(parts, user.url(), orders.url()).await;
    let begun = Instant::now();
    let response = gateway.get("/").await;
    assert!(begun.elapsed() < Duration::from_millis(750), "they were fetched at once: {:?}", begun.elapsed());
    assert_eq!(response.status, 200);
    assert_eq!(response.json(), json!({"user": {"called": "Ada", "id": 7}, "orders": [1, 2]}));
    assert!(response.header("x-gatehouse-partial").is_none(), "nothing is missing");
    assert_eq!((user.request().target(), orders.request().target()), ("/user", "/orders?n=2"));
}

#[tokio::test]
async fn an_optional_part_may_be_missing() {
    let user = user().await;
    let parts = "{name: user, upstream: user, path: /}, {name: orders, upstream: orders, path: /, required: false}";
    let gateway = aggregating(parts, user.url(), format!("http://{}", nobody())).await;
    let response = gateway.get("/").await;
    assert_eq!(response.status, 200);
    assert_eq!(response.json(), json!({"user": {"name": "Ada", "id": 7}}));
    assert_eq!(response.header("x-gatehouse-partial"), Some("orders;status=502"), "what is missing is said");
    assert_eq!(response.header("cache-control"), Some("no-store"), "and nobody keeps it");
}

#[tokio::test]
async fn a_fallback_takes_a_parts_place() {
    let user = user().await;
    let parts = "{name: user, upstream: user, path: /}, {name: orders, upstream: orders, path: /, fallback: {items: []}}";
    let gateway = aggregating(parts, user.url(), format!("http://{}", nobody())).await;
    let response = gateway.get("/").await;
    assert_eq!(response.json()["orders"], json!({"items": []}));
    assert_eq!(response.header("x-gatehouse-partial"), Some("orders;status=502"));
}

#[tokio::test]
async fn a_required_part_decides() {
    let orders = orders().await;
    let parts = "{name: user, upstream: user, path: /}, {name: orders, upstream: orders, path: /}";
    let missing = Origin::start(|_| Answer::new(404, &[("content-type", "text/plain")], "no such user")).await;
    let response = aggregating(parts, missing.url(), orders.url()).await.get("/").await;
    assert_eq!((response.status, response.text().as_str()), (404, "no such user"), "a client's error is the client's to read");

    let broken = Origin::start(|_| Answer::new(500, &[], "stack trace")).await;
    let response = aggregating(parts, broken.url(), orders.url()).await.get("/").await;
    assert_eq!(response.status, 502);
    assert!(
        response.text().contains("user") && !response.text().contains("stack trace"),
        "the part is named, its inside is not: {}",
        response.text()
    );

    let silent = Origin::start(|_| Answer::silence()).await;
    let slow = "{name: user, upstream: user, path: /, timeout: 200ms}, {name: orders, upstream: orders, path: /}";
    let response = aggregating(slow, silent.url(), orders.url()).await.get("/").await;
    assert_eq!(response.status, 504);
}

#[tokio::test]
async fn a_group_of_nothing_merges_at_the_top() {
    let (user, orders) = (user().await, orders().await);
    let parts = "{name: user, upstream: user, path: /, group: \"\"}, {name: orders, upstream: orders, path: /, group: list}";
    let response = aggregating(parts, user.url(), orders.url()).await.get("/").await;
    assert_eq!(response.json(), json!({"name": "Ada", "id": 7, "list": {"items": [1, 2], "total": 2}}));
}

/// Five upstreams: two that are well, one slow, one failing, one that answers garbage.
struct Five {
    user: Origin,
    orders: Origin,
    slow: Origin,
    failing: Origin,
    garbage: Origin,
}

/// How long the slow one takes.
const SLOW: Duration = Duration::from_millis(600);

impl Five {
    async fn start() -> Self {
        Self {
            user: user().await,
            orders: orders().await,
            slow: Origin::start(|_| Answer::json(200, &json!({"late": true})).delayed(SLOW)).await,
            failing: Origin::start(|_| Answer::new(503, &[("content-type", "text/plain")], "stack trace")).await,
            garbage: Origin::start(|_| Answer::new(200, &[("content-type", "application/json")], "<html>")).await,
        }
    }

    /// Asks for all five: what the whole is configured with, and each part beside its name.
    async fn ask(&self, whole: &str, parts: [&str; 5]) -> (Response, Duration) {
        let upstreams =
            [("user", &self.user), ("orders", &self.orders), ("slow", &self.slow), ("failing", &self.failing), ("garbage", &self.garbage)];
        let parts: Vec<_> =
            upstreams.iter().zip(parts).map(|((name, _), more)| format!("{{name: {name}, upstream: {name}, path: /{more}}}")).collect();
        let urls: Vec<_> = upstreams.iter().map(|(name, origin)| (*name, origin.url())).collect();
        let gateway = start(&format!("{{plugin: aggregate, config: {{{whole}parts: [{}]}}}}", parts.join(", ")), &urls).await;
        let begun = Instant::now();
        (gateway.get("/").await, begun.elapsed())
    }
}

#[track_caller]
fn took(elapsed: Duration, expected: Duration) {
    let most = expected + Duration::from_millis(500);
    assert!(elapsed >= expected && elapsed < most, "it took {elapsed:?}, which is not about {expected:?}");
}

#[track_caller]
fn names_part(response: &Response, status: u16, part: &str) {
    assert_eq!((response.status, response.header("content-type")), (status, Some("application/problem+json")), "{}", response.head);
    let problem = response.json();
    assert_eq!((&problem["status"], &problem["part"]), (&json!(status), &json!(part)), "{problem}");
    assert!(!problem.to_string().contains("stack trace"), "what the upstream said stays inside: {problem}");
}

const OPTIONAL: &str = ", required: false";

#[tokio::test]
async fn of_five_those_that_need_not_be_there_are_told_and_the_slowest_allowed_sets_the_time() {
    let five = Five::start().await;
    let well = json!({"user": {"name": "Ada", "id": 7}, "orders": {"items": [1, 2], "total": 2}});

    let (response, elapsed) = five.ask("", ["", "", OPTIONAL, OPTIONAL, OPTIONAL]).await;
    assert_eq!(response.status, 200, "{}", response.text());
    let mut expected = well.clone();
    expected["slow"] = json!({"late": true});
    assert_eq!(response.json(), expected, "the slow one was waited for");
    assert_eq!(response.header("x-gatehouse-partial"), Some("failing;status=503, garbage;status=502"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    took(elapsed, SLOW);

    let (response, elapsed) = five.ask("partial_status: 206, ", ["", "", ", required: false, timeout: 250ms", OPTIONAL, OPTIONAL]).await;
    assert_eq!((response.status, response.json()), (206, well.clone()));
    assert_eq!(response.header("x-gatehouse-partial"), Some("slow;status=504, failing;status=503, garbage;status=502"));
    took(elapsed, Duration::from_millis(250));

    let (response, elapsed) = five.ask("timeout: 300ms, ", ["", "", ", fallback: []", ", fallback: {a: 1}", ", fallback: null"]).await;
    let mut expected = well;
    expected.as_object_mut().expect("an object").extend([
        ("slow".to_owned(), json!([])),
        ("failing".to_owned(), json!({"a": 1})),
        ("garbage".to_owned(), Value::Null),
    ]);
    assert_eq!((response.status, response.json()), (200, expected), "a fallback is enough for a part that is required");
    took(elapsed, Duration::from_millis(300));
}

#[tokio::test]
async fn of_five_one_that_is_required_decides() {
    let five = Five::start().await;
    let (response, elapsed) = five.ask("", ["", "", OPTIONAL, "", OPTIONAL]).await;
    names_part(&response, 502, "failing");
    assert_eq!(response.json()["part_status"], 503);
    took(elapsed, SLOW);
    let (response, _) = five.ask("", ["", "", OPTIONAL, OPTIONAL, ""]).await;
    names_part(&response, 502, "garbage");
    let (response, elapsed) = five.ask("timeout: 250ms, ", ["", "", "", OPTIONAL, OPTIONAL]).await;
    names_part(&response, 504, "slow");
    took(elapsed, Duration::from_millis(250));
}

#[tokio::test]
async fn of_five_each_decides_where_all_must_be_there_and_none_where_any_will_do() {
    let five = Five::start().await;
    let optional = [OPTIONAL; 5];
    let (response, _) = five.ask("policy: all, ", optional).await;
    names_part(&response, 502, "failing");
    let (response, elapsed) = five.ask("policy: all, timeout: 250ms, ", optional).await;
    names_part(&response, 504, "slow");
    took(elapsed, Duration::from_millis(250));
    let (response, _) = five.ask("policy: any, timeout: 250ms, ", [""; 5]).await;
    assert_eq!(response.status, 200, "two are there: {}", response.text());
    assert_eq!(response.header("x-gatehouse-partial"), Some("slow;status=504, failing;status=503, garbage;status=502"));
}

#[tokio::test]
async fn when_nothing_is_left_each_part_is_named() {
    let failing = Origin::start(|_| Answer::new(404, &[], "none")).await;
    let parts = "{name: user, upstream: user, path: /}, {name: orders, upstream: orders, path: /}";
    let chain = format!("{{plugin: aggregate, config: {{policy: any, parts: [{parts}]}}}}");
    let gateway = start(&chain, &[("user", failing.url()), ("orders", format!("http://{}", nobody()))]).await;
    let response = gateway.get("/").await;
    assert_eq!(response.status, 502, "{}", response.text());
    let parts = response.json()["parts"].clone();
    assert_eq!((&parts[0]["name"], &parts[0]["status"]), (&json!("user"), &json!(404)), "{parts}");
    assert_eq!((&parts[1]["name"], &parts[1]["status"]), (&json!("orders"), &json!(502)), "{parts}");
}

#[tokio::test]
async fn only_a_success_with_json_is_a_part() {
    const PARTS: &str = "{name: user, upstream: user, path: /}, {name: orders, upstream: orders, path: /, required: false}";
    let user = user().await;
    let odd = [
        (Answer::new(302, &[("location", "/elsewhere")], "{}"), "orders;status=302"),
        (Answer::new(404, &[], "{}"), "orders;status=404"),
        (Answer::new(200, &[("content-encoding", "gzip")], "\u{1f}zip"), "orders;status=502"),
        (Answer::head(200, &[("content-length", "9000000")]).then_flood(9_000_000), "orders;status=502"),
        (Answer::raw("nonsense\r\n\r\n").then_close(), "orders;status=502"),
    ];
    for (answer, told) in odd {
        let orders = Origin::start(move |_| answer.clone()).await;
        let response = aggregating(PARTS, user.url(), orders.url()).await.get("/").await;
        assert_eq!((response.status, response.header("x-gatehouse-partial")), (200, Some(told)), "{}", response.text());
        assert_eq!(response.json(), json!({"user": {"name": "Ada", "id": 7}}));
    }
    let nothing = Origin::start(|_| Answer::head(204, &[])).await;
    let response = aggregating(PARTS, user.url(), nothing.url()).await.get("/").await;
    assert_eq!(response.json(), json!({"user": {"name": "Ada", "id": 7}, "orders": null}), "nothing, said with a success, is a null");
    assert_eq!(response.header("x-gatehouse-partial"), None);
}

#[tokio::test]
async fn parts_of_megabytes_fit_up_to_eight_together() {
    let list = |length: usize| format!("[{}]", vec![r#"{"name":"Ada","secret":"x","n":1.10}"#; length / 37].join(","));
    let (three, four) = (list(3 << 20), list(4 << 20));
    let user = Origin::start(move |_| Answer::new(200, &[("content-type", "application/json")], &three)).await;
    let orders = Origin::start(move |_| Answer::new(200, &[("content-type", "application/json")], &four)).await;
    let parts = "{name: a, upstream: user, path: /}, {name: b, upstream: orders, path: /, rename: {\"[*].name\": called}}";
    let gateway = aggregating(parts, user.url(), orders.url()).await;
    let response = gateway.get("/").await;
    assert_eq!(response.status, 200, "{}", &response.text()[..200.min(response.text().len())]);
    let answer = response.json();
    assert_eq!(answer["a"].as_array().map(Vec::len), Some((3 << 20) / 37), "the first is whole");
    assert_eq!(answer["b"][100_000], json!({"called": "Ada", "secret": "x", "n": 1.10}), "the second is edited to its end");
    let parts = format!("{parts}, {{name: c, upstream: user, path: /, required: false}}");
    let response = aggregating(&parts, user.url(), orders.url()).await.get("/").await;
    assert_eq!((response.status, response.header("x-gatehouse-partial")), (200, Some("c;status=502")), "the third is too much");
    assert_eq!(gateway.metrics().await.sum("gatehouse_plugin_faults_total", &[]), 0.0, "no limit was met");
}

#[tokio::test]
async fn a_part_is_asked_as_the_request_says() {
    let (user, orders) = (user().await, orders().await);
    let parts = "{name: user, upstream: user, path: \"/users/{request.segment.1}\", headers: [authorization]}, \
        {name: orders, upstream: orders, path: \"/orders?by={request.query.sort:-date}\", method: POST, body: true}";
    let gateway = aggregating(parts, user.url(), orders.url()).await;
    let asked = gatehouse_tests::request("POST", "/page/7%2F8?sort=a/b%26c").header("authorization", "Bearer t").header("cookie", "c=1");
    let response = gateway.ask(asked.header("content-type", "text/x").body("q")).await;
    assert_eq!(response.status, 200, "{}", response.text());
    let (user, orders) = (user.request(), orders.request());
    assert_eq!((user.method(), user.target()), ("GET", "/users/7%2F8"));
    assert_eq!((user.header("authorization").as_deref(), user.header("cookie")), (Some("Bearer t"), None), "only what was listed");
    assert_eq!((orders.method(), orders.target(), &*orders.body), ("POST", "/orders?by=a%2Fb%26c", &b"q"[..]));
    assert_eq!((orders.header("content-type").as_deref(), orders.header("authorization")), (Some("text/x"), None));
}
