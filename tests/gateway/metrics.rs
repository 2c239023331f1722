//! `/metrics`, `/livez` and `/readyz`: there without a token, well-formed, and right.

use std::process::Stdio;

use gatehouse_tests::{Gateway, Origin, Setup, files, get, origin::nobody, request, tls::Certificate, tokens::sha256};
use tokio::io::AsyncWriteExt;

async fn start(origin: &Origin) -> Gateway {
    let config = format!(
        "
        clients: [{{name: acme, keys: [{{sha256: \"{}\"}}]}}]
        upstreams:
          - {{name: origin, endpoints: [{{url: \"{}\"}}]}}
          - {{name: gone, endpoints: [{{url: \"http://{}\"}}]}}
        routes:
          - {{name: open, match: [{{path: {{prefix: /open}}}}], upstream: origin}}
          - {{name: keyed, match: [{{path: {{prefix: /keyed}}}}], chain: [{{plugin: api-key}}], upstream: origin}}
          - {{name: limited, match: [{{path: {{prefix: /limited}}}}], chain: [{{plugin: rate-limit, config: {{rate: 0.01, burst: 1}}}}], upstream: origin}}
          - {{name: gone, match: [{{path: {{prefix: /gone}}}}], upstream: gone}}
        ",
        sha256("key"),
        origin.url(),
        nobody()
    );
    Setup::new(&config).start().await
}

#[tokio::test]
async fn what_was_served_is_counted() {
    let origin = Origin::saying("hello").await;
    let gateway = start(&origin).await;
    for _ in 0..7 {
        gateway.get("/open").await;
    }
    gateway.ask(request("POST", "/open").body("x")).await;
    gateway.ask(request("BREW", "/open")).await;
    gateway.get("/gone").await;
    gateway.get("/keyed").await;
    gateway.ask(get("/keyed").header("x-api-key", "key")).await;
    gateway.get("/limited").await;
    gateway.get("/limited").await;

    let metrics = gateway.metrics().await;
    let check = |name: &str, labels: &[(&str, &str)], expected: f64| {
        let found = metrics.sum(name, labels);
        assert!((found - expected).abs() < f64::EPSILON, "{name}{labels:?}: {found} instead of {expected}");
    };
    check("gatehouse_requests_total", &[("route", "open"), ("method", "GET"), ("status_class", "2xx")], 7.0);
    check("gatehouse_requests_total", &[("route", "open"), ("method", "POST")], 1.0);
    check("gatehouse_requests_total", &[("route", "open"), ("method", "_OTHER")], 1.0);
    check("gatehouse_requests_total", &[("route", "gone"), ("status_class", "5xx")], 1.0);
    check("gatehouse_requests_total", &[("route", "keyed"), ("status_class", "4xx")], 1.0);
    check("gatehouse_requests_total", &[], 14.0);
    check("gatehouse_request_duration_seconds_count", &[], 14.0);
    check("gatehouse_overhead_seconds_count", &[], 14.0);
    check("gatehouse_upstream_requests_total", &[("upstream", "origin"), ("status_class", "2xx")], 11.0);
    check("gatehouse_plugin_duration_seconds_count", &[("plugin", "api-key"), ("phase", "request")], 2.0);
    check("gatehouse_ratelimit_decisions_total", &[("result", "allowed")], 1.0);
    check("gatehouse_ratelimit_decisions_total", &[("result", "limited")], 1.0);
    check("gatehouse_config_revision", &[], 1.0);
    check("gatehouse_config_rejects_total", &[], 0.0);
    for name in ["gatehouse_config_last_success_timestamp_seconds", "gatehouse_router_build_seconds"] {
        assert!(metrics.sum(name, &[]) > 0.0, "{name} is known from the start");
    }
    assert!(metrics.sum("gatehouse_auth_total", &[("result", "accepted")]) >= 1.0, "authentications are counted");
    gateway.wait_for_metric("gatehouse_plugin_instances", &[("plugin", "api-key")], |instances| instances >= 1.0).await;
}

#[tokio::test]
async fn time_in_the_upstream_is_not_the_gateways() {
    let origin = Origin::start(|_| gatehouse_tests::Answer::ok("slow").delayed(std::time::Duration::from_millis(300))).await;
    let gateway = start(&origin).await;
    gateway.get("/open").await;
    let metrics = gateway.metrics().await;
    let (all, overhead) = (metrics.sum("gatehouse_request_duration_seconds_sum", &[]), metrics.sum("gatehouse_overhead_seconds_sum", &[]));
    assert!(all >= 0.3, "the whole took {all} s");
    assert!(overhead < 0.1, "the gateway's own share of it was {overhead} s");
}

#[tokio::test]
async fn labels_do_not_grow_with_what_clients_make_up() {
    let origin = Origin::saying("hello").await;
    let gateway = start(&origin).await;
    for number in 0..50 {
        gateway
            .ask(request(&format!("METHOD{number}"), &format!("/nowhere/{number}")).header("host", &format!("host{number}.example")))
            .await;
    }
    let metrics = gateway.metrics().await;
    let series = metrics.select("gatehouse_requests_total", &[]).count();
    assert!(series < 20, "{series} series of 50 made-up requests");
}

#[tokio::test]
async fn promtool_finds_nothing_to_improve() {
    let origin = Origin::saying("hello").await;
    let gateway = start(&origin).await;
    for path in ["/open", "/gone", "/keyed", "/limited", "/limited", "/nowhere"] {
        gateway.get(path).await;
    }
    gateway.ask(request("BREW", "/open").body("x")).await;
    gateway.wait_for_metric("gatehouse_plugin_instances", &[], |instances| instances >= 1.0).await;
    assert_eq!(gateway.reload("routes: 5").await, gatehouse_tests::Reload::Rejected, "so that a refusal is counted");
    let scrape = gateway.admin("/metrics").await.body;
    let found = promtool(&scrape).await;
    assert!(found.status.success() && found.stdout.is_empty() && found.stderr.is_empty(), "{found:?}");
    // That it finds something where there is something to find.
    let worse = String::from_utf8_lossy(&scrape).replace("gatehouse_requests_total", "gatehouse_requests");
    assert!(!promtool(worse.as_bytes()).await.status.success(), "promtool looks at what it is given");
}

async fn promtool(scrape: &[u8]) -> std::process::Output {
    let mut promtool = tokio::process::Command::new(files::promtool())
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs");
    promtool.stdin.take().expect("stdin is a pipe").write_all(scrape).await.expect("promtool reads");
    promtool.wait_with_output().await.expect("promtool ends")
}

#[tokio::test]
async fn certificates_say_when_they_end() {
    let certificate = Certificate::of(&["test.example"]);
    let config = "
        listeners:
          - {name: secure, address: \"127.0.0.1:0\", tls: {certificates: [{cert: one.pem, key: one.key}]}}
        routes: [{name: all, chain: [{plugin: mock}]}]
        ";
    let gateway = Setup::new(config).file("one.pem", certificate.pem()).file("one.key", certificate.key_pem()).start().await;
    // The certificates of the tests end with the year 4095.
    const END: f64 = 67_090_118_400.0;
    let labels = [("listener", "secure"), ("certificate", "one.pem")];
    assert!((gateway.metrics().await.sum("gatehouse_tls_cert_not_after", &labels) - END).abs() < f64::EPSILON);
    gateway.reload("routes: [{name: all, chain: [{plugin: mock}]}]").await;
    assert!(!gateway.metrics().await.has("gatehouse_tls_cert_not_after"), "a certificate that is not used is not spoken of");
}

#[tokio::test]
async fn routes_past_the_budget_of_series_are_counted_together() {
    let names =
        ["one", "two", "three"].map(|name| format!("{{name: {name}, match: [{{path: {{exact: /{name}}}}}], chain: [{{plugin: mock}}]}}"));
    let config = |series: usize| format!("routes: [{}]\ntelemetry: {{metrics: {{series: {series}}}}}\n", names.join(", "));
    let gateway = Setup::new(&config(1)).one_worker().start().await;
    let requests = async |route: &str| gateway.metrics().await.sum("gatehouse_requests_total", &[("route", route)]);
    gateway.get("/one").await;
    assert!((requests("one").await - 1.0).abs() < f64::EPSILON);
    for path in ["/two", "/three", "/one"] {
        gateway.get(path).await;
    }
    assert_eq!((requests("one").await, requests("other").await, requests("two").await), (2.0, 2.0, 0.0));
    gateway.reload(&config(1_000)).await;
    gateway.get("/three").await;
    let metrics = gateway.metrics().await;
    assert!((metrics.sum("gatehouse_requests_total", &[]) - 5.0).abs() < f64::EPSILON, "nothing is counted twice or lost");
}

#[tokio::test]
async fn life_and_readiness_are_there_without_a_token() {
    let gateway = start(&Origin::saying("hello").await).await;
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(gateway.admin(path).await.status, 200, "{path}");
    }
    let metrics = gateway.admin("/metrics").await;
    assert!(metrics.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")), "{}", metrics.head);
    assert_eq!(gateway.admin("/nowhere").await.status, 404);
}

#[tokio::test]
async fn the_public_listener_does_not_serve_the_admin_api() {
    let gateway = Gateway::start("routes: [{name: one, match: [{path: {exact: /one}}], chain: [{plugin: mock}]}]").await;
    for path in ["/metrics", "/livez", "/readyz", "/v1/config"] {
        gateway.get(path).await.assert_problem(404, "no_route");
    }
}
