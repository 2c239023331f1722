//! Traces: what a collector is told of a request, what the next hop is told, and that nobody waits for either.

use std::time::Duration;

use gatehouse_tests::{
    Answer, Gateway, Origin, Reload, Setup,
    collector::{Collector, Span},
    get,
    origin::nobody,
    request,
    tokens::sha256,
};
use serde_json::json;
use tokio::time::Instant;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn sampled() -> String {
    format!("00-{TRACE}-{PARENT}-01")
}

fn unsampled() -> String {
    format!("00-{TRACE}-{PARENT}-00")
}

/// A section that sends to this endpoint, with further settings.
fn telemetry(endpoint: &str, more: &str) -> String {
    format!("telemetry: {{traces: {{otlp: {{endpoint: \"{endpoint}\"}}{more}}}}}\n")
}

/// A gateway with one route for everything, without a chain.
async fn plain(origin: &Origin, telemetry: &str) -> Gateway {
    Setup::new(&(gatehouse_tests::gateway::plain(&origin.url()) + telemetry)).one_worker().start().await
}

/// The trace id, span id and flags of a `traceparent` that is valid by version 00.
#[track_caller]
fn parts(traceparent: &str) -> (String, String, String) {
    let parts: Vec<&str> = traceparent.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    assert_eq!(lengths, [2, 32, 16, 2], "{traceparent}");
    assert!(parts.iter().all(|part| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))), "{traceparent}");
    assert_eq!(parts[0], "00", "the version that is written: {traceparent}");
    assert!(parts[1].bytes().any(|byte| byte != b'0') && parts[2].bytes().any(|byte| byte != b'0'), "{traceparent}");
    (parts[1].to_owned(), parts[2].to_owned(), parts[3].to_owned())
}

#[track_caller]
fn named<'a>(spans: &'a [Span], name: &str, kind: &str) -> &'a Span {
    let mut found = spans.iter().filter(|span| span.name == name && span.kind == kind);
    let first = found.next().unwrap_or_else(|| panic!("a {kind} span {name} in {spans:#?}"));
    assert!(found.next().is_none(), "only one {kind} span {name} in {spans:#?}");
    first
}

#[track_caller]
fn check_attributes(span: &Span, expected: &[(&str, &str)]) {
    for (key, value) in expected {
        assert_eq!(span.get(key), Some(*value), "{key} of {span:#?}");
    }
}

/// An origin that closes a kept connection at the second request on it, as one does whose own idle time is over.
async fn forgetful() -> Origin {
    let served = std::sync::atomic::AtomicUsize::new(0);
    Origin::start(move |request| {
        let number = served.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        match (request.connection, number) {
            (0, 1) => Answer::raw("").then_close(),
            _ => Answer::ok("hello"),
        }
    })
    .await
}

#[tokio::test]
async fn a_trace_shows_the_client_two_plugins_and_two_tries() {
    let (collector, origin) = (Collector::start().await, forgetful().await);
    let config = format!(
        "
        clients: [{{name: acme, keys: [{{sha256: \"{}\"}}]}}]
        upstreams: [{{name: orders, endpoints: [{{url: \"{}\"}}]}}]
        routes:
          - name: keyed
            match: [{{path: {{prefix: /orders}}}}]
            chain: [{{plugin: api-key}}, {{plugin: transform, config: {{response: {{headers: {{rename: {{x-old: x-new}}}}}}}}}}]
            upstream: orders
        telemetry: {{traces: {{otlp: {{endpoint: \"{}\", headers: {{x-tenant: t1}}}}, service_name: edge}}}}
        ",
        sha256("key"),
        origin.url(),
        collector.endpoint()
    );
    let gateway = Setup::new(&config).one_worker().start().await;
    let asked = |traceparent: String| get("/orders/7?token=secret").header("x-api-key", "key").header("traceparent", &traceparent);
    assert_eq!(gateway.ask(asked(unsampled())).await.status, 200, "opens the connection that the origin will forget");
    // Only a connection that was idle for long is one that the origin may have given up.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let answer = gateway.ask(asked(sampled()).header("tracestate", "vendor=1").header("user-agent", "curl/9")).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"), "the second try went well");

    let spans = collector.wait_for(6).await;
    assert_eq!(spans.len(), 6, "the request, three plugin calls, two tries: {spans:#?}");
    assert!(spans.iter().all(|span| span.trace == TRACE), "all in the client's trace: {spans:#?}");
    assert!(spans.iter().all(|span| span.resource.get("service.name").is_some_and(|name| name == "edge")), "{spans:#?}");
    let post = &collector.posts()[0];
    assert_eq!((post.method(), post.target()), ("POST", "/v1/traces"));
    assert_eq!(post.header("content-type").as_deref(), Some("application/x-protobuf"));
    assert_eq!(post.header("x-tenant").as_deref(), Some("t1"), "configured headers go along");

    let server = named(&spans, "GET /orders", "server");
    assert_eq!((server.parent.as_str(), server.state.as_str(), server.status), (PARENT, "vendor=1", "unset"), "{server:#?}");
    check_attributes(
        server,
        &[
            ("http.request.method", "GET"),
            ("url.scheme", "http"),
            ("url.path", "/orders/7"),
            ("server.address", "test.example"),
            ("http.route", "/orders"),
            ("http.response.status_code", "200"),
            ("network.protocol.version", "1.1"),
            ("client.address", "127.0.0.1"),
            ("user_agent.original", "curl/9"),
            ("gatehouse.route", "keyed"),
            ("gatehouse.upstream", "orders"),
            ("gatehouse.client", "acme"),
            ("gatehouse.listener", "public"),
            ("gatehouse.revision", "1"),
        ],
    );
    assert_eq!(server.get("error.type"), None, "{server:#?}");
    assert!(!format!("{spans:?}").contains("secret"), "no query, no credential: {spans:#?}");

    let plugins: Vec<_> = spans.iter().filter(|span| span.kind == "internal").collect();
    let calls: Vec<_> = plugins.iter().map(|span| (span.name.as_str(), span.get("gatehouse.plugin.phase").unwrap_or_default())).collect();
    assert_eq!(calls, [("plugin api-key", "request"), ("plugin transform", "request"), ("plugin transform", "response")], "{plugins:#?}");
    for plugin in plugins {
        assert_eq!((plugin.parent.as_str(), plugin.status), (server.id.as_str(), "unset"), "{plugin:#?}");
        assert_eq!(plugin.get("gatehouse.plugin.verdict"), Some("next"), "{plugin:#?}");
        assert_eq!(plugin.get("gatehouse.plugin.version").map(str::len), Some(12), "the digest's first digits: {plugin:#?}");
        assert!(plugin.is_within(server), "{plugin:#?} in {server:#?}");
    }

    let tries: Vec<_> = spans.iter().filter(|span| span.kind == "client").collect();
    assert_eq!(tries.len(), 2, "{spans:#?}");
    for span in &tries {
        assert_eq!((span.name.as_str(), span.parent.as_str()), ("GET", server.id.as_str()), "{span:#?}");
        let (host, port) = ("127.0.0.1", origin.address().port().to_string());
        let url = format!("{}/orders/7", origin.url());
        check_attributes(span, &[("server.address", host), ("server.port", &port), ("url.full", &url), ("gatehouse.upstream", "orders")]);
        assert!(span.is_within(server), "{span:#?} in {server:#?}");
    }
    assert_eq!((tries[0].status, tries[0].get("error.type")), ("error", Some("upstream_reset")), "{:#?}", tries[0]);
    assert_eq!((tries[0].get("http.request.resend_count"), tries[0].get("http.response.status_code")), (None, None));
    assert_eq!((tries[1].status, tries[1].get("http.request.resend_count")), ("unset", Some("1")), "{:#?}", tries[1]);
    check_attributes(tries[1], &[("http.response.status_code", "200")]);

    let heard: Vec<_> = origin.requests().iter().skip(1).map(|request| parts(&request.header("traceparent").unwrap_or_default())).collect();
    let told: Vec<_> = tries.iter().map(|span| (TRACE.to_owned(), span.id.clone(), "01".to_owned())).collect();
    assert_eq!(heard, told, "each try told the upstream of its own span");
    assert_eq!(origin.requests()[2].header("tracestate").as_deref(), Some("vendor=1"));
}

#[tokio::test]
async fn what_a_plugin_fetches_is_below_the_plugin() {
    let collector = Collector::start().await;
    let user = Origin::start(|_| Answer::json(200, &json!({"name": "Ada"}))).await;
    let orders = Origin::start(|_| Answer::json(500, &json!({}))).await;
    let config = format!(
        "
        upstreams: [{{name: user, endpoints: [{{url: \"{}\"}}]}}, {{name: orders, endpoints: [{{url: \"{}\"}}]}}]
        routes:
          - name: page
            chain:
              - plugin: aggregate
                config: {{parts: [{{name: user, upstream: user, path: /u}}, {{name: orders, upstream: orders, path: /o?key=secret, required: false}}]}}
        {}",
        user.url(),
        orders.url(),
        telemetry(&collector.endpoint(), ", sample: 100%")
    );
    let gateway = Gateway::start(&config).await;
    assert_eq!(gateway.get("/").await.status, 200);

    let spans = collector.wait_for(4).await;
    let server = named(&spans, "GET page", "server");
    assert_eq!(server.parent, "", "the trace begins here");
    let plugin = named(&spans, "plugin aggregate", "internal");
    assert_eq!(plugin.get("gatehouse.plugin.verdict"), Some("respond"), "{plugin:#?}");
    let fetches: Vec<_> = spans.iter().filter(|span| span.kind == "client").collect();
    assert_eq!(fetches.len(), 2, "{spans:#?}");
    for fetch in fetches {
        assert_eq!((&fetch.trace, &fetch.parent), (&server.trace, &plugin.id), "{fetch:#?}");
        assert!(fetch.is_within(plugin), "{fetch:#?} in {plugin:#?}");
        let (status, code, origin) = match fetch.get("gatehouse.upstream") {
            Some("user") => ("unset", "200", &user),
            _ => ("error", "500", &orders),
        };
        assert_eq!((fetch.status, fetch.get("http.response.status_code")), (status, Some(code)), "{fetch:#?}");
        let heard = parts(&origin.request().header("traceparent").unwrap_or_default());
        assert_eq!(heard, (fetch.trace.clone(), fetch.id.clone(), "01".to_owned()));
    }
    assert!(!format!("{spans:?}").contains("secret"), "{spans:#?}");
}

#[tokio::test]
async fn only_the_gateways_failures_are_failures_of_its_span() {
    let collector = Collector::start().await;
    let origin = Origin::start(|request| match request.target() {
        "/open/404" => Answer::new(404, &[], ""),
        "/open/503" => Answer::new(503, &[], ""),
        "/open/torn" => Answer::head(200, &[("content-length", "10")]).then_send("half").then_close(),
        _ => Answer::ok("hello"),
    })
    .await;
    let config = format!(
        "
        upstreams:
          - {{name: origin, endpoints: [{{url: \"{}\"}}]}}
          - {{name: gone, endpoints: [{{url: \"http://{}\"}}]}}
        routes:
          - {{name: open, match: [{{path: {{prefix: /open}}}}], upstream: origin}}
          - {{name: gone, match: [{{path: {{prefix: /gone}}}}], upstream: gone}}
          - {{name: keyed, match: [{{path: {{prefix: /keyed}}}}], chain: [{{plugin: api-key}}], upstream: origin}}
        {}",
        origin.url(),
        nobody(),
        telemetry(&collector.endpoint(), ", sample: 100%")
    );
    let gateway = Gateway::start(&config).await;
    let torn = gateway_torn(&gateway).await;
    assert_eq!(torn, "half", "the body broke off");
    for (asked, status) in [
        (get("/open"), 200),
        (get("/open/404"), 404),
        (get("/open/503"), 503),
        (get("/gone"), 502),
        (get("/keyed"), 401),
        (get("/nowhere"), 404),
        (request("BREW", "/open/brew"), 200),
    ] {
        assert_eq!(gateway.ask(asked).await.status, status);
    }
    let spans = collector.wait_for(8 + 1 + 6).await;
    #[track_caller]
    fn check(spans: &[Span], path: &str, name: &str, status: &str, error: Option<&str>) {
        let server = spans.iter().find(|span| span.kind == "server" && span.get("url.path") == Some(path)).expect("each has a span");
        assert_eq!((server.name.as_str(), server.status, server.get("error.type")), (name, status, error), "{server:#?}");
    }
    check(&spans, "/open", "GET /open", "unset", None);
    check(&spans, "/open/404", "GET /open", "unset", None);
    check(&spans, "/open/503", "GET /open", "error", Some("503"));
    check(&spans, "/open/torn", "GET /open", "error", Some("upstream_reset"));
    check(&spans, "/gone", "GET /gone", "error", Some("upstream_connect"));
    check(&spans, "/keyed", "GET /keyed", "unset", None);
    check(&spans, "/nowhere", "GET", "unset", None);
    check(&spans, "/open/brew", "HTTP /open", "unset", None);
    let brew = spans.iter().find(|span| span.kind == "server" && span.name == "HTTP /open").expect("checked above");
    check_attributes(brew, &[("http.request.method", "_OTHER"), ("http.request.method_original", "BREW")]);
    let missed = spans.iter().find(|span| span.kind == "client" && span.get("url.full").is_some_and(|url| url.ends_with("/open/404")));
    assert_eq!(missed.map(|span| (span.status, span.get("error.type"))), Some(("error", Some("404"))), "to its caller a 404 is an error");
    let unconnected = spans.iter().find(|span| span.kind == "client" && span.get("gatehouse.upstream") == Some("gone"));
    assert_eq!(unconnected.and_then(|span| span.get("error.type")), Some("upstream_connect"));
    let refused = spans.iter().find(|span| span.name == "plugin api-key").expect("it was called");
    assert_eq!(refused.get("gatehouse.plugin.verdict"), Some("respond"), "{refused:#?}");
}

async fn gateway_torn(gateway: &Gateway) -> String {
    let mut client = gatehouse_tests::Client::connect(gateway.address()).await;
    client.send(get("/open/torn").bytes()).await;
    assert_eq!(client.head().await.status, 200);
    String::from_utf8_lossy(&client.rest().await.0).into_owned()
}

#[tokio::test]
async fn what_is_not_sampled_is_told_to_the_next_hop_and_to_nobody_else() {
    let (collector, origin) = (Collector::start().await, Origin::saying("hello").await);
    let gateway = plain(&origin, &telemetry(&collector.endpoint(), ", sample: 0%")).await;
    gateway.ask(get("/").header("traceparent", &unsampled()).header("tracestate", "a=1")).await;
    gateway.get("/").await;
    gateway.ask(get("/").header("traceparent", &sampled())).await;
    let spans = collector.wait_for(2).await;
    assert_eq!(spans.len(), 2, "only the third one, which its client wants recorded: {spans:#?}");

    let heard: Vec<_> = origin.requests().iter().map(|request| parts(&request.header("traceparent").unwrap_or_default())).collect();
    assert_eq!((heard[0].0.as_str(), heard[0].2.as_str()), (TRACE, "00"), "the client's trace goes on");
    assert_ne!(heard[0].1, PARENT, "with a span of the gateway's own");
    assert_eq!(origin.requests()[0].header("tracestate").as_deref(), Some("a=1"));
    assert_ne!(heard[1].0, TRACE, "a new trace");
    assert_eq!(heard[1].2, "00");
    let entries = gateway.access_log(3).await;
    // Each worker writes its own lines, so their order is not that of the requests.
    let line = |trace: &str| entries.iter().find(|entry| entry["trace_id"] == trace).unwrap_or_else(|| panic!("{trace}: {entries:?}"));
    assert!(heard.iter().all(|heard| line(&heard.0).is_object()), "the log names the trace");
    let began_here = line(&heard[1].0);
    assert_eq!(began_here["request_id"], began_here["trace_id"], "a trace that begins with a request is named after it");
}

#[tokio::test]
async fn a_gateway_that_does_not_trace_passes_the_headers_on_as_they_are() {
    let origin = Origin::saying("hello").await;
    let gateway = plain(&origin, "").await;
    gateway.ask(get("/").header("traceparent", "made-up").header("tracestate", "A B")).await;
    gateway.get("/").await;
    let [marked, plain] = &origin.requests()[..] else { panic!("two requests") };
    assert_eq!((marked.header("traceparent").as_deref(), marked.header("tracestate").as_deref()), (Some("made-up"), Some("A B")));
    assert_eq!(plain.header("traceparent"), None);
    assert!(gateway.access_log(2).await.iter().all(|entry| entry.get("trace_id").is_none()));
}

#[tokio::test]
async fn a_parent_that_breaks_a_rule_begins_a_new_trace() {
    let (collector, origin) = (Collector::start().await, Origin::saying("hello").await);
    let gateway = plain(&origin, &telemetry(&collector.endpoint(), ", sample: 0%")).await;
    let (zero_trace, zero_span) = ("0".repeat(32), "0".repeat(16));
    let upper = TRACE.to_uppercase();
    for (traceparents, goes_on) in [
        (vec![format!("00-{TRACE}-{PARENT}-00")], true),
        (vec![format!("00-{TRACE}-{PARENT}-fe")], true),
        (vec![format!("cc-{TRACE}-{PARENT}-00-and-more")], true),
        (vec![format!("cc-{TRACE}-{PARENT}-00")], true),
        (vec![format!("cc-{TRACE}-{PARENT}-00.more")], false),
        (vec![format!("ff-{TRACE}-{PARENT}-00")], false),
        (vec![format!("00-{TRACE}-{PARENT}-00-more")], false),
        (vec![format!("00-{TRACE}-{PARENT}-0")], false),
        (vec![format!("00-{TRACE}-{PARENT}")], false),
        (vec![format!("00-{zero_trace}-{PARENT}-00")], false),
        (vec![format!("00-{TRACE}-{zero_span}-00")], false),
        (vec![format!("00-{upper}-{PARENT}-00")], false),
        (vec![format!("00-{TRACE}-{PARENT}-0g")], false),
        (vec![format!("00_{TRACE}_{PARENT}_00")], false),
        (vec!["x".repeat(5_000)], false),
        (vec![unsampled(), unsampled()], false),
    ] {
        let with = |asked, value: &String| gatehouse_tests::Request::header(asked, "traceparent", value);
        let asked = traceparents.iter().fold(get("/").header("tracestate", "a=1"), with);
        assert_eq!(gateway.ask(asked).await.status, 200, "it harms nobody: {traceparents:?}");
        let heard = origin.requests().pop().expect("it was served");
        let (trace, span, flags) = parts(&heard.header("traceparent").unwrap_or_default());
        assert_eq!(trace == TRACE, goes_on, "{traceparents:?} became {trace}");
        assert_eq!((span == PARENT, flags.as_str()), (false, "00"), "{traceparents:?}");
        assert_eq!(heard.header("tracestate").is_some(), goes_on, "the state goes with its parent: {traceparents:?}");
    }
    gateway.ask(get("/").header("traceparent", &unsampled()).header("tracestate", "a=1,B=2")).await;
    let heard = origin.requests().pop().expect("it was served");
    assert_eq!(parts(&heard.header("traceparent").unwrap_or_default()).0, TRACE, "a bad state does not spoil the parent");
    assert_eq!(heard.header("tracestate"), None, "but goes no further");
}

#[tokio::test]
async fn whose_parent_is_believed_can_be_chosen() {
    let origin = Origin::saying("hello").await;
    let collector = Collector::start().await;
    let heard_from = async |listener: &str, trust: &str| {
        let telemetry = telemetry(&collector.endpoint(), &format!(", sample: 0%, trust_parent: {trust}"));
        let gateway = plain(&origin, &(telemetry + listener)).await;
        gateway.ask(get("/").header("traceparent", &unsampled()).header("tracestate", "a=1")).await;
        let heard = origin.requests().pop().expect("it was served");
        let goes_on = parts(&heard.header("traceparent").unwrap_or_default()).0 == TRACE;
        assert_eq!(heard.header("tracestate").is_some(), goes_on, "the state goes with its parent");
        goes_on
    };
    let proxy = "listeners: [{name: public, address: \"127.0.0.1:0\", trusted_proxies: [127.0.0.0/8]}]\n";
    assert!(heard_from("", "always").await);
    assert!(!heard_from("", "never").await);
    assert!(!heard_from(proxy, "never").await);
    assert!(!heard_from("", "proxies").await);
    assert!(heard_from(proxy, "proxies").await);
}

#[tokio::test]
async fn a_collector_that_is_gone_costs_no_request_and_no_memory() {
    let origin = Origin::saying("hello").await;
    let gateway = plain(&origin, &telemetry(&format!("http://{}", nobody()), ", sample: 100%")).await;
    let mut client = gatehouse_tests::Client::connect(gateway.address()).await;
    let asked = get("/");
    let mut ask = async |times: usize| {
        let mut slowest = Duration::ZERO;
        for _ in 0..times {
            let begun = Instant::now();
            assert_eq!(client.ask(&asked).await.status, 200);
            slowest = slowest.max(begun.elapsed());
        }
        slowest
    };
    // Two spans each: more than may wait.
    ask(6_000).await;
    gateway.wait_for_metric("gatehouse_spans_dropped_total", &[], |dropped| dropped >= 1.0).await;
    let full = gateway.rss();
    let slowest = ask(6_000).await;
    assert!(slowest < Duration::from_secs(1), "nobody waits for a collector: {slowest:?}");
    let grown = gateway.rss().saturating_sub(full);
    assert!(grown < 8 << 20, "{grown} bytes more after another 12 000 spans");
    let metrics = gateway.metrics().await;
    assert!(metrics.sum("gatehouse_spans_dropped_total", &[]) >= 12_000.0 - 8_192.0, "what is lost is counted");
    assert!(metrics.sum("gatehouse_spans_exported_total", &[]) < 0.5);
    gateway.wait_for_log("of the collector", |line| line.contains("spans do not arrive")).await;
}

#[tokio::test]
async fn a_collector_that_is_busy_gets_the_same_spans_again() {
    let refusals = std::sync::atomic::AtomicUsize::new(0);
    let collector = Collector::answering(move |_| match refusals.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        0 => Answer::new(503, &[("retry-after", "0")], ""),
        1 => Answer::raw("").then_close(),
        _ => Answer::new(200, &[], ""),
    })
    .await;
    let origin = Origin::saying("hello").await;
    let gateway = plain(&origin, &telemetry(&collector.endpoint(), ", sample: 100%")).await;
    gateway.get("/").await;
    gateway.wait_for_metric("gatehouse_spans_exported_total", &[], |exported| exported > 1.5).await;
    let posts: Vec<_> = collector.posts().into_iter().map(|post| post.body).collect();
    assert_eq!(posts.len(), 3, "refused, torn, taken");
    assert!(posts.iter().all(|body| *body == posts[0]), "always the same batch");
    assert!(gateway.metrics().await.sum("gatehouse_spans_dropped_total", &[]) < 0.5, "nothing is lost");
}

#[tokio::test]
async fn a_collector_that_refuses_is_not_asked_again() {
    let collector = Collector::answering(|_| Answer::new(400, &[], "")).await;
    let origin = Origin::saying("hello").await;
    let gateway = plain(&origin, &telemetry(&collector.endpoint(), ", sample: 100%")).await;
    gateway.get("/").await;
    gateway.wait_for_metric("gatehouse_spans_dropped_total", &[], |dropped| dropped > 1.5).await;
    assert_eq!(collector.posts().len(), 1);
}

#[tokio::test]
async fn the_last_spans_are_sent_on_the_way_out() {
    let (collector, origin) = (Collector::start().await, Origin::saying("hello").await);
    let mut gateway = plain(&origin, &telemetry(&collector.endpoint(), ", sample: 100%")).await;
    gateway.get("/").await;
    gateway.terminate();
    assert!(gateway.wait().await.success());
    assert_eq!(collector.spans().len(), 2, "the request and its try");
}

#[tokio::test]
async fn a_reload_turns_traces_on_and_off() {
    let (collector, origin) = (Collector::start().await, Origin::saying("hello").await);
    let config = gatehouse_tests::gateway::plain(&origin.url());
    let gateway = plain(&origin, "").await;
    gateway.ask(get("/").header("traceparent", &sampled())).await;
    assert_eq!(gateway.reload(&(config.clone() + &telemetry(&collector.endpoint(), ""))).await, Reload::Applied(2));
    gateway.ask(get("/").header("traceparent", &sampled())).await;
    let spans = collector.wait_for(2).await;
    assert_eq!(named(&spans, "GET /", "server").get("gatehouse.revision"), Some("2"));
    assert_eq!(gateway.reload(&config).await, Reload::Applied(3));
    gateway.ask(get("/").header("traceparent", &sampled())).await;
    let heard = origin.requests().pop().and_then(|request| request.header("traceparent"));
    assert_eq!(heard, Some(sampled()), "passed on as it is");
    assert_eq!(collector.spans().len(), 2, "and nothing more is recorded");
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    for (settings, said) in [
        ("otlp: {endpoint: \"localhost:4318\"}", "telemetry.traces.otlp.endpoint"),
        ("otlp: {endpoint: \"http://a:1?b\"}", "telemetry.traces.otlp.endpoint"),
        ("otlp: {endpoint: \"http://a:1\", headers: {\"a b\": c}}", "telemetry.traces.otlp.headers"),
        ("otlp: {endpoint: \"http://a:1\", protocol: carrier-pigeon}", "http/protobuf"),
        ("otlp: {endpoint: \"http://a:1\", timeout: 0s}", "telemetry.traces.otlp.timeout"),
        ("otlp: {endpoint: \"http://a:1\"}, sample: 2", "telemetry.traces.sample"),
        ("sample: 1%", "otlp"),
        ("otlp: {endpoint: \"http://a:1\"}, trust_parent: maybe", "telemetry.traces.trust_parent"),
    ] {
        let config = format!("routes: [{{name: a, chain: [{{plugin: mock}}]}}]\ntelemetry: {{traces: {{{settings}}}}}\n");
        let (code, text) = Setup::new(&config).start_refused().await;
        assert_eq!(code, Some(78), "{settings}: {text}");
        assert!(text.contains(said), "{settings}: {said} in {text}");
    }
}
