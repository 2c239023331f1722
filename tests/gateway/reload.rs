//! New configs: whole or not at all, without losing a request or memory.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use gatehouse_tests::{Client, Gateway, Origin, Reload, Setup, gateway::plain, get, wire::soon};
use tokio::task::JoinSet;

/// A config whose one route answers with a text.
fn saying(text: &str) -> String {
    format!("routes: [{{name: all, chain: [{{plugin: mock, config: {{body: \"{text}\"}}}}]}}]\n")
}

#[tokio::test]
async fn a_new_config_takes_over() {
    let gateway = Gateway::start(&saying("old")).await;
    assert_eq!(gateway.get("/").await.text(), "old");
    let Reload::Applied(revision) = gateway.reload(&saying("new")).await else { panic!("it is taken: {}", gateway.log()) };
    assert!(revision >= 2, "the first was revision 1");
    assert_eq!(gateway.get("/").await.text(), "new");
}

#[tokio::test]
async fn a_changed_file_is_noticed_without_a_signal() {
    let gateway = Gateway::start(&saying("old")).await;
    gateway.write(&saying("new"));
    // Seldom enough that the folder, which holds the access log as well, is quiet between two looks.
    let look = async {
        while gateway.get("/").await.text() != "new" {
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
    };
    soon("the file to be noticed", look).await;
}

#[tokio::test]
async fn a_change_is_noticed_in_a_folder_that_is_never_quiet() {
    let gateway = Gateway::start(&saying("old")).await;
    gateway.write(&saying("new"));
    // Each look writes a line of the access log, which lies in the folder of the config.
    soon("the file to be noticed", async { while gateway.get("/").await.text() != "new" {} }).await;
}

#[tokio::test]
async fn a_kept_connection_sees_the_new_config() {
    let gateway = Gateway::start(&saying("old")).await;
    let mut client = Client::connect(gateway.address()).await;
    assert_eq!(client.ask(&get("/")).await.text(), "old");
    assert!(matches!(gateway.reload(&saying("new")).await, Reload::Applied(_)));
    assert_eq!(client.ask(&get("/")).await.text(), "new", "a snapshot is pinned for a request, not for a connection");
}

#[tokio::test]
async fn a_bad_config_changes_nothing_and_says_why() {
    let gateway = Gateway::start(&saying("old")).await;
    for (bad, said) in [
        ("routes: [{name: all, upstream: missing}]", "missing"),
        ("routes: [{name: all, chain: [{plugin: mokc}]}]", "mokc"),
        ("routes: [{name: all, chain: [{plugin: mock, config: {status: 99}}]}]", "99"),
        ("rotues: []", "rotues"),
        ("routes: [", "gatehouse.yaml"),
        ("plugins: [{name: x, source: {file: nowhere.wasm}}]\nroutes: [{name: all, chain: [{plugin: x}]}]", "nowhere.wasm"),
    ] {
        assert_eq!(gateway.reload(bad).await, Reload::Rejected, "{bad}");
        gateway.wait_for_log("says what is wrong", |line| line.contains(said)).await;
        assert_eq!(gateway.get("/").await.text(), "old", "{bad}: the last good one is served on");
        assert_eq!(gateway.admin("/readyz").await.status, 200, "{bad}: and the gateway stays ready");
    }
    assert!(matches!(gateway.reload(&saying("better")).await, Reload::Applied(_)), "a good one is taken after that");
    assert_eq!(gateway.get("/").await.text(), "better");
}

#[tokio::test]
async fn nothing_of_a_bad_config_is_applied() {
    let gateway = Gateway::start(&saying("old")).await;
    let half = "routes:\n  - {name: all, chain: [{plugin: mock, config: {body: new}}]}\n  - {name: bad, upstream: missing}\n";
    assert_eq!(gateway.reload(half).await, Reload::Rejected);
    assert_eq!(gateway.get("/").await.text(), "old", "whole or not at all");
}

#[tokio::test]
async fn a_request_in_flight_finishes_on_the_config_it_began_with() {
    let origin = Origin::start(|_| gatehouse_tests::Answer::ok("slow").delayed(Duration::from_millis(700))).await;
    let marked = |mark: &str| {
        format!(
            "
            upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
            routes:
              - name: all
                chain: [{{plugin: transform, config: {{response: {{headers: {{set: {{x-config: {mark}}}}}}}}}}}]
                upstream: origin
            ",
            origin.url()
        )
    };
    let gateway = Gateway::start(&marked("old")).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send(get("/").bytes()).await;
    origin.wait_for_hits(1).await;
    assert!(matches!(gateway.reload(&marked("new")).await, Reload::Applied(_)));
    assert_eq!(client.response().await.header("x-config"), Some("old"));
    assert_eq!(gateway.get("/").await.header("x-config"), Some("new"));
}

#[tokio::test]
async fn a_reload_under_load_loses_no_request() {
    let origin = Origin::saying("through").await;
    let gateway = Setup::new(&plain(&origin.url())).start().await;
    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut clients = JoinSet::new();
    for number in 0..8 {
        let keep_alive = number % 2 == 0;
        clients.spawn(load(gateway.address(), keep_alive, stop.clone(), served.clone()));
    }
    let mut round = 0;
    while round < 20 || served.load(Ordering::Relaxed) < 500 {
        round += 1;
        let extra = format!("  - {{name: extra-{round}, match: [{{path: {{exact: /extra/{round}}}}}], chain: [{{plugin: mock}}]}}\n");
        let reload = gateway.reload(&format!("{}{extra}", plain(&origin.url()))).await;
        assert!(matches!(reload, Reload::Applied(_)), "each is taken: {}", gateway.log());
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(client) = clients.join_next().await {
        client.expect("no request was lost");
    }
    let served = served.load(Ordering::Relaxed);
    assert_eq!(origin.hits(), served, "each arrived once");
}

async fn load(address: std::net::SocketAddr, keep_alive: bool, stop: Arc<AtomicBool>, served: Arc<AtomicUsize>) {
    let mut client = Client::connect(address).await;
    while !stop.load(Ordering::Relaxed) {
        if !keep_alive {
            client = Client::connect(address).await;
        }
        let response = client.ask(&get("/load")).await;
        assert_eq!(response.text(), "through", "{}", response.head);
        served.fetch_add(1, Ordering::Relaxed);
    }
}

/// The whole chain is rebuilt each time: two plugins with a new configuration, a new route, a new upstream.
fn round(number: usize, origin: &Origin) -> String {
    format!(
        "
        upstreams: [{{name: origin-{number}, endpoints: [{{url: \"{}\"}}]}}]
        routes:
          - name: route-{number}
            chain:
              - {{plugin: request-id}}
              - {{plugin: transform, config: {{request: {{headers: {{set: {{x-round: \"{number}\"}}}}}}}}}}
            upstream: origin-{number}
        ",
        origin.url()
    )
}

#[tokio::test]
async fn a_thousand_reloads_leave_memory_flat() {
    let origin = Origin::saying("through").await;
    let gateway = Setup::new(&round(0, &origin)).one_worker().start().await;
    let reload = async |number: usize| {
        assert!(matches!(gateway.reload(&round(number, &origin)).await, Reload::Applied(_)), "round {number}: {}", gateway.log());
        assert_eq!(gateway.get("/").await.status, 200, "round {number} serves");
    };
    // Pools, caches and allocators fill up over the first rounds.
    for number in 1..=200 {
        reload(number).await;
    }
    let before = gateway.rss();
    for number in 201..=1200 {
        reload(number).await;
    }
    let (after, limit) = (gateway.rss(), before + before / 10);
    assert!(after <= limit, "1,000 reloads took the gateway from {} to {} KiB", before >> 10, after >> 10);
}

#[tokio::test]
async fn buckets_survive_a_reload() {
    let limited = |mark: &str| {
        format!(
            "routes: [{{name: all, chain: [{{plugin: rate-limit, config: {{rate: 0.001, burst: 3}}}}, {{plugin: mock, config: {{body: {mark}}}}}]}}]"
        )
    };
    let gateway = Gateway::start(&limited("old")).await;
    for _ in 0..3 {
        assert_eq!(gateway.get("/").await.status, 200);
    }
    assert_eq!(gateway.get("/").await.status, 429, "the bucket is empty");
    assert!(matches!(gateway.reload(&limited("new")).await, Reload::Applied(_)));
    assert_eq!(gateway.get("/").await.status, 429, "and a reload does not fill it");
}
