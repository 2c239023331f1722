//! What outlives a request: shared data, queues, ticks, metrics.

use gatehouse_tests::{Origin, Setup, get};

use super::house::{self, House};

#[tokio::test]
async fn data_is_shared_by_all_instances() {
    let (origin, side) = (Origin::saying("through").await, Origin::saying("").await);
    let config = house::config("probe", "", "", &origin, &side);
    let gateway = Setup::new(&config).arguments(&["--workers", "2"]).start().await;
    for _ in 0..20 {
        gateway.ask(get("/").header("x-mode", "count")).await;
    }
    let mut counts: Vec<u32> = origin.requests().iter().filter_map(|request| request.header("x-count")?.parse().ok()).collect();
    counts.sort_unstable();
    assert_eq!(counts, (1..=20).collect::<Vec<_>>(), "no count is lost, and none is told twice");
}

#[tokio::test]
async fn shared_data_has_a_quota() {
    let house = House::with("probe").await;
    house.play("fill").await.assert_problem(503, "plugin_trap");
    house.said("unexpected status: 10").await;
    house.assert_works().await;
}

#[tokio::test]
async fn a_filter_ticks_and_hears_of_its_queue() {
    let house = House::configured("probe", "", "config: tick").await;
    for _ in 0..1_000 {
        let heard = house.gateway.ask(get("/").header("x-mode", "shared").header("x-key", "heard")).await;
        if heard.text() == "tick" {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("it hears of what its ticks put into the queue");
}

#[tokio::test]
async fn a_filter_measures() {
    let house = House::with("probe").await;
    house.play("measure").await;
    house.play("measure").await;
    assert_eq!(house.origin.requests()[0].header("x-level").as_deref(), Some("4"), "it reads its own gauge");
    let labels = [("plugin", "filter")];
    house.gateway.wait_for_metric("gatehouse_plugin_probe_requests_total", &labels, |count| count == 4.0).await;
    let metrics = house.gateway.metrics().await;
    assert_eq!(metrics.sum("gatehouse_plugin_probe_level", &labels), 4.0);
    assert_eq!(metrics.sum("gatehouse_plugin_probe_sizes_count", &labels), 2.0);
}

#[tokio::test]
async fn what_was_not_granted_is_not_had() {
    let house = House::configured("probe", "grants: []", "").await;
    house.assert_works().await;
    house.play("count").await.assert_problem(503, "plugin_trap");
    house.play("logged").await;
    house.assert_works().await;
    assert!(!house.gateway.log().contains("over: "), "no line in the log");
}
