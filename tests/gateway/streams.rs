//! Streams: what comes is passed on at once, what has no end is not cut, what is large is not held, and what breaks is
//! said to have broken.

use std::time::Duration;

use gatehouse_tests::{Answer, Client, Gateway, Origin, Setup, get, request, wire::PATIENCE};
use tokio::time::Instant;

const GIB: usize = 1 << 30;
/// What an allocator may keep back or not, from one moment to the next.
const FLAT: u64 = 16 << 20;

fn config(origin: &Origin, timeouts: &str) -> String {
    format!(
        "
        upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}], timeouts: {timeouts}}}]
        routes: [{{name: all, max_body: 2GiB, upstream: origin}}]
        ",
        origin.url()
    )
}

/// An origin that says something each 100 ms, as events or as something else.
async fn ticking(kind: &'static str) -> Origin {
    Origin::start(move |_| {
        let head = Answer::head(200, &[("content-type", kind), ("transfer-encoding", "chunked")]);
        let ticks = (0..20).fold(head, |answer, _| answer.then_chunk("data: tick\n\n").then_wait(Duration::from_millis(100)));
        ticks.then_send("0\r\n\r\n")
    })
    .await
}

#[tokio::test]
async fn events_come_one_by_one_and_for_longer_than_an_answer_may_take() {
    let origin = ticking("text/event-stream; charset=utf-8").await;
    let gateway = Gateway::start(&config(&origin, "{request: 500ms, idle: 1s}")).await;
    let mut client = Client::connect(gateway.address()).await;
    let begun = Instant::now();
    client.send(get("/").bytes()).await;
    assert_eq!(client.head().await.status, 200);
    assert_eq!(client.chunk().await, b"data: tick\n\n");
    assert!(begun.elapsed() < Duration::from_secs(1), "the first event waits for no other: {:?}", begun.elapsed());
    for _ in 1..20 {
        assert_eq!(client.chunk().await, b"data: tick\n\n");
    }
    assert_eq!(client.chunk().await, b"", "it ends when the upstream ends it");
    assert!(begun.elapsed() > Duration::from_millis(1500));
}

#[tokio::test]
async fn an_answer_that_is_no_stream_has_to_be_whole_in_time() {
    let origin = ticking("text/plain").await;
    let gateway = Gateway::start(&config(&origin, "{request: 500ms}")).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send(get("/").bytes()).await;
    client.head().await;
    let (rest, _) = client.rest().await;
    assert!(!rest.ends_with(b"0\r\n\r\n"), "it is seen to be cut");
    let entry = gateway.access_log(1).await.remove(0);
    assert!(entry["flags"].to_string().contains("UT"), "{entry}");
}

#[tokio::test]
async fn a_stream_that_has_nothing_to_say_ends() {
    let origin = Origin::start(|_| {
        Answer::head(200, &[("content-type", "text/event-stream"), ("transfer-encoding", "chunked")]).then_chunk("data: x\n\n").then_stall()
    })
    .await;
    let gateway = Gateway::start(&config(&origin, "{idle: 300ms}")).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send(get("/").bytes()).await;
    client.head().await;
    let (rest, _) = client.rest().await;
    assert!(!rest.ends_with(b"0\r\n\r\n"), "no end is made up");
    origin.wait_until_deserted(1).await;
}

#[tokio::test]
async fn a_download_of_a_gigabyte_leaves_memory_as_it_is() {
    let origin = Origin::start(|request| match request.target() {
        "/large" => Answer::head(200, &[("content-length", &GIB.to_string())]).then_flood(GIB),
        _ => Answer::head(200, &[("content-length", "64000000")]).then_flood(64_000_000),
    })
    .await;
    let gateway = Setup::new(&config(&origin, "{request: 300s}")).one_worker().start().await;
    drain(&gateway, "/warm", 64_000_000).await;
    let before = gateway.rss();
    let most = drain(&gateway, "/large", GIB).await;
    let grown = most.saturating_sub(before);
    assert!(grown < FLAT, "{} KiB more than for 64 MB", grown >> 10);
}

/// Reads a body, and says what the most memory was that the gateway had meanwhile.
async fn drain(gateway: &Gateway, target: &str, length: usize) -> u64 {
    let mut client = Client::connect(gateway.address()).await;
    client.send(get(target).bytes()).await;
    client.head().await;
    let (mut left, mut most) = (length, 0);
    while left > 0 {
        let piece = left.min(16 << 20);
        client.read(piece).await.expect("the body goes on");
        left -= piece;
        most = most.max(gateway.rss());
    }
    most
}

#[tokio::test]
async fn an_upload_of_a_gigabyte_leaves_memory_as_it_is() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let sink = tokio::spawn(swallow(listener));
    let config = format!(
        "
        upstreams: [{{name: origin, endpoints: [{{url: \"{url}\"}}], timeouts: {{request: 300s}}}}]
        routes: [{{name: all, max_body: 2GiB, upstream: origin}}]
        "
    );
    let gateway = Setup::new(&config).one_worker().start().await;
    upload(&gateway, 64_000_000).await;
    let before = gateway.rss();
    let most = upload(&gateway, GIB).await;
    let grown = most.saturating_sub(before);
    assert!(grown < FLAT, "{} KiB more than for 64 MB", grown >> 10);
    sink.abort();
}

/// Takes uploads and keeps nothing of them.
async fn swallow(listener: tokio::net::TcpListener) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut buffer = vec![0; 256 << 10];
            let (mut head, mut taken, mut wanted) = (Vec::new(), 0, None);
            loop {
                let read = stream.read(&mut buffer).await.unwrap_or(0);
                if read == 0 {
                    return;
                }
                taken += read;
                if wanted.is_none() {
                    head.extend_from_slice(&buffer[..read]);
                    wanted = total(&head);
                }
                if wanted == Some(taken) {
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone").await.ok();
                    (head, taken, wanted) = (Vec::new(), 0, None);
                }
            }
        });
    }
}

/// The length of a request with its head, once the head is whole.
fn total(head: &[u8]) -> Option<usize> {
    let end = gatehouse_tests::wire::find(head, b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&head[..end]).to_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "))?;
    Some(end + length.parse::<usize>().ok()?)
}

async fn upload(gateway: &Gateway, length: usize) -> u64 {
    let mut client = Client::connect(gateway.address()).await;
    client.send(format!("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n")).await;
    let (block, mut left, mut most) = (vec![b'u'; 1 << 20], length, 0);
    while left > 0 {
        let piece = left.min(block.len());
        client.send(&block[..piece]).await;
        left -= piece;
        most = most.max(gateway.rss());
    }
    let response = tokio::time::timeout(PATIENCE, client.response()).await.expect("the upload is answered");
    assert_eq!(response.text(), "done");
    most
}

/// Asks for something that breaks, then for something that does not; says which flags the first one got in the log.
async fn broken(answer: impl Fn() -> Answer + Send + Sync + 'static) -> (String, Origin) {
    let origin = Origin::start(move |request| if request.target() == "/broken" { answer() } else { Answer::ok("fine") }).await;
    let gateway = Setup::new(&config(&origin, "{first_byte: 2s}")).one_worker().start().await;
    let mut client = Client::connect(gateway.address()).await;
    client.send(get("/broken").bytes()).await;
    client.rest().await;
    let entry = gateway.access_log(1).await.remove(0);
    assert_eq!(gateway.get("/after").await.text(), "fine", "the gateway goes on");
    (entry["flags"].to_string(), origin)
}

#[tokio::test]
async fn a_response_that_breaks_is_said_to_be_reset_and_its_connection_is_not_used_again() {
    let cases: [(&str, fn() -> Answer); 4] = [
        ("truncated", || Answer::head(200, &[("content-length", "100"), ("connection", "close")]).then_send("half").then_close()),
        ("reset", || Answer::head(200, &[("content-length", "100")]).then_send("half").then_wait(Duration::from_millis(50)).then_reset()),
        ("chunks without an end", || Answer::head(200, &[("transfer-encoding", "chunked")]).then_chunk("half").then_close()),
        ("a bad chunk", || Answer::head(200, &[("transfer-encoding", "chunked")]).then_send("zz\r\nhalf\r\n").then_stall()),
    ];
    for (what, answer) in cases {
        let (flags, origin) = broken(answer).await;
        assert!(flags.contains("UR"), "{what}: the log says that the upstream broke off: {flags}");
        let connections: Vec<_> = origin.requests().iter().map(|request| request.connection).collect();
        assert_eq!(connections, [0, 1], "{what}: the next request goes elsewhere");
    }
}

#[tokio::test]
async fn a_connection_with_more_on_it_than_was_asked_for_is_not_used_again() {
    let origin = Origin::start(|request| match request.target() {
        "/poisoned" => Answer::ok("fine").then_send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"),
        _ => Answer::ok("fine"),
    })
    .await;
    let gateway = Setup::new(&config(&origin, "{first_byte: 2s}")).one_worker().start().await;
    for _ in 0..20 {
        let mut client = Client::connect(gateway.address()).await;
        client.send(get("/poisoned").bytes()).await;
        assert_eq!(client.response().await.text(), "fine");
        assert_eq!(client.ask(&get("/next")).await.text(), "fine", "nobody gets an answer to a question of the upstream's own");
    }
}

#[tokio::test]
async fn an_upload_that_is_answered_early_ends_both_connections() {
    let origin = Origin::start(|request| match request.method() {
        "PUT" => Answer::new(413, &[], "enough").without_reading().then_wait(Duration::from_secs(1)),
        _ => Answer::ok("fine"),
    })
    .await;
    let gateway = Setup::new(&config(&origin, "{first_byte: 2s}")).one_worker().start().await;
    let mut client = Client::connect(gateway.address()).await;
    client.send("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nbegin").await;
    let response = client.response().await;
    assert_eq!((response.status, response.text().as_str()), (413, "enough"));
    client.try_send(vec![b'u'; 100_000]).await.ok();
    client.rest().await;
    assert_eq!(gateway.get("/after").await.text(), "fine");
    let requests = origin.requests();
    assert_ne!(requests[0].connection, requests[1].connection);
}

#[tokio::test]
async fn an_upload_whose_client_leaves_ends_at_the_upstream() {
    let origin = Origin::saying("done").await;
    let gateway = Gateway::start(&config(&origin, "{first_byte: 2s}")).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send("PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nbegin\r\n").await;
    origin.wait_for_hits(1).await;
    drop(client);
    let entry = gateway.access_log(1).await.remove(0);
    assert!(!origin.request().whole, "half a body is not a body");
    assert!(entry["status"] != 200, "{entry}");
    assert_eq!(gateway.ask(request("PUT", "/next").body("whole")).await.status, 200);
    assert_ne!(origin.requests()[0].connection, origin.requests()[1].connection, "half a request is never followed by another");
}

#[tokio::test]
async fn trailers_end_an_answer_well_and_leave_its_connection() {
    let origin = Origin::start(|_| {
        let head = Answer::head(200, &[("transfer-encoding", "chunked"), ("trailer", "x-sum")]);
        head.then_chunk("part").then_send("0\r\nx-sum: 42\r\n\r\n")
    })
    .await;
    let gateway = Setup::new(&config(&origin, "{first_byte: 2s}")).one_worker().start().await;
    for asked in [get("/"), get("/").header("te", "trailers").header("connection", "te"), get("/")] {
        assert_eq!(gateway.ask(asked).await.text(), "part");
    }
    let flags: Vec<_> = gateway.access_log(3).await.iter().map(|entry| entry["flags"].clone()).collect();
    assert!(flags.iter().all(serde_json::Value::is_null), "nobody broke off: {flags:?}");
    assert_eq!(origin.connections(), 1, "trailers are the end of an answer");
}

#[tokio::test]
async fn an_upload_with_trailers_is_answered_in_time_or_not_at_all() {
    let origin = Origin::start(|_| Answer::silence()).await;
    let gateway = Gateway::start(&config(&origin, "{first_byte: 300ms}")).await;
    let mut client = Client::connect(gateway.address()).await;
    let began = Instant::now();
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n4\r\npart\r\n0\r\nx-sum: 42\r\n\r\n")
        .await;
    client.response().await.assert_problem(504, "upstream_timeout");
    assert!(began.elapsed() < Duration::from_secs(5), "its last byte is the trailers': {:?}", began.elapsed());
}

#[tokio::test]
async fn chunks_overrule_a_length_and_other_codings_are_refused() {
    let cases = [
        ("content-length: 3\r\ntransfer-encoding: chunked", Some("part")),
        ("transfer-encoding: Chunked", Some("part")),
        ("transfer-encoding: gzip, chunked", None),
        ("transfer-encoding: gzip\r\ntransfer-encoding: chunked", None),
        ("transfer-encoding: gzip", None),
    ];
    for (fields, wanted) in cases {
        let answer = Answer::raw(format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n")).then_chunk("part").then_send("0\r\n\r\n").then_close();
        let origin = Origin::start(move |_| answer.clone()).await;
        let gateway = Gateway::start(&config(&origin, "{first_byte: 2s}")).await;
        let response = gateway.get("/").await;
        match wanted {
            Some(body) => assert_eq!((response.text().as_str(), response.header("content-length")), (body, None), "{fields:?}"),
            None => response.assert_problem(502, "upstream_reset"),
        }
    }
}

#[tokio::test]
async fn an_interim_answer_of_the_upstream_is_not_taken_for_the_answer() {
    let origin = Origin::start(|_| {
        Answer::raw("HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n")
            .then_send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone")
    })
    .await;
    let gateway = Gateway::start(&config(&origin, "{first_byte: 2s}")).await;
    let response = gateway.get("/").await;
    assert_eq!((response.status, response.text().as_str()), (200, "done"));
}

#[tokio::test]
async fn a_client_of_http_1_0_gets_no_chunks_and_is_kept_only_if_it_asks() {
    let origin = Origin::start(|request| match request.target() {
        "/chunks" => Answer::chunked(&["one", "two"]),
        _ => Answer::ok("fine"),
    })
    .await;
    let gateway = Gateway::start(&config(&origin, "{first_byte: 2s}")).await;

    let mut client = Client::connect(gateway.address()).await;
    client.send("GET /chunks HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n").await;
    let response = client.response().await;
    assert_eq!((response.header("transfer-encoding"), response.text().as_str()), (None, "onetwo"), "{}", response.head);

    let mut client = Client::connect(gateway.address()).await;
    client.send("GET / HTTP/1.0\r\nhost: a\r\n\r\n").await;
    assert_eq!(client.response().await.text(), "fine");
    assert_eq!(client.rest().await.0, b"", "the connection ends");

    let mut client = Client::connect(gateway.address()).await;
    for _ in 0..2 {
        client.send("GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n").await;
        let response = client.response().await;
        assert_eq!((response.header("connection"), response.text().as_str()), (Some("keep-alive"), "fine"), "it is kept, and told so");
    }
    assert!(origin.requests().iter().all(|request| request.head.contains(" HTTP/1.1\r\n")), "upstreams are spoken to in HTTP/1.1");
}

#[tokio::test]
async fn an_upstream_that_finishes_its_side_is_not_asked_again_there() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // The first connection answers and half-closes, the second half-closes without a word, the third cuts its head short.
    let upstream = tokio::spawn(async move {
        let words: [&[u8]; 4] = [
            b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine",
            b"",
            b"HTTP/1.1 200 OK\r\ncont",
            b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlast",
        ];
        let mut kept = Vec::new();
        for words in words {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read(&mut [0; 4096]).await.unwrap();
            stream.write_all(words).await.unwrap();
            stream.shutdown().await.unwrap();
            // It still reads, and would take another request.
            kept.push(stream);
        }
        kept
    });
    let config = format!(
        "
        upstreams: [{{name: origin, endpoints: [{{url: \"{url}\"}}], timeouts: {{first_byte: 2s}}}}]
        routes: [{{name: all, upstream: origin}}]
        "
    );
    let gateway = Setup::new(&config).one_worker().start().await;
    assert_eq!(gateway.get("/").await.text(), "fine");
    // POST, so that nothing is tried again.
    gateway.ask(request("POST", "/").body("content")).await.assert_problem(502, "upstream_reset");
    gateway.ask(request("POST", "/").body("content")).await.assert_problem(502, "upstream_reset");
    assert_eq!(gateway.get("/").await.text(), "last");
    assert_eq!(upstream.await.unwrap().len(), 4, "each time on a connection of its own");
    let entries = gateway.access_log(4).await;
    let reset = entries.iter().filter(|entry| entry["error"] == "upstream_reset" && entry["flags"].to_string().contains("UR")).count();
    assert_eq!(reset, 2, "{entries:?}");
}

#[tokio::test]
async fn a_client_that_stops_sending_inside_a_body_is_told_and_logged_as_gone() {
    let origin = Origin::saying("done").await;
    let gateway = Gateway::start(&config(&origin, "{first_byte: 2s}")).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf").await;
    origin.wait_for_hits(1).await;
    client.finish().await;
    client.response().await.assert_problem(400, "bad_request");
    let entry = gateway.access_log(1).await.remove(0);
    assert!(entry["flags"].to_string().contains("CD"), "{entry}");
    assert!(!origin.request().whole, "half a body is not a body");
}
