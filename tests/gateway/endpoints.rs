//! Upstreams that stay up: which endpoint gets a request, and what becomes of those that do not serve any more.

use std::time::{Duration, Instant};

use gatehouse_tests::{Answer, Client, Gateway, Load, Origin, OriginProcess, Reload, Setup, get, origin::nobody, wire::soon};

/// A config with one upstream: settings of it, and its endpoints.
fn upstream(settings: &str, endpoints: &[String]) -> String {
    let endpoints: Vec<String> = endpoints.iter().map(|url| format!("{{url: \"{url}\"}}")).collect();
    format!("upstreams: [{{name: group, {settings}, endpoints: [{}]}}]\nroutes: [{{name: all, upstream: group}}]\n", endpoints.join(", "))
}

async fn healthy(gateway: &Gateway, endpoint: &str) -> f64 {
    gateway.metrics().await.sum("gatehouse_endpoint_healthy", &[("upstream", "group"), ("endpoint", endpoint)])
}

async fn wait_for_health(gateway: &Gateway, endpoint: &str, wanted: f64) {
    let labels = [("upstream", "group"), ("endpoint", endpoint)];
    gateway.wait_for_metric("gatehouse_endpoint_healthy", &labels, |value| (value - wanted).abs() < 0.5).await;
}

// === real processes ===

/// Without checks, and one fault at a time: the real answers alone tell, and the endpoint is tried again by itself.
#[tokio::test]
async fn real_answers_alone_take_an_endpoint_out_and_bring_it_back() {
    let mut origins = [OriginProcess::start().await, OriginProcess::start().await, OriginProcess::start().await];
    let names = origins.each_ref().map(|origin| origin.address().to_string());
    let urls = names.each_ref().map(|name| format!("http://{name}"));
    // In turns, so that the one at fault goes on being asked: the default would avoid it before it has failed five times.
    // Each is tried once, so that each failure is a client's and can be counted.
    let settings = "retry: {attempts: 1}, timeouts: {first_byte: 500ms}, balance: {algorithm: round_robin, slow_start: 1s}, health: {outlier: {base_ejection: 1s, max_ejection: 1s}}";
    let gateway = Gateway::start(&upstream(settings, &urls)).await;
    let load = Load::start(gateway.address(), 6, Duration::from_millis(5));
    for fault in ["kill", "stop", "500"] {
        let began = Instant::now();
        match fault {
            "kill" => origins[1].kill().await,
            "stop" => origins[1].stop(),
            mode => origins[1].set_mode(mode).await,
        }
        wait_for_health(&gateway, &names[1], 0.0).await;
        // It comes back on probation twice meanwhile, and each time one request finds out.
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        let bad = load.since(began);
        match fault {
            "kill" => origins[1].restart().await,
            "stop" => origins[1].go_on(),
            _ => origins[1].set_mode("ok").await,
        }
        wait_for_health(&gateway, &names[1], 1.0).await;
        let before = origins[1].hits().await;
        soon("requests at the one that came back", async {
            while origins[1].hits().await < before + 10 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        assert!((5..=20).contains(&bad.errors), "{fault}: five to eject it, one for each time it was tried again: {bad:?}");
    }
    let labels = [("upstream", "group")];
    assert!(gateway.metrics().await.sum("gatehouse_ejections_total", &labels) >= 3.0, "each ejection is counted");
}

// === ejection ===

#[tokio::test]
async fn a_dead_endpoint_costs_five_tries() {
    let origin = Origin::saying("served").await;
    let settings = "retry: {attempts: 1}, balance: {algorithm: round_robin}, health: {outlier: {base_ejection: 1m}}";
    let dead = nobody();
    let gateway = Gateway::start(&upstream(settings, &[origin.url(), format!("http://{dead}")])).await;
    let mut failed = 0;
    for _ in 0..100 {
        failed += usize::from(gateway.get("/").await.status != 200);
    }
    assert_eq!(failed, 5, "and then it is out");
    assert!(healthy(&gateway, &dead.to_string()).await < 0.5, "as the metrics say");
    let metrics = gateway.metrics().await;
    let counted = metrics.sum("gatehouse_ejections_total", &[("upstream", "group"), ("reason", "consecutive_gateway")]);
    assert!((counted - 1.0).abs() < 0.1, "with its reason");
}

#[tokio::test]
async fn an_ejection_outlives_a_reload() {
    let origin = Origin::saying("served").await;
    let settings = "balance: {algorithm: round_robin}, health: {outlier: {base_ejection: 1m}}";
    let config = upstream(settings, &[origin.url(), format!("http://{}", nobody())]);
    let gateway = Gateway::start(&config).await;
    for _ in 0..20 {
        gateway.get("/").await;
    }
    let config = config.replace("name: all", "name: renamed");
    assert!(matches!(gateway.reload(&config).await, Reload::Applied(_)), "{}", gateway.log());
    for _ in 0..20 {
        assert_eq!(gateway.get("/").await.status, 200, "what was learned is not forgotten");
    }
}

#[tokio::test]
async fn clients_that_go_away_eject_nobody() {
    let slow = Origin::start(|_| Answer::ok("late").delayed(Duration::from_millis(300))).await;
    let other = Origin::saying("served").await;
    let gateway = Gateway::start(&upstream("balance: {algorithm: round_robin}", &[slow.url(), other.url()])).await;
    for round in 1..=10 {
        let mut client = Client::connect(gateway.address()).await;
        client.send(get("/").bytes()).await;
        let mut second = Client::connect(gateway.address()).await;
        second.send(get("/").bytes()).await;
        slow.wait_for_hits(round).await;
        drop((client, second));
        slow.wait_until_deserted(round).await;
    }
    assert!(healthy(&gateway, &slow.address().to_string()).await > 0.5, "it never failed");
}

#[tokio::test]
async fn uploads_that_break_off_eject_nobody() {
    let (one, other) = (Origin::saying("served").await, Origin::saying("served").await);
    let gateway = Gateway::start(&upstream("balance: {algorithm: round_robin}", &[one.url(), other.url()])).await;
    for _ in 0..20 {
        let mut client = Client::connect(gateway.address()).await;
        client.send("POST / HTTP/1.1\r\nhost: test.example\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nbroken\r\n").await;
        client.response().await;
    }
    for origin in [&one, &other] {
        assert!(healthy(&gateway, &origin.address().to_string()).await > 0.5, "the body was the client's");
    }
}

// === checks ===

#[tokio::test]
async fn with_no_endpoint_ready_the_answer_is_there_at_once() {
    let settings = "health: {active: {path: /healthz, interval: 100ms}}";
    let dead = nobody();
    let gateway = Gateway::start(&upstream(settings, &[format!("http://{dead}")])).await;
    wait_for_health(&gateway, &dead.to_string(), 0.0).await;
    let mut client = Client::connect(gateway.address()).await;
    let mut quickest = Duration::MAX;
    for _ in 0..50 {
        let began = Instant::now();
        let response = client.ask(&get("/")).await;
        quickest = quickest.min(began.elapsed());
        response.assert_problem(503, "no_healthy_endpoint");
        assert_eq!(response.header("retry-after"), Some("1"), "it says when to come back");
    }
    assert!(quickest < Duration::from_millis(2), "microseconds, and two trips over loopback: {quickest:?}");
}

#[tokio::test]
async fn checks_ask_what_they_are_told_to() {
    let origin = Origin::start(|request| match request.target() {
        "/ready?deep=1" => Answer::new(418, &[], ""),
        _ => Answer::ok("served"),
    })
    .await;
    let settings =
        "health: {active: {path: \"/ready?deep=1\", interval: 100ms, expect: [418], headers: {x-check: \"yes\", host: ready.example}}}";
    let gateway = Gateway::start(&upstream(settings, &[origin.url()])).await;
    origin.wait_for_hits(3).await;
    let check = &origin.requests()[0];
    assert_eq!((check.header("x-check").as_deref(), check.header("host").as_deref()), (Some("yes"), Some("ready.example")), "{check:?}");
    assert_eq!(gateway.get("/").await.text(), "served", "418 is what was expected");
}

#[tokio::test]
async fn each_endpoint_is_asked_once_for_all_workers_and_routes_and_revisions() {
    let origin = Origin::saying("served").await;
    let settings = "health: {active: {path: /healthz, interval: 500ms}}";
    let config = upstream(settings, &[origin.url()])
        .replace("upstream: group}]", "upstream: group}, {name: more, match: [{path: {prefix: /more}}], upstream: group}]");
    let gateway = Setup::new(&config).arguments(&["--workers", "4"]).start().await;
    origin.wait_for_hits(1).await;
    let (began, before) = (Instant::now(), origin.hits());
    for number in 0..4 {
        let config = config.replace("name: more", &format!("name: more-{number}"));
        assert!(matches!(gateway.reload(&config).await, Reload::Applied(_)), "{}", gateway.log());
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    // A wait is 400 ms at least.
    let (asked, most) = ((origin.hits() - before) as u128, began.elapsed().as_millis() / 400 + 1);
    assert!((3..=most).contains(&asked), "{asked} questions where {most} are the most for one who asks");
}

#[tokio::test]
async fn what_checks_found_outlives_a_reload_and_ends_with_the_checks() {
    let origin = Origin::start(|request| match request.target() {
        "/healthz" => Answer::new(503, &[], ""),
        _ => Answer::ok("served"),
    })
    .await;
    let config = upstream("health: {active: {path: /healthz, interval: 100ms}}", &[origin.url()]);
    let gateway = Gateway::start(&config).await;
    let name = origin.address().to_string();
    wait_for_health(&gateway, &name, 0.0).await;
    assert!(matches!(gateway.reload(&config.replace("name: all", "name: renamed")).await, Reload::Applied(_)));
    gateway.get("/").await.assert_problem(503, "no_healthy_endpoint");
    assert!(matches!(gateway.reload(&upstream("timeouts: {connect: 1s}", &[origin.url()])).await, Reload::Applied(_)));
    wait_for_health(&gateway, &name, 1.0).await;
    assert_eq!(gateway.get("/").await.text(), "served", "nobody asks any more");
}

#[tokio::test]
async fn too_few_ready_means_that_all_are_used() {
    let sick = async || {
        Origin::start(|request| match request.target() {
            "/healthz" => Answer::new(503, &[], ""),
            _ => Answer::ok("served"),
        })
        .await
    };
    let origins = [sick().await, sick().await, Origin::saying("served").await];
    let urls: Vec<String> = origins.iter().map(Origin::url).collect();
    let settings = "balance: {algorithm: round_robin}, health: {active: {path: /healthz, interval: 1m}}";
    let gateway = Gateway::start(&upstream(settings, &urls)).await;
    for origin in &origins[..2] {
        wait_for_health(&gateway, &origin.address().to_string(), 0.0).await;
    }
    for _ in 0..9 {
        assert_eq!(gateway.get("/").await.text(), "served");
    }
    assert!(origins.iter().all(|origin| origin.requests().iter().any(|request| request.target() == "/")), "a third would not bear it all");
    let picks = gateway.metrics().await.sum("gatehouse_panic_picks_total", &[("upstream", "group")]);
    assert!((picks - 9.0).abs() < 0.1, "and it is counted: {picks}");
}

// === algorithms ===

#[tokio::test]
async fn a_cookie_keeps_a_session_on_its_endpoint() {
    let names = ["a", "b", "c", "d"];
    let mut origins = Vec::new();
    for name in names {
        origins.push(Origin::saying(name).await);
    }
    let urls: Vec<String> = origins.iter().map(Origin::url).collect();
    for algorithm in ["ring_hash", "maglev"] {
        let gateway = Gateway::start(&upstream(&format!("balance: {{algorithm: {algorithm}, hash_on: \"cookie:session\"}}"), &urls)).await;
        let mut used = std::collections::BTreeSet::new();
        for session in 0..20 {
            let request = || get("/").header("cookie", &format!("theme=dark; session={session}"));
            let home = gateway.ask(request()).await.text();
            for _ in 0..5 {
                assert_eq!(gateway.ask(request()).await.text(), home, "{algorithm}: session {session} stays");
            }
            used.insert(home);
        }
        assert!(used.len() >= 3, "{algorithm}: and sessions are spread: {used:?}");
    }
}

#[tokio::test]
async fn an_endpoint_that_joins_is_used_and_one_that_leaves_is_not() {
    let (old, new) = (Origin::saying("old").await, Origin::saying("new").await);
    let settings = "balance: {slow_start: 0s}";
    let gateway = Gateway::start(&upstream(settings, &[old.url()])).await;
    assert_eq!(gateway.get("/").await.text(), "old");
    assert!(matches!(gateway.reload(&upstream(settings, &[old.url(), new.url()])).await, Reload::Applied(_)));
    soon("the new one to be used", async { while gateway.get("/").await.text() != "new" {} }).await;
    assert!(matches!(gateway.reload(&upstream(settings, &[new.url()])).await, Reload::Applied(_)));
    for _ in 0..20 {
        assert_eq!(gateway.get("/").await.text(), "new");
    }
    let metrics = gateway.metrics().await;
    let endpoints = metrics.select("gatehouse_endpoint_healthy", &[]).count();
    assert!(endpoints <= 2, "those that are gone are not published for ever: {endpoints}");
}
