//! What an upstream may have of the gateway at once: beyond it, requests are refused at once and not queued.

use std::time::Duration;

use gatehouse_tests::{Answer, Client, Gateway, Origin, get, wire::soon};
use serde_json::json;
use tokio::net::{TcpSocket, TcpStream};

fn config(url: &str, caps: &str) -> String {
    format!(
        "
        upstreams:
          - {{name: group, circuit_breaker: {{{caps}}}, endpoints: [{{url: \"{url}\"}}], timeouts: {{connect: 1m}}}}
        routes: [{{name: all, upstream: group}}]
        "
    )
}

async fn refusals(gateway: &Gateway, reason: &str) -> f64 {
    gateway.metrics().await.sum("gatehouse_upstream_refusals_total", &[("upstream", "group"), ("reason", reason)])
}

async fn assert_refused(gateway: &Gateway) {
    let response = gateway.get("/").await;
    response.assert_problem(503, "overloaded");
    assert_eq!(response.header("retry-after"), Some("1"), "it says when to come back");
}

#[tokio::test]
async fn requests_beyond_the_cap_are_refused_and_places_given_back() {
    let origin = Origin::start(|request| match request.target() {
        "/hang" => Answer::silence(),
        "/stall" => Answer::head(200, &[("content-length", "10")]).then_send("begun").then_stall(),
        _ => Answer::ok("served"),
    })
    .await;
    let gateway = Gateway::start(&config(&origin.url(), "max_requests: 2")).await;
    let (mut one, mut two) = (Client::connect(gateway.address()).await, Client::connect(gateway.address()).await);
    one.send(get("/hang").bytes()).await;
    two.send(get("/stall").bytes()).await;
    assert_eq!(two.head().await.status, 200, "an answer counts until it has ended");
    origin.wait_for_hits(2).await;
    assert_refused(&gateway).await;
    assert_eq!(origin.hits(), 2, "the third never reached it");
    assert!((refusals(&gateway, "max_requests").await - 1.0).abs() < 0.1, "it is counted");
    let refused = gateway.access_log(1).await.remove(0);
    assert_eq!((&refused["flags"], &refused["error"]), (&json!(["UO"]), &json!("overloaded")), "{refused}");

    drop((one, two));
    origin.wait_until_deserted(2).await;
    for _ in 0..10 {
        assert_eq!(gateway.get("/").await.text(), "served", "who went away gave its place back");
    }
    let status = gateway.api_get("/v1/status").await.json()["upstreams"][0].clone();
    assert_eq!((&status["in_flight"], &status["pending"]), (&json!(0), &json!(0)), "{status}");
}

/// A listener that takes no more connections: its queue is full, so that the next ones wait.
async fn full() -> (String, tokio::net::TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let listener = socket.listen(1).expect("a listener");
    let address = listener.local_addr().expect("a bound socket has an address");
    let mut waiting = Vec::new();
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
        waiting.push(stream.expect("a place in the queue"));
    }
    (format!("http://{address}"), listener, waiting)
}

#[tokio::test]
async fn only_so_many_wait_for_a_connection() {
    for protocol in ["http1", "h2"] {
        let (url, _listener, _queue) = full().await;
        let gateway =
            Gateway::start(&config(&url, "max_pending: 2").replace("name: group,", &format!("name: group, protocol: {protocol},"))).await;
        // Of two that wait for one connection of HTTP/2, one makes it for both.
        let mut waiting = Vec::new();
        for number in 1..=2 {
            waiting.push(wait_in_line(&gateway).await);
            wait_for_pending(&gateway, number).await;
        }
        assert_refused(&gateway).await;
        assert!((refusals(&gateway, "max_pending").await - 1.0).abs() < 0.1, "{protocol}: it is counted");
        waiting.pop();
        wait_for_pending(&gateway, 1).await;
        let mut next = wait_in_line(&gateway).await;
        assert!(next.is_quiet(Duration::from_millis(200)).await, "{protocol}: it waits in the place that was given back");
        let state = gateway.metrics().await.sum("gatehouse_circuit_state", &[("upstream", "group")]);
        assert!(state < 0.1, "{protocol}: being refused is no failure of the upstream");
        let log = gateway.access_log(1).await;
        assert!(log.iter().any(|line| line["flags"] == json!(["UO"])), "{protocol}: {log:?}");
    }
}

async fn wait_in_line(gateway: &Gateway) -> Client {
    let mut client = Client::connect(gateway.address()).await;
    client.send(get("/").bytes()).await;
    client
}

async fn wait_for_pending(gateway: &Gateway, wanted: u64) {
    soon("so many to wait", async {
        while gateway.api_get("/v1/status").await.json()["upstreams"][0]["pending"] != json!(wanted) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
