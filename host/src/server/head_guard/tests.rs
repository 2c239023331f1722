//! The guard against every refusal, every split of a message, and a real hyper server behind it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use super::head::{self, Body};
use super::*;

// === one head ===

fn parse(head: &[u8]) -> Result<Option<head::Head>, Violation> {
    head::check(head, &Limits::default())
}

#[track_caller]
fn refused(head: impl AsRef<[u8]>, expected: Violation) {
    let head = head.as_ref();
    assert_eq!(parse(head), Err(expected), "{}", head.escape_ascii());
}

#[track_caller]
fn taken(head: impl AsRef<[u8]>, body: Body) {
    let head = head.as_ref();
    let parsed = parse(head).map(|head| head.map(|head| (head.length, head.body)));
    assert_eq!(parsed, Ok(Some((head.len(), body))), "{}", head.escape_ascii());
}

#[test]
fn well_formed_heads_pass() {
    taken("GET / HTTP/1.1\r\nhost: a\r\n\r\n", Body::Length(0));
    taken("GET / HTTP/1.0\r\n\r\n", Body::Length(0));
    taken("\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n", Body::Length(0));
    taken("GET /a?b=c|`^\\{} HTTP/1.1\r\nHost:a\r\n\r\n", Body::Length(0));
    taken("GET http://b/x HTTP/1.1\r\nhost: a\r\n\r\n", Body::Length(0));
    taken("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n", Body::Length(0));
    taken("CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n", Body::Length(0));
    taken("POST / HTTP/1.1\r\nhost: a\r\nContent-LENGTH: \t007 \r\n\r\n", Body::Length(7));
    taken("POST / HTTP/1.0\r\ncontent-length: 0\r\n\r\n", Body::Length(0));
    taken("POST / HTTP/1.1\r\nTransfer-Encoding:\tChunked \r\nhost: a\r\n\r\n", Body::Chunked);
    taken("M-SEARCH / HTTP/1.1\r\nhost: a\r\nx:\r\ny: \t\r\nz: a\tb\u{e9}\r\n\r\n", Body::Length(0));
    taken(format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(99)), Body::Length(0));
}

#[test]
fn ambiguous_framing_is_refused() {
    let framing = |fields: &str| format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
    refused(framing("content-length: 1\r\ntransfer-encoding: chunked\r\n"), Violation::LengthAndEncoding);
    refused(framing("transfer-encoding: chunked\r\ncontent-length: 1\r\n"), Violation::LengthAndEncoding);
    for encoding in ["gzip", "gzip, chunked", "chunked, chunked", "identity", "", "xchunked", "chunked;q=1", "\"chunked\"", "chunked\x0b"] {
        refused(framing(&format!("transfer-encoding: {encoding}\r\n")), Violation::TransferEncoding);
    }
    refused(framing("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n"), Violation::TransferEncoding);
    refused("POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n", Violation::EncodingOnOldVersion);
    for length in ["", " ", "+1", "-1", "1,1", "1, 1", "0x1", "1 1", "1.0", "a", "18446744073709551616", "9223372036854775808", "\u{661}"] {
        refused(framing(&format!("content-length: {length}\r\n")), Violation::ContentLength);
    }
    refused(framing("content-length: 1\r\ncontent-length: 2\r\n"), Violation::DuplicateContentLength);
    refused(framing("content-length: 1\r\nContent-Length: 1\r\n"), Violation::DuplicateContentLength);
    refused("CONNECT a:1 HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\n", Violation::ConnectBody);
    refused("CONNECT a:1 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n", Violation::ConnectBody);
}

#[test]
fn malformed_header_lines_are_refused() {
    let with = |line: &str| format!("GET / HTTP/1.1\r\nhost: a\r\n{line}\r\n\r\n");
    refused("GET / HTTP/1.1\r\n\r\n", Violation::MissingHost);
    refused("GET http://a/ HTTP/1.1\r\n\r\n", Violation::MissingHost);
    refused(with("host: a"), Violation::DuplicateHost);
    refused("GET / HTTP/1.0\r\nhost: a\r\nHOST: b\r\n\r\n", Violation::DuplicateHost);
    refused(with("x : y"), Violation::SpaceBeforeColon);
    refused(with("content-length\t: 1"), Violation::SpaceBeforeColon);
    refused(with(" folded"), Violation::FoldedLine);
    refused(with("\tfolded: x"), Violation::FoldedLine);
    refused("GET / HTTP/1.1\r\n host: a\r\n\r\n", Violation::LeadingSpace);
    refused("GET / HTTP/1.1\r\n\r\n".replace("1.1\r\n", "1.1\r\n\tx: y\r\n"), Violation::LeadingSpace);
    for line in [": x", "x", "a b: c", "a\0: b", "a\x7f: b", "(a): b", "a,b: c", "a\u{e9}: b", "a\rb: c", "x y", "\u{b}x: y"] {
        refused(with(line), Violation::HeaderName);
    }
    for line in ["x: a\0b", "x: a\rb", "x: a\r", "x: \r\r", "x: \x01", "x: \x7f", "x: \x1b[0m", "x: \x0c", "x:\x0b"] {
        refused(with(line), Violation::ControlCharacter);
    }
    refused("GET / HTTP/1.1\nhost: a\r\n\r\n", Violation::BareLineFeed);
    refused("GET / HTTP/1.1\r\nhost: a\nx: y\r\n\r\n", Violation::BareLineFeed);
    refused("GET / HTTP/1.1\r\nhost: a\r\n\n", Violation::BareLineFeed);
    refused("\nGET / HTTP/1.1\r\nhost: a\r\n\r\n", Violation::BareLineFeed);
}

#[test]
fn malformed_request_lines_are_refused() {
    let request = |line: &str| format!("{line}\r\nhost: a\r\n\r\n");
    for line in [
        "GET /",
        "GET",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET / a HTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/1",
        "GET / HTTP/1.1x",
        "GET / HTTP/1.\u{b}",
        "GET\t/\tHTTP/1.1",
        "GET / ",
        "GET / HTTP/11",
    ] {
        refused(request(line), Violation::RequestLine);
    }
    refused("\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n", Violation::RequestLine);
    refused(" GET / HTTP/1.1\r\nhost: a\r\n\r\n", Violation::RequestLine);
    refused(b"\x16\x03\x01\x02\x00\x01\x00\x01", Violation::RequestLine);
    for line in ["G(T / HTTP/1.1", "GE\0T / HTTP/1.1", "GET: / HTTP/1.1", "G\u{e9}T / HTTP/1.1"] {
        refused(request(line), Violation::Method);
    }
    for target in [
        "*",
        "x",
        "a:443",
        "//\t",
        "/a\0",
        "/a\x7f",
        "/a\u{e9}",
        "/a#b",
        "/a<b",
        "/a\\b",
        "/?\"",
        "http://",
        "http:///x",
        "http://a b",
        "?a",
        "http://a/#b",
    ] {
        refused(
            request(&format!("GET {target} HTTP/1.1")),
            if target == "http://a b" { Violation::RequestLine } else { Violation::Target },
        );
    }
    refused(request("CONNECT / HTTP/1.1"), Violation::Target);
    refused(request("CONNECT a HTTP/1.1"), Violation::Target);
    for version in ["2.0", "1.2", "0.9", "9.9"] {
        refused(request(&format!("GET / HTTP/{version}")), Violation::Version);
    }
    refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Violation::Version);
}

#[test]
fn oversize_heads_are_refused_whether_whole_or_not() {
    let target = "a".repeat(16 * 1024);
    refused(format!("GET /{target} HTTP/1.1\r\nhost: a\r\n\r\n"), Violation::TargetTooLong);
    refused(format!("GET /{target}a"), Violation::TargetTooLong);
    refused("G".repeat(17 * 1024), Violation::RequestLine);
    let value = "v".repeat(32 * 1024);
    refused(format!("GET / HTTP/1.1\r\nhost: a\r\nx: {value}\r\n\r\n"), Violation::HeadTooLarge);
    refused(format!("GET / HTTP/1.1\r\nhost: a\r\nx: {value}"), Violation::HeadTooLarge);
    refused(format!("GET / {value}"), Violation::HeadTooLarge);
    let many = "x: y\r\n".repeat(100);
    refused(format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n"), Violation::TooManyHeaders);
    refused(format!("GET / HTTP/1.1\r\nhost: a\r\n{many}"), Violation::TooManyHeaders);
}

#[test]
fn an_unfinished_head_is_neither_taken_nor_refused() {
    let head = b"\r\nPOST /a?b HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nx: \r\n\r\n";
    for end in 0..head.len() {
        assert_eq!(parse(&head[..end]), Ok(None), "after {end} bytes");
    }
    assert!(parse(head).is_ok_and(|head| head.is_some()), "and then it is whole");
}

#[test]
fn an_upgrade_may_follow_only_where_hyper_would_do_one() {
    let may = |head: &str| parse(head.as_bytes()).unwrap().unwrap().may_upgrade;
    assert!(may("GET / HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\n\r\n"), "an upgrade field");
    assert!(may("CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n"), "CONNECT");
    assert!(!may("GET / HTTP/1.0\r\nupgrade: websocket\r\n\r\n"), "not on HTTP/1.0");
    assert!(!may("GET / HTTP/1.1\r\nhost: a\r\n\r\n"), "an ordinary request");
}

// === bytes through the guard ===

/// A connection that yields prepared pieces, one a read, then the end or nothing.
struct Script {
    pieces: VecDeque<Vec<u8>>,
    ends: bool,
    written: Rc<RefCell<Vec<u8>>>,
}

impl Script {
    fn new(pieces: impl IntoIterator<Item = Vec<u8>>, ends: bool) -> Self {
        Self { pieces: pieces.into_iter().filter(|piece| !piece.is_empty()).collect(), ends, written: Rc::default() }
    }
}

impl Read for Script {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, mut buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let Some(mut piece) = self.pieces.pop_front() else {
            return if self.ends { Poll::Ready(Ok(())) } else { Poll::Pending };
        };
        let fits = piece.len().min(buffer.remaining());
        buffer.put_slice(&piece[..fits]);
        if fits < piece.len() {
            self.pieces.push_front(piece.split_off(fits));
        }
        Poll::Ready(Ok(()))
    }
}

impl Write for Script {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.written.borrow_mut().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What a reader behind the guard got, until it has to wait.
#[derive(Debug, PartialEq, Eq)]
struct Got {
    bytes: Vec<u8>,
    end: End,
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    Waits,
    Closed,
    Failed(io::ErrorKind),
}

fn read_out<IO: Read + Unpin>(guard: &mut HeadGuard<IO>, room: usize) -> Got {
    let mut cx = Context::from_waker(Waker::noop());
    let mut bytes = Vec::new();
    let mut space = vec![0; room];
    loop {
        let mut buffer = ReadBuf::new(&mut space);
        let end = match Pin::new(&mut *guard).poll_read(&mut cx, buffer.unfilled()) {
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => End::Closed,
            Poll::Ready(Ok(())) => {
                bytes.extend_from_slice(buffer.filled());
                continue;
            }
            Poll::Ready(Err(error)) => End::Failed(error.kind()),
            Poll::Pending => End::Waits,
        };
        return Got { bytes, end };
    }
}

fn stream() -> (Vec<u8>, u64) {
    let stream = b"GET /1 HTTP/1.1\r\nhost: a\r\n\r\n\
        POST /2 HTTP/1.1\r\nhost: a\r\ncontent-length: 11\r\n\r\nhello\r\n\r\nab\
        POST /3 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nt: u\r\n\r\n\
        \r\nGET /4 HTTP/1.0\r\nconnection: keep-alive\r\n\r\n\
        PUT /5 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n\
        GET /6 HTTP/1.1\r\nhost: a\r\n\r\n";
    (stream.to_vec(), 6)
}

#[tokio::test]
async fn every_split_of_a_stream_comes_through_unchanged() {
    let (stream, requests) = stream();
    for first in 0..=stream.len() {
        for room in [1, 7, 8192] {
            let pieces = [stream[..first].to_vec(), stream[first..].to_vec()];
            let (mut guard, handle) = HeadGuard::new(Script::new(pieces, true), Limits::default());
            let got = read_out(&mut guard, room);
            assert_eq!(got, Got { bytes: stream.clone(), end: End::Closed }, "split at {first}, read {room} at a time");
            assert_eq!(handle.shared.passed(), requests, "every head was counted, split at {first}");
        }
    }
}

#[tokio::test]
async fn a_stream_in_single_bytes_comes_through_unchanged() {
    let (stream, requests) = stream();
    let (mut guard, handle) = HeadGuard::new(Script::new(stream.iter().map(|&byte| vec![byte]), false), Limits::default());
    assert_eq!(read_out(&mut guard, 8192), Got { bytes: stream, end: End::Waits }, "byte by byte");
    assert_eq!(handle.shared.passed(), requests, "every head was counted");
}

fn random_request(random: &mut fastrand::Rng) -> Vec<u8> {
    let mut request = if random.u8(..8) == 0 { b"\r\n".to_vec() } else { Vec::new() };
    let path = "p".repeat(random.usize(..30));
    request.extend(format!("POST /{path} HTTP/1.1\r\nhost: h\r\n").bytes());
    for _ in 0..random.usize(..8) {
        let value: String = (0..random.usize(..40)).map(|_| char::from(random.u8(b' '..=b'~'))).collect();
        request.extend(format!("x-{}:{value}\r\n", random.u16(..)).bytes());
    }
    match random.u8(..3) {
        0 => request.extend(b"\r\n"),
        1 => {
            let body: Vec<u8> = (0..random.usize(..300)).map(|_| random.u8(..)).collect();
            request.extend(format!("content-length: {}\r\n\r\n", body.len()).bytes());
            request.extend(body);
        }
        _ => {
            request.extend(b"transfer-encoding: chunked\r\n\r\n");
            for _ in 0..random.usize(..6) {
                let chunk: Vec<u8> = (0..random.usize(1..100)).map(|_| random.u8(..)).collect();
                request.extend(format!("{:x}{}\r\n", chunk.len(), if random.bool() { ";e" } else { "" }).bytes());
                request.extend(chunk);
                request.extend(b"\r\n");
            }
            request.extend(if random.bool() { &b"0\r\n\r\n"[..] } else { b"0\r\nt: v\r\n\r\n" });
        }
    }
    request
}

fn random_pieces(random: &mut fastrand::Rng, stream: &[u8]) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    let mut rest = stream;
    while !rest.is_empty() {
        let most = if random.bool() { 5 } else { 2000 };
        let (piece, tail) = rest.split_at(random.usize(1..=rest.len().min(most)));
        pieces.push(piece.to_vec());
        rest = tail;
    }
    pieces
}

#[tokio::test]
async fn random_valid_streams_come_through_unchanged() {
    let mut random = fastrand::Rng::with_seed(42);
    for round in 0..2000 {
        let requests = random.u64(1..8);
        let stream: Vec<u8> = (0..requests).flat_map(|_| random_request(&mut random)).collect();
        let script = Script::new(random_pieces(&mut random, &stream), true);
        let (mut guard, handle) = HeadGuard::new(script, Limits::default());
        let got = read_out(&mut guard, random.usize(1..10_000));
        assert_eq!(got, Got { bytes: stream, end: End::Closed }, "round {round}");
        assert_eq!(handle.shared.passed(), requests, "round {round}");
    }
}

#[tokio::test]
async fn a_refused_head_becomes_the_stand_in_wherever_it_is_split() {
    let good = b"POST /1 HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nok".to_vec();
    let bad = b"GET /2 HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    let (stream, expected) = ([&good, &bad[..]].concat(), [&good, STAND_IN].concat());
    for first in 0..=stream.len() {
        for room in [1, 10, 8192] {
            let script = Script::new([stream[..first].to_vec(), stream[first..].to_vec()], true);
            let (mut guard, handle) = HeadGuard::new(script, Limits::default());
            assert_eq!(read_out(&mut guard, room), Got { bytes: expected.clone(), end: End::Waits }, "split at {first}");
            let _good = handle.admit().expect("the first request is fine");
            assert_eq!(handle.admit().err(), Some(Violation::DuplicateHost), "the second is answered with its violation");
        }
    }
}

#[tokio::test]
async fn a_broken_chunk_fails_the_body_after_what_was_right() {
    let right = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n".to_vec();
    let stream = [&right[..], b"x\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"].concat();
    for first in 0..=stream.len() {
        let (mut guard, handle) =
            HeadGuard::new(Script::new([stream[..first].to_vec(), stream[first..].to_vec()], true), Limits::default());
        let got = read_out(&mut guard, 8192);
        assert_eq!(got, Got { bytes: right.clone(), end: End::Failed(io::ErrorKind::InvalidData) }, "split at {first}");
        assert_eq!(handle.body_violation(), Some(Violation::Chunk), "the reason is known");
    }
}

#[tokio::test]
async fn memory_for_an_endless_head_is_bounded() {
    let pieces = (0..1000).map(|_| vec![b'a'; 1000]);
    let (mut guard, handle) =
        HeadGuard::new(Script::new([b"GET / HTTP/1.1\r\nx: ".to_vec()].into_iter().chain(pieces), false), Limits::default());
    assert_eq!(read_out(&mut guard, 8192).bytes, STAND_IN, "refused");
    assert_eq!(handle.violation_for(0), Some(Violation::HeadTooLarge), "for its size");
    assert!(guard.held.is_empty(), "a refused head is dropped");
    assert!(guard.held.capacity() <= 64 * 1024, "it took {} bytes", guard.held.capacity());
    assert!(guard.io.pieces.len() > 960, "nothing was read beyond the limit");
}

#[tokio::test]
async fn bytes_after_an_upgrade_offer_wait_for_the_answer() {
    let offer = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
    let frames = b"\x81\x00 not http at all\n\n";
    for accepts in [true, false] {
        for together in [true, false] {
            let pieces = if together { vec![[&offer[..], frames].concat()] } else { vec![offer.to_vec(), frames.to_vec()] };
            let (mut guard, handle) = HeadGuard::new(Script::new(pieces, false), Limits::default());
            assert_eq!(read_out(&mut guard, 4096), Got { bytes: offer.to_vec(), end: End::Waits }, "only the offer passes");
            let admission = handle.admit().expect("a fine request");
            assert!(admission.may_upgrade(), "it asks for an upgrade");
            if accepts {
                admission.accept_upgrade();
            }
            drop(admission);
            let expected = if accepts { &frames[..] } else { STAND_IN };
            assert_eq!(read_out(&mut guard, 4096).bytes, expected, "accepted {accepts}, together {together}");
        }
    }
}

#[tokio::test]
async fn a_declined_upgrade_leaves_the_next_request_whole() {
    let offer = b"GET /1 HTTP/1.1\r\nhost: a\r\nupgrade: x\r\ncontent-length: 2\r\n\r\nhi".to_vec();
    let next = b"GET /2 HTTP/1.1\r\nhost: a\r\n\r\n".to_vec();
    let stream = [&offer[..], &next].concat();
    for first in 0..=stream.len() {
        let (mut guard, handle) =
            HeadGuard::new(Script::new([stream[..first].to_vec(), stream[first..].to_vec()], true), Limits::default());
        assert_eq!(read_out(&mut guard, 4096).bytes, offer, "split at {first}");
        drop(handle.admit().expect("a fine request"));
        assert_eq!(read_out(&mut guard, 4096), Got { bytes: next.clone(), end: End::Closed }, "split at {first}");
        assert!(!handle.admit().expect("a fine request").may_upgrade(), "the offer was for the first only");
    }
}

#[tokio::test(start_paused = true)]
async fn settling_an_upgrade_wakes_the_reader() {
    tokio::task::LocalSet::new()
        .run_until(async {
            let offer = b"GET / HTTP/1.1\r\nhost: a\r\nupgrade: x\r\n\r\n";
            let (mut guard, handle) = HeadGuard::new(Script::new([[&offer[..], b"frames"].concat()], true), Limits::default());
            assert_eq!(read_out(&mut guard, 4096).bytes, offer, "the offer");
            let admission = handle.admit().expect("a fine request");
            let reader = tokio::task::spawn_local(async move { read_rest(&mut guard).await });
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert!(!reader.is_finished(), "the reader waits for the answer");
            admission.accept_upgrade();
            let read = timeout(Duration::from_secs(1), reader).await.expect("woken").unwrap();
            assert_eq!(read, b"frames", "what came after the offer");
        })
        .await;
}

#[tokio::test]
async fn an_early_no_to_one_upgrade_is_no_answer_to_the_next() {
    let offer = b"GET / HTTP/1.1\r\nhost: a\r\nupgrade: x\r\n\r\n";
    let (mut guard, handle) = HeadGuard::new(Script::new([[&offer[..], offer, b"frames"].concat()], false), Limits::default());
    assert_eq!(read_out(&mut guard, 4096).bytes, offer, "the first offer");
    let first = handle.admit().expect("a fine request");
    first.decline_upgrade();
    assert_eq!(read_out(&mut guard, 4096).bytes, offer, "the second offer, while the first answer is under way");
    let second = handle.admit().expect("a fine request");
    drop(first);
    second.accept_upgrade();
    assert_eq!(read_out(&mut guard, 4096).bytes, b"frames", "the second was accepted");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_outlives_its_answer_is_not_an_idle_connection() {
    let start = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nbody".to_vec();
    let (mut guard, handle) = HeadGuard::new(Script::new([start.clone()], false), Limits::default());
    assert_eq!(read_out(&mut guard, 4096).bytes, start, "all there is");
    drop(handle.admit().expect("a fine request"));
    tokio::time::advance(Duration::from_secs(100)).await;
    assert_eq!(read_out(&mut guard, 4096).end, End::Waits, "the rest of the body may still come");
}

// === in front of hyper ===

/// A server that answers with the path, or with the violation; it takes note of every path it was asked for.
async fn serve<IO: Read + Write + Unpin + 'static>(io: IO, limits: Limits, paths: Rc<RefCell<Vec<String>>>) -> hyper::Result<()> {
    let (guard, handle) = HeadGuard::new(io, limits);
    let service = service_fn(move |request: Request<Incoming>| {
        let admission = handle.admit();
        let (paths, handle) = (Rc::clone(&paths), handle.clone());
        async move { Ok::<_, Infallible>(answer(request, admission, &paths, &handle).await) }
    });
    http1::Builder::new().header_read_timeout(None).serve_connection(guard, service).await
}

async fn answer(
    request: Request<Incoming>,
    admission: Result<Admission, Violation>,
    paths: &RefCell<Vec<String>>,
    handle: &GuardHandle,
) -> Response<Full<Bytes>> {
    let _admission = match admission {
        Ok(admission) => admission,
        Err(violation) => return plain(violation.status(), violation.to_string()),
    };
    let path = request.uri().path().to_owned();
    paths.borrow_mut().push(path.clone());
    if path == "/slow" {
        tokio::time::sleep(Duration::from_secs(300)).await;
    }
    if path == "/early" {
        return plain(StatusCode::PAYLOAD_TOO_LARGE, path);
    }
    match request.into_body().collect().await {
        Ok(body) => plain(StatusCode::OK, format!("{path} {}", body.to_bytes().len())),
        Err(_) => match handle.body_violation() {
            Some(violation) => plain(violation.status(), violation.to_string()),
            None => plain(StatusCode::BAD_GATEWAY, "body".to_owned()),
        },
    }
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}

/// The status and body of every response in `bytes`.
fn responses(bytes: &[u8]) -> Vec<(u16, String)> {
    let text = String::from_utf8_lossy(bytes);
    let mut rest = &*text;
    let mut responses = Vec::new();
    while let Some((head, tail)) = rest.split_once("\r\n\r\n") {
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |length| length.parse().unwrap());
        responses.push((head[9..12].parse().unwrap(), tail[..length].to_owned()));
        rest = &tail[length..];
    }
    assert_eq!(rest, "", "nothing but responses");
    responses
}

async fn exchange(stream: &[u8]) -> (Vec<(u16, String)>, Vec<String>) {
    let script = Script::new([stream.to_vec()], false);
    let (written, paths) = (Rc::clone(&script.written), Rc::default());
    let served = timeout(Duration::from_secs(1), serve(script, Limits::default(), Rc::clone(&paths))).await;
    assert!(!matches!(served, Ok(Err(_))), "hyper had nothing to object to");
    let responses = responses(&written.borrow());
    let paths = paths.borrow().clone();
    (responses, paths)
}

#[tokio::test(start_paused = true)]
async fn a_violation_is_answered_after_the_requests_before_it() {
    let (answers, paths) = exchange(
        b"GET /1 HTTP/1.1\r\nhost: a\r\n\r\nPOST /2 HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi\
          POST /3 HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /4 HTTP/1.1\r\nhost: a\r\n\r\n",
    )
    .await;
    let refusal = (400, Violation::LengthAndEncoding.to_string());
    assert_eq!(answers, [(200, "/1 0".into()), (200, "/2 2".into()), refusal], "in the order of the requests");
    assert_eq!(paths, ["/1", "/2"], "the refused head and all behind it reached nobody");
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_refusal_gets_its_status() {
    let long = "a".repeat(40_000);
    for (head, status) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/3.0\r\nhost: a\r\n\r\n".to_owned(), 505),
        (format!("GET /{long} HTTP/1.1\r\nhost: a\r\n\r\n"), 414),
        (format!("GET / HTTP/1.1\r\nhost: a\r\nx: {long}\r\n\r\n"), 431),
        ("GET / HTTP/1.1\nhost: a\n\n".to_owned(), 400),
        ("\x16\x03\x01".to_owned(), 400),
    ] {
        let (answers, paths) = exchange(head.as_bytes()).await;
        assert_eq!(answers.iter().map(|(status, _)| *status).collect::<Vec<_>>(), [status], "{}", &head[..20.min(head.len())]);
        assert!(paths.is_empty(), "no request was made of it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_body_can_still_be_answered() {
    let (answers, paths) = exchange(b"POST /1 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n").await;
    assert_eq!(answers, [(400, Violation::Chunk.to_string())], "the service knows why");
    assert_eq!(paths, ["/1"], "the request had begun");
}

#[tokio::test(start_paused = true)]
async fn hyper_reads_from_random_bytes_what_the_guard_let_through() {
    let mut random = fastrand::Rng::with_seed(9);
    let spice: [&[u8]; 14] = [
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b":",
        b"\0",
        b"\t",
        b"content-length: 5\r\n",
        b"transfer-encoding: chunked\r\n",
        b"host: b\r\n",
        b"0\r\n\r\n",
        b"\x80",
        b"HTTP/1.0",
        b"upgrade: x\r\n",
    ];
    for round in 0..4000 {
        let mut stream: Vec<u8> = (0..3).flat_map(|_| random_request(&mut random)).collect();
        for _ in 0..random.usize(..3) {
            let at = random.usize(..stream.len());
            let end = (at + random.usize(..3)).min(stream.len());
            stream.splice(at..end, spice[random.usize(..spice.len())].iter().copied());
        }
        let script = Script::new(random_pieces(&mut random, &stream), true);
        let (written, paths) = (Rc::clone(&script.written), Rc::new(RefCell::new(Vec::new())));
        let (guard, handle) = HeadGuard::new(script, Limits::default());
        let (counter, seen) = (handle.clone(), Rc::clone(&paths));
        let service = service_fn(move |request: Request<Incoming>| {
            let (admission, handle, seen) = (counter.admit(), counter.clone(), Rc::clone(&seen));
            async move { Ok::<_, Infallible>(answer(request, admission, &seen, &handle).await) }
        });
        let _ = http1::Builder::new().header_read_timeout(None).serve_connection(guard, service).await;
        let text = stream.escape_ascii().to_string();
        // hyper's own 400 has no body; ours always has one.
        assert!(
            !responses(&written.borrow()).iter().any(|(status, body)| *status == 400 && body.is_empty()),
            "round {round}: hyper refused {text}"
        );
        assert!(paths.borrow().len() as u64 <= handle.shared.passed(), "round {round}: hyper saw a request we did not: {text}");
        assert!(paths.borrow().iter().all(|path| path.starts_with('/')), "round {round}: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn hyper_takes_every_head_we_take() {
    let head = b"POST /a?b HTTP/1.1\r\nhost: a\r\nx-y: v w\r\ncontent-length: 0\r\n\r\n";
    let mut taken = 0;
    for at in 0..head.len() {
        for byte in 0..=255 {
            let mut head = head.to_vec();
            head[at] = byte;
            if !parse(&head).is_ok_and(|head| head.is_some_and(|head| head.body == Body::Length(0))) {
                continue;
            }
            taken += 1;
            let (answers, paths) = exchange(&head).await;
            assert_eq!((answers.len(), paths.len()), (1, 1), "one request, one answer: {}", head.escape_ascii());
            assert_ne!(answers[0].1, "", "the answer is ours: {}", head.escape_ascii());
        }
    }
    assert!(taken > 2000, "only {taken} heads were taken, so little was shown");
}

async fn connect(limits: Limits) -> (DuplexStream, Rc<RefCell<Vec<String>>>, tokio::task::JoinHandle<hyper::Result<()>>) {
    let (client, server) = duplex(64 * 1024);
    let paths = Rc::default();
    let served = tokio::task::spawn_local(serve(TokioIo::new(server), limits, Rc::clone(&paths)));
    (client, paths, served)
}

async fn read_to_end(client: &mut DuplexStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).await.unwrap();
    bytes
}

fn within(elapsed: Duration, expected: u64) -> bool {
    (expected..=expected + 1).contains(&elapsed.as_secs())
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_late_is_answered_408() {
    tokio::task::LocalSet::new()
        .run_until(async {
            let (mut client, paths, _served) = connect(Limits::default()).await;
            client.write_all(b"GET /1 HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
            tokio::time::sleep(Duration::from_secs(50)).await;
            let began = Instant::now();
            client.write_all(b"GET /2 HTTP/1.1\r\n").await.unwrap();
            for _ in 0..9 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                client.write_all(b"x: y\r\n").await.unwrap();
            }
            let answers = responses(&read_to_end(&mut client).await);
            assert_eq!(answers, [(200, "/1 0".into()), (408, Violation::HeadTimeout.to_string())], "no dripping past the limit");
            assert!(within(began.elapsed(), 10), "after {:?}", began.elapsed());
            assert_eq!(*paths.borrow(), ["/1"], "the late request reached nobody");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn every_head_has_a_clock_of_its_own() {
    tokio::task::LocalSet::new()
        .run_until(async {
            let (mut client, _, _served) = connect(Limits::default()).await;
            client.write_all(b"GET /1 HTTP/1.1\r\n").await.unwrap();
            tokio::time::sleep(Duration::from_secs(8)).await;
            client.write_all(b"host: a\r\n\r\nGET /2 HTTP/1.1\r\n").await.unwrap();
            tokio::time::sleep(Duration::from_secs(8)).await;
            client.write_all(b"host: a\r\n\r\n").await.unwrap();
            let answers = responses(&read_to_end(&mut client).await);
            assert_eq!(answers, [(200, "/1 0".into()), (200, "/2 0".into())], "eight seconds each, not sixteen for one");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_without_a_word() {
    tokio::task::LocalSet::new()
        .run_until(async {
            let (mut client, _, served) = connect(Limits::default()).await;
            for pause in [0, 60, 70] {
                tokio::time::sleep(Duration::from_secs(pause)).await;
                client.write_all(b"GET /1 HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
            }
            let began = Instant::now();
            let answers = responses(&read_to_end(&mut client).await);
            assert_eq!(answers.len(), 3, "each pause was short enough, and nothing came after the last");
            assert!(within(began.elapsed(), 75), "closed after {:?}", began.elapsed());
            assert!(served.await.unwrap().is_ok(), "a quiet end");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_long_answer_is_not_an_idle_connection() {
    tokio::task::LocalSet::new()
        .run_until(async {
            let (mut client, _, _served) = connect(Limits::default()).await;
            client.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
            let began = Instant::now();
            let answers = responses(&read_to_end(&mut client).await);
            assert_eq!(answers, [(200, "/slow 0".into())], "answered after five minutes");
            assert!(within(began.elapsed(), 375), "idle only after the answer: {:?}", began.elapsed());
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_is_not_a_late_head() {
    tokio::task::LocalSet::new()
        .run_until(async {
            let (mut client, _, _served) = connect(Limits::default()).await;
            client.write_all(b"POST /1 HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\n").await.unwrap();
            for byte in b"abc" {
                tokio::time::sleep(Duration::from_secs(100)).await;
                client.write_all(&[*byte]).await.unwrap();
            }
            assert_eq!(responses(&read_to_end(&mut client).await), [(200, "/1 3".into())], "the body's pace is not ours to judge");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_accepted_upgrade_hands_over_every_byte() {
    tokio::task::LocalSet::new()
        .run_until(async {
            let (mut client, server) = duplex(64 * 1024);
            let (guard, handle) = HeadGuard::new(TokioIo::new(server), Limits::default());
            let service = service_fn(move |_: Request<Incoming>| {
                let admission = handle.admit().expect("a fine request");
                admission.accept_upgrade();
                let upgrade = Response::builder().status(101).header("connection", "upgrade").header("upgrade", "x");
                std::future::ready(Ok::<_, Infallible>(upgrade.body(Full::<Bytes>::default()).unwrap()))
            });
            client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n\x00early").await.unwrap();
            let mut connection = http1::Builder::new().header_read_timeout(None).serve_connection(guard, service);
            poll_fn(|cx| connection.poll_without_shutdown(cx)).await.unwrap();
            let parts = connection.into_parts();
            client.write_all(b" late\n").await.unwrap();
            client.shutdown().await.unwrap();
            let (mut io, mut bytes) = (parts.io, parts.read_buf.to_vec());
            bytes.extend(read_rest(&mut io).await);
            assert_eq!(bytes, b"\x00early late\n", "what was sent before and after the answer");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_empty_line_after_a_body_is_not_a_late_head() {
    tokio::task::LocalSet::new()
        .run_until(async {
            let (mut client, _, _served) = connect(Limits::default()).await;
            client.write_all(b"POST /1 HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx\r\n").await.unwrap();
            tokio::time::sleep(Duration::from_secs(60)).await;
            client.write_all(b"GET /2 HTTP").await.unwrap();
            tokio::time::sleep(Duration::from_secs(5)).await;
            client.write_all(b"/1.1\r\nhost: a\r\n\r\n").await.unwrap();
            assert_eq!(responses(&read_to_end(&mut client).await), [(200, "/1 1".into()), (200, "/2 0".into())], "both were answered");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_empty_line_does_not_stop_the_clock_of_the_head_behind_it() {
    tokio::task::LocalSet::new()
        .run_until(async {
            let (mut client, _, _served) = connect(Limits::default()).await;
            client.write_all(b"\r\n").await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
            client.write_all(b"GET").await.unwrap();
            let began = Instant::now();
            assert_eq!(responses(&read_to_end(&mut client).await)[0].0, 408, "the rest never came");
            assert!(within(began.elapsed(), 10), "after {:?}", began.elapsed());
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_request_is_closed_sooner() {
    tokio::task::LocalSet::new()
        .run_until(async {
            let (mut client, _, _served) = connect(Limits::default()).await;
            let began = Instant::now();
            assert_eq!(read_to_end(&mut client).await, b"", "nothing to say");
            assert!(within(began.elapsed(), 10), "after {:?}", began.elapsed());
        })
        .await;
}

// === over TCP ===

async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

#[tokio::test]
async fn an_answer_survives_a_client_that_keeps_sending() {
    tokio::task::LocalSet::new()
        .run_until(async {
            for head in
                ["POST / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", "POST /early HTTP/1.1\r\nhost: a\r\ncontent-length: 50000\r\n\r\n"]
            {
                let (mut client, server) = tcp_pair().await;
                tokio::task::spawn_local(serve(TokioIo::new(server), Limits::default(), Rc::default()));
                client.write_all(head.as_bytes()).await.unwrap();
                client.write_all(&[b'x'; 20_000]).await.unwrap();
                tokio::time::sleep(Duration::from_millis(50)).await;
                client.write_all(&[b'x'; 20_000]).await.unwrap();
                tokio::time::sleep(Duration::from_millis(50)).await;
                let mut bytes = Vec::new();
                client.read_to_end(&mut bytes).await.expect("no reset");
                assert!(bytes.starts_with(b"HTTP/1.1 4"), "the answer to {head:?} arrived: {}", bytes.escape_ascii());
            }
        })
        .await;
}

#[tokio::test]
async fn the_linger_helper_drops_what_comes_and_ends() {
    let (mut client, server) = tcp_pair().await;
    client.write_all(&[b'x'; 10_000]).await.unwrap();
    let mut io = TokioIo::new(server);
    let began = std::time::Instant::now();
    linger(&mut io).await.unwrap();
    assert!(within(began.elapsed(), 1), "the client did not close, so a second was all: {:?}", began.elapsed());
    assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0, "our side was shut down");
}

// === sniffing ===

async fn sniffed(pieces: &[&[u8]]) -> (io::Result<Protocol>, Vec<u8>) {
    let script = Script::new(pieces.iter().map(|piece| piece.to_vec()), true);
    match sniff(script, Duration::from_secs(10)).await {
        Err(error) => (Err(error), Vec::new()),
        Ok((protocol, mut io)) => (Ok(protocol), read_rest(&mut io).await),
    }
}

async fn read_rest<IO: Read + Unpin>(io: &mut IO) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let mut space = [0; 7];
        let mut buffer = ReadBuf::new(&mut space);
        poll_fn(|cx| Pin::new(&mut *io).poll_read(cx, buffer.unfilled())).await.unwrap();
        if buffer.filled().is_empty() {
            return bytes;
        }
        bytes.extend_from_slice(buffer.filled());
    }
}

#[tokio::test]
async fn the_first_bytes_decide_and_are_read_again() {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nframes and more";
    for split in 1..preface.len() {
        let (protocol, bytes) = sniffed(&[&preface[..split], &preface[split..]]).await;
        assert_eq!(protocol.unwrap(), Protocol::Http2, "split at {split}");
        assert_eq!(bytes, preface, "split at {split}");
    }
    for start in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"POST / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r.", b"PRI", b"P"] {
        let (protocol, bytes) = sniffed(&[start]).await;
        assert_eq!(protocol.unwrap(), Protocol::Http1, "{}", start.escape_ascii());
        assert_eq!(bytes, start, "nothing is lost");
    }
    let (protocol, _) = sniffed(&[]).await;
    assert_eq!(protocol.unwrap_err().kind(), io::ErrorKind::UnexpectedEof, "nobody there");
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_not_waited_for() {
    let silent = sniff(Script::new([b"PRI".to_vec()], false), Duration::from_secs(10)).await;
    assert_eq!(silent.err().map(|error| error.kind()), Some(io::ErrorKind::TimedOut), "ten seconds are enough");
}

#[tokio::test]
async fn writes_pass_straight_through() {
    let script = Script::new([], true);
    let written = Rc::clone(&script.written);
    let (mut guard, _) = HeadGuard::new(Rewound::new(script), Limits::default());
    poll_fn(|cx| Pin::new(&mut guard).poll_write(cx, b"one")).await.unwrap();
    poll_fn(|cx| Pin::new(&mut guard).poll_write_vectored(cx, &[IoSlice::new(b"two")])).await.unwrap();
    assert_eq!(*written.borrow(), b"onetwo", "in order");
}
