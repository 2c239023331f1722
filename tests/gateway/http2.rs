//! HTTP/2 with prior knowledge: requests arrive upstream as HTTP/1.1 ones, and what RFC 9113 calls malformed does not.

use std::time::Duration;

use gatehouse_tests::{
    Answer, Gateway, Origin,
    frames::{Fate, Frames},
    http2::{Http2, head},
};

const PSEUDO: [(&str, &str); 4] = [(":method", "POST"), (":scheme", "http"), (":authority", "test.example"), (":path", "/")];

async fn house() -> (Gateway, Origin) {
    let origin = Origin::saying("through").await;
    (Gateway::in_front_of(&origin).await, origin)
}

#[tokio::test]
async fn a_request_arrives_as_one_of_http_1() {
    let (gateway, origin) = house().await;
    let client = Http2::connect(gateway.address()).await;
    let mut request = head("POST", "/a?b=c");
    request.headers_mut().append("cookie", "a=1".parse().unwrap());
    request.headers_mut().append("cookie", "b=2".parse().unwrap());
    let response = client.ask(request, "hello").await;
    assert_eq!((response.status, response.text().as_str()), (200, "through"));
    for name in ["connection", "transfer-encoding", "keep-alive"] {
        assert!(response.header(name).is_none(), "{name} has no meaning in HTTP/2");
    }
    let arrived = origin.request();
    assert!(arrived.head.starts_with("POST /a?b=c HTTP/1.1\r\n"), "{}", arrived.head);
    assert_eq!(arrived.header("host").as_deref(), Some("test.example"), ":authority becomes Host");
    assert_eq!(arrived.header("via").as_deref(), Some("2 gatehouse"));
    assert_eq!(arrived.header("cookie").as_deref(), Some("a=1; b=2"), "RFC 9113 §8.2.3: cookies are joined by semicolons");
    assert_eq!(arrived.body, b"hello");
}

#[tokio::test]
async fn many_requests_share_a_connection() {
    let origin = Origin::start(|_| Answer::ok("through").delayed(Duration::from_millis(100))).await;
    let gateway = Gateway::in_front_of(&origin).await;
    let client = Http2::connect(gateway.address()).await;
    let start = tokio::time::Instant::now();
    let (a, b, c, d) = tokio::join!(client.get("/1"), client.get("/2"), client.get("/3"), client.get("/4"));
    assert!([a, b, c, d].iter().all(|response| response.status == 200));
    assert!(start.elapsed() < Duration::from_millis(350), "they were served side by side: {:?}", start.elapsed());
}

#[tokio::test]
async fn the_gateways_own_answers_have_their_shape_in_http_2_too() {
    let gateway = Gateway::start("routes: [{name: one, match: [{path: {exact: /one}}], chain: [{plugin: mock}]}]").await;
    let client = Http2::connect(gateway.address()).await;
    client.get("/nowhere").await.assert_problem(404, "no_route");
    assert_eq!(client.get("/one").await.status, 200);
}

#[tokio::test]
async fn a_large_body_passes_both_ways() {
    let origin = Origin::start(|request| match request.method() {
        "POST" => Answer::ok("stored"),
        _ => Answer::head(200, &[("content-length", "3000000")]).then_flood(3_000_000),
    })
    .await;
    let gateway = Gateway::in_front_of(&origin).await;
    let client = Http2::connect(gateway.address()).await;
    assert_eq!(client.ask(head("POST", "/"), vec![b'u'; 3_000_000]).await.text(), "stored");
    assert_eq!(origin.request().body.len(), 3_000_000);
    assert_eq!(client.get("/").await.body.len(), 3_000_000);
}

#[tokio::test]
async fn a_reset_stream_takes_its_upstream_request_along() {
    let origin = Origin::start(|request| if request.target() == "/slow" { Answer::silence() } else { Answer::ok("quick") }).await;
    let gateway = Gateway::in_front_of(&origin).await;
    let client = Http2::connect(gateway.address()).await;
    let given_up = tokio::time::timeout(Duration::from_millis(300), client.get("/slow")).await;
    assert!(given_up.is_err(), "the client loses patience");
    origin.wait_until_deserted(1).await;
    assert_eq!(client.get("/quick").await.text(), "quick", "the connection goes on");
}

/// Checks that a request of these header lines is refused and does not arrive.
async fn check_malformed(gateway: &Gateway, origin: &Origin, lines: &[(&str, &str)]) {
    let mut frames = Frames::connect(gateway.address()).await;
    frames.headers(1, lines, true).await;
    let fate = frames.fate(1).await;
    let refused = matches!(fate, Fate::Reset(_) | Fate::GoAway(_)) || fate.status() == Some(400);
    assert!(refused, "{lines:?} is malformed: {fate:?}");
    assert_eq!(origin.hits(), 0, "{lines:?} did not arrive");
}

#[tokio::test]
async fn headers_of_a_connection_are_malformed_in_http_2() {
    let (gateway, origin) = house().await;
    for line in [
        ("connection", "close"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
        ("X-Upper", "a"),
        ("x-split", "a\r\nx-forged: b"),
        ("x-nul", "a\0b"),
        ("x space", "a"),
        ("content-length", "5, 5"),
        ("content-length", "x"),
        (":path", "/twice"),
        (":unknown", "a"),
        ("host", "other.example"),
    ] {
        check_malformed(&gateway, &origin, &[&PSEUDO[..], &[line]].concat()).await;
    }
}

#[tokio::test]
async fn paths_that_are_none_are_malformed_in_http_2() {
    let (gateway, origin) = house().await;
    for path in ["", "relative", "/a b", "/a\r\nx: y", "/a\0", "*"] {
        let lines = [(":method", "GET"), (":scheme", "http"), (":authority", "test.example"), (":path", path)];
        check_malformed(&gateway, &origin, &lines).await;
    }
    check_malformed(&gateway, &origin, &PSEUDO[..3]).await;
    check_malformed(&gateway, &origin, &PSEUDO[1..]).await;
}

#[tokio::test]
async fn a_body_that_is_not_as_long_as_it_says_does_not_pass_as_whole() {
    let (gateway, origin) = house().await;
    for (declared, sent) in [("10", "short"), ("2", "too long")] {
        let mut frames = Frames::connect(gateway.address()).await;
        frames.headers(1, &[&PSEUDO[..], &[("content-length", declared)]].concat(), false).await;
        frames.data(1, sent.as_bytes(), true).await;
        let fate = frames.fate(1).await;
        assert_ne!(fate.status(), Some(200), "{declared} bytes declared, {sent:?} sent: {fate:?}");
        assert!(origin.requests().iter().all(|request| !request.whole), "no whole request arrived");
    }
}

#[tokio::test]
async fn a_flood_of_requests_taken_back_at_once_ends_its_connection_only() {
    let origin = Origin::start(|request| if request.target() == "/slow" { Answer::silence() } else { Answer::ok("quick") }).await;
    let gateway = Gateway::in_front_of(&origin).await;
    let before = gateway.rss();
    let mut frames = Frames::connect(gateway.address()).await;
    let lines = [(":method", "GET"), (":scheme", "http"), (":authority", "test.example"), (":path", "/slow")];
    // CVE-2023-44487: each costs the client two frames, and a server that lets it go on whole requests.
    for stream in (1..20_000).step_by(2) {
        frames.headers(stream, &lines, true).await;
        frames.reset(stream).await;
    }
    let ended = matches!(frames.fate(20_001).await, Fate::GoAway(_) | Fate::Closed);
    assert!(ended, "the connection is given up");
    assert!(origin.hits() < 1_000, "{} of 10,000 reached the upstream", origin.hits());
    assert_eq!(gateway.get("/quick").await.text(), "quick", "others do not notice");
    let grown = gateway.rss().saturating_sub(before);
    assert!(grown < 32 << 20, "{} KiB more", grown >> 10);
}

#[tokio::test]
async fn a_listener_without_http_2_does_not_speak_it() {
    let origin = Origin::saying("through").await;
    let config = format!(
        "
        listeners: [{{name: public, address: \"127.0.0.1:0\", http2: false}}]
        upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
        routes: [{{name: all, upstream: origin}}]
        ",
        origin.url()
    );
    let gateway = Gateway::start(&config).await;
    let mut frames = Frames::connect(gateway.address()).await;
    frames.headers(1, &PSEUDO, true).await;
    assert_eq!(frames.fate(1).await.status(), None, "the preface is no request of HTTP/1");
    assert_eq!(gateway.get("/").await.status, 200, "HTTP/1.1 is spoken");
    assert_eq!(origin.hits(), 1);
}

#[tokio::test]
async fn an_answer_of_the_gateways_own_to_a_head_is_its_head_alone() {
    let gateway =
        Gateway::start("routes: [{name: mock, match: [{path: {prefix: /mock}}], chain: [{plugin: mock, config: {body: short}}]}]").await;
    let client = Http2::connect(gateway.address()).await;
    for (target, status, length) in [("/nowhere", 404, None), ("/mock", 200, Some("5"))] {
        let response = client.try_ask(head("HEAD", target), "").await.unwrap_or_else(|error| panic!("{target}: {error:?}"));
        assert_eq!((response.status, response.text().as_str()), (status, ""), "{target}");
        let declared = response.header("content-length");
        assert!(declared.is_some() && (length.is_none() || declared == length), "{target}: the length is that of a GET: {declared:?}");
    }
}
