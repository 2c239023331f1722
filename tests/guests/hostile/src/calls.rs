//! Ways to misuse what the host lends. Each ends in a reply that says what the host allowed, unless the host ends it.

use alloc::{format, string::String, string::ToString, vec, vec::Vec};

use crate::bindings::{
    Method, Reply,
    gatehouse::plugin::{http, kv, log, metrics, rate_limit},
};

/// Makes the calls of this name and says what came of them; None if there are no such calls.
pub fn make(mode: &str) -> Option<Reply> {
    let report = match mode {
        "host-calls" => endless(),
        "log-flood" => flood_log(),
        "log-control" => log_control(),
        "kv-flood" => fill_kv(),
        "metric-flood" => flood_metrics(),
        "charges" => charge(2, 1.0),
        "charge-many" => charge(9, 1.0),
        "charge-nonsense" => charge(2, f64::NAN),
        "enter-and-trap" => enter_and_trap(),
        "fetch" => fetch("origin", None),
        "fetch-stalled" => fetch("stalled", None),
        "fetch-timeout" => fetch("stalled", Some(50)),
        "fetch-ungranted" => fetch("private", None),
        "fetch-many" => fetch_all(17),
        "fetch-forged" => fetch_with("x: y\r\nhost: evil"),
        _ => return None,
    };
    Some(Reply { status: 200, headers: Vec::new(), body: report.into_bytes() })
}

fn endless() -> String {
    loop {
        let _ = kv::get("nothing");
    }
}

/// 200 lines of a kibibyte: fewer than the calls that are allowed, more than the bytes.
fn flood_log() -> String {
    let line = "flood ".repeat(170);
    for _ in 0..200 {
        log::log(log::Level::Warn, &line);
    }
    "200 lines logged".to_string()
}

fn log_control() -> String {
    log::log(log::Level::Error, "first\nforged line\r\n\u{1b}[31mred\u{0}");
    "logged".to_string()
}

/// Writes until the quota is reached.
fn fill_kv() -> String {
    let value = vec![7; 64 * 1024];
    for index in 0..900 {
        if let Err(error) = kv::set(&format!("key{index}"), &value, Some(60_000)) {
            return format!("{} after {index}", error.name());
        }
    }
    "no quota".to_string()
}

fn flood_metrics() -> String {
    for index in 0..900 {
        let label = metrics::Label { name: "number".to_string(), value: index.to_string() };
        metrics::count("flood_total", &[label], 1);
    }
    "900 series counted".to_string()
}

/// Charges so many buckets of 100; all but the last can be charged, if that one has this rate.
fn charge(number: usize, rate: f64) -> String {
    let policy = |rate| rate_limit::Policy { name: None, rate, burst: 100, strict: false };
    let charge = |rate| rate_limit::Charge { policy: policy(rate), key: rate_limit::Key::Route, cost: 1 };
    let mut charges = vec![charge(0.001); number - 1];
    charges.push(charge(rate));
    let left: Vec<_> = rate_limit::take_all(&charges).iter().map(|decision| decision.remaining.to_string()).collect();
    left.join(",")
}

fn enter_and_trap() -> String {
    match rate_limit::enter(None, &rate_limit::Key::Route, 1) && rate_limit::enter(None, &rate_limit::Key::Route, 1) {
        true => core::arch::wasm32::unreachable(),
        false => "no place".to_string(),
    }
}

fn fetch(upstream: &str, timeout_ms: Option<u32>) -> String {
    outcome(&http::fetch(&request(upstream, timeout_ms)))
}

fn fetch_all(number: usize) -> String {
    let requests: Vec<_> = (0..number).map(|_| request("origin", None)).collect();
    let outcomes: Vec<_> = http::fetch_all(&requests).iter().map(outcome).collect();
    outcomes.join(",")
}

fn fetch_with(value: &str) -> String {
    let header = crate::bindings::Field { name: "x-forged".to_string(), value: value.as_bytes().to_vec() };
    outcome(&http::fetch(&http::Request { headers: vec![header], ..request("origin", None) }))
}

fn request(upstream: &str, timeout_ms: Option<u32>) -> http::Request {
    http::Request {
        upstream: upstream.to_string(),
        method: Method::Get,
        path_with_query: "/fetched".to_string(),
        headers: Vec::new(),
        body: Vec::new(),
        timeout_ms,
    }
}

fn outcome(result: &Result<http::Response, http::Error>) -> String {
    match result {
        Ok(response) => format!("{} {}", response.status, String::from_utf8_lossy(&response.body)),
        Err(error) => error.name().to_string(),
    }
}
