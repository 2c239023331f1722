//! Limits and time: how large, how long, and which reason is given when it was too much.

use std::time::Duration;

use gatehouse_tests::{Answer, Client, Gateway, Origin, get, origin::nobody, request};
use tokio::time::Instant;

/// A gateway whose upstream has little time, and a route that takes little.
async fn hasty(origin_url: &str) -> Gateway {
    let config = format!(
        "
        listeners: [{{name: public, address: \"127.0.0.1:0\", limits: {{body: 1KiB}}, timeouts: {{body: 400ms}}}}]
        upstreams:
          - name: origin
            endpoints: [{{url: \"{origin_url}\"}}]
            timeouts: {{connect: 300ms, first_byte: 300ms, request: 5s, idle: 500ms}}
        routes:
          - {{name: all, upstream: origin}}
          - {{name: larger, match: [{{path: {{prefix: /larger}}}}], max_body: 4KiB, upstream: origin}}
          - {{name: whole, match: [{{path: {{prefix: /whole}}}}], timeouts: {{request: 700ms}}, upstream: origin}}
        "
    );
    Gateway::start(&config).await
}

#[tokio::test]
async fn a_declared_body_that_is_too_large_is_refused_before_it_is_sent() {
    let origin = Origin::saying("through").await;
    let gateway = hasty(&origin.url()).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1025\r\n\r\n").await;
    client.response().await.assert_problem(413, "body_too_large");
    assert_eq!(origin.hits(), 0, "nothing was forwarded");
    assert_eq!(gateway.ask(request("POST", "/").body(vec![b'a'; 1024])).await.status, 200, "the limit itself passes");
}

#[tokio::test]
async fn a_body_in_chunks_that_grows_too_large_is_cut_off() {
    let origin = Origin::saying("through").await;
    let gateway = hasty(&origin.url()).await;
    let chunk: &[u8] = &[b'a'; 300];
    gateway.ask(request("POST", "/").chunks(&[chunk; 4])).await.assert_problem(413, "body_too_large");
    assert!(origin.requests().iter().all(|request| !request.whole), "no whole request arrived");
    assert_eq!(gateway.ask(request("POST", "/").chunks(&[chunk; 3])).await.status, 200, "less passes");
}

#[tokio::test]
async fn a_route_may_allow_more() {
    let origin = Origin::saying("through").await;
    let gateway = hasty(&origin.url()).await;
    assert_eq!(gateway.ask(request("POST", "/larger").body(vec![b'a'; 4096])).await.status, 200);
    gateway.ask(request("POST", "/larger").body(vec![b'a'; 4097])).await.assert_problem(413, "body_too_large");
}

#[tokio::test]
async fn an_upstream_that_says_nothing_is_given_up_in_time() {
    let origin = Origin::start(|_| Answer::silence()).await;
    let gateway = hasty(&origin.url()).await;
    let start = Instant::now();
    gateway.get("/").await.assert_problem(504, "upstream_timeout");
    assert!((300..2_000).contains(&start.elapsed().as_millis()), "after its time for the first byte: {:?}", start.elapsed());
    origin.wait_until_deserted(1).await;
}

#[tokio::test]
async fn a_whole_request_has_a_time_limit() {
    let origin = Origin::start(|_| {
        let head = Answer::head(200, &[("transfer-encoding", "chunked")]);
        (0..20).fold(head, |answer, _| answer.then_chunk("drip").then_wait(Duration::from_millis(200)))
    })
    .await;
    let gateway = hasty(&origin.url()).await;
    let mut client = Client::connect(gateway.address()).await;
    let start = Instant::now();
    client.send(get("/whole").bytes()).await;
    client.head().await;
    let (rest, _) = client.rest().await;
    assert!((600..3_000).contains(&start.elapsed().as_millis()), "the drip ended in time: {:?}", start.elapsed());
    assert!(!rest.ends_with(b"0\r\n\r\n"), "and is seen to be cut off");
    origin.wait_until_deserted(1).await;
}

#[tokio::test]
async fn a_response_that_stalls_is_given_up() {
    let origin = Origin::start(|_| Answer::head(200, &[("content-length", "100")]).then_send("half").then_stall()).await;
    let gateway = hasty(&origin.url()).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send(get("/").bytes()).await;
    client.head().await;
    assert_eq!(client.rest().await.0, b"half", "the half that came, and then the end");
    origin.wait_until_deserted(1).await;
}

#[tokio::test]
async fn a_client_that_stalls_inside_its_body_is_given_up() {
    let origin = Origin::saying("through").await;
    let gateway = hasty(&origin.url()).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nhalf").await;
    let (bytes, _) = client.rest().await;
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 408"), "it is told so, or nothing: {text}");
    assert!(origin.requests().iter().all(|request| !request.whole), "no whole request arrived");
}

#[tokio::test]
async fn an_upstream_nobody_listens_for_is_said_to_be_unreachable() {
    let gateway = hasty(&format!("http://{}", nobody())).await;
    gateway.get("/").await.assert_problem(502, "upstream_connect");
}

#[tokio::test]
async fn an_upstream_that_does_not_accept_is_given_up_in_time() {
    // A listener with a full backlog drops further handshakes, as a dead host does.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(300), tokio::net::TcpStream::connect(address)).await {
        queued.push(stream);
    }
    let gateway = hasty(&format!("http://{address}")).await;
    let start = Instant::now();
    let response = gateway.get("/").await;
    assert!(start.elapsed() < Duration::from_secs(3), "its time to connect is short: {:?}", start.elapsed());
    assert!(
        [(502, Some("upstream_connect")), (504, Some("upstream_timeout"))]
            .contains(&(response.status, response.header("x-gatehouse-error"))),
        "{}",
        response.head
    );
}

#[tokio::test]
async fn an_upstream_that_breaks_off_or_talks_nonsense_is_said_to_have_reset() {
    for answer in [
        Answer::raw("").then_reset(),
        Answer::raw("").then_close(),
        Answer::raw("HTTP/1.1 200 OK\r\ncontent-le").then_close(),
        Answer::raw("SSH-2.0-OpenSSH_9.9\r\n").then_close(),
        Answer::raw("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello").then_close(),
    ] {
        let shown = format!("{answer:?}");
        let origin = Origin::start(move |_| answer.clone()).await;
        let gateway = hasty(&origin.url()).await;
        let response = gateway.ask(request("POST", "/").body("x")).await;
        assert_eq!(response.status, 502, "{shown}: {}", response.head);
        response.assert_problem(502, "upstream_reset");
        assert_eq!(origin.hits(), 1, "{shown}: a POST is not sent twice");
    }
}

#[tokio::test]
async fn an_idle_connection_that_the_upstream_closed_is_not_held_against_it() {
    let origin = Origin::start(|_| Answer::ok("fresh").then_close()).await;
    let gateway = hasty(&origin.url()).await;
    let mut client = Client::connect(gateway.address()).await;
    for _ in 0..30 {
        assert_eq!(client.ask(&get("/")).await.text(), "fresh", "each request finds a connection that lives");
    }
}
