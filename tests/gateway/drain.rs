//! SIGTERM: not ready at once, requests in flight finish, connections are told to go, the end comes in time.

use std::time::Duration;

use gatehouse_tests::{Answer, Client, Gateway, Origin, Setup, ask, frames::Frames, get, http2::Http2, wire::soon};
use tokio::time::Instant;

fn config(origin: &Origin, drain: &str) -> String {
    format!(
        "
        drain: {drain}
        upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
        routes: [{{name: all, upstream: origin}}]
        ",
        origin.url()
    )
}

async fn slow_origin(by: Duration) -> Origin {
    Origin::start(move |request| if request.target() == "/slow" { Answer::ok("slow").delayed(by) } else { Answer::ok("quick") }).await
}

#[tokio::test]
async fn readiness_goes_first_while_requests_are_still_taken() {
    let origin = slow_origin(Duration::ZERO).await;
    let mut gateway = Gateway::start(&config(&origin, "{ready_delay: 1s, deadline: 5s}")).await;
    assert_eq!((gateway.admin("/readyz").await.status, gateway.admin("/livez").await.status), (200, 200));
    gateway.terminate();
    soon("readiness to go", async { while gateway.admin("/readyz").await.status != 503 {} }).await;
    assert_eq!(gateway.admin("/livez").await.status, 200, "it still lives");
    assert_eq!(gateway.get("/").await.status, 200, "balancers that have not noticed yet are served");
    assert_eq!(gateway.wait().await.code(), Some(0));
}

#[tokio::test]
async fn a_request_in_flight_finishes_and_its_connection_ends() {
    let origin = slow_origin(Duration::from_millis(800)).await;
    let mut gateway = Gateway::start(&config(&origin, "{ready_delay: 50ms, deadline: 5s}")).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send(get("/slow").bytes()).await;
    origin.wait_for_hits(1).await;
    gateway.terminate();
    let response = client.response().await;
    assert_eq!((response.status, response.text().as_str()), (200, "slow"), "it was not cut off");
    assert_eq!(response.header("connection"), Some("close"), "and the client knows that it was the last");
    assert_eq!(client.rest().await.0, b"");
    assert_eq!(gateway.wait().await.code(), Some(0), "a drain that finished is a success");
}

#[tokio::test]
async fn idle_connections_end_without_a_word() {
    let origin = slow_origin(Duration::ZERO).await;
    let mut gateway = Gateway::start(&config(&origin, "{ready_delay: 50ms, deadline: 30s}")).await;
    let mut idle = Client::connect(gateway.address()).await;
    assert_eq!(idle.ask(&get("/")).await.status, 200);
    let mut silent = Client::connect(gateway.address()).await;
    let start = Instant::now();
    gateway.terminate();
    assert_eq!(idle.rest().await.0, b"");
    assert_eq!(silent.rest().await.0, b"");
    assert_eq!(gateway.wait().await.code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(5), "nobody waited for the deadline: {:?}", start.elapsed());
}

#[tokio::test]
async fn http_2_connections_are_told_to_go() {
    let origin = slow_origin(Duration::from_millis(800)).await;
    let mut gateway = Gateway::start(&config(&origin, "{ready_delay: 50ms, deadline: 5s}")).await;
    let mut frames = Frames::connect(gateway.address()).await;
    let client = Http2::connect(gateway.address()).await;
    let slow = client.get("/slow");
    let (response, ()) = tokio::join!(slow, async {
        origin.wait_for_hits(1).await;
        gateway.terminate();
    });
    assert_eq!((response.status, response.text().as_str()), (200, "slow"), "the stream in flight finished");
    assert!(client.ended().await, "the connection ended in order");
    assert_eq!(frames.goaway().await, 0, "an idle one is told so, without an error");
    assert_eq!(gateway.wait().await.code(), Some(0));
}

#[tokio::test]
async fn new_connections_find_nobody_after_the_delay() {
    let origin = slow_origin(Duration::from_secs(2)).await;
    let mut gateway = Gateway::start(&config(&origin, "{ready_delay: 50ms, deadline: 5s}")).await;
    let address = gateway.address();
    let slow = tokio::spawn(ask(address, get("/slow")));
    origin.wait_for_hits(1).await;
    gateway.terminate();
    soon("the listener to close", async { while tokio::net::TcpStream::connect(address).await.is_ok() {} }).await;
    assert_eq!(slow.await.expect("the request does not panic").status, 200);
    assert_eq!(gateway.wait().await.code(), Some(0));
}

#[tokio::test]
async fn the_deadline_ends_what_does_not_end_itself() {
    let origin = Origin::start(|_| Answer::silence()).await;
    let mut gateway = Gateway::start(&config(&origin, "{ready_delay: 50ms, deadline: 700ms}")).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send(get("/").bytes()).await;
    origin.wait_for_hits(1).await;
    let start = Instant::now();
    gateway.terminate();
    gateway.wait().await;
    let took = start.elapsed();
    assert!((Duration::from_millis(600)..Duration::from_secs(3)).contains(&took), "the deadline is kept: {took:?}");
}

#[tokio::test]
async fn the_access_log_is_complete_after_a_drain() {
    let origin = slow_origin(Duration::ZERO).await;
    let mut gateway = Setup::new(&config(&origin, "{ready_delay: 50ms, deadline: 5s}")).start().await;
    for _ in 0..200 {
        assert_eq!(gateway.get("/").await.status, 200);
    }
    gateway.terminate();
    gateway.wait().await;
    let lines = std::fs::read_to_string(gateway.access_log_path()).unwrap().lines().count();
    assert_eq!(lines, 200, "no line is lost at the end");
}
