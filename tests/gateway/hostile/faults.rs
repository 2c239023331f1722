//! Calls that end badly: which reason the client reads, what the log and the metrics say, what `on_error` does.

use std::time::{Duration, Instant};

use gatehouse_tests::{Origin, Setup, get, guests, request};

use super::{House, config};

/// What a plugin can do to end its own call, and the reason that the gateway gives.
const FAULTS: [(&str, &str); 9] = [
    ("loop", "plugin_timeout"),
    ("trap", "plugin_trap"),
    ("panic", "plugin_trap"),
    ("stack", "plugin_trap"),
    ("err", "plugin_trap"),
    ("memory", "plugin_memory"),
    ("host-calls", "plugin_trap"),
    ("fetch-stalled", "plugin_timeout"),
    ("fetch-many", "plugin_trap"),
];

async fn check_faults(isolation: &str) {
    let house = House::with(isolation).await;
    for (mode, reason) in FAULTS {
        let started = Instant::now();
        let response = house.provoke(mode).await;
        response.assert_problem(503, reason);
        assert!(started.elapsed() < Duration::from_secs(5), "{mode} was ended after {:?}", started.elapsed());
        house.assert_works().await;
        let id = response.header("x-request-id").expect("a problem names its request").to_owned();
        let line = house.gateway.wait_for_log("names the plugin and the request", |line| line.contains(&id)).await;
        assert!(line.contains("hostile"), "the log blames the plugin: {line}");
    }
    assert_faults_counted(&house).await;
    let through = house.origin.requests().iter().filter(|request| request.target() == "/hostile").count();
    assert_eq!(through, FAULTS.len() * 3, "no request reached the upstream past a plugin that faulted");
}

async fn assert_faults_counted(house: &House) {
    let metrics = house.gateway.metrics().await;
    let counted = |labels: &[(&str, &str)]| metrics.sum("gatehouse_plugin_faults_total", &[&[("plugin", "hostile")], labels].concat());
    let expected = |reason: &str| FAULTS.iter().filter(|(_, fault)| *fault == reason).count() as f64;
    // What is a trap to the client is told apart here: a guest's own error, a value that is not allowed.
    assert_eq!(counted(&[]), FAULTS.len() as f64, "every fault is counted");
    assert_eq!(counted(&[("reason", "timeout")]), expected("plugin_timeout"), "by its reason");
    assert_eq!(counted(&[("reason", "memory")]), expected("plugin_memory"), "by its reason");
}

#[tokio::test]
async fn a_fault_is_answered_by_its_reason_and_the_plugin_works_on() {
    check_faults("isolation: request").await;
}

#[tokio::test]
async fn a_fault_leaves_no_trace_in_reused_instances() {
    check_faults("isolation: reuse").await;
}

#[tokio::test]
async fn a_faulting_plugin_is_passed_over_where_the_config_says_skip() {
    let house = House::with("isolation: request, on_error: skip").await;
    for (mode, _) in FAULTS {
        let response = house.provoke(mode).await;
        assert_eq!((response.status, response.text().as_str()), (200, "through"), "{mode} is passed over");
        house.assert_works().await;
    }
    assert_faults_counted(&house).await;
}

#[tokio::test]
async fn a_fault_on_the_way_back_is_answered_like_one_on_the_way_in() {
    let house = House::new().await;
    for (mode, reason) in [("trap", "plugin_trap"), ("loop", "plugin_timeout"), ("memory", "plugin_memory"), ("err", "plugin_trap")] {
        house.provoke(&format!("response-{mode}")).await.assert_problem(503, reason);
        house.assert_works().await;
    }
}

#[tokio::test]
async fn a_fault_on_the_way_back_is_passed_over_where_the_config_says_skip() {
    let house = House::with("isolation: request, on_error: skip").await;
    for mode in ["trap", "loop", "memory", "err"] {
        let response = house.provoke(&format!("response-{mode}")).await;
        assert_eq!((response.status, response.text().as_str()), (200, "through"), "{mode} is passed over");
        house.assert_works().await;
    }
}

#[tokio::test]
async fn a_trap_inside_a_streamed_body_ends_the_request() {
    let (origin, stalled) = (Origin::saying("through").await, Origin::saying("").await);
    let gateway = Setup::new(&config(&origin, &stalled, "isolation: request", "{body: streamed}")).one_worker().start().await;
    let good = gateway.ask(request("POST", "/hostile").chunks(&[b"good", b"better"])).await;
    assert_eq!((good.status, good.text().as_str()), (200, "through"), "a good body passes");
    assert_eq!(origin.request().body, b"goodbetter", "as it was");
    gateway.ask(request("POST", "/hostile").chunks(&[b"trap"])).await.assert_problem(503, "plugin_trap");
    assert!(origin.requests().iter().skip(1).all(|request| !request.whole), "no whole request came of the broken one");
}

#[tokio::test]
async fn a_plugin_that_keeps_faulting_is_suspended_and_comes_back() {
    let house = House::new().await;
    for _ in 0..20 {
        house.provoke("trap").await.assert_problem(503, "plugin_trap");
    }
    house.provoke("trap").await.assert_problem(503, "plugin_unavailable");
    assert_eq!(house.gateway.get("/neighbour").await.status, 200, "routes without it do not care");
    let recovered = async {
        while house.gateway.get("/hostile").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    gatehouse_tests::wire::soon("the suspended plugin to be tried again", recovered).await;
    house.assert_works().await;
}

#[tokio::test]
async fn a_table_bomb_is_stopped_at_its_limit() {
    let origin = Origin::saying("through").await;
    let config = format!(
        "
        upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
        plugins: [{{name: bomb, source: {{file: $DIR/bomb.wasm}}}}]
        routes: [{{name: all, chain: [{{plugin: bomb}}], upstream: origin}}]
        ",
        origin.url()
    );
    let gateway = Setup::new(&config).file("bomb.wasm", guests::table_bomb()).one_worker().start().await;
    for _ in 0..5 {
        gateway.ask(get("/").header("x-mode", "bomb")).await.assert_problem(503, "plugin_memory");
        assert_eq!(gateway.get("/").await.text(), "through", "the next request works");
    }
}

#[tokio::test]
async fn memory_bombs_leave_the_gateway_small() {
    let house = House::with("isolation: request, limits: {memory: 32MiB, cpu: 500ms}").await;
    house.provoke("memory-touched").await.assert_problem(503, "plugin_memory");
    house.assert_works().await;
    let before = house.gateway.rss();
    for _ in 0..30 {
        house.provoke("memory-touched").await.assert_problem(503, "plugin_memory");
        house.assert_works().await;
    }
    let grown = house.gateway.rss().saturating_sub(before);
    assert!(grown < 64 << 20, "30 bombs of 32 MiB left {} MiB behind", grown >> 20);
}
