//! What a plugin does with what it was lent: quotas, floods, upstreams it may not call, calls it never ends.

use std::time::Duration;

use gatehouse_tests::{Client, Origin, Reload, Setup, gateway::plain};

use super::{House, config, provocation};

#[tokio::test]
async fn a_store_has_a_quota() {
    let house = House::new().await;
    let response = house.provoke("kv-flood").await;
    // 1 MiB holds 15 entries of 64 KiB, each with its key and 64 bytes.
    assert_eq!(response.text(), "quota after 15", "the guest met its quota");
    house.assert_works().await;
}

#[tokio::test]
async fn a_log_flood_is_cut_off_and_counted() {
    let house = House::new().await;
    let response = house.provoke("log-flood").await;
    assert_eq!((response.status, response.text().as_str()), (200, "200 lines logged"), "the call goes on");
    house.gateway.wait_for_log("of the flood", |line| line.contains("flood flood")).await;
    house.gateway.wait_for_metric("gatehouse_plugin_log_dropped_total", &[("plugin", "hostile")], |dropped| dropped >= 196.0).await;
    let log = house.gateway.log();
    let flooded: usize = log.lines().filter(|line| line.contains("flood flood")).map(|line| line.matches("flood ").count() * 6).sum();
    assert!(flooded <= 4096, "{flooded} bytes of 4 KiB got through");
    house.assert_works().await;
}

#[tokio::test]
async fn a_line_for_the_log_cannot_forge_another() {
    let house = House::new().await;
    assert_eq!(house.provoke("log-control").await.status, 200);
    let line = house.gateway.wait_for_log("of the guest", |line| line.contains("forged line")).await;
    assert!(line.contains("first"), "both halves stand on one line: {line}");
    assert!(!line.contains(['\u{1b}', '\u{0}', '\r']), "control characters are escaped: {line:?}");
    assert!(line.contains("hostile"), "and the plugin is named: {line}");
}

#[tokio::test]
async fn a_flood_of_series_is_folded_into_one() {
    let house = House::new().await;
    assert_eq!(house.provoke("metric-flood").await.status, 200);
    house.gateway.wait_for_metric("gatehouse_plugin_flood_total", &[("plugin", "hostile")], |sum| sum == 900.0).await;
    let metrics = house.gateway.metrics().await;
    let series = metrics.select("gatehouse_plugin_flood_total", &[]).count();
    assert!(series <= 257, "{series} series where 256 and `other` are allowed");
    assert!(metrics.sum("gatehouse_plugin_flood_total", &[("number", "other")]) > 0.0, "the rest is counted together");
}

#[tokio::test]
async fn only_granted_upstreams_can_be_called() {
    let house = House::new().await;
    assert_eq!(house.provoke("fetch").await.text(), "200 fetched", "a granted one can");
    assert_eq!(house.provoke("fetch-ungranted").await.text(), "denied", "another cannot");
    assert_eq!(house.provoke("fetch-forged").await.text(), "bad-request", "a split header is not sent");
    assert_eq!(house.origin.hits(), 1, "one call reached an upstream");
}

#[tokio::test]
async fn charges_out_of_bounds_end_the_call_and_charge_nothing() {
    let house = House::new().await;
    assert_eq!(house.provoke("charges").await.text(), "99,99", "two buckets, told apart by their place in the list");
    house.provoke("charge-many").await.assert_problem(503, "plugin_trap");
    house.provoke("charge-nonsense").await.assert_problem(503, "plugin_trap");
    house.assert_works().await;
    assert_eq!(house.provoke("charges").await.text(), "98,98", "neither took anything from the first");
}

#[tokio::test]
async fn a_trap_gives_back_the_place_that_was_taken_before_it() {
    let house = House::new().await;
    for _ in 0..3 {
        house.provoke("enter-and-trap").await.assert_problem(503, "plugin_trap");
        house.assert_works().await;
    }
}

#[tokio::test]
async fn a_call_ends_at_the_time_it_was_given() {
    let house = House::new().await;
    assert_eq!(house.provoke("fetch-timeout").await.text(), "timeout", "the guest learns of it");
    house.stalled.wait_until_deserted(1).await;
}

#[tokio::test]
async fn a_held_call_ends_with_the_client_that_waits_for_it() {
    let house = House::with("isolation: request, limits: {wall: 60s}").await;
    let mut client = Client::connect(house.gateway.address()).await;
    client.send(provocation("fetch-stalled").bytes()).await;
    house.stalled.wait_for_hits(1).await;
    drop(client);
    house.stalled.wait_until_deserted(1).await;
    house.assert_works().await;
}

#[tokio::test]
async fn held_calls_end_at_the_wall_limit_and_free_their_instances() {
    let house = House::with("isolation: request, limits: {wall: 300ms, instances: 4}").await;
    for _ in 0..3 {
        let answers = tokio::join!(house.provoke("fetch-stalled"), house.provoke("fetch-stalled"), house.provoke("fetch-stalled"));
        for answer in [answers.0, answers.1, answers.2] {
            answer.assert_problem(503, "plugin_timeout");
        }
        house.assert_works().await;
    }
}

#[tokio::test]
async fn more_instances_than_allowed_are_not_made() {
    let house = House::with("isolation: request, limits: {wall: 10s, instances: 2}").await;
    let mut holders = Vec::new();
    for held in 1..=2 {
        let mut client = Client::connect(house.gateway.address()).await;
        client.send(provocation("fetch-stalled").bytes()).await;
        house.stalled.wait_for_hits(held).await;
        holders.push(client);
    }
    let mut waiting = Client::connect(house.gateway.address()).await;
    waiting.send(provocation("fetch-stalled").bytes()).await;
    assert!(waiting.is_quiet(Duration::from_millis(500)).await, "a third request waits");
    assert_eq!(house.stalled.hits(), 2, "and no third instance was made for it");
    assert_eq!(house.gateway.get("/neighbour").await.status, 200, "routes without the plugin do not care");
    drop(holders);
    house.stalled.wait_for_hits(3).await;
    drop(waiting);
    house.stalled.wait_until_deserted(3).await;
    house.assert_works().await;
}

#[tokio::test]
async fn an_import_that_was_not_granted_is_refused_by_name() {
    let (origin, stalled) = (Origin::saying("through").await, Origin::saying("").await);
    let ungranted = config(&origin, &stalled, "grants: [log, metrics, rate-limit, http: [origin]]", "{}");
    let (code, text) = Setup::new(&ungranted).start_refused().await;
    assert_eq!(code, Some(78), "a config that cannot be served ends the start: {text}");
    assert!(text.contains("hostile") && text.contains("kv"), "the plugin and the import are named: {text}");

    let gateway = Setup::new(&plain(&origin.url())).start().await;
    assert_eq!(gateway.reload(&ungranted).await, Reload::Rejected, "a running gateway refuses it");
    let line = gateway.wait_for_log("of the refusal", |line| line.contains("kv") && line.contains("hostile")).await;
    assert!(line.contains("grant"), "it says what is missing: {line}");
    assert_eq!(gateway.get("/").await.text(), "through", "and serves on");
}

#[tokio::test]
async fn a_guest_that_misbehaves_while_it_is_configured_is_refused() {
    let (origin, stalled) = (Origin::saying("through").await, Origin::saying("").await);
    for (mode, said) in
        [("err", "this configuration is refused"), ("trap", "hostile"), ("loop", "hostile"), ("memory", "hostile"), ("stack", "hostile")]
    {
        let config = config(&origin, &stalled, "isolation: request", &format!("{{configure: {mode}}}"));
        let (code, text) = Setup::new(&config).start_refused().await;
        assert_eq!(code, Some(78), "{mode} ends the start: {text}");
        assert!(text.contains(said) && text.contains("hostile"), "{mode} is explained: {text}");
    }
}

#[tokio::test]
async fn what_is_no_component_is_refused_with_a_reason() {
    #[track_caller]
    fn check(text: &str, said: &str) {
        assert!(text.contains("broken") && text.contains(said), "the plugin is named, and {said:?} is the reason: {text}");
    }
    let origin = Origin::saying("through").await;
    let config = format!(
        "
        upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
        plugins: [{{name: broken, source: {{file: $DIR/broken.wasm}}}}]
        routes: [{{name: all, chain: [{{plugin: broken}}], upstream: origin}}]
        ",
        origin.url()
    );
    let whole = std::fs::read(gatehouse_tests::guests::hostile()).unwrap();
    let cases: [(&[u8], &str); 5] = [
        (b"\0asm\x01\0\0\0", "core module"),
        (b"\x7fELF\x02\x01\x01", "machine code"),
        (b"", "component"),
        (&whole[..whole.len() / 2], "broken"),
        (b"(component)", "text"),
    ];
    for (bytes, said) in cases {
        let (code, text) = Setup::new(&config).file("broken.wasm", bytes).start_refused().await;
        assert_eq!(code, Some(78), "{text}");
        check(&text, said);
    }
    let (code, text) = Setup::new(&config).start_refused().await;
    assert_eq!(code, Some(78), "a file that is not there is a config error: {text}");
    check(&text, "broken.wasm");
}
