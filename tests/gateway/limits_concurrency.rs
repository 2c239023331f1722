//! The limit on requests under way: exact over all workers, and a place comes back whatever ends the request.

use std::time::{Duration, Instant};

use gatehouse_tests::{Answer, Client, Gateway, Origin, Reload, Setup, get, guests, http2::Http2, http2::head, wire::soon};

const ONE_AT_A_TIME: &str = "{plugin: rate-limit, config: {concurrency: 1, key: route}}";

fn config(origin: &str, chain: &str) -> String {
    let hostile = guests::hostile();
    format!(
        "
        upstreams: [{{name: origin, endpoints: [{{url: \"{origin}\"}}]}}]
        plugins: [{{name: hostile, source: {{file: \"{}\"}}, grants: [log, kv, metrics, rate-limit, http: [origin]]}}]
        routes: [{{name: all, chain: [{chain}], upstream: origin}}]
        ",
        hostile.display()
    )
}

/// An upstream that never answers `/stall`, stops inside the body of `/drip`, breaks `/break` off, and takes its time for `/slow`.
async fn origin() -> Origin {
    Origin::start(|request| match request.target() {
        "/stall" => Answer::silence(),
        "/drip" => Answer::head(200, &[("content-length", "100")]).then_send("half").then_stall(),
        "/break" => Answer::raw("").then_reset(),
        "/slow" => Answer::ok("slow").delayed(Duration::from_millis(30)),
        _ => Answer::ok("quick"),
    })
    .await
}

/// A connection on which a request is under way: the upstream has it.
async fn under_way(gateway: &Gateway, origin: &Origin, target: &str) -> Client {
    let hits = origin.hits();
    let mut client = Client::connect(gateway.address()).await;
    client.send(get(target).bytes()).await;
    origin.wait_for_hits(hits + 1).await;
    client
}

async fn wait_for_a_place(gateway: &Gateway) {
    soon("a place", async { while gateway.get("/").await.status != 200 {} }).await;
}

#[tokio::test]
async fn one_too_many_is_refused_and_told_which_limit_it_was() {
    let origin = origin().await;
    let gateway = Gateway::start(&config(&origin.url(), ONE_AT_A_TIME)).await;
    let _first = under_way(&gateway, &origin, "/stall").await;
    let refused = gateway.get("/").await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("ratelimit-policy"), Some("\"concurrency\";q=1;qu=\"concurrent-requests\""));
    assert_eq!(refused.header("ratelimit"), Some("\"concurrency\";r=0"));
    assert!(["1", "2"].contains(&refused.header("retry-after").expect("429 says when")), "{}", refused.head);
    assert_eq!(refused.json()["violated-policies"], serde_json::json!(["concurrency"]));
    assert_eq!(origin.hits(), 1, "it did not reach the upstream");
}

#[tokio::test]
async fn a_place_is_held_until_the_last_byte_and_no_longer() {
    let origin = origin().await;
    let gateway = Gateway::start(&config(&origin.url(), ONE_AT_A_TIME)).await;
    let mut client = under_way(&gateway, &origin, "/drip").await;
    assert_eq!(client.head().await.status, 200, "the head has come");
    assert_eq!(gateway.get("/").await.status, 429, "the body has not");
    drop(client);
    wait_for_a_place(&gateway).await;
    let mut client = Client::connect(gateway.address()).await;
    for _ in 0..20 {
        assert_eq!(client.ask(&get("/")).await.status, 200, "one after the other, each finds the place free");
    }
}

#[tokio::test]
async fn a_client_that_goes_away_gives_its_place_back() {
    let origin = origin().await;
    let gateway = Gateway::start(&config(&origin.url(), ONE_AT_A_TIME)).await;
    let client = under_way(&gateway, &origin, "/stall").await;
    assert_eq!(gateway.get("/").await.status, 429);
    drop(client);
    wait_for_a_place(&gateway).await;
}

#[tokio::test]
async fn a_stream_of_http_2_that_is_given_up_gives_its_place_back() {
    let origin = origin().await;
    let gateway = Gateway::start(&config(&origin.url(), ONE_AT_A_TIME)).await;
    let client = Http2::connect(gateway.address()).await;
    let waiting = tokio::time::timeout(Duration::from_millis(200), client.try_ask(head("GET", "/stall"), ""));
    assert!(waiting.await.is_err(), "the upstream is silent, and the client loses patience");
    wait_for_a_place(&gateway).await;
    assert_eq!(client.get("/").await.status, 200, "the connection is still there");
}

#[tokio::test]
async fn an_upstream_that_fails_gives_the_place_back() {
    let origin = origin().await;
    let gateway = Gateway::start(&config(&origin.url(), ONE_AT_A_TIME)).await;
    let mut client = Client::connect(gateway.address()).await;
    for _ in 0..3 {
        assert_eq!(client.ask(&get("/break")).await.status, 502, "never a 429");
    }
}

#[tokio::test]
async fn a_plugin_that_faults_gives_the_place_back() {
    let origin = origin().await;
    let gateway = Gateway::start(&config(&origin.url(), &format!("{ONE_AT_A_TIME}, {{plugin: hostile}}"))).await;
    let mut client = Client::connect(gateway.address()).await;
    for mode in ["trap", "err", "response-trap"] {
        assert_eq!(client.ask(&get("/").header("x-mode", mode)).await.status, 503, "{mode}: never a 429");
    }
}

#[tokio::test]
async fn a_reload_neither_frees_a_place_nor_forgets_to() {
    let origin = origin().await;
    let config = config(&origin.url(), ONE_AT_A_TIME);
    let gateway = Gateway::start(&config).await;
    let client = under_way(&gateway, &origin, "/stall").await;
    assert!(matches!(gateway.reload(&config.replace("name: all", "name: all, timeouts: {request: 20s}")).await, Reload::Applied(_)));
    assert_eq!(gateway.get("/").await.status, 429, "the request of the old configuration is still under way");
    drop(client);
    wait_for_a_place(&gateway).await;
}

#[tokio::test]
async fn each_key_has_its_own_places() {
    let origin = origin().await;
    let chain = "{plugin: rate-limit, config: {concurrency: 1, key: \"header:x-tenant\"}}";
    let gateway = Gateway::start(&config(&origin.url(), chain)).await;
    let mut first = Client::connect(gateway.address()).await;
    first.send(get("/stall").header("x-tenant", "a").bytes()).await;
    origin.wait_for_hits(1).await;
    assert_eq!(gateway.ask(get("/").header("x-tenant", "a")).await.status, 429, "a has one under way");
    assert_eq!(gateway.ask(get("/").header("x-tenant", "b")).await.status, 200, "b has none");
}

#[tokio::test]
async fn routes_share_the_places_of_one_name() {
    let origin = origin().await;
    let url = origin.url();
    let gateway = Gateway::start(&format!(
        "
        upstreams: [{{name: origin, endpoints: [{{url: \"{url}\"}}]}}]
        routes:
          - {{name: a, match: [{{path: {{exact: /stall}}}}], chain: [{{plugin: rate-limit, config: {{concurrency: 1, key: route, name: all}}}}], upstream: origin}}
          - {{name: b, match: [{{path: {{exact: /b}}}}], chain: [{{plugin: rate-limit, config: {{concurrency: 1, key: route, name: all}}}}], upstream: origin}}
          - {{name: c, match: [{{path: {{exact: /c}}}}], chain: [{{plugin: rate-limit, config: {{concurrency: 1, key: route}}}}], upstream: origin}}
        "
    ))
    .await;
    let _first = under_way(&gateway, &origin, "/stall").await;
    assert_eq!((gateway.get("/b").await.status, gateway.get("/c").await.status), (429, 200), "the name is the limit");
}

#[tokio::test]
async fn the_limit_is_exact_over_all_workers() {
    let origin = origin().await;
    let chain = "{plugin: rate-limit, config: {concurrency: 3, key: route}}";
    let gateway = Setup::new(&config(&origin.url(), chain)).arguments(&["--workers", "4"]).start().await;
    let began = Instant::now();
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let address = gateway.address();
        clients.spawn(async move {
            let mut client = Client::connect(address).await;
            let mut passed = 0;
            while began.elapsed() < Duration::from_secs(1) {
                passed += u32::from(client.ask(&get("/slow")).await.status == 200);
            }
            passed
        });
    }
    let passed: u32 = clients.join_all().await.into_iter().sum();
    // Each takes 30 ms at least, and three go at a time.
    let most = 3.0 * (began.elapsed().as_secs_f64() / 0.03).ceil();
    assert!(f64::from(passed) <= most, "{passed} passed where {most} fit");
    assert!(passed >= 3, "and somebody always does");
    wait_for_a_place(&gateway).await;
}
