//! Upgrades: only where the route allows them, after the chain, and with no byte to the upstream before it agreed.

use std::{sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use gatehouse_tests::{
    Answer, Client, Gateway, Origin, Setup, get,
    wire::{eventually, soon},
};
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_tungstenite::tungstenite::Message;

fn config(url: &str) -> String {
    format!(
        "
        upstreams: [{{name: origin, endpoints: [{{url: \"{url}\"}}], timeouts: {{upgraded: 1s, first_byte: 2s}}}}]
        routes:
          - {{name: guarded, match: [{{path: {{prefix: /guarded}}}}], upgrades: [websocket], chain: [{{plugin: api-key}}], upstream: origin}}
          - {{name: closed, match: [{{path: {{prefix: /closed}}}}], upstream: origin}}
          - {{name: other, match: [{{path: {{prefix: /other}}}}], upgrades: [chat], upstream: origin}}
          - {{name: open, upgrades: [websocket], upstream: origin}}
        "
    )
}

/// A server that echoes WebSocket messages.
async fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut sink, mut stream) = tokio_tungstenite::accept_async(stream).await.unwrap().split();
                while let Some(Ok(message)) = stream.next().await {
                    if message.is_text() || message.is_binary() {
                        sink.send(message).await.ok();
                    }
                }
            });
        }
    });
    url
}

/// An upstream that agrees to switch and then echoes bytes until they end.
const AGREED: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: x\r\n\r\n";

fn asking(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: test.example\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\n\r\n")
}

#[tokio::test]
async fn a_websocket_speaks_through_the_gateway() {
    let gateway = Gateway::start(&config(&echo().await)).await;
    let stream = TcpStream::connect(gateway.address()).await.unwrap();
    let (mut socket, response) = tokio_tungstenite::client_async("ws://test.example/open", stream).await.expect("the handshake is right");
    assert_eq!(response.status(), 101);
    for text in ["one", "two", &"three".repeat(50_000)] {
        socket.send(Message::text(text)).await.unwrap();
        assert_eq!(soon("an echo", socket.next()).await.unwrap().unwrap().to_text().unwrap(), text);
    }
    socket.close(None).await.unwrap();
    while let Some(Ok(_)) = soon("the end", socket.next()).await {}
    let entry = gateway.access_log(1).await.remove(0);
    assert_eq!((&entry["status"], entry["route"].as_str()), (&101.into(), Some("open")), "{entry}");
    assert!(entry["bytes_in"].as_u64() > Some(250_000) && entry["bytes_out"].as_u64() > Some(250_000), "all of it is counted: {entry}");
}

#[tokio::test]
async fn a_thousand_websockets_at_once() {
    let gateway = Gateway::start(&config(&echo().await)).await;
    let address = gateway.address();
    let dialling = Arc::new(Semaphore::new(50));
    let all: Vec<_> = (0..1000)
        .map(|number: usize| {
            let dialling = Arc::clone(&dialling);
            tokio::spawn(async move {
                let permit = dialling.acquire().await.unwrap();
                let stream = TcpStream::connect(address).await.unwrap();
                let (mut socket, _) =
                    tokio_tungstenite::client_async("ws://test.example/open", stream).await.expect("the handshake is right");
                drop(permit);
                (number, {
                    socket.send(Message::text(number.to_string())).await.unwrap();
                    socket
                })
            })
        })
        .collect();
    let mut sockets = Vec::new();
    for one in all {
        sockets.push(soon("a connection", one).await.unwrap());
    }
    for (number, socket) in &mut sockets {
        let echo = soon("an echo", socket.next()).await.unwrap().unwrap();
        assert_eq!(echo.to_text().unwrap(), number.to_string(), "each gets its own, with all of them open");
    }
}

#[tokio::test]
async fn no_byte_reaches_the_upstream_before_it_agrees() {
    let origin = Origin::start(|_| Answer::raw(AGREED).delayed(Duration::from_millis(300)).then_stall()).await;
    let gateway = Gateway::start(&config(&origin.url())).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send(asking("/open") + "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n").await;
    origin.wait_for_hits(1).await;
    let head = origin.request().head;
    assert!(head.contains("connection: upgrade\r\n") && head.contains("upgrade: websocket\r\n"), "the upgrade is asked for: {head}");
    assert_eq!(client.response().await.status, 101);
    assert_eq!(origin.hits(), 1, "what came early is no request");
}

/// The gateway's connection, read to the end of the head of its request.
async fn asked(listener: &TcpListener) -> TcpStream {
    let (mut upstream, _) = soon("the gateway at the upstream", listener.accept()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon("the head", upstream.read_u8()).await.unwrap());
    }
    upstream
}

#[tokio::test]
async fn what_was_sent_early_goes_after_the_agreement_and_in_order() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = Gateway::start(&config(&format!("http://{}", listener.local_addr().unwrap()))).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send(asking("/open") + "early").await;
    let mut upstream = asked(&listener).await;
    let early = tokio::time::timeout(Duration::from_millis(300), upstream.read_u8()).await;
    assert!(early.is_err(), "nothing comes behind the head: {early:?}");
    upstream.write_all(AGREED.as_bytes()).await.unwrap();
    upstream.write_all(b"hello").await.unwrap();
    let response = client.response().await;
    assert_eq!((response.header("upgrade"), response.header("connection")), (Some("websocket"), Some("upgrade")));
    client.send(" late").await;
    let mut read = [0; 10];
    soon("the client's bytes", upstream.read_exact(&mut read)).await.unwrap();
    assert_eq!(&read, b"early late");
    assert_eq!(client.read(5).await.unwrap(), b"hello");
}

#[tokio::test]
async fn one_side_may_finish_before_the_other() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = Gateway::start(&config(&format!("http://{}", listener.local_addr().unwrap()))).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send(asking("/open")).await;
    let mut upstream = asked(&listener).await;
    upstream.write_all(AGREED.as_bytes()).await.unwrap();
    assert_eq!(client.response().await.status, 101);
    client.send("question").await;
    client.finish().await;
    let mut asked = Vec::new();
    soon("the end of the question", upstream.read_to_end(&mut asked)).await.unwrap();
    assert_eq!(asked, b"question");
    upstream.write_all(b"answer").await.unwrap();
    drop(upstream);
    assert_eq!(client.rest().await.0, b"answer", "the answer still comes");
}

#[tokio::test]
async fn an_upgrade_nobody_uses_ends() {
    let origin = Origin::start(|_| Answer::raw(AGREED).then_stall()).await;
    let gateway = Gateway::start(&config(&origin.url())).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send(asking("/open")).await;
    assert_eq!(client.response().await.status, 101);
    client.rest().await;
    origin.wait_until_deserted(1).await;
    let entry = gateway.access_log(1).await.remove(0);
    assert!(entry["flags"].to_string().contains("UT"), "the log says that it was idle: {entry}");
}

#[tokio::test]
async fn the_chain_has_its_say_first() {
    let origin = Origin::start(|_| Answer::raw(AGREED)).await;
    let gateway = Gateway::start(&config(&origin.url())).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send(asking("/guarded")).await;
    assert_eq!(client.response().await.status, 401);
    assert_eq!(origin.hits(), 0, "nothing reached the upstream");
    assert_eq!(client.ask(&get("/open")).await.status, 502, "the connection goes on as HTTP, and nobody upgrades unasked");
}

#[tokio::test]
async fn a_route_that_does_not_allow_it_asks_for_nothing() {
    let origin = Origin::saying("plain").await;
    let gateway = Gateway::start(&config(&origin.url())).await;
    let mut client = Client::connect(gateway.address()).await;
    for path in ["/closed", "/other"] {
        client.send(asking(path)).await;
        assert_eq!(client.response().await.text(), "plain", "{path} is an ordinary request");
    }
    for request in origin.requests() {
        assert!(request.header("upgrade").is_none() && request.header("connection").is_none(), "{}", request.head);
    }
}

#[tokio::test]
async fn another_status_is_an_ordinary_answer() {
    let origin = Origin::start(|request| match request.target() {
        "/no" => Answer::new(403, &[("upgrade", "websocket")], "not today"),
        _ => Answer::ok("plain"),
    })
    .await;
    let gateway = Gateway::start(&config(&origin.url())).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send(asking("/no") + "GET /next HTTP/1.1\r\nhost: test.example\r\n\r\n").await;
    let response = client.response().await;
    assert_eq!((response.status, response.text().as_str()), (403, "not today"));
    assert_eq!(client.response().await.text(), "plain", "what came behind it is a request after all, and was checked as one");
    assert_eq!(origin.requests()[1].target(), "/next");
}

#[tokio::test]
async fn an_upgrade_with_a_body_is_none() {
    let origin = Origin::saying("plain").await;
    let gateway = Gateway::start(&config(&origin.url())).await;
    let mut client = Client::connect(gateway.address()).await;
    let request = asking("/open").replace("GET", "POST").replace("sec-websocket-key: x", "content-length: 5");
    client.send(request + "hello").await;
    assert_eq!(client.response().await.text(), "plain");
    let arrived = origin.request();
    assert_eq!((arrived.body.as_slice(), arrived.header("upgrade")), (&b"hello"[..], None));
}

#[tokio::test]
async fn h2c_is_never_upgraded_to() {
    let origin = Origin::saying("plain").await;
    let gateway = Gateway::start(&config(&origin.url())).await;
    let request =
        get("/open").header("connection", "upgrade, http2-settings").header("upgrade", "h2c").header("http2-settings", "AAMAAABk");
    assert_eq!(gateway.ask(request).await.text(), "plain");
    assert!(!origin.request().head.to_lowercase().contains("h2c"));
    let (code, text) = Setup::new(&config(&origin.url()).replace("[chat]", "[h2c]")).start_refused().await;
    assert_eq!(code, Some(78));
    assert!(text.contains("routes[2].upgrades[0]"), "{text}");
}

#[tokio::test]
async fn an_agreement_that_nobody_asked_for_is_a_502() {
    for (path, answer) in [
        ("/closed", AGREED),
        ("/other", AGREED),
        ("/open", "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: chat\r\n\r\n"),
        ("/open", "HTTP/1.1 101 Switching Protocols\r\n\r\n"),
    ] {
        let origin = Origin::start(move |_| Answer::raw(answer).then_stall()).await;
        let gateway = Gateway::start(&config(&origin.url())).await;
        let mut client = Client::connect(gateway.address()).await;
        client.send(asking(path)).await;
        client.response().await.assert_problem(502, "upstream_reset");
    }
}

#[tokio::test]
async fn an_upstream_that_is_silent_about_it_is_a_504() {
    let origin = Origin::start(|_| Answer::silence()).await;
    let gateway = Gateway::start(&config(&origin.url())).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send(asking("/open")).await;
    client.response().await.assert_problem(504, "upstream_timeout");
}

#[tokio::test]
async fn upgraded_connections_end_at_the_deadline_of_a_drain() {
    let mut gateway = Gateway::start(&(dedent(&config(&echo().await)) + "drain: {ready_delay: 50ms, deadline: 600ms}\n")).await;
    let stream = TcpStream::connect(gateway.address()).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async("ws://test.example/open", stream).await.unwrap();
    let begun = tokio::time::Instant::now();
    gateway.terminate();
    tokio::time::sleep(Duration::from_millis(250)).await;
    socket.send(Message::text("still there")).await.unwrap();
    assert_eq!(soon("an echo", socket.next()).await.unwrap().unwrap().to_text().unwrap(), "still there");
    gateway.wait().await;
    let took = begun.elapsed();
    assert!((Duration::from_millis(500)..Duration::from_secs(3)).contains(&took), "the deadline is kept: {took:?}");
}

fn dedent(text: &str) -> String {
    text.lines().filter(|line| !line.trim().is_empty()).map(|line| format!("{}\n", line.strip_prefix("        ").unwrap_or(line))).collect()
}

/// An extended CONNECT (RFC 8441) on a connection of its own.
async fn connect(gateway: &Gateway, path: &str, protocol: &'static str) -> http::Response<hyper::body::Incoming> {
    let stream = TcpStream::connect(gateway.address()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake::<_, _, Empty<bytes::Bytes>>(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = Box::leak(Box::new(connection));
    // The client may ask only after the server has said that it may.
    let mut connection = std::pin::Pin::new(connection);
    soon("the settings", async {
        while !connection.is_extended_connect_protocol_enabled() {
            tokio::time::timeout(Duration::from_millis(5), connection.as_mut()).await.ok();
        }
    })
    .await;
    tokio::spawn(connection);
    let mut request = http::Request::connect(format!("http://test.example{path}")).body(Empty::new()).unwrap();
    request.extensions_mut().insert(hyper::ext::Protocol::from_static(protocol));
    request.headers_mut().insert("sec-websocket-version", "13".parse().unwrap());
    soon("an answer", sender.send_request(request)).await.unwrap()
}

#[tokio::test]
async fn a_websocket_over_http_2_becomes_one_over_http_1() {
    let gateway = Gateway::start(&config(&echo().await)).await;
    let response = connect(&gateway, "/open", "websocket").await;
    assert_eq!(response.status(), 200, "RFC 8441 §5.1: there is no 101 in HTTP/2");
    for name in ["connection", "upgrade", "sec-websocket-accept"] {
        assert!(!response.headers().contains_key(name), "{name} is for HTTP/1.1");
    }
    let stream = TokioIo::new(hyper::upgrade::on(response).await.expect("the stream is ours"));
    let role = tokio_tungstenite::tungstenite::protocol::Role::Client;
    let mut socket = tokio_tungstenite::WebSocketStream::from_raw_socket(stream, role, None).await;
    socket.send(Message::text("over two hops")).await.unwrap();
    assert_eq!(soon("an echo", socket.next()).await.unwrap().unwrap().to_text().unwrap(), "over two hops");
    drop(socket);
    let entry = gateway.access_log(1).await.remove(0);
    assert_eq!((&entry["status"], &entry["method"]), (&200.into(), &"CONNECT".into()), "{entry}");
}

#[tokio::test]
async fn a_stream_that_may_not_become_one_is_refused() {
    let origin = Origin::saying("plain").await;
    let gateway = Gateway::start(&config(&origin.url())).await;
    for (path, protocol) in [("/closed", "websocket"), ("/open", "connect-udp")] {
        assert_eq!(connect(&gateway, path, protocol).await.status(), 501, "{protocol} at {path}");
    }
    eventually("both in the log", || std::fs::read_to_string(gateway.access_log_path()).unwrap_or_default().lines().count() == 2).await;
    assert_eq!(origin.hits(), 0, "a CONNECT is never an ordinary GET");
}
