//! Endpoints that come and go without a new config: by DNS, asked of a real server.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use gatehouse_tests::{
    Answer, Client, Gateway, Load, NameServer, Origin, Reload, Setup,
    gateway::gatehouse,
    get,
    http2_origin::{Http2Origin, Script},
    tls::Certificate,
    wire::{eventually, soon},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// A config with one upstream whose endpoints come from DNS.
fn by_dns(server: &NameServer, dns: &str, settings: &str) -> String {
    let servers = server.address();
    format!(
        "upstreams: [{{name: group, {settings} discovery: {{dns: {{servers: [\"{servers}\"], {dns}}}}}}}]\n\
         routes: [{{name: all, upstream: group}}]\n"
    )
}

/// Origins on one port, on 127.0.0.1 and those after it.
async fn row(count: u8) -> Vec<Origin> {
    let first = Origin::saying("1").await;
    let port = first.address().port();
    let mut origins = vec![first];
    for number in 2..=count {
        origins.push(Origin::start_at(SocketAddr::from(([127, 0, 0, number], port)), move |_| Answer::ok(number.to_string())).await);
    }
    origins
}

/// Waits until so many answers in a row come from these.
async fn wait_for(gateway: &Gateway, wanted: &[&str]) {
    soon(&format!("answers of {wanted:?} alone"), async {
        let mut row = 0;
        while row < 20 {
            let answer = gateway.get("/").await;
            row = if answer.status == 200 && wanted.contains(&&*answer.text()) { row + 1 } else { 0 };
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

async fn discovered(gateway: &Gateway) -> f64 {
    gateway.metrics().await.sum("gatehouse_discovery_endpoints", &[("upstream", "group")])
}

const FAST: &str = "min_ttl: 100ms";

#[tokio::test]
async fn traffic_follows_the_addresses_of_a_name() {
    let (server, origins) = (NameServer::start().await, row(3).await);
    let port = origins[0].address().port();
    server.set_addresses("orders.test", 0, &["127.0.0.1", "127.0.0.2"]);
    let config = by_dns(&server, &format!("name: orders.test, port: {port}, {FAST}"), "balance: {slow_start: 0s},");
    let gateway = Gateway::start(&config).await;
    let load = Load::start(gateway.address(), 4, Duration::from_millis(2));
    wait_for(&gateway, &["1", "2"]).await;
    assert!(origins[0].hits() > 0 && origins[1].hits() > 0, "both take part");
    server.set_addresses("orders.test", 0, &["127.0.0.3"]);
    wait_for(&gateway, &["3"]).await;
    assert!((discovered(&gateway).await - 1.0).abs() < 0.5, "one is known");
    let metrics = gateway.metrics().await;
    assert!((metrics.sum("gatehouse_config_revision", &[]) - 1.0).abs() < 0.1, "the configuration is the same");
    let whole = load.since(Instant::now() - Duration::from_secs(60));
    assert_eq!(whole.errors, 0, "nobody noticed: {whole:?}");
}

#[tokio::test]
async fn a_name_is_looked_up_when_its_answer_has_grown_old() {
    let server = NameServer::start().await;
    server.set_addresses("short.test", 1, &["127.0.0.1"]);
    server.set_addresses("long.test", 3600, &["127.0.0.1"]);
    let upstream = |name: &str| {
        let servers = server.address();
        format!("{{name: {name}, discovery: {{dns: {{servers: [\"{servers}\"], name: {name}.test, {FAST}}}}}}}")
    };
    let again = upstream("short").replacen("name: short", "name: again", 1);
    let config = format!("upstreams: [{}, {}, {again}]\nroutes: [{{name: all, upstream: short}}]\n", upstream("short"), upstream("long"));
    let _gateway = Gateway::start(&config).await;
    let before = server.queries("short.test");
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    let asked = server.queries("short.test") - before;
    assert!((2..=4).contains(&asked), "once a second, for both upstreams together: {asked}");
    assert_eq!(server.queries("long.test"), 1, "its answer is good for an hour");
}

#[tokio::test]
async fn srv_records_bring_ports_and_weights() {
    let (server, one, two) = (NameServer::start().await, Origin::saying("1").await, Origin::saying("2").await);
    server.set_addresses("one.test", 60, &["127.0.0.1"]);
    server.set_addresses("two.test", 60, &["127.0.0.1"]);
    let records = [(1, 30, one.address().port(), "one.test"), (1, 10, two.address().port(), "two.test")];
    server.set_services("_http._tcp.orders.test", 60, &records);
    let gateway =
        Gateway::start(&by_dns(&server, "name: _http._tcp.orders.test, record: srv", "balance: {algorithm: round_robin, slow_start: 0s},"))
            .await;
    let mut client = Client::connect(gateway.address()).await;
    for _ in 0..80 {
        assert_eq!(client.ask(&get("/")).await.status, 200);
    }
    assert_eq!((one.hits(), two.hits()), (60, 20), "three of four");
}

#[tokio::test]
async fn an_address_that_this_machine_cannot_reach_is_no_endpoint() {
    const ELSEWHERE: &str = "2001:db8::1";
    let (server, origins) = (NameServer::start().await, row(1).await);
    let port = origins[0].address().port();
    server.set_addresses("orders.test", 60, &["127.0.0.1", ELSEWHERE]);
    let gateway = Gateway::start(&by_dns(&server, &format!("name: orders.test, port: {port}"), "")).await;
    let socket = std::net::UdpSocket::bind("[::]:0");
    let has_route = socket.and_then(|socket| socket.connect((ELSEWHERE, 9))).is_ok();
    let wanted = if has_route { 2.0 } else { 1.0 };
    assert!((discovered(&gateway).await - wanted).abs() < 0.5, "IPv6 counts where there is any: {has_route}");
    if !has_route {
        for _ in 0..20 {
            assert_eq!(gateway.get("/").await.status, 200);
        }
    }
}

#[tokio::test]
async fn certificates_are_for_the_name_that_was_looked_up() {
    let (server, certificate) = (NameServer::start().await, Certificate::of(&["orders.test"]));
    let script = Script { tls: Some(certificate.acceptor(&["h2"], None)), ..Script::default() };
    let origin = Http2Origin::start(script).await;
    let port = origin.port();
    for name in ["orders.test", "other.test"] {
        server.set_addresses(name, 60, &["127.0.0.1"]);
    }
    server.set_services("_http._tcp.mine.test", 60, &[(1, 1, port, "orders.test")]);
    server.set_services("_http._tcp.strange.test", 60, &[(1, 1, port, "other.test")]);
    for (dns, status) in [
        (format!("name: orders.test, port: {port}, tls: true"), 200),
        (format!("name: other.test, port: {port}, tls: true"), 502),
        ("name: _http._tcp.mine.test, record: srv, tls: true".into(), 200),
        ("name: _http._tcp.strange.test, record: srv, tls: true".into(), 502),
    ] {
        let config = by_dns(&server, &dns, "protocol: h2, tls: {ca: $DIR/ca.pem},");
        let gateway = Setup::new(&config).file("ca.pem", certificate.pem()).start().await;
        assert_eq!(gateway.get("/").await.status, status, "{dns}");
    }
}

#[tokio::test]
async fn the_next_priority_takes_over_and_gives_back() {
    let server = NameServer::start().await;
    let healthy = Arc::new(AtomicBool::new(true));
    let health = Arc::clone(&healthy);
    let first = Origin::start(move |_| if health.load(Ordering::Relaxed) { Answer::ok("first") } else { Answer::new(503, &[], "") }).await;
    let second = Origin::saying("second").await;
    server.set_addresses("a.test", 60, &["127.0.0.1"]);
    let records = [(10, 1, first.address().port(), "a.test"), (20, 1, second.address().port(), "a.test")];
    server.set_services("_http._tcp.orders.test", 60, &records);
    let settings = "health: {active: {path: /healthz, interval: 100ms, unhealthy: 1, healthy: 1}}, balance: {slow_start: 0s},";
    let gateway = Gateway::start(&by_dns(&server, "name: _http._tcp.orders.test, record: srv", settings)).await;
    wait_for(&gateway, &["first"]).await;
    healthy.store(false, Ordering::Relaxed);
    wait_for(&gateway, &["second"]).await;
    healthy.store(true, Ordering::Relaxed);
    wait_for(&gateway, &["first"]).await;
}

#[tokio::test]
async fn the_last_answer_serves_on_while_nobody_answers() {
    let (server, origins) = (NameServer::start().await, row(2).await);
    let (port, address) = (origins[0].address().port(), server.address());
    server.set_addresses("orders.test", 0, &["127.0.0.1"]);
    let config = by_dns(&server, &format!("name: orders.test, port: {port}, {FAST}, max_ttl: 500ms"), "balance: {slow_start: 0s},");
    let gateway = Gateway::start(&config).await;
    let load = Load::start(gateway.address(), 4, Duration::from_millis(2));
    let failed = [("upstream", "group"), ("result", "failed")];
    server.fail();
    gateway.wait_for_metric("gatehouse_discovery_lookups_total", &failed, |count| count >= 2.0).await;
    server.answer();
    // A name that is gone is a mistake more often than not.
    server.set_addresses("orders.test", 0, &[]);
    gateway.wait_for_metric("gatehouse_discovery_lookups_total", &[("result", "empty")], |count| count >= 2.0).await;
    drop(server);
    let seen = gateway.metrics().await.sum("gatehouse_discovery_lookups_total", &failed);
    gateway.wait_for_metric("gatehouse_discovery_lookups_total", &failed, |count| count > seen).await;
    assert!(gateway.metrics().await.sum("gatehouse_discovery_answer_age_seconds", &[("upstream", "group")]) > 0.2, "the answer is old");
    wait_for(&gateway, &["1"]).await;
    let whole = load.since(Instant::now() - Duration::from_secs(60));
    assert_eq!(whole.errors, 0, "nobody noticed: {whole:?}");

    let server = NameServer::start_at(address).await;
    server.set_addresses("orders.test", 0, &["127.0.0.2"]);
    wait_for(&gateway, &["2"]).await;
    assert_eq!(gateway.log().matches("name not resolved").count(), 1, "said once: {}", gateway.log());
}

#[tokio::test]
async fn without_any_answer_the_gateway_starts_and_says_that_there_is_no_endpoint() {
    let (server, origin) = (NameServer::start().await, Origin::saying("1").await);
    server.fall_silent();
    let began = Instant::now();
    let port = origin.address().port();
    let gateway = Gateway::start(&by_dns(&server, &format!("name: orders.test, port: {port}, {FAST}, max_ttl: 500ms"), "")).await;
    assert!(began.elapsed() < Duration::from_secs(8), "it waits for 2 s at most, not {:?}", began.elapsed());
    let answer = gateway.get("/").await;
    assert_eq!((answer.status, answer.header("x-gatehouse-error")), (503, Some("no_healthy_endpoint")));
    server.set_addresses("orders.test", 0, &["127.0.0.1"]);
    server.answer();
    wait_for(&gateway, &["1"]).await;
}

#[tokio::test]
async fn a_reload_begins_with_what_was_known() {
    let (server, origins) = (NameServer::start().await, row(1).await);
    let port = origins[0].address().port();
    server.set_addresses("orders.test", 60, &["127.0.0.1"]);
    let config = by_dns(&server, &format!("name: orders.test, port: {port}"), "");
    let gateway = Gateway::start(&config).await;
    let load = Load::start(gateway.address(), 4, Duration::from_millis(1));
    server.fall_silent();
    for round in 0..5 {
        let changed = config.replace("name: group,", &format!("name: group, timeouts: {{idle: {}s}},", 30 + round));
        assert!(matches!(gateway.reload(&changed).await, Reload::Applied(_)));
    }
    let whole = load.since(Instant::now() - Duration::from_secs(60));
    assert!(whole.errors == 0 && whole.requests > 0, "nobody noticed: {whole:?}");
    assert_eq!(server.queries("orders.test"), 1, "nobody had to be asked");
}

#[tokio::test]
async fn a_new_upstream_serves_from_its_first_request_on() {
    let (server, origins) = (NameServer::start().await, row(1).await);
    let port = origins[0].address().port();
    server.set_addresses("orders.test", 60, &["127.0.0.1"]);
    let gateway = Gateway::start("routes: [{name: all, chain: [{plugin: mock, config: {body: old}}]}]\n").await;
    let load = Load::start(gateway.address(), 4, Duration::from_millis(1));
    assert!(matches!(gateway.reload(&by_dns(&server, &format!("name: orders.test, port: {port}"), "")).await, Reload::Applied(_)));
    origins[0].wait_for_hits(20).await;
    let whole = load.since(Instant::now() - Duration::from_secs(60));
    assert_eq!(whole.errors, 0, "the answer was there first: {whole:?}");
}

#[tokio::test]
async fn requests_under_way_end_where_they_are_when_the_endpoint_is_gone() {
    let server = NameServer::start().await;
    let slow = Origin::start(|_| Answer::ok("slow").delayed(Duration::from_millis(1_200))).await;
    let port = slow.address().port();
    let _quick = Origin::start_at(SocketAddr::from(([127, 0, 0, 2], port)), |_| Answer::ok("quick")).await;
    server.set_addresses("orders.test", 0, &["127.0.0.1"]);
    let gateway = Gateway::start(&by_dns(&server, &format!("name: orders.test, port: {port}, {FAST}"), "balance: {slow_start: 0s},")).await;
    let under_way = gateway.get("/");
    let change = async {
        slow.wait_for_hits(1).await;
        server.set_addresses("orders.test", 0, &["127.0.0.2"]);
        wait_for(&gateway, &["quick"]).await;
    };
    let (answer, ()) = tokio::join!(under_way, change);
    assert_eq!((answer.status, answer.text().as_str()), (200, "slow"));
}

#[tokio::test]
async fn idle_connections_to_an_endpoint_that_is_gone_are_closed() {
    let server = NameServer::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let _other = Origin::start_at(SocketAddr::from(([127, 0, 0, 2], port)), |_| Answer::ok("other")).await;
    server.set_addresses("orders.test", 0, &["127.0.0.1"]);
    let gateway = Gateway::start(&by_dns(&server, &format!("name: orders.test, port: {port}, {FAST}"), "")).await;
    let closed = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&closed);
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("the gateway connects");
        let mut head = [0; 4096];
        stream.read(&mut head).await.expect("a request");
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.expect("the gateway reads");
        let end = stream.read(&mut head).await;
        told.store(matches!(end, Ok(0) | Err(_)), Ordering::Relaxed);
    });
    assert_eq!(gateway.get("/").await.status, 200);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!closed.load(Ordering::Relaxed), "it is kept as long as there is a use for it");
    server.set_addresses("orders.test", 0, &["127.0.0.2"]);
    eventually("the idle connection to be closed", || closed.load(Ordering::Relaxed)).await;
}

#[tokio::test]
async fn an_explanation_names_the_source() {
    let server = NameServer::start().await;
    let folder = tempfile::tempdir().expect("there is room");
    std::fs::write(folder.path().join("gatehouse.yaml"), by_dns(&server, "name: orders.test", "")).expect("there is room");
    let output = gatehouse(folder.path(), &["explain", "--config", "gatehouse.yaml", "GET", "/"]).await;
    assert!(output.stdout.contains("discovery {\"dns\":{\"name\":\"orders.test\""), "{}", output.stdout);
    assert_eq!(server.queries("orders.test"), 0, "nobody is asked for that");
}
