//! A component that misbehaves in the way that the path of a request asks for, or tells what it finds.

use std::io::Write;

use wasip2::clocks::monotonic_clock;
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingRequest, Method, OutgoingBody, OutgoingRequest, OutgoingResponse, ResponseOutparam, Scheme,
};
use wasip2::sockets::{network::IpAddressFamily, tcp_create_socket, udp_create_socket};

wasip2::http::proxy::export!(Harm);

struct Harm;

impl Guest for Harm {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let (mode, argument) = path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
        match mode {
            "spin" => spin(),
            "bomb" => bomb(),
            "sleep" => sleep(),
            "panic" => panic!("asked to"),
            "exit" => std::process::exit(3),
            "nothing" => drop(out),
            "error" => ResponseOutparam::set(out, Err(ErrorCode::InternalError(Some("asked to".into())))),
            "status" => answer(out, argument.parse().expect("a status"), Fields::new(), "status"),
            "fields" => answer(out, 200, fields(argument.parse().expect("a count")), "fields"),
            "forbidden" => answer(out, 200, Fields::new(), &forbidden()),
            "surroundings" => answer(out, 200, Fields::new(), &surroundings()),
            "handles" => handles(),
            "print" => print(out, argument.parse().expect("a count")),
            "fetch" => fetch(out, argument),
            "late-panic" => late(out, || panic!("asked to, late")),
            "late-spin" => late(out, spin),
            "late-sleep" => late(out, sleep),
            "short" => short(out),
            "after" => after(out),
            "flood" => flood(out),
            _ => answer(out, 404, Fields::new(), "no such harm"),
        }
    }
}

fn answer(out: ResponseOutparam, status: u16, headers: Fields, text: &str) {
    let response = OutgoingResponse::new(headers);
    if response.set_status_code(status).is_err() {
        panic!("{status} is not taken");
    }
    let body = response.body().expect("it is there once");
    ResponseOutparam::set(out, Ok(response));
    let mut stream = body.write().expect("it is there once");
    stream.write_all(text.as_bytes()).expect("somebody reads");
    drop(stream);
    OutgoingBody::finish(body, None).expect("it has no declared length");
}

fn spin() {
    let mut count = 0_u64;
    loop {
        count = std::hint::black_box(count.wrapping_add(1));
    }
}

fn bomb() {
    let mut held = Vec::new();
    loop {
        held.push(std::hint::black_box(vec![1_u8; 1 << 20]));
    }
}

fn sleep() {
    monotonic_clock::subscribe_duration(u64::MAX / 4).block();
}

fn handles() {
    let mut held = Vec::new();
    loop {
        held.push(monotonic_clock::subscribe_duration(u64::MAX / 4));
    }
}

fn fields(count: usize) -> Fields {
    let fields = Fields::new();
    for number in 0..count {
        fields.append(&format!("x-many-{number}"), b"one of many").expect("a fine header");
    }
    fields
}

fn forbidden() -> String {
    let names = ["connection", "transfer-encoding", "host", "x-fine"];
    let taken = names.map(|name| Fields::new().append(name, b"value").is_ok());
    format!("{taken:?} {}", Fields::new().append("x-split", b"a\r\nb: c").is_ok())
}

fn surroundings() -> String {
    let tcp = tcp_create_socket::create_tcp_socket(IpAddressFamily::Ipv4).map(drop);
    let udp = udp_create_socket::create_udp_socket(IpAddressFamily::Ipv4).map(drop);
    let files = ["/", ".", "/etc/passwd"].map(|path| std::fs::metadata(path).is_ok());
    let variables: Vec<String> = std::env::vars().map(|(name, value)| format!("{name}={value}")).collect();
    format!("tcp {tcp:?}, udp {udp:?}, files {files:?}, variables {variables:?}, arguments {}", std::env::args().count())
}

fn print(out: ResponseOutparam, lines: usize) {
    for number in 0..lines {
        println!("line {number}");
    }
    eprint!("and an error");
    answer(out, 200, Fields::new(), "printed");
}

/// `SCHEME/AUTHORITY/PATH`, and what came of it.
fn fetch(out: ResponseOutparam, target: &str) {
    let mut parts = target.splitn(3, '/');
    let scheme = if parts.next() == Some("https") { Scheme::Https } else { Scheme::Http };
    let (authority, path) = (parts.next().unwrap_or_default(), format!("/{}", parts.next().unwrap_or_default()));
    let request = OutgoingRequest::new(Fields::new());
    let set = request.set_method(&Method::Get).and(request.set_scheme(Some(&scheme)));
    let set = set.and(request.set_authority(Some(authority))).and(request.set_path_with_query(Some(&path)));
    set.expect("a fine request");
    let text = match outgoing_handler::handle(request, None) {
        Err(code) => format!("{code:?}"),
        Ok(future) => {
            future.subscribe().block();
            match future.get().expect("it is ready").expect("it was not taken yet") {
                Ok(response) => format!("{}", response.status()),
                Err(code) => format!("{code:?}"),
            }
        }
    };
    answer(out, 200, Fields::new(), &text);
}

/// A head and part of a body, and then something else.
fn late(out: ResponseOutparam, act: fn()) {
    let response = OutgoingResponse::new(Fields::new());
    let body = response.body().expect("it is there once");
    ResponseOutparam::set(out, Ok(response));
    let mut stream = body.write().expect("it is there once");
    stream.write_all(b"the beginning").expect("somebody reads");
    stream.flush().expect("somebody reads");
    act();
    drop(stream);
    drop(body);
}

/// Less than was declared.
fn short(out: ResponseOutparam) {
    let headers = Fields::new();
    headers.append("content-length", b"100").expect("a fine header");
    let response = OutgoingResponse::new(headers);
    let body = response.body().expect("it is there once");
    ResponseOutparam::set(out, Ok(response));
    let mut stream = body.write().expect("it is there once");
    stream.write_all(b"short").expect("somebody reads");
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

/// Goes on once its answer is complete.
fn after(out: ResponseOutparam) {
    answer(out, 200, Fields::new(), "answered");
    monotonic_clock::subscribe_duration(50_000_000).block();
    println!("done after the answer");
}

/// Bytes without end.
fn flood(out: ResponseOutparam) {
    let response = OutgoingResponse::new(Fields::new());
    let body = response.body().expect("it is there once");
    ResponseOutparam::set(out, Ok(response));
    let mut stream = body.write().expect("it is there once");
    let mut sent = 0_u64;
    while stream.write_all(&[b'x'; 16 << 10]).is_ok() {
        sent += 16 << 10;
    }
    println!("nobody reads after {sent}");
}
