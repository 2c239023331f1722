//! HTTP/2 to upstreams: shared connections, the endpoint's limits, its farewells and its faults.

use std::time::Duration;

use gatehouse_tests::{
    Client, Gateway, Setup, get,
    http2::{Http2, head},
    http2_origin::{Http2Origin, Script},
    request,
    tls::Certificate,
    wire::{eventually, soon},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

fn config(url: &str) -> String {
    format!(
        "
        upstreams: [{{name: origin, protocol: h2, endpoints: [{{url: \"{url}\"}}]}}]
        routes: [{{name: all, upstream: origin}}]
        "
    )
}

async fn house(script: Script) -> (Gateway, Http2Origin) {
    let origin = Http2Origin::start(script).await;
    (Setup::new(&config(&origin.url())).one_worker().start().await, origin)
}

fn slow() -> Script {
    Script { delay: Duration::from_millis(200), ..Script::default() }
}

#[tokio::test]
async fn a_request_of_http_1_arrives_as_one_of_http_2() {
    let (gateway, origin) = house(Script::default()).await;
    let response = gateway
        .ask(request("PUT", "/a?b=c").header("x-kept", "1").header("connection", "x-gone").header("x-gone", "1").body("hello"))
        .await;
    assert_eq!((response.status, response.text().as_str()), (200, "through"), "{}", response.head);
    let (_, head, body) = origin.requests().remove(0);
    assert_eq!((head.version, head.method.as_str()), (http::Version::HTTP_2, "PUT"));
    assert_eq!(head.uri.to_string(), "http://test.example/a?b=c", "Host becomes :authority");
    assert_eq!(head.headers["x-kept"], "1");
    assert_eq!(head.headers["content-length"], "5");
    for name in ["host", "connection", "x-gone"] {
        assert!(!head.headers.contains_key(name), "{name} has no place in HTTP/2");
    }
    assert_eq!(&body[..], b"hello");
}

#[tokio::test]
async fn many_requests_share_one_connection() {
    let (gateway, origin) = house(slow()).await;
    let client = Http2::connect(gateway.address()).await;
    let all = (0..20).map(|_| client.get("/"));
    let responses = futures(all).await;
    assert!(responses.iter().all(|response| response.status == 200));
    assert_eq!((origin.connections(), origin.most_together()), (1, 20), "at once, on one connection, the first ones included");
}

#[tokio::test]
async fn an_endpoint_with_no_room_for_another_stream_gets_another_connection() {
    let (gateway, origin) = house(Script { most_streams: Some(4), ..slow() }).await;
    let client = Http2::connect(gateway.address()).await;
    let responses = futures((0..12).map(|_| client.get("/"))).await;
    assert!(responses.iter().all(|response| response.status == 200), "none was refused: {responses:?}");
    assert_eq!((origin.connections(), origin.most_together()), (3, 4), "no connection had more than the endpoint allows");
}

#[tokio::test]
async fn a_farewell_costs_no_request() {
    let (gateway, origin) = house(Script { delay: Duration::from_millis(20), ..Script::default() }).await;
    let client = Http2::connect(gateway.address()).await;
    for round in 1..=5 {
        let (responses, ()) = tokio::join!(futures((0..20).map(|_| client.get("/"))), async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            origin.say_goodbye();
        });
        assert!(responses.iter().all(|response| response.status == 200), "round {round}: {responses:?}");
    }
    assert!(origin.connections() > 1, "new connections were made");
}

#[tokio::test]
async fn a_client_that_leaves_resets_its_stream_and_no_other() {
    let (gateway, origin) = house(slow()).await;
    let staying = Http2::connect(gateway.address()).await;
    let mut leaving = Client::connect(gateway.address()).await;
    leaving.send(get("/leaving").bytes()).await;
    let (response, ()) = tokio::join!(staying.get("/staying"), async {
        eventually("both requests at the upstream", || origin.requests().len() == 2).await;
        drop(leaving);
    });
    assert_eq!(response.status, 200);
    eventually("the upstream to see the stream reset", || origin.deserted() == 1).await;
    assert_eq!(origin.connections(), 1);
    let entries = gateway.access_log(2).await;
    assert!(entries.iter().any(|entry| entry["flags"].to_string().contains("CD")), "the log knows who left: {entries:?}");
}

#[tokio::test]
async fn a_large_body_passes_both_ways() {
    let (gateway, origin) = house(Script::default()).await;
    let client = Http2::connect(gateway.address()).await;
    assert_eq!(client.ask(head("POST", "/"), vec![b'u'; 3_000_000]).await.status, 200);
    assert_eq!(origin.requests()[0].2.len(), 3_000_000);
}

#[tokio::test]
async fn an_endpoint_that_is_slow_is_a_504_and_its_connection_stays() {
    let origin = Http2Origin::start(Script { delay: Duration::from_secs(60), ..Script::default() }).await;
    let limits = "timeouts: {first_byte: 200ms}, ";
    let gateway = Gateway::start(&config(&origin.url()).replace("protocol: h2, ", &format!("protocol: h2, {limits}"))).await;
    gateway.get("/").await.assert_problem(504, "upstream_timeout");
    eventually("the upstream to see the stream reset", || origin.deserted() == 1).await;
}

/// An endpoint that takes the preface and then says something of its own.
async fn hostile(words: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                stream.read(&mut buffer).await.ok();
                stream.write_all(words).await.ok();
                while matches!(stream.read(&mut buffer).await, Ok(1..)) {}
            });
        }
    });
    url
}

const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";

#[tokio::test]
async fn garbage_from_an_endpoint_is_a_502() {
    const CONNECT: &str = "upstream_connect";
    const RESET: &str = "upstream_reset";
    // What comes behind good settings may be seen before or after the first request goes out.
    let cases: [(&str, &[u8], &[&str]); 5] = [
        ("HTTP/1.1", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", &[CONNECT]),
        ("noise", &[0xff; 64], &[CONNECT]),
        ("a frame that is too large", b"\0\0\0\x04\0\0\0\0\0\xff\xff\xff\0\0\0\0\0\x01", &[CONNECT, RESET]),
        ("data on a stream that nobody opened", b"\0\0\0\x04\0\0\0\0\0\0\0\x01\0\0\0\0\0\x09x", &[CONNECT, RESET]),
        ("a broken block of headers", b"\0\0\0\x04\0\0\0\0\0\0\0\x04\x01\x05\0\0\0\x01\xff\xff\xff\xff", &[CONNECT, RESET]),
    ];
    for (what, words, reasons) in cases {
        let gateway = Gateway::start(&config(&hostile(words).await)).await;
        let response = gateway.get("/").await;
        let reason = response.header("x-gatehouse-error").unwrap_or_default();
        assert!(response.status == 502 && reasons.contains(&reason), "{what}: {} {}", response.head, response.text());
    }
}

/// An endpoint that resets every stream at once, with this code.
async fn resetting(code: u8) -> (String, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let streams = std::sync::Arc::new(AtomicUsize::new(0));
    let seen = std::sync::Arc::clone(&streams);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let seen = std::sync::Arc::clone(&seen);
            tokio::spawn(async move {
                stream.read_exact(&mut [0; 24]).await?;
                stream.write_all(SETTINGS).await?;
                loop {
                    let mut frame = [0; 9];
                    stream.read_exact(&mut frame).await?;
                    let length = u32::from_be_bytes([0, frame[0], frame[1], frame[2]]);
                    let mut payload = vec![0; length as usize];
                    stream.read_exact(&mut payload).await?;
                    match frame[3] {
                        1 => {
                            seen.fetch_add(1, Ordering::Relaxed);
                            let reset = [&[0, 0, 4, 3, 0], &frame[5..9], &[0, 0, 0, code]].concat();
                            stream.write_all(&reset).await?;
                        }
                        4 if frame[4] & 1 == 0 => stream.write_all(b"\0\0\0\x04\x01\0\0\0\0").await?,
                        _ => {}
                    }
                }
                #[expect(unreachable_code, reason = "it says what kind of error the loop ends with")]
                std::io::Result::Ok(())
            });
        }
    });
    (url, streams)
}

#[tokio::test]
async fn a_refused_stream_is_tried_once_more_and_a_broken_one_is_not() {
    use std::sync::atomic::Ordering;
    // RFC 9113 §8.7: REFUSED_STREAM (7) says that nothing was done, INTERNAL_ERROR (2) does not.
    for (code, tries) in [(7, 2), (2, 1)] {
        let (url, streams) = resetting(code).await;
        let gateway = Gateway::start(&config(&url)).await;
        gateway.ask(request("POST", "/")).await.assert_problem(502, "upstream_reset");
        assert_eq!(streams.load(Ordering::Relaxed), tries, "code {code}");
    }
}

#[tokio::test]
async fn a_body_goes_with_a_refused_request_to_the_next_endpoint() {
    let ((refusing, streams), origin) = (resetting(7).await, Http2Origin::start(Script::default()).await);
    let config = format!(
        "
        upstreams: [{{name: origin, protocol: h2, balance: {{algorithm: round_robin}}, endpoints: [{{url: \"{refusing}\"}}, {{url: \"{}\"}}]}}]
        routes: [{{name: all, upstream: origin}}]
        ",
        origin.url()
    );
    let gateway = Setup::new(&config).one_worker().start().await;
    for number in 0..4 {
        let asked = match number % 2 {
            0 => request("POST", "/").body("an order"),
            _ => request("POST", "/").chunks(&[b"an ", b"order"]),
        };
        assert_eq!(gateway.ask(asked).await.status, 200);
    }
    assert!(streams.load(std::sync::atomic::Ordering::Relaxed) >= 2, "some were refused");
    let requests = origin.requests();
    assert_eq!(requests.len(), 4, "none is lost, and none comes twice");
    assert!(requests.iter().all(|(_, _, body)| body == "an order"), "{requests:?}");
}

#[tokio::test]
async fn a_flood_of_resets_does_not_stop_the_gateway() {
    let (url, _) = resetting(2).await;
    let config = format!(
        "
        upstreams: [{{name: bad, protocol: h2, circuit_breaker: {{failure_ratio: 0%}}, endpoints: [{{url: \"{url}\"}}]}}]
        routes:
          - {{name: bad, match: [{{path: {{prefix: /bad}}}}], upstream: bad}}
          - {{name: good, match: [{{path: {{prefix: /good}}}}], chain: [{{plugin: mock}}]}}
        "
    );
    let gateway = Setup::new(&config).one_worker().start().await;
    let client = Http2::connect(gateway.address()).await;
    for _ in 0..5 {
        let responses = futures((0..100).map(|_| client.get("/bad"))).await;
        assert!(responses.iter().all(|response| response.status == 502));
    }
    assert_eq!(gateway.get("/good").await.status, 200);
}

#[tokio::test]
async fn an_endpoint_chooses_the_version_by_alpn() {
    let certificate = Certificate::of(&["origin.example"]);
    for (offers, protocol, status, version) in
        [(&["h2", "http/1.1"][..], "auto", 200, "HTTP/2.0"), (&["h2"], "h2", 200, "HTTP/2.0"), (&["http/1.1"], "h2", 502, "")]
    {
        let script = Script { tls: Some(certificate.acceptor(offers, None)), ..Script::default() };
        let origin = Http2Origin::start(script).await;
        let config = format!(
            "
            upstreams:
              - name: origin
                protocol: {protocol}
                tls: {{ca: $DIR/ca.pem, sni: origin.example}}
                endpoints: [{{url: \"https://127.0.0.1:{}\"}}]
            routes: [{{name: all, upstream: origin}}]
            ",
            origin.port()
        );
        let gateway = Setup::new(&config).file("ca.pem", certificate.pem()).start().await;
        let response = gateway.get("/").await;
        assert_eq!(response.status, status, "{offers:?} offered, {protocol} wanted: {}", response.text());
        let spoken: Vec<_> = origin.requests().iter().map(|(_, head, _)| format!("{:?}", head.version)).collect();
        assert_eq!(spoken.join(" "), version, "{offers:?} offered, {protocol} wanted");
    }
}

async fn futures<F: Future + Send>(all: impl Iterator<Item = F>) -> Vec<F::Output>
where
    F::Output: Send,
{
    let mut pending: Vec<_> = all.map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = pending.iter().map(|_| None).collect();
    let joined = std::future::poll_fn(|context| {
        for (future, output) in pending.iter_mut().zip(&mut outputs).filter(|(_, output)| output.is_none()) {
            if let std::task::Poll::Ready(ready) = future.as_mut().poll(context) {
                *output = Some(ready);
            }
        }
        match outputs.iter().all(Option::is_some) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    });
    soon("all answers", joined).await;
    outputs.into_iter().flatten().collect()
}
