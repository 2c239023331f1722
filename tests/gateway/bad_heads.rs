//! Requests that no gateway may pass on: each is answered, the connection ends, and nothing reaches the origin.

use std::time::Duration;

use gatehouse_tests::{Client, Gateway, Origin, get};

/// What comes before and after the bad part, so that a lenient parser would find a request.
fn with_line(line: &str) -> Vec<u8> {
    format!("POST /bad HTTP/1.1\r\nhost: a\r\n{line}\r\n\r\n").into_bytes()
}

/// Sends bytes, expects this status as a problem, the end of the connection and silence at the origin.
async fn check(gateway: &Gateway, origin: &Origin, bytes: &[u8], status: u16) {
    let shown = String::from_utf8_lossy(bytes).chars().take(300).collect::<String>();
    let mut client = Client::connect(gateway.address()).await;
    client.try_send(bytes).await.ok();
    // A request that would be smuggled along if the first one were misread.
    client.try_send("GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n").await.ok();
    let response = client.response().await;
    assert_eq!(response.status, status, "{shown:?}: {}{}", response.head, response.text());
    response.assert_problem(status, "bad_request");
    assert_eq!(response.header("connection"), Some("close"), "{shown:?}: no second chance");
    assert_eq!(client.rest().await.0, b"", "{shown:?}: nothing follows");
    assert_eq!(origin.hits(), 0, "{shown:?}: nothing reached the origin");
}

async fn house() -> (Gateway, Origin) {
    let origin = Origin::saying("through").await;
    (Gateway::in_front_of(&origin).await, origin)
}

#[tokio::test]
async fn two_framings_are_refused() {
    let (gateway, origin) = house().await;
    for lines in [
        "content-length: 5\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 5",
        "content-length: 5\r\ncontent-length: 6",
        "content-length: 5\r\nContent-Length: 5",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
    ] {
        check(&gateway, &origin, &with_line(lines), 400).await;
    }
}

#[tokio::test]
async fn lengths_that_are_no_numbers_are_refused() {
    let (gateway, origin) = house().await;
    for value in ["+1", "-1", "1,1", "5, 5", "", "0x5", "1 1", "1e3", "99999999999999999999999", "\u{661}"] {
        check(&gateway, &origin, &with_line(&format!("content-length: {value}")), 400).await;
    }
}

#[tokio::test]
async fn codings_other_than_chunked_are_refused() {
    let (gateway, origin) = house().await;
    for value in [
        "gzip",
        "gzip, chunked",
        "chunked, gzip",
        "chunked, chunked",
        "identity",
        "xchunked",
        "chunked;q=1",
        "",
        "\u{b}chunked",
        "\"chunked\"",
    ] {
        check(&gateway, &origin, &with_line(&format!("transfer-encoding: {value}")), 400).await;
    }
    check(&gateway, &origin, b"POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400).await;
}

#[tokio::test]
async fn header_lines_that_are_none_are_refused() {
    let (gateway, origin) = house().await;
    for line in [
        "x-space : a",
        "x-tab\t: a",
        " x-leading: a",
        "x-fold: a\r\n  b",
        "x-fold: a\r\n\tb",
        "x-nul: a\0b",
        "x-bell: a\u{7}b",
        "x-return: a\rb",
        "no colon here",
        ": no name",
        "x(y): a",
        "x\u{e9}: a",
        "x-feed: a\nx-forged: b",
        "content-length: 0\nx: y",
    ] {
        check(&gateway, &origin, &with_line(line), 400).await;
    }
}

#[tokio::test]
async fn line_ends_without_a_return_are_refused() {
    let (gateway, origin) = house().await;
    for bytes in [
        "GET / HTTP/1.1\nhost: a\n\n",
        "GET / HTTP/1.1\r\nhost: a\n\r\n",
        "GET / HTTP/1.1\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n\n",
    ] {
        check(&gateway, &origin, bytes.as_bytes(), 400).await;
    }
}

#[tokio::test]
async fn a_host_is_needed_once_and_has_to_be_one() {
    let (gateway, origin) = house().await;
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: user@a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a:port\r\n\r\n",
        "GET http://user@a/ HTTP/1.1\r\nhost: a\r\n\r\n",
    ] {
        check(&gateway, &origin, head.as_bytes(), 400).await;
    }
}

#[tokio::test]
async fn request_lines_that_are_none_are_refused() {
    let (gateway, origin) = house().await;
    for (line, status) in [
        ("GET  / HTTP/1.1", 400),
        ("GET / HTTP/1.1 ", 400),
        ("GET /\tx HTTP/1.1", 400),
        ("GET / x HTTP/1.1", 400),
        ("G(T / HTTP/1.1", 400),
        ("GET relative HTTP/1.1", 400),
        ("GET /a\u{0}b HTTP/1.1", 400),
        ("GET /\u{1}", 400),
        ("GET /", 400),
        ("GET / HTTP/1.2", 505),
        ("GET / HTTP/3.0", 505),
        ("GET / http/1.1", 400),
        ("GET / HTP/1.1", 400),
    ] {
        check(&gateway, &origin, format!("{line}\r\nhost: a\r\n\r\n").as_bytes(), status).await;
    }
}

#[tokio::test]
async fn paths_that_hide_something_are_refused() {
    let (gateway, origin) = house().await;
    for path in ["/a%00b", "/a%2", "/a%zz", "/..%2fadmin", "/a/%2e%2e%2fb", "/a%0d%0ab", "/a/..%5cb"] {
        check(&gateway, &origin, &get(path).bytes(), 400).await;
    }
}

#[tokio::test]
async fn what_is_too_large_is_refused_as_such() {
    let (gateway, origin) = house().await;
    check(&gateway, &origin, &with_line(&format!("x-large: {}", "a".repeat(40_000))), 431).await;
    let many: String = (0..120).map(|number| format!("x-{number}: a\r\n")).collect();
    check(&gateway, &origin, &with_line(many.trim_end()), 431).await;
    check(&gateway, &origin, &get(&format!("/{}", "a".repeat(20_000))).bytes(), 414).await;
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off_in_time() {
    let origin = Origin::saying("through").await;
    let config = format!(
        "
        listeners: [{{name: public, address: \"127.0.0.1:0\", timeouts: {{header: 300ms, idle: 600ms}}}}]
        upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
        routes: [{{name: all, upstream: origin}}]
        ",
        origin.url()
    );
    let gateway = Gateway::start(&config).await;
    let mut client = Client::connect(gateway.address()).await;
    let start = tokio::time::Instant::now();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n").await;
    client.response().await.assert_problem(408, "bad_request");
    assert!(start.elapsed() >= Duration::from_millis(300), "it had its time");

    let mut idle = Client::connect(gateway.address()).await;
    assert_eq!(idle.ask(&get("/")).await.status, 200);
    let (bytes, orderly) = idle.rest().await;
    assert!(bytes.is_empty() && orderly, "a connection that is only idle ends without a word");

    let mut dripping = Client::connect(gateway.address()).await;
    let drip = async {
        for byte in "GET / HTTP/1.1\r\nhost: a\r\nx-slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".bytes() {
            if dripping.try_send([byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        dripping.response().await
    };
    drip.await.assert_problem(408, "bad_request");
}

#[tokio::test]
async fn bad_chunks_end_the_request() {
    let (gateway, origin) = house().await;
    for chunks in [
        "5 \r\nhello\r\n0\r\n\r\n",
        "x\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello",
    ] {
        let hits = origin.hits();
        let mut client = Client::connect(gateway.address()).await;
        client.try_send(format!("POST /bad HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{chunks}")).await.ok();
        client.try_send("GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n").await.ok();
        let (bytes, _) = client.rest().await;
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 400"), "{chunks:?}: it is refused: {text}");
        assert_eq!(text.matches("HTTP/1.1").count(), usize::from(!text.is_empty()), "{chunks:?}: and nothing after it is answered");
        let arrived = origin.requests().split_off(hits);
        assert!(arrived.iter().all(|request| !request.whole && request.target() == "/bad"), "{chunks:?}: no whole request: {arrived:?}");
    }
}

#[tokio::test]
async fn a_bad_request_behind_a_good_one_does_not_spoil_it() {
    let (gateway, origin) = house().await;
    let mut client = Client::connect(gateway.address()).await;
    let mut bytes = get("/good").bytes();
    bytes.extend(with_line("content-length: 5\r\ntransfer-encoding: chunked"));
    client.send(bytes).await;
    assert_eq!(client.response().await.text(), "through", "the first is answered first");
    client.response().await.assert_problem(400, "bad_request");
    assert_eq!(origin.hits(), 1, "only the good one arrived");
}

#[tokio::test]
async fn good_but_unusual_requests_pass() {
    let (gateway, origin) = house().await;
    for bytes in [
        "\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHOST:a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: \t a \t\r\nx-empty:\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: Chunked\r\n\r\n0005\r\nhello\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 005\r\n\r\nhello",
        "GET / HTTP/1.1\r\nhost: [::1]:80\r\n\r\n",
        "GET /a%2Fb;c=d,e HTTP/1.1\r\nhost: a\r\nx-obs: \u{ff}\r\n\r\n",
    ] {
        let hits = origin.hits();
        let mut client = Client::connect(gateway.address()).await;
        client.send(bytes).await;
        let response = client.response().await;
        assert_eq!(response.status, 200, "{bytes:?}: {}{}", response.head, response.text());
        assert_eq!(origin.hits(), hits + 1, "{bytes:?}");
    }
}
