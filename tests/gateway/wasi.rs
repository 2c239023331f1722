//! Plugins in ordinary Rust: what a program imports without asking lets it run, and gives it nothing.

use std::collections::HashSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gatehouse_tests::{Gateway, Origin, Response, Setup, get, guests};

/// A gateway with the ordinary plugin on every path, on one worker.
struct House {
    gateway: Gateway,
    _origin: Origin,
}

impl House {
    /// With settings of the plugin, as `isolation: reuse`.
    async fn with(settings: &str) -> Self {
        let origin = Origin::saying("through").await;
        let (url, guest) = (origin.url(), guests::ordinary());
        let config = format!(
            "
            upstreams: [{{name: origin, endpoints: [{{url: \"{url}\"}}]}}]
            plugins: [{{name: ordinary, source: {{file: \"{}\"}}, {settings}}}]
            routes: [{{name: all, chain: [{{plugin: ordinary}}], upstream: origin}}]
            ",
            guest.display()
        );
        Self { gateway: Setup::new(&config).one_worker().start().await, _origin: origin }
    }

    async fn new() -> Self {
        Self::with("isolation: request").await
    }

    async fn play(&self, mode: &str) -> Response {
        self.gateway.ask(get("/aab").header("x-mode", mode)).await
    }

    /// Checks that the plugin does its work.
    async fn assert_works(&self) {
        let response = self.gateway.get("/aab").await;
        assert_eq!((response.status, response.text().as_str()), (200, "through"), "the next request to the plugin works");
    }

    /// The fault of a request that failed, as the log has it.
    async fn fault(&self, response: &Response) -> String {
        let id = response.header("x-request-id").expect("a problem names its request").to_owned();
        self.gateway.wait_for_log("names the fault", |line| line.contains(&id) && line.contains("gatehouse::chain")).await
    }

    /// Waits for a line that the plugin wrote.
    async fn printed(&self, text: &str) -> String {
        self.gateway.wait_for_log(text, |line| line.contains(text) && line.contains("\"plugin\":\"ordinary\"")).await
    }
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.header(name).unwrap_or_else(|| panic!("{name} is there: {}", response.head))
}

#[tokio::test]
async fn ordinary_rust_runs() {
    let house = House::new().await;
    let response = house.gateway.get("/aab").await;
    assert_eq!((response.status, response.text().as_str()), (200, "through"));
    assert_eq!(header(&response, "x-letters"), "(2, ['a'])", "a hash map has its seeds");
    let told: u64 = header(&response, "x-time").parse().expect("seconds");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is past 1970").as_secs();
    assert!(now.abs_diff(told) <= 30, "the wall clock tells the time: {told} and not {now}");
}

#[tokio::test]
async fn a_plugin_finds_nothing_of_the_machine() {
    let house = House::new().await;
    let found = house.play("surroundings").await;
    assert_eq!(found.text(), "variables 0, arguments 0, input Ok(0), files [false, false, false]");
}

#[tokio::test]
async fn randomness_is_random_and_comes_in_measure() {
    let house = House::new().await;
    let mut drawn = HashSet::new();
    for _ in 0..10 {
        let text = house.play("random").await.text();
        assert!(drawn.insert(text.clone()), "no two instances draw the same: {text}");
        let halves: Vec<_> = text.trim_matches(['[', ']']).split("], [").collect();
        assert!(halves.len() == 2 && halves[0] != halves[1], "nor does one twice: {text}");
    }
    let refused = house.play("random-flood").await;
    refused.assert_problem(503, "plugin_trap");
    let fault = house.fault(&refused).await;
    assert!(fault.contains("1048576 random bytes"), "the log says what was too much: {fault}");
    house.assert_works().await;
}

#[tokio::test]
async fn the_monotonic_clock_runs_and_does_not_tell_the_machines_age() {
    let house = House::new().await;
    let told = house.play("clock").await.text();
    let (first, took) = told.split_once(' ').expect("two numbers");
    let (first, took): (u64, u64) = (first.parse().expect("nanoseconds"), took.parse().expect("nanoseconds"));
    assert!(first < 1_000_000_000, "it starts with the first look at it, not with the machine: {first} ns");
    assert!((1..10_000_000_000).contains(&took), "time passed while the guest worked: {took} ns");
}

#[tokio::test]
async fn what_a_plugin_prints_is_logged_with_its_name_and_the_request() {
    let house = House::new().await;
    let response = house.gateway.ask(get("/aab").header("x-request-id", "known")).await;
    assert_eq!(response.status, 200);
    let (out, err) = (house.printed("asked for /aab").await, house.printed("from 127.0.0.1").await);
    assert!(out.contains("\"INFO\""), "stdout informs: {out}");
    assert!(err.contains("\"ERROR\""), "stderr does more: {err}");
    assert_eq!(request_id(&out), request_id(&err), "both are of one request");
    assert_ne!(request_id(&out), Some(""), "which is named");
    house.printed("configured").await;
}

fn request_id(line: &str) -> Option<&str> {
    line.split("\"request_id\":\"").nth(1)?.split('"').next()
}

#[tokio::test]
async fn pieces_of_a_line_are_put_together() {
    let house = House::new().await;
    assert_eq!(house.play("partial").await.status, 200);
    house.printed("no end of from 127.0.0.1").await;
}

#[tokio::test]
async fn what_is_printed_cannot_forge_a_line() {
    let house = House::new().await;
    assert_eq!(house.play("control").await.status, 200);
    let line = house.printed("second").await;
    assert!(line.contains("first"), "both halves stand on one line: {line}");
    assert!(!line.contains(['\u{1b}', '\r']), "control characters are escaped: {line:?}");
}

/// What got through of a flood, in bytes of lines with this word.
async fn flood(mode: &str, word: &str) -> usize {
    let house = House::new().await;
    assert_eq!(house.play(mode).await.status, 200, "the call goes on");
    house.gateway.wait_for_metric("gatehouse_plugin_log_dropped_total", &[("plugin", "ordinary")], |dropped| dropped >= 1.0).await;
    assert_eq!(house.gateway.get("/after").await.status, 200, "the next request to the plugin works");
    // The log is in order: with this line in it, so is all of the flood that will be.
    house.printed("asked for /after").await;
    house.gateway.log().matches(word).count() * word.len()
}

#[tokio::test]
async fn a_flood_of_printed_lines_is_cut_off_and_counted() {
    let through = flood("lines", "of a flood ").await;
    assert!((1..=4096).contains(&through), "{through} bytes of 4 KiB got through");
}

#[tokio::test]
async fn a_line_without_end_is_dropped_and_counted() {
    assert_eq!(flood("line", "endless ").await, 0, "80 kB are no line");
}

#[tokio::test]
async fn the_message_of_a_panic_is_in_the_log() {
    for isolation in ["isolation: request", "isolation: reuse"] {
        let house = House::with(isolation).await;
        let response = house.play("panic").await;
        response.assert_problem(503, "plugin_trap");
        let line = house.printed("the guest lost").await;
        assert_eq!(request_id(&line), response.header("x-request-id"), "with the request: {line}");
        house.printed("its temper").await;
        house.assert_works().await;
    }
}

#[tokio::test]
async fn a_plugin_cannot_exit() {
    let house = House::new().await;
    let response = house.play("exit").await;
    response.assert_problem(503, "plugin_trap");
    let fault = house.fault(&response).await;
    assert!(fault.contains("exit was called"), "the log says what it did: {fault}");
    house.assert_works().await;
}

#[tokio::test]
async fn a_plugin_that_sleeps_does_not_wait_and_meets_its_limits() {
    // The same endless sleep: on host calls where they come first, on CPU time where they do not.
    for (limits, reason) in [("{}", "plugin_trap"), ("{host_calls: 100000000}", "plugin_timeout")] {
        let house = House::with(&format!("isolation: request, limits: {limits}")).await;
        let started = std::time::Instant::now();
        house.play("sleep").await.assert_problem(503, reason);
        assert!(started.elapsed() < Duration::from_secs(1), "not one sleep of a second was slept: {:?}", started.elapsed());
        house.assert_works().await;
    }
}

#[tokio::test]
async fn handles_are_bounded() {
    let house = House::with("isolation: request, limits: {host_calls: 100000000, cpu: 1s}").await;
    let response = house.play("hoard").await;
    response.assert_problem(503, "plugin_trap");
    let fault = house.fault(&response).await;
    assert!(fault.contains("handle"), "the log says what it took too many of: {fault}");
    house.assert_works().await;
}

#[tokio::test]
async fn a_reused_instance_that_leaks_handles_is_replaced() {
    let house = House::with("isolation: reuse").await;
    let served = async |mode| header(&house.play(mode).await, "x-served").to_owned();
    let first = served("none").await;
    assert_eq!((first.as_str(), served("none").await.as_str()), ("1", "2"), "an instance that prints is used again");
    assert_eq!(served("leak").await, "3", "the leak shows after the call");
    assert_eq!(served("none").await, "1", "and then a new instance serves");
}

#[tokio::test]
async fn there_is_no_network() {
    let house = House::new().await;
    let tried = house.play("network").await;
    let denied = "Some(PermissionDenied)";
    assert_eq!(tried.text(), format!("connect {denied}, listen {denied}, send {denied}, resolve false"));
    house.assert_works().await;
}

#[tokio::test]
async fn an_interface_that_is_not_offered_is_refused_by_name() {
    let component = "(component (import \"wasi:http/outgoing-handler@0.2.6\" (instance (export \"handle\" (func (result u32))))))";
    let config = "
        plugins: [{name: caller, source: {file: $DIR/caller.wasm}}]
        upstreams: [{name: origin, endpoints: [{url: \"http://127.0.0.1:9\"}]}]
        routes: [{name: all, chain: [{plugin: caller}], upstream: origin}]
    ";
    let bytes = wat::parse_str(component).expect("a component");
    let (code, written) = Setup::new(config).file("caller.wasm", bytes).start_refused().await;
    assert_ne!(code, Some(0), "the gateway does not start with it");
    assert!(written.contains("wasi:http/outgoing-handler@0.2.6"), "and names the import: {written}");
}
