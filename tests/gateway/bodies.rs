//! Bodies: the same bytes on the other side, as they come, and never more in memory than a client's pace needs.

use std::time::Duration;

use gatehouse_tests::{Answer, Client, Gateway, Origin, Setup, gateway::plain, get, request};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn a_body_with_a_length_arrives_with_it() {
    let origin = Origin::saying("done").await;
    let gateway = Gateway::in_front_of(&origin).await;
    let body: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    assert_eq!(gateway.ask(request("POST", "/").body(body.clone())).await.status, 200);
    let arrived = origin.request();
    assert_eq!(arrived.body, body, "every byte is the same");
    assert_eq!(arrived.header("content-length").as_deref(), Some("100000"), "and so is the framing");
    assert!(arrived.header("transfer-encoding").is_none());
}

#[tokio::test]
async fn a_body_in_chunks_arrives_in_chunks() {
    let origin = Origin::saying("done").await;
    let gateway = Gateway::in_front_of(&origin).await;
    assert_eq!(gateway.ask(request("POST", "/").chunks(&[b"one", b"two, longer", b"3"])).await.status, 200);
    let arrived = origin.request();
    assert_eq!(arrived.body, b"onetwo, longer3", "the content is the same");
    assert_eq!(arrived.all("transfer-encoding"), ["chunked"]);
    assert!(arrived.header("content-length").is_none(), "there is one framing, not two");
}

#[tokio::test]
async fn an_empty_body_stays_an_empty_body() {
    let origin = Origin::saying("done").await;
    let gateway = Gateway::in_front_of(&origin).await;
    gateway.ask(request("POST", "/").body("")).await;
    let arrived = origin.request();
    assert_eq!(arrived.header("content-length").as_deref(), Some("0"), "a POST says that it has nothing");
    assert!(arrived.header("transfer-encoding").is_none());
}

#[tokio::test]
async fn extensions_and_trailers_of_chunks_are_not_taken_for_content() {
    let origin = Origin::saying("done").await;
    let gateway = Gateway::in_front_of(&origin).await;
    let mut client = Client::connect(gateway.address()).await;
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5;name=\"v\"\r\nhello\r\n0\r\nauthorization: x\r\n\r\n")
        .await;
    assert_eq!(client.response().await.status, 200);
    let arrived = origin.request();
    assert_eq!(arrived.body, b"hello");
    let raw = String::from_utf8_lossy(&arrived.raw).to_lowercase();
    assert!(!raw.contains("authorization"), "a trailer never becomes authentication: {raw}");
    assert_eq!(client.ask(&get("/next")).await.status, 200, "the next request starts where it should");
}

#[tokio::test]
async fn a_response_in_chunks_comes_back_whole() {
    let origin = Origin::start(|_| Answer::chunked(&["one", "two", "three"])).await;
    let gateway = Gateway::in_front_of(&origin).await;
    assert_eq!(gateway.get("/").await.text(), "onetwothree");
}

#[tokio::test]
async fn a_response_that_ends_with_its_connection_comes_back_whole() {
    let origin = Origin::start(|_| Answer::raw("HTTP/1.1 200 OK\r\n\r\nuntil the end").then_close()).await;
    let gateway = Gateway::in_front_of(&origin).await;
    let mut client = Client::connect(gateway.address()).await;
    assert_eq!(client.ask(&get("/")).await.text(), "until the end");
    assert_eq!(client.ask(&get("/")).await.text(), "until the end", "our own connection goes on");
}

#[tokio::test]
async fn a_response_is_passed_on_as_it_comes() {
    let origin = Origin::start(|_| {
        let first = Answer::head(200, &[("transfer-encoding", "chunked")]).then_chunk("early");
        first.then_wait(Duration::from_secs(2)).then_chunk("late").then_send("0\r\n\r\n")
    })
    .await;
    let gateway = Gateway::in_front_of(&origin).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send(get("/").bytes()).await;
    let start = tokio::time::Instant::now();
    client.head().await;
    assert_eq!(client.chunk().await, b"early");
    assert!(start.elapsed() < Duration::from_secs(1), "the first part did not wait for the second: {:?}", start.elapsed());
    assert_eq!(client.chunk().await, b"late");
}

#[tokio::test]
async fn a_request_is_passed_on_as_it_comes() {
    let origin = Origin::saying("done").await;
    let gateway = Gateway::in_front_of(&origin).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 20000\r\n\r\n").await;
    client.send(vec![b'a'; 17_000]).await;
    origin.wait_for_hits(1).await;
    gatehouse_tests::wire::eventually("the first part at the upstream", || origin.request().body.len() >= 16_384).await;
    client.send(vec![b'b'; 3_000]).await;
    assert_eq!(client.response().await.text(), "done");
    assert_eq!(origin.request().body.len(), 20_000);
}

#[tokio::test]
async fn a_slow_reader_does_not_fill_the_gateway() {
    let origin = Origin::start(|_| Answer::head(200, &[("content-length", &(64 * MIB).to_string())]).then_flood(64 * MIB)).await;
    let gateway = Setup::new(&plain(&origin.url())).one_worker().start().await;
    gateway.get("/warm").await;
    let before = gateway.rss();
    let mut client = Client::connect(gateway.address()).await;
    client.send(get("/").bytes()).await;
    client.head().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let held = gateway.rss().saturating_sub(before);
    assert!(held < 8 << 20, "{} KiB of 64 MiB are held for a reader that does not read", held >> 10);
    assert_eq!(client.read(64 * MIB).await.expect("the rest comes when it is read").len(), 64 * MIB);
}

#[tokio::test]
async fn a_slow_upstream_does_not_fill_the_gateway() {
    let origin = Origin::start(|request| match request.method() {
        "PUT" => Answer::ok("done").reading_after(Duration::from_secs(1)),
        _ => Answer::ok("warm"),
    })
    .await;
    let config = format!(
        "
        upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
        routes: [{{name: all, max_body: 100MiB, upstream: origin}}]
        ",
        origin.url()
    );
    let gateway = Setup::new(&config).one_worker().start().await;
    gateway.get("/warm").await;
    let before = gateway.rss();
    let client = Client::connect(gateway.address()).await;
    let upload = tokio::spawn(async move {
        let mut client = client;
        client.ask(&request("PUT", "/").body(vec![b'u'; 64 * MIB])).await
    });
    origin.wait_for_hits(2).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let held = gateway.rss().saturating_sub(before);
    assert!(held < 8 << 20, "{} KiB of 64 MiB are held for an upstream that does not read", held >> 10);
    assert_eq!(upload.await.expect("the upload does not panic").text(), "done");
    assert_eq!(origin.requests()[1].body.len(), 64 * MIB, "all of it arrived in the end");
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_upstream_request_along() {
    let origin = Origin::start(|_| Answer::silence()).await;
    let gateway = Gateway::in_front_of(&origin).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send(get("/").bytes()).await;
    origin.wait_for_hits(1).await;
    drop(client);
    origin.wait_until_deserted(1).await;
    let entry = gateway.access_log(1).await.remove(0);
    assert!(entry["flags"].to_string().contains("CD"), "the log knows that the client was gone: {entry}");
}

#[tokio::test]
async fn a_client_that_leaves_inside_a_response_ends_it() {
    let origin = Origin::start(|_| Answer::head(200, &[("content-length", "1000000000")]).then_flood(1_000_000_000)).await;
    let gateway = Gateway::in_front_of(&origin).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send(get("/").bytes()).await;
    client.head().await;
    drop(client);
    origin.wait_until_deserted(1).await;
}

#[tokio::test]
async fn a_request_that_breaks_off_never_arrives_whole() {
    let origin = Origin::saying("done").await;
    let gateway = Gateway::in_front_of(&origin).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n").await;
    client.send(vec![b'a'; 50_000]).await;
    origin.wait_for_hits(1).await;
    drop(client);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!origin.request().whole, "half a body is not a body");
    assert_eq!(gateway.get("/next").await.status, 200, "and the gateway goes on");
}

#[tokio::test]
async fn a_response_that_breaks_off_is_seen_to_be_broken() {
    let origin = Origin::start(|request| match request.target() {
        "/length" => Answer::head(200, &[("content-length", "100")]).then_send("half").then_close(),
        _ => Answer::head(200, &[("transfer-encoding", "chunked")]).then_chunk("half").then_close(),
    })
    .await;
    let gateway = Gateway::in_front_of(&origin).await;
    for target in ["/length", "/chunked"] {
        let mut client = Client::connect(gateway.address()).await;
        client.send(get(target).bytes()).await;
        client.head().await;
        let (rest, _) = client.rest().await;
        assert!(!rest.ends_with(b"0\r\n\r\n"), "{target}: no end is made up for a body that has none: {rest:?}");
        assert!(rest.len() < 100, "{target}: nothing is filled in");
    }
}
