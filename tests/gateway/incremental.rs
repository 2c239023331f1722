//! Small changes of a large configuration: each touches only what it is about, and all of them together come to what the
//! same configuration comes to when it is read at once.

use std::time::{Duration, Instant};

use gatehouse_tests::{Gateway, Origin, Reload, Setup, get, tokens::sha256};
use serde_json::{Value, json};

const NAMES: u64 = 12;

/// Numbers that look random, and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// A route whose path other routes have too: the first of them in the order of their names has it.
fn route(dice: &mut Dice) -> Value {
    let chain = match dice.roll(3) {
        0 => json!([{"plugin": "api-key", "config": {}}]),
        1 => json!([{"plugin": "transform", "config": {"response": {"headers": {"set": {"x-made": dice.roll(5).to_string()}}}}}]),
        _ => json!([]),
    };
    json!({"match": [{"path": {"prefix": format!("/p{}", dice.roll(NAMES))}}], "chain": chain, "upstream": format!("u{}", dice.roll(3))})
}

/// What everybody gets at every path, with every key.
async fn answers(gateway: &Gateway) -> Vec<(u16, Option<String>, String)> {
    let mut answers = Vec::new();
    for path in 0..NAMES {
        for key in 0..NAMES {
            let response = gateway.ask(get(&format!("/p{path}")).header("x-api-key", &format!("key-{key}"))).await;
            let made = response.header("x-made").map(str::to_owned);
            answers.push((response.status, made, if response.status == 200 { response.text() } else { String::new() }));
        }
    }
    answers
}

#[tokio::test]
async fn changes_one_by_one_come_to_what_all_of_them_come_to_at_once() {
    let origins = [Origin::saying("one").await, Origin::saying("two").await];
    let upstream = |which: u64| json!({"endpoints": [{"url": origins[which as usize].url()}]});
    let gateway = Setup::new("routes: [{name: filed, match: [{path: {exact: /filed}}], chain: [{plugin: mock}]}]").start().await;
    let send = async |target: String, body: Option<Value>| match body {
        Some(body) => gateway.api_send("PUT", &target, &body).await,
        None => gateway.api_delete(&target).await,
    };
    for name in 0..3 {
        assert_eq!(send(format!("/v1/upstreams/u{name}"), Some(upstream(0))).await.status, 201);
    }
    let mut dice = Dice(7);
    for round in 0..250 {
        let (target, body) = match dice.roll(10) {
            0 => (format!("/v1/upstreams/u{}", dice.roll(3)), Some(upstream(dice.roll(2)))),
            1..4 => {
                let keys = json!([{"sha256": sha256(&format!("key-{}", dice.roll(NAMES)))}]);
                (format!("/v1/clients/c{}", dice.roll(NAMES)), (dice.roll(4) > 0).then(|| json!({"keys": keys})))
            }
            _ => (format!("/v1/routes/r{}", dice.roll(NAMES)), (dice.roll(4) > 0).then(|| route(&mut dice))),
        };
        let response = send(target.clone(), body).await;
        // Nobody to delete, and a key that somebody else has.
        assert!(matches!(response.status, 200 | 201 | 404 | 422), "{round}: {target}: {}", response.text());
    }
    let before = answers(&gateway).await;
    assert!(before.iter().any(|(status, ..)| *status == 401) && before.iter().any(|(status, ..)| *status == 200), "{before:?}");
    let gateway = gateway.kill_and_start_again().await;
    assert_eq!(answers(&gateway).await, before, "read at once, it is the same");
}

#[tokio::test]
async fn what_a_file_declares_stays_when_what_was_made_by_the_same_name_goes() {
    let routes = "routes: [{name: all, chain: [{plugin: api-key, config: {}}, {plugin: mock}]}]\n";
    let gateway = Setup::new(routes).start().await;
    let made = gateway.api_send("PUT", "/v1/clients/acme", &json!({"keys": [{"sha256": sha256("key")}]})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let declared = format!("{routes}clients: [{{name: acme, keys: [{{sha256: \"{}\"}}]}}]\n", sha256("key"));
    assert!(matches!(gateway.reload(&declared).await, Reload::Applied(_)), "{}", gateway.log());
    let emptied = gateway.api_send("PUT", "/v1/config", &json!({})).await;
    assert_eq!(emptied.json()["changes"].as_array().map(Vec::len), Some(1), "{}", emptied.text());
    assert_eq!(gateway.ask(get("/").header("x-api-key", "key")).await.status, 200, "the file's client has the same key");
}

/// How many there are of each, and the most processor time that one change may take. The product's own numbers, 10,000 and
/// 100,000 at 5 ms, are for a release build: `GATEHOUSE_SCALE=full`.
fn scale() -> (usize, usize, Duration) {
    match std::env::var("GATEHOUSE_SCALE").is_ok_and(|scale| scale == "full") {
        true => (10_000, 100_000, Duration::from_millis(5)),
        false => (2_000, 20_000, Duration::from_millis(40)),
    }
}

fn large(routes: usize, clients: usize) -> Value {
    let route = |n: usize| {
        let chain = json!([{"plugin": "api-key", "config": {}}, {"plugin": "rate-limit", "config": {"rate": 100, "burst": 200}}, {"plugin": "mock"}]);
        json!({"name": format!("route-{n}"), "hosts": [format!("h{}.example.com", n % 100)],
            "match": [{"path": {"prefix": format!("/s{n}")}, "methods": ["GET"]}], "chain": chain})
    };
    let client = |n: usize| json!({"name": format!("client-{n}"), "keys": [{"sha256": sha256(&format!("key-{n}"))}]});
    json!({"routes": (0..routes).map(route).collect::<Vec<_>>(), "clients": (0..clients).map(client).collect::<Vec<_>>()})
}

#[tokio::test]
async fn one_change_among_many_is_live_at_once_and_costs_little() {
    let (routes, clients, most) = scale();
    let gateway = Setup::new("routes: [{name: filed, chain: [{plugin: mock}]}]").start().await;
    let put = gateway.api_send("PUT", "/v1/config", &large(routes, clients)).await;
    assert_eq!(put.status, 200, "{}", put.text());
    let mut slowest = Duration::ZERO;
    let changes = 100;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = gateway.processor_seconds();
    for change in 0..changes {
        let began = Instant::now();
        let (target, body) = match change % 2 {
            0 => (format!("/v1/routes/route-{change}?wait=5s"), {
                let host = format!("h{}.example.com", change % 100);
                json!({"hosts": [host], "match": [{"path": {"prefix": format!("/moved{change}")}}], "chain": [{"plugin": "mock", "config": {"status": 203}}]})
            }),
            _ => (format!("/v1/clients/client-{change}?wait=5s"), json!({"keys": [{"sha256": sha256(&format!("new-{change}"))}]})),
        };
        let response = gateway.api_send("PUT", &target, &body).await;
        slowest = slowest.max(began.elapsed());
        assert_eq!(response.status, 200, "{}", response.text());
        let (path, key, status) = match change % 2 {
            0 => (format!("/moved{change}"), String::new(), 203),
            _ => (format!("/s{change}"), format!("new-{change}"), 200),
        };
        let request = get(&path).header("host", &format!("h{}.example.com", change % 100)).header("x-api-key", &key);
        assert_eq!(gateway.ask(request).await.status, status, "change {change} is served");
    }
    let each = Duration::from_secs_f64((gateway.processor_seconds() - before) / f64::from(changes));
    println!(
        "{routes} routes, {clients} clients: {each:.1?} of processor time for a change and two requests, {slowest:.1?} to be live at the most"
    );
    assert!(each < most, "{each:?} of processor time for each change");
}
