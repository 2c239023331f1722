//! What a misbehaving plugin costs the others on its worker: nothing but its own limits.

use std::{sync::Arc, time::Duration};

use gatehouse_tests::{Client, get, latency::Latencies};
use tokio::{sync::Mutex, task::JoinSet};

use super::{House, provocation};

/// What every other request may take at the 99th percentile while four connections provoke the plugin. Each of the
/// four may hold the worker for its CPU limit of 10 ms and a tick; the rest is room for a busy machine.
const BOUND: Duration = Duration::from_millis(150);

/// Only one of these measures at a time, so that they do not measure each other.
static MEASURING: Mutex<()> = Mutex::const_new(());

async fn check(mode: &str) {
    let _alone = MEASURING.lock().await;
    let house = Arc::new(House::new().await);
    let mut provokers = JoinSet::new();
    for _ in 0..4 {
        provokers.spawn(provoke_on(house.clone(), mode.to_owned()));
    }
    let latencies = Latencies::measure(house.gateway.address(), &get("/neighbour"), Duration::from_secs(2)).await;
    // They go on for ever, so one that has ended has met something it did not expect.
    if let Some(ended) = provokers.try_join_next() {
        ended.expect("the provokers see what they should");
    }
    let p99 = latencies.percentile(99);
    assert!(p99 < BOUND, "{mode}: p99 of {} requests beside it was {p99:?}", latencies.count());
    house.gateway.wait_for_metric("gatehouse_plugin_faults_total", &[("plugin", "hostile")], |faults| faults >= 4.0).await;
}

/// Misbehaves on one connection without end, with enough good requests between that the breaker stays closed.
async fn provoke_on(house: Arc<House>, mode: String) {
    let mut client = Client::connect(house.gateway.address()).await;
    loop {
        assert_eq!(client.ask(&provocation(&mode)).await.status, 503, "{mode} is a fault");
        for _ in 0..3 {
            assert_eq!(client.ask(&get("/hostile")).await.status, 200, "the next request works");
        }
    }
}

#[tokio::test]
async fn an_endless_loop_does_not_stall_the_worker() {
    check("loop").await;
}

#[tokio::test]
async fn a_memory_bomb_does_not_stall_the_worker() {
    check("memory-touched").await;
}

#[tokio::test]
async fn a_stack_overflow_does_not_stall_the_worker() {
    check("stack").await;
}

#[tokio::test]
async fn endless_host_calls_do_not_stall_the_worker() {
    check("host-calls").await;
}

#[tokio::test]
async fn a_held_fetch_does_not_stall_the_worker() {
    check("fetch-stalled").await;
}

#[tokio::test]
async fn a_huge_reply_does_not_stall_the_worker() {
    check("huge-reply").await;
}

#[tokio::test]
async fn a_trap_does_not_stall_the_worker() {
    check("trap").await;
}
