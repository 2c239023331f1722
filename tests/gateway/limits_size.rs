//! `size-limit` and the edits behind it: how large a body may be, refused before it is read where that can be known.

use gatehouse_tests::{
    Answer, Client, Gateway, Origin,
    frames::Frames,
    get, guests,
    http2::{Http2, head},
    request,
};

/// A gateway with limits of 1,000 bytes: on requests, on responses, and on what a streaming plugin makes of either.
async fn limited(origin: &Origin) -> Gateway {
    let witness = guests::witness();
    let config = format!(
        "
        upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
        plugins: [{{name: witness, source: {{file: \"{}\"}}}}]
        routes:
          - {{name: in, match: [{{path: {{prefix: /in}}}}], chain: [{{plugin: size-limit, config: {{request: 1KB}}}}], upstream: origin}}
          - {{name: out, match: [{{path: {{prefix: /out}}}}], chain: [{{plugin: size-limit, config: {{response: 1000}}}}], upstream: origin}}
          - name: streamed
            match: [{{path: {{prefix: /streamed}}}}]
            chain:
              - {{plugin: witness, config: {{request_body: streamed}}}}
              - {{plugin: size-limit, config: {{request: 1KB}}}}
            upstream: origin
          - name: buffered
            match: [{{path: {{prefix: /buffered}}}}]
            chain:
              - {{plugin: size-limit, config: {{request: 1KB}}}}
              - {{plugin: witness, config: {{request_body: buffered, request_buffer: 2000}}}}
            upstream: origin
          - name: tiny
            match: [{{path: {{prefix: /tiny}}}}]
            chain: [{{plugin: size-limit, config: {{response: 1}}}}, {{plugin: api-key}}]
        ",
        origin.url(),
        witness.display()
    );
    Gateway::start(&config).await
}

#[tokio::test]
async fn a_request_may_be_as_long_as_the_limit_and_no_longer() {
    let origin = Origin::saying("through").await;
    let gateway = limited(&origin).await;
    assert_eq!(gateway.ask(request("POST", "/in").body(vec![b'a'; 1000])).await.status, 200, "the limit itself passes");
    assert_eq!(origin.request().body.len(), 1000, "whole");
    let mut client = Client::connect(gateway.address()).await;
    client.send("POST /in HTTP/1.1\r\nhost: a\r\ncontent-length: 1001\r\n\r\n").await;
    client.response().await.assert_problem(413, "body_too_large");
    assert_eq!(origin.hits(), 1, "one more is refused before any of it was read or forwarded");
    assert_eq!(gateway.get("/in").await.status, 200, "and no body is no matter");
}

#[tokio::test]
async fn a_request_in_chunks_is_cut_off_where_it_grows_too_long() {
    let origin = Origin::saying("through").await;
    let gateway = limited(&origin).await;
    let half: &[u8] = &[b'a'; 500];
    for path in ["/in", "/streamed", "/buffered"] {
        assert_eq!(gateway.ask(request("POST", path).chunks(&[half, half])).await.status, 200, "{path}: the limit itself passes");
        gateway.ask(request("POST", path).chunks(&[half, half, b"a"])).await.assert_problem(413, "body_too_large");
    }
    let whole = origin.requests().iter().filter(|request| request.whole).count();
    assert_eq!(whole, 3, "nothing longer arrived whole");
}

#[tokio::test]
async fn a_refused_body_is_never_invited() {
    let origin = Origin::saying("through").await;
    let gateway = limited(&origin).await;
    let asking = |length| format!("POST /in HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\nexpect: 100-continue\r\n\r\n");
    let mut client = Client::connect(gateway.address()).await;
    client.send(asking(1001)).await;
    client.response().await.assert_problem(413, "body_too_large");
    let mut client = Client::connect(gateway.address()).await;
    client.send(asking(1000)).await;
    assert_eq!(client.response().await.status, 100, "one that fits is");
    client.send([b'a'; 1000]).await;
    assert_eq!(client.response().await.status, 200);
}

#[tokio::test]
async fn requests_over_http_2_have_the_same_limit() {
    let origin = Origin::saying("through").await;
    let gateway = limited(&origin).await;
    let client = Http2::connect(gateway.address()).await;
    assert_eq!(client.ask(head("POST", "/in"), vec![b'a'; 1000]).await.status, 200, "the limit itself passes");
    client.ask(head("POST", "/in"), vec![b'a'; 1001]).await.assert_problem(413, "body_too_large");

    let lines = [(":method", "POST"), (":scheme", "http"), (":authority", "test.example"), (":path", "/in")];
    let mut frames = Frames::connect(gateway.address()).await;
    frames.headers(1, &lines, false).await;
    frames.data(1, &[b'a'; 600], false).await;
    frames.data(1, &[b'a'; 600], false).await;
    assert_eq!(frames.fate(1).await.status(), Some(413), "no length was declared, and it grew too long");
    frames.headers(3, &lines, false).await;
    frames.data(3, &[b'a'; 600], true).await;
    assert_eq!(frames.fate(3).await.status(), Some(200), "the connection goes on");
}

#[tokio::test]
async fn a_response_that_is_known_to_be_too_long_is_not_passed_on() {
    let origin = Origin::start(|request| match request.target() {
        "/out/fits" => Answer::ok(vec![b'a'; 1000]),
        _ => Answer::ok(vec![b'a'; 1001]),
    })
    .await;
    let gateway = limited(&origin).await;
    assert_eq!(gateway.get("/out/fits").await.body.len(), 1000, "the limit itself passes");
    gateway.get("/out/long").await.assert_problem(502, "body_too_large");
    Http2::connect(gateway.address()).await.get("/out/long").await.assert_problem(502, "body_too_large");
    let log = gateway.access_log(3).await;
    let cut: Vec<_> = log.iter().filter(|line| line["error"] == "body_too_large").collect();
    assert_eq!(cut.len(), 2, "{log:?}");
    assert!(cut.iter().all(|line| line["flags"].to_string().contains("TL")), "{cut:?}");
}

#[tokio::test]
async fn a_response_that_grows_too_long_is_seen_to_be_cut_off() {
    let origin = Origin::start(|_| {
        let half = "a".repeat(500);
        Answer::head(200, &[("transfer-encoding", "chunked")]).then_chunk(&half).then_chunk(&half).then_chunk("a").then_send("0\r\n\r\n")
    })
    .await;
    let gateway = limited(&origin).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send(get("/out").bytes()).await;
    assert_eq!(client.head().await.status, 200, "the head is on its way before the body is known");
    let (rest, _) = client.rest().await;
    assert!(!rest.ends_with(b"0\r\n\r\n"), "there is no last chunk");
    assert!(rest.iter().filter(|byte| **byte == b'a').count() <= 1000 + 4, "and no more than the limit passed");
    let cut = Http2::connect(gateway.address()).await.try_ask(head("GET", "/out"), "").await;
    assert!(cut.is_err(), "the stream is reset: {cut:?}");
    for line in gateway.access_log(2).await {
        assert!(line["flags"].to_string().contains("TL"), "the log says why, and that it was not the upstream: {line}");
    }
}

#[tokio::test]
async fn a_response_to_head_has_no_body_to_be_too_long() {
    let origin = Origin::start(|_| Answer::head(200, &[("content-length", "5000")])).await;
    let gateway = limited(&origin).await;
    let response = gateway.ask(request("HEAD", "/out")).await;
    assert_eq!((response.status, response.header("content-length")), (200, Some("5000")), "{}", response.head);
}

#[tokio::test]
async fn the_gateways_own_answers_pass() {
    let origin = Origin::saying("through").await;
    let gateway = limited(&origin).await;
    let nobody = format!("http://{}", gatehouse_tests::origin::nobody());
    let lost = Gateway::start(&format!(
        "
        upstreams: [{{name: origin, endpoints: [{{url: \"{nobody}\"}}]}}]
        routes: [{{name: all, chain: [{{plugin: size-limit, config: {{response: 1}}}}], upstream: origin}}]
        "
    ))
    .await;
    lost.get("/").await.assert_problem(502, "upstream_connect");
    // A plugin's reply is a response like any other.
    gateway.get("/tiny").await.assert_problem(502, "body_too_large");
}

#[tokio::test]
async fn a_limit_can_only_lower_what_the_route_allows() {
    let origin = Origin::saying("through").await;
    let gateway = Gateway::start(&format!(
        "
        upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
        routes: [{{name: all, max_body: 100, chain: [{{plugin: size-limit, config: {{request: 1KB}}}}], upstream: origin}}]
        ",
        origin.url()
    ))
    .await;
    gateway.ask(request("POST", "/").body(vec![b'a'; 101])).await.assert_problem(413, "body_too_large");
    let chunk: &[u8] = &[b'a'; 101];
    gateway.ask(request("POST", "/").chunks(&[chunk])).await.assert_problem(413, "body_too_large");
}
