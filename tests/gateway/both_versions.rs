//! Bodies that go on, and what breaks inside them, with either version of HTTP on either side of the gateway.

use std::time::Duration;

use gatehouse_tests::{
    Gateway, Setup,
    streaming::{StreamClient, StreamOrigin, Version, nothing, of_length, unfinished},
    wire::soon,
};
use http_body_util::BodyExt;
use tokio::time::Instant;

const GIB: u64 = 1 << 30;

/// Every client with every upstream.
fn pairs() -> impl Iterator<Item = (Version, Version)> {
    Version::ALL.into_iter().flat_map(|client| Version::ALL.map(|origin| (client, origin)))
}

async fn house(version: Version) -> (Gateway, StreamOrigin) {
    let origin = StreamOrigin::start(version, None).await;
    let config = format!(
        "
        upstreams:
          - name: origin
            protocol: {}
            endpoints: [{{url: \"http://{}\"}}]
            timeouts: {{request: 300s}}
            circuit_breaker: {{failure_ratio: 0%}}
        routes: [{{name: all, max_body: 2GiB, upstream: origin}}]
        ",
        version.protocol(),
        origin.address()
    );
    (Setup::new(&config).one_worker().start().await, origin)
}

/// Leaves once the upstream has the request, or its answer has begun; says how soon the upstream knew.
async fn leave(gateway: &Gateway, origin: &StreamOrigin, version: Version, target: &str) -> Duration {
    let (requests, deserted) = (origin.requests(), origin.deserted());
    let mut client = StreamClient::connect(gateway.address(), version).await;
    let body = if target == "/upload" { unfinished() } else { nothing() };
    {
        let mut asking = Box::pin(client.ask("POST", target, body));
        tokio::select! {
            answer = &mut asking => assert!(target == "/download", "{target} is not answered: {answer:?}"),
            () = origin.wait_for_requests(requests + 1), if target != "/download" => {}
        }
    }
    let left = Instant::now();
    drop(client);
    origin.wait_until_deserted(deserted + 1).await;
    left.elapsed()
}

#[tokio::test]
async fn a_client_that_leaves_is_gone_for_the_upstream_within_a_second() {
    for origin_version in Version::ALL {
        let (gateway, origin) = house(origin_version).await;
        for client_version in Version::ALL {
            for target in ["/wait", "/upload", "/download"] {
                let took = leave(&gateway, &origin, client_version, target).await;
                assert!(took < Duration::from_secs(1), "{target}, {client_version:?} to {origin_version:?}: {took:?}");
            }
        }
        let entries = gateway.access_log(6).await;
        let gone = entries.iter().filter(|entry| entry["flags"].to_string().contains("CD")).count();
        assert_eq!(gone, 6, "the log knows who left: {entries:?}");
        let broken = [("upstream", "origin"), ("reason", "client_gone")];
        assert_eq!(gateway.metrics().await.sum("gatehouse_broken_requests_total", &broken), 6.0);
    }
}

#[tokio::test]
async fn a_stream_that_is_taken_back_leaves_its_connection_to_the_others() {
    for origin_version in Version::ALL {
        let (gateway, origin) = house(origin_version).await;
        let mut client = StreamClient::connect(gateway.address(), Version::Http2).await;
        for times in 1..=3 {
            let answer = soon("an answer", client.ask("GET", "/download", nothing())).await.expect("an answer");
            drop(answer);
            origin.wait_until_deserted(times).await;
        }
        let answer = soon("an answer", client.ask("GET", "/fine", nothing())).await.expect("an answer");
        assert_eq!(soon("the body", answer.collect()).await.expect("a body").to_bytes(), "fine");
        let connections = if origin_version == Version::Http2 { 1 } else { 4 };
        assert_eq!(origin.connections(), connections, "{origin_version:?}: only a stream can be taken back alone");
    }
}

#[tokio::test]
async fn a_body_that_breaks_is_broken_for_the_client_too() {
    for (client_version, origin_version) in pairs() {
        for target in ["/truncated", "/truncated-length", "/vanish"] {
            let (gateway, origin) = house(origin_version).await;
            let mut client = StreamClient::connect(gateway.address(), client_version).await;
            let answer = soon("an answer", client.ask("GET", target, nothing())).await.expect("a head");
            let what = format!("{target}, {client_version:?} to {origin_version:?}");
            assert_eq!(answer.status(), 200, "{what}");
            let mut body = answer.into_body();
            let mut read = Vec::new();
            let end = loop {
                match soon("more of the body", body.frame()).await {
                    Some(Ok(frame)) => read.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
                    end => break end,
                }
            };
            assert!(matches!(end, Some(Err(_))), "{what}: no end is made up");
            assert_eq!(read, b"half", "{what}: what came is passed on, and nothing is filled in");
            let entry = gateway.access_log(1).await.remove(0);
            assert!(entry["flags"].to_string().contains("UR"), "{what}: the log says who broke off: {entry}");
            let broken = [("upstream", "origin"), ("reason", "upstream_reset")];
            assert_eq!(gateway.metrics().await.sum("gatehouse_broken_requests_total", &broken), 1.0, "{what}");

            let mut client = StreamClient::connect(gateway.address(), client_version).await;
            let answer = soon("an answer", client.ask("GET", "/fine", nothing())).await.expect("an answer");
            assert_eq!(soon("the body", answer.collect()).await.expect("a body").to_bytes(), "fine", "{what}");
            let kept = origin_version == Version::Http2 && target != "/vanish";
            assert_eq!(origin.connections(), if kept { 1 } else { 2 }, "{what}: a broken connection is not used again");
        }
    }
}

#[tokio::test]
async fn the_first_event_waits_for_nothing() {
    for (client_version, origin_version) in pairs() {
        let (gateway, _origin) = house(origin_version).await;
        let mut client = StreamClient::connect(gateway.address(), client_version).await;
        client.ask("GET", "/fine", nothing()).await.expect("an answer").collect().await.expect("a body");
        let begun = Instant::now();
        let mut body = soon("a head", client.ask("GET", "/events", nothing())).await.expect("a head").into_body();
        let frame = soon("an event", body.frame()).await.expect("a frame").expect("no error");
        assert_eq!(frame.data_ref().map(|data| &data[..]), Some(&b"data: one\n\n"[..]));
        // Through two hops and back; a buffer would keep it for ever.
        assert!(begun.elapsed() < Duration::from_secs(1), "{client_version:?} to {origin_version:?}: {:?}", begun.elapsed());
    }
}

/// Waits until nobody takes more of what the source has.
async fn settled(origin: &StreamOrigin) {
    let mut before = None;
    while before != Some(origin.sent()) {
        before = Some(origin.sent());
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::test]
async fn a_reader_that_does_not_read_holds_up_the_source() {
    const FLAT: u64 = 8 << 20;
    for (client_version, origin_version) in pairs() {
        let (gateway, origin) = house(origin_version).await;
        let mut client = StreamClient::connect(gateway.address(), client_version).await;
        client.ask("GET", "/download?1000000", nothing()).await.expect("an answer").collect().await.expect("a body");
        let before = gateway.rss();
        let mut body = client.ask("GET", "/download", nothing()).await.expect("an answer").into_body();
        let what = format!("{client_version:?} to {origin_version:?}");
        soon("the source to wait", settled(&origin)).await;
        let held = gateway.rss().saturating_sub(before);
        assert!(held < FLAT, "{what}: {} KiB are held for a reader that does not read", held >> 10);
        let mut read = 0;
        while read < 32 << 20 {
            read += soon("more", body.frame()).await.expect("it goes on").expect("no error").data_ref().map_or(0, bytes::Bytes::len);
        }
    }
}

#[tokio::test]
async fn readers_that_do_not_read_hold_up_nobody_else_on_a_shared_connection() {
    let (gateway, origin) = house(Version::Http2).await;
    let mut stalled = Vec::new();
    for _ in 0..20 {
        let mut client = StreamClient::connect(gateway.address(), Version::Http2).await;
        let body = client.ask("GET", "/download", nothing()).await.expect("an answer").into_body();
        stalled.push((client, body));
    }
    soon("the source to wait", settled(&origin)).await;
    let mut client = StreamClient::connect(gateway.address(), Version::Http1).await;
    let answer = soon("an answer", client.ask("GET", "/download?1000000", nothing())).await.expect("an answer");
    assert_eq!(soon("the body", answer.collect()).await.expect("a body").to_bytes().len(), 1_000_000);
    assert_eq!(origin.connections(), 1, "all of them share one");
}

#[tokio::test]
async fn uploads_that_nobody_reads_hold_up_no_other_of_their_client() {
    // In HTTP/2 the upstream itself would have to have room for them.
    let (gateway, origin) = house(Version::Http1).await;
    let mut client = StreamClient::connect(gateway.address(), Version::Http2).await;
    let stalled = (0..20).map(|_| {
        let mut client = client.sharing();
        tokio::spawn(async move { client.ask("POST", "/wait", of_length(64 << 20)).await.map(drop) })
    });
    let stalled: Vec<_> = stalled.collect();
    origin.wait_for_requests(20).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let answer = soon("an answer", client.ask("PUT", "/upload", of_length(1_000_000))).await.expect("an answer");
    assert_eq!(soon("the body", answer.collect()).await.expect("a body").to_bytes(), "1000000");
    stalled.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_gigabyte_over_http_2_leaves_memory_as_it_is() {
    const FLAT: u64 = 32 << 20;
    let (gateway, _origin) = house(Version::Http2).await;
    let mut client = StreamClient::connect(gateway.address(), Version::Http2).await;
    let mut pass = async |length: u64| {
        let mut most = 0;
        let mut body = client.ask("GET", &format!("/download?{length}"), nothing()).await.expect("an answer").into_body();
        let mut read = 0;
        while let Some(frame) = soon("more", body.frame()).await {
            read += frame.expect("no error").data_ref().map_or(0, bytes::Bytes::len);
            most = most.max(if read % (1 << 22) < 1 << 14 { gateway.rss() } else { 0 });
        }
        assert_eq!(read as u64, length, "all of it came down");
        let answer = client.ask("PUT", "/upload", of_length(length)).await.expect("an answer");
        assert_eq!(answer.collect().await.expect("a body").to_bytes(), length.to_string(), "all of it went up");
        most.max(gateway.rss())
    };
    let before = pass(64 << 20).await;
    let grown = pass(GIB).await.saturating_sub(before);
    assert!(grown < FLAT, "{} KiB more than for 64 MiB", grown >> 10);
}
