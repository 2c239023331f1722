//! Answers that come before the request is read: `Expect: 100-continue`, refusals by plugins, hasty origins.

use std::time::Duration;

use gatehouse_tests::{Answer, Client, Gateway, Origin, request};

/// The head of a request that waits for an invitation to send its body.
fn asking(path: &str, expectation: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: test.example\r\ncontent-length: 5\r\nexpect: {expectation}\r\n\r\n")
}

async fn guarded(origin: &Origin) -> Gateway {
    let config = format!(
        "
        upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
        routes:
          - {{name: guarded, match: [{{path: {{prefix: /guarded}}}}], chain: [{{plugin: api-key}}], upstream: origin}}
          - {{name: small, match: [{{path: {{prefix: /small}}}}], max_body: 4, upstream: origin}}
          - {{name: open, upstream: origin}}
        ",
        origin.url()
    );
    Gateway::start(&config).await
}

#[tokio::test]
async fn a_body_is_invited_when_the_chain_lets_it_pass() {
    let origin = Origin::saying("done").await;
    let gateway = guarded(&origin).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send(asking("/open", "100-continue")).await;
    assert_eq!(client.response().await.status, 100, "the body is invited");
    client.send("hello").await;
    assert_eq!(client.response().await.text(), "done");
    assert_eq!(origin.request().body, b"hello");
}

#[tokio::test]
async fn a_refused_body_is_never_invited() {
    let origin = Origin::saying("done").await;
    let gateway = guarded(&origin).await;
    for (path, status) in [("/guarded", 401), ("/small", 413)] {
        let mut client = Client::connect(gateway.address()).await;
        client.send(asking(path, "100-continue")).await;
        let response = client.response().await;
        assert_eq!(response.status, status, "{path}: the final answer comes without an invitation: {}", response.head);
        // A client may send the body all the same. Either the connection ends, or the body is not taken for a request.
        client.try_send("hello").await.ok();
        client.try_send("GET /after HTTP/1.1\r\nhost: test.example\r\nconnection: close\r\n\r\n").await.ok();
        let rest = client.rest().await.0;
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 200"), "{path}: {:?}", String::from_utf8_lossy(&rest));
    }
    let targets: Vec<_> = origin.requests().iter().map(|request| request.target().to_owned()).collect();
    assert!(targets.iter().all(|target| target == "/after"), "what was refused never reached the upstream: {targets:?}");
}

#[tokio::test]
async fn an_upstream_that_invites_is_not_heard_twice() {
    let origin = Origin::start(|_| Answer::ok("done").inviting()).await;
    let gateway = guarded(&origin).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send(asking("/open", "100-continue")).await;
    assert_eq!(client.response().await.status, 100, "one invitation");
    client.send("hello").await;
    assert_eq!(client.response().await.text(), "done", "and then the answer");
}

#[tokio::test]
async fn an_unknown_expectation_fails() {
    let origin = Origin::saying("done").await;
    let gateway = guarded(&origin).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send(asking("/open", "200-ok")).await;
    client.response().await.assert_problem(417, "bad_request");
    assert_eq!(origin.hits(), 0, "nothing reached the upstream");
}

#[tokio::test]
async fn a_refusal_does_not_wait_for_the_body() {
    let origin = Origin::saying("done").await;
    let gateway = guarded(&origin).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send("POST /guarded HTTP/1.1\r\nhost: test.example\r\ncontent-length: 1000000\r\n\r\nbegin").await;
    assert_eq!(client.response().await.status, 401, "the answer is there before the body");
}

#[tokio::test]
async fn a_large_body_that_nobody_wants_does_not_swallow_the_refusal() {
    let origin = Origin::saying("done").await;
    let gateway = guarded(&origin).await;
    for _ in 0..10 {
        let mut client = Client::connect(gateway.address()).await;
        // The gateway may stop reading at any point; what counts is that its answer is not lost in a reset.
        client.try_send(request("POST", "/guarded").body(vec![b'x'; 300_000]).bytes()).await.ok();
        assert_eq!(client.response().await.status, 401);
    }
}

#[tokio::test]
async fn an_answer_before_the_end_of_a_body_is_passed_on() {
    let origin = Origin::start(|_| Answer::new(409, &[], "too soon").without_reading()).await;
    let gateway = guarded(&origin).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send("POST /open HTTP/1.1\r\nhost: test.example\r\ncontent-length: 1000000\r\n\r\nbegin").await;
    let response = client.response().await;
    assert_eq!((response.status, response.text().as_str()), (409, "too soon"), "it does not wait for the rest");
    let (_, _) = client.rest().await;
}

#[tokio::test]
async fn a_connection_with_half_a_body_on_it_is_not_used_again() {
    let origin = Origin::start(|request| match request.target() {
        "/open/early" => Answer::new(409, &[], "too soon").without_reading().then_wait(Duration::from_millis(200)),
        _ => Answer::ok("done"),
    })
    .await;
    let gateway = guarded(&origin).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send("POST /open/early HTTP/1.1\r\nhost: test.example\r\ncontent-length: 1000000\r\n\r\nbegin").await;
    assert_eq!(client.response().await.status, 409);
    drop(client);
    assert_eq!(gateway.get("/open/next").await.text(), "done");
    let requests = origin.requests();
    assert_ne!(requests[0].connection, requests[1].connection, "the upstream connection was given up");
}
