//! Circuit breakers: an upstream that fails is given a rest, which costs callers nothing, and comes back bit by bit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gatehouse_tests::{Answer, Client, Gateway, Origin, Reload, Response, Setup, ask, get, request, wire::eventually};
use serde_json::json;

/// An origin that can be told what to answer, and after how long.
struct Switch {
    origin: Origin,
    status: Arc<AtomicU16>,
    millis: Arc<AtomicU64>,
}

impl Switch {
    async fn start(status: u16) -> Self {
        let (status, millis) = (Arc::new(AtomicU16::new(status)), Arc::new(AtomicU64::new(0)));
        let (now, after) = (Arc::clone(&status), Arc::clone(&millis));
        let script = move |_: &_| {
            let answer = Answer::new(now.load(Ordering::SeqCst), &[], "answer");
            match after.load(Ordering::SeqCst) {
                0 => answer,
                millis => answer.delayed(Duration::from_millis(millis)),
            }
        };
        Self { origin: Origin::start(script).await, status, millis }
    }

    fn answer(&self, status: u16, millis: u64) {
        self.millis.store(millis, Ordering::SeqCst);
        self.status.store(status, Ordering::SeqCst);
    }
}

/// Two routes to one upstream with these settings of its breaker. Each request has one try, so that tries can be counted.
fn config(url: &str, breaker: &str) -> String {
    format!(
        "
        upstreams:
          - name: group
            circuit_breaker: {{{breaker}}}
            retry: {{attempts: 1}}
            timeouts: {{first_byte: 2s}}
            endpoints: [{{url: \"{url}\"}}]
        routes:
          - {{name: other, match: [{{path: {{prefix: /other}}}}], upstream: group}}
          - {{name: all, upstream: group}}
        "
    )
}

/// Fails so often that the circuit opens with its defaults.
async fn open(gateway: &Gateway) {
    for _ in 0..20 {
        assert_eq!(gateway.get("/").await.status, 503);
    }
    assert_state(gateway, "open").await;
}

async fn assert_state(gateway: &Gateway, state: &str) {
    let expected = ["closed", "half_open", "open"].iter().position(|name| *name == state).expect("a state") as f64;
    let value = gateway.metrics().await.sum("gatehouse_circuit_state", &[("upstream", "group")]);
    assert!((value - expected).abs() < 0.1, "{state} is {expected}: {value}");
}

async fn transitions(gateway: &Gateway, to: &str) -> f64 {
    gateway.metrics().await.sum("gatehouse_circuit_transitions_total", &[("upstream", "group"), ("to", to)])
}

fn is_refused(response: &Response) -> bool {
    response.header("x-gatehouse-error") == Some("circuit_open")
}

// === open ===

#[tokio::test]
async fn an_upstream_that_hangs_costs_callers_nothing_once_it_is_open() {
    let origin = Origin::start(|_| Answer::silence()).await;
    let settings = config(&origin.url(), "open: 1m").replace("first_byte: 2s", "first_byte: 300ms");
    let gateway = Setup::new(&settings).one_worker().start().await;
    let began = Instant::now();
    let hanging: Vec<_> = (0..20).map(|_| tokio::spawn(ask(gateway.address(), get("/")))).collect();
    for response in hanging {
        response.await.expect("no panic").assert_problem(504, "upstream_timeout");
    }
    let hung = began.elapsed();

    let mut client = Client::connect(gateway.address()).await;
    // The best of three rounds: whatever else the machine does must not be taken for the gateway.
    let mut p99 = Duration::MAX;
    for _ in 0..3 {
        let mut times = Vec::new();
        for _ in 0..300 {
            let began = Instant::now();
            let response = client.ask(&get("/")).await;
            times.push(began.elapsed());
            response.assert_problem(503, "circuit_open");
            let retry_after: u64 = response.header("retry-after").expect("it says when").parse().expect("whole seconds");
            assert!((40..=72).contains(&retry_after), "a minute, give or take a fifth: {retry_after}");
        }
        times.sort_unstable();
        println!("closed: {hung:?}; open: p50 {:?}, p99 {:?}", times[150], times[297]);
        p99 = p99.min(times[297]);
    }
    assert!(p99 < Duration::from_millis(5), "instead of {hung:?}: {p99:?}");
    assert_eq!(origin.hits(), 20, "it has its rest");

    assert_state(&gateway, "open").await;
    let metrics = gateway.metrics().await;
    let refusals = metrics.sum("gatehouse_upstream_refusals_total", &[("upstream", "group"), ("reason", "circuit_open")]);
    assert!((refusals - 900.0).abs() < 0.1, "each is counted: {refusals}");
    let log = gateway.access_log(920).await;
    let refused = log.last().expect("a line");
    assert_eq!((&refused["flags"], &refused["error"]), (&json!(["CB"]), &json!("circuit_open")), "{refused}");
    assert_eq!((&refused["upstream"], &refused["attempts"]), (&json!("group"), &json!(0)), "{refused}");
}

#[tokio::test]
async fn an_upstream_that_is_gone_opens_too() {
    let gateway = Gateway::start(&config(&format!("http://{}", gatehouse_tests::origin::nobody()), "")).await;
    for _ in 0..20 {
        gateway.get("/").await.assert_problem(502, "upstream_connect");
    }
    gateway.get("/").await.assert_problem(503, "circuit_open");
}

#[tokio::test]
async fn routes_workers_and_revisions_share_a_circuit() {
    let origin = Origin::start(|_| Answer::new(503, &[], "")).await;
    let config = config(&origin.url(), "");
    let gateway = Setup::new(&config).arguments(&["--workers", "4"]).start().await;
    for number in 0..20 {
        gateway.get(if number % 2 == 0 { "/" } else { "/other" }).await;
    }
    for _ in 0..20 {
        gateway.get("/").await.assert_problem(503, "circuit_open");
        gateway.get("/other").await.assert_problem(503, "circuit_open");
    }
    assert!(matches!(gateway.reload(&config.replace("name: all", "name: renamed")).await, Reload::Applied(_)), "{}", gateway.log());
    gateway.get("/").await.assert_problem(503, "circuit_open");
    assert_eq!(origin.hits(), 20, "a reload is no reason to try it");
    let off = config.replace("circuit_breaker: {}", "circuit_breaker: {failure_ratio: 0%}");
    assert!(matches!(gateway.reload(&off).await, Reload::Applied(_)), "{}", gateway.log());
    for _ in 0..30 {
        assert!(!is_refused(&gateway.get("/").await), "there is none");
    }
    assert_eq!(origin.hits(), 50);
}

#[tokio::test]
async fn the_admin_status_shows_it() {
    let origin = Origin::start(|_| Answer::new(503, &[], "")).await;
    let gateway = Gateway::start(&config(&origin.url(), "")).await;
    let shown = async || gateway.api_get("/v1/status").await.json()["upstreams"][0].clone();
    let closed = shown().await;
    assert_eq!((&closed["circuit"], &closed["open_for_seconds"]), (&json!("closed"), &json!(null)), "{closed}");
    open(&gateway).await;
    let opened = shown().await;
    assert_eq!((&opened["circuit"], &opened["in_flight"]), (&json!("open"), &json!(0)), "{opened}");
    assert!(opened["open_for_seconds"].as_f64().is_some_and(|left| (0.0..=6.0).contains(&left)), "{opened}");
}

// === what counts ===

#[tokio::test]
async fn answers_that_are_no_failures_never_open_it() {
    for status in [404, 429, 500] {
        let switch = Switch::start(status).await;
        let gateway = Gateway::start(&config(&switch.origin.url(), "")).await;
        for _ in 0..60 {
            assert_eq!(gateway.get("/").await.status, status);
        }
        assert_state(&gateway, "closed").await;
    }
    let switch = Switch::start(500).await;
    let gateway = Gateway::start(&config(&switch.origin.url(), "count_500: true")).await;
    for _ in 0..20 {
        assert_eq!(gateway.get("/").await.status, 500);
    }
    gateway.get("/").await.assert_problem(503, "circuit_open");
}

#[tokio::test]
async fn what_clients_break_off_never_opens_it() {
    let switch = Switch::start(200).await;
    switch.answer(200, 10_000);
    let gateway = Gateway::start(&config(&switch.origin.url(), "min_requests: 5")).await;
    for round in 1..=10 {
        let mut client = Client::connect(gateway.address()).await;
        client.send(get("/").bytes()).await;
        switch.origin.wait_for_hits(round).await;
        drop(client);
        switch.origin.wait_until_deserted(round).await;
    }
    switch.answer(200, 0);
    for _ in 0..10 {
        let mut client = Client::connect(gateway.address()).await;
        client.send("POST / HTTP/1.1\r\nhost: test.example\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nbroken\r\n").await;
        assert_eq!(client.response().await.status, 400);
    }
    assert_eq!(gateway.get("/").await.status, 200, "it never failed");
    assert_state(&gateway, "closed").await;
}

#[tokio::test]
async fn slow_answers_open_it_where_a_threshold_is_given() {
    let switch = Switch::start(200).await;
    switch.answer(200, 80);
    let gateway = Gateway::start(&config(&switch.origin.url(), "slow_threshold: 50ms, min_requests: 5")).await;
    for _ in 0..5 {
        assert_eq!(gateway.get("/").await.status, 200);
    }
    gateway.get("/").await.assert_problem(503, "circuit_open");
}

#[tokio::test]
async fn plugins_calls_count_and_are_spared() {
    let orders = Origin::start(|_| Answer::new(503, &[], "")).await;
    let config = format!(
        "
        upstreams: [{{name: group, endpoints: [{{url: \"{}\"}}], retry: {{attempts: 1}}}}]
        routes:
          - {{name: direct, match: [{{path: {{prefix: /direct}}}}], upstream: group}}
          - {{name: all, chain: [{{plugin: aggregate, config: {{parts: [{{name: orders, upstream: group, path: /}}]}}}}]}}
        ",
        orders.url()
    );
    let gateway = Gateway::start(&config).await;
    for _ in 0..30 {
        gateway.get("/").await;
    }
    assert_eq!(orders.hits(), 20, "the circuit is the same for calls of plugins");
    gateway.get("/direct").await.assert_problem(503, "circuit_open");
}

// === half-open ===

#[tokio::test]
async fn half_open_lets_only_its_probes_through() {
    let switch = Switch::start(503).await;
    let gateway = Gateway::start(&config(&switch.origin.url(), "open: 500ms, probes: 3, ramp: 0s")).await;
    open(&gateway).await;
    tokio::time::sleep(Duration::from_millis(650)).await;
    switch.answer(200, 1_500);
    let asked: Vec<_> = (0..30).map(|_| tokio::spawn(ask(gateway.address(), get("/")))).collect();
    switch.origin.wait_for_hits(23).await;
    assert_state(&gateway, "half_open").await;
    let mut served = 0;
    for response in asked {
        let response = response.await.expect("no panic");
        match response.status {
            200 => served += 1,
            _ => {
                response.assert_problem(503, "circuit_open");
                assert_eq!(response.header("retry-after"), Some("1"), "it is soon decided");
            }
        }
    }
    assert_eq!((served, switch.origin.hits()), (3, 23), "three of thirty");
    switch.answer(200, 0);
    assert_state(&gateway, "closed").await;
    for _ in 0..20 {
        assert_eq!(gateway.get("/").await.status, 200, "without a ramp, all at once");
    }
    for to in ["open", "half_open", "closed"] {
        assert!((transitions(&gateway, to).await - 1.0).abs() < 0.1, "{to}");
    }
}

#[tokio::test]
async fn one_failed_probe_opens_it_for_twice_as_long() {
    let switch = Switch::start(503).await;
    let gateway = Gateway::start(&config(&switch.origin.url(), "open: 500ms, ramp: 0s")).await;
    open(&gateway).await;
    tokio::time::sleep(Duration::from_millis(650)).await;
    assert!(!is_refused(&gateway.get("/").await), "the probe");
    let failed = Instant::now();
    switch.answer(200, 0);
    let mut refused = 0;
    while is_refused(&gateway.get("/").await) {
        refused += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(failed.elapsed() >= Duration::from_millis(790), "1 s, give or take a fifth: {:?}", failed.elapsed());
    assert!(refused > 10 && switch.origin.hits() == 22, "nothing between the two probes");
}

#[tokio::test]
async fn a_probe_whose_client_goes_away_decides_nothing() {
    let switch = Switch::start(503).await;
    let gateway = Gateway::start(&config(&switch.origin.url(), "open: 500ms, probes: 1, ramp: 0s")).await;
    open(&gateway).await;
    tokio::time::sleep(Duration::from_millis(650)).await;
    switch.answer(200, 1_500);
    let mut client = Client::connect(gateway.address()).await;
    client.send(get("/").bytes()).await;
    switch.origin.wait_for_hits(21).await;
    assert!(is_refused(&gateway.get("/").await), "the only place is taken");
    drop(client);
    switch.origin.wait_until_deserted(1).await;
    assert_state(&gateway, "half_open").await;
    switch.answer(200, 0);
    assert_eq!(gateway.get("/").await.status, 200, "it is given back");
    assert_state(&gateway, "closed").await;
}

#[tokio::test]
async fn a_probe_whose_upload_breaks_off_decides_nothing() {
    let switch = Switch::start(503).await;
    let gateway = Gateway::start(&config(&switch.origin.url(), "open: 500ms, probes: 1, ramp: 0s")).await;
    open(&gateway).await;
    tokio::time::sleep(Duration::from_millis(650)).await;
    switch.answer(200, 0);
    let mut client = Client::connect(gateway.address()).await;
    client.send("POST / HTTP/1.1\r\nhost: test.example\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nbroken\r\n").await;
    assert_eq!(client.response().await.status, 400);
    assert_state(&gateway, "half_open").await;
    assert_eq!(gateway.ask(request("POST", "/").body("whole")).await.status, 200);
    assert_state(&gateway, "closed").await;
}

// === ramp ===

#[tokio::test]
async fn recovery_ramps() {
    let switch = Switch::start(503).await;
    let gateway = Gateway::start(&config(&switch.origin.url(), "open: 500ms, probes: 1, ramp: 4s")).await;
    open(&gateway).await;
    switch.answer(200, 0);
    tokio::time::sleep(Duration::from_millis(650)).await;
    assert_eq!(gateway.get("/").await.status, 200, "the probe");
    let (closed, mut client) = (Instant::now(), Client::connect(gateway.address()).await);
    let mut seconds = [(0.0, 0.0); 5];
    while let Some((asked, served)) = seconds.get_mut(closed.elapsed().as_secs() as usize) {
        let response = client.ask(&get("/")).await;
        assert!(response.status == 200 || is_refused(&response), "{response:?}");
        *asked += 1.0;
        *served += f64::from(u8::from(response.status == 200));
        tokio::time::sleep(Duration::from_millis(4)).await;
    }
    let shares = seconds.map(|(asked, served)| served / asked);
    println!("shares of each second of a ramp of 4 s: {shares:.2?}");
    // The means of what rises from a tenth to all of it; the first second begins with a stretch of a tenth.
    for (share, expected) in shares.into_iter().zip([0.145, 0.375, 0.625, 0.875, 1.0]) {
        assert!((share - expected).abs() < 0.1, "{share:.2} instead of {expected}: {shares:.2?}");
    }
    assert_state(&gateway, "closed").await;
    eventually("the log to say so", || gateway.log().contains("circuit closed")).await;
}
