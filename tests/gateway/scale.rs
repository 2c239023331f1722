//! 10,000 routes and 100,000 clients: how long they take to load, what they take to keep, and that each is found.
//!
//! The product's own numbers are 2 s and 300 MB for a release build on an idle machine. A development build is about
//! three times as slow and tests share the machine, so time is measured as the processor time of the process, against
//! a limit of three times as much; memory is the same in every build and is held to the number itself.

use std::fmt::Write;
use std::fs;

use gatehouse_tests::{Gateway, Reload, Response, Setup, get, tokens::sha256};

const ROUTES: usize = 10_000;
const CLIENTS: usize = 100_000;
const MIB: u64 = 1 << 20;

/// So many of both. The first route is there in any case.
fn config(routes: usize, clients: usize) -> String {
    let mut text = String::from("routes:\n");
    for route in 0..routes.max(1) {
        let _ = writeln!(
            text,
            "  - {{name: route-{route}, hosts: [h{}.example.com], match: [{{path: {{prefix: /area-{}/service-{route}}}, methods: [GET, POST]}}], \
             chain: [{{plugin: api-key, config: {{scopes: [orders.read]}}}}, {{plugin: rate-limit, config: {{rate: 100, burst: 200}}}}, {{plugin: mock}}]}}",
            route % 100,
            route % 97,
        );
    }
    text.push_str("clients:\n");
    for client in 0..clients {
        let _ = writeln!(
            text,
            "  - {{name: client-{client}, plan: gold, scopes: [orders.read, orders.write], \
             keys: [{{id: \"k{client:07}\", last4: ab12, sha256: \"{}\"}}]}}",
            sha256(&format!("key-{client}")),
        );
    }
    text
}

async fn ask(gateway: &Gateway, route: usize, client: usize) -> Response {
    let request = get(&format!("/area-{}/service-{route}/x", route % 97)).header("host", &format!("h{}.example.com", route % 100));
    gateway.ask(request.header("x-api-key", &format!("key-{client}"))).await
}

async fn check_found(gateway: &Gateway) {
    for (route, client) in [(0, 0), (ROUTES / 2, CLIENTS / 2), (ROUTES - 1, CLIENTS - 1)] {
        assert_eq!(ask(gateway, route, client).await.status, 200, "route {route}, client {client}");
    }
    assert_eq!(ask(gateway, 1, CLIENTS).await.status, 401, "one client more than there are");
    assert_eq!(ask(gateway, ROUTES, 1).await.status, 404, "one route more than there are");
}

fn peak(gateway: &Gateway) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", gateway.pid())).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a process has had memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("the kernel writes a number") * 1024
}

/// The resident memory once nothing more is given back.
async fn settled(gateway: &Gateway) -> u64 {
    let mut before = gateway.rss();
    for _ in 0..20 {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        let now = gateway.rss();
        if now.abs_diff(before) < MIB / 2 {
            return now;
        }
        before = now;
    }
    before
}

/// One worker, so that instances made ahead are the same few in both gateways.
async fn start(config: &str) -> Gateway {
    Setup::new(config).one_worker().start().await
}

#[tokio::test]
async fn ten_thousand_routes_and_a_hundred_thousand_clients_load_fast_and_stay_small() {
    let small = start(&config(1, 0)).await;
    let without = small.processor_seconds();
    let whole = config(ROUTES, CLIENTS);
    let gateway = start(&whole).await;
    // Compiling the plugins takes the same in both, and is done once for a machine.
    let took = gateway.processor_seconds() - without;
    assert!(took < 6.0, "{took} s of processor time to load");
    let (resident, highest) = (settled(&gateway).await, peak(&gateway));
    assert!(highest < 300 * MIB, "{} MiB at the most while loading", highest / MIB);
    check_found(&gateway).await;

    for revision in 2..5 {
        assert_eq!(gateway.reload(&whole).await, Reload::Applied(revision), "nothing is wrong with it");
    }
    check_found(&gateway).await;
    let (after, highest) = (settled(&gateway).await, peak(&gateway));
    assert!(after < resident + resident / 4, "{} MiB after three reloads, {} MiB before", after / MIB, resident / MIB);
    assert!(highest < 300 * MIB, "{} MiB at the most while reloading", highest / MIB);
}

#[tokio::test]
async fn a_client_takes_less_than_six_hundred_bytes() {
    let (few, many) = (start(&config(1, 1)).await, start(&config(1, CLIENTS)).await);
    let (few, many) = (settled(&few).await, settled(&many).await);
    let each = many.saturating_sub(few) / CLIENTS as u64;
    assert!(each < 600, "{each} bytes for each client");
}
