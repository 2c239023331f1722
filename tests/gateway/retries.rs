//! Requests that are tried again: after what, how often, and never when it could do harm.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use std::time::{Duration, Instant};

use gatehouse_tests::{
    Answer, Client, Gateway, Origin, Request, Setup,
    collector::{Collector, Span},
    get,
    origin::nobody,
    request,
    wire::soon,
};

/// A config with one upstream: settings of it, and its endpoints, taken in turn.
fn config(settings: &str, endpoints: &[String]) -> String {
    let endpoints: Vec<String> = endpoints.iter().map(|url| format!("{{url: \"{url}\"}}")).collect();
    format!(
        "upstreams: [{{name: group, {settings}, balance: {{algorithm: round_robin}}, endpoints: [{}]}}]\nroutes: [{{name: all, upstream: group}}]\n",
        endpoints.join(", ")
    )
}

async fn house(settings: &str, endpoints: &[String]) -> Gateway {
    Setup::new(&config(settings, endpoints)).one_worker().start().await
}

async fn retries(gateway: &Gateway, reason: &str) -> f64 {
    gateway.metrics().await.sum("gatehouse_retries_total", &[("upstream", "group"), ("reason", reason)])
}

/// Ways in which an endpoint fails, and what they are called.
fn failures() -> Vec<(&'static str, Answer)> {
    vec![
        ("status", Answer::new(502, &[], "bad")),
        ("status", Answer::new(503, &[], "busy".repeat(100))),
        ("status", Answer::head(504, &[("transfer-encoding", "chunked")]).then_chunk("on its way").then_stall()),
        ("reset", Answer::raw("").then_close()),
        ("reset", Answer::raw("").then_reset()),
        ("reset", Answer::raw("HTTP/1.1 200 OK\r\ncontent-le").then_close()),
        ("timeout", Answer::silence()),
    ]
}

// === what is tried again ===

#[tokio::test]
async fn each_failure_is_made_good_by_another_endpoint() {
    for (reason, failure) in failures() {
        let (bad, good) = (Origin::start(move |_| failure.clone()).await, Origin::saying("served").await);
        let gateway = house("retry: {per_try_timeout: 200ms}", &[bad.url(), good.url()]).await;
        for _ in 0..2 {
            let response = gateway.ask(get("/").header("x-mine", "kept")).await;
            assert_eq!((response.status, response.text().as_str()), (200, "served"), "{reason}");
        }
        let failed = bad.hits();
        assert!(failed >= 1 && good.hits() == 2, "{reason}: {failed} came by the bad one");
        let second = good.requests().into_iter().find(|request| request.header("x-gatehouse-attempt").is_some()).expect("it is told");
        assert_eq!(second.header("x-gatehouse-attempt").as_deref(), Some("2"), "{reason}");
        assert_eq!(second.header("x-mine").as_deref(), Some("kept"), "{reason}: it is the same request");
        assert!((retries(&gateway, reason).await - failed as f64).abs() < 0.1, "{reason} is counted");
        let attempts: Vec<_> = gateway.access_log(2).await.iter().map(|entry| entry["attempts"].clone()).collect();
        assert_eq!(attempts.iter().filter(|attempts| **attempts == 2).count(), failed, "{reason}: the log says {attempts:?}");
    }
}

#[tokio::test]
async fn no_connection_is_no_reason_to_fail_whatever_the_method() {
    let good = Origin::saying("served").await;
    let gateway = house("retry: {backoff: 10s, max_backoff: 10s}", &[format!("http://{}", nobody()), good.url()]).await;
    let began = Instant::now();
    for asked in [get("/"), get("/"), request("POST", "/").body("order"), request("POST", "/").chunks(&[b"or", b"der"])] {
        assert_eq!(gateway.ask(asked).await.status, 200);
    }
    let posts: Vec<_> = good.requests().into_iter().filter(|request| request.method() == "POST").collect();
    assert!(posts.iter().all(|post| post.body == b"order"), "{posts:?}");
    assert!(began.elapsed() < Duration::from_secs(5), "another endpoint is asked at once");
    assert!(retries(&gateway, "connect").await > 1.5);
}

#[tokio::test]
async fn what_may_have_been_done_is_not_done_again() {
    for (reason, failure) in failures() {
        let (bad, good) = (Origin::start(move |_| failure.clone()).await, Origin::saying("served").await);
        let gateway = house("timeouts: {first_byte: 200ms}", &[bad.url(), good.url()]).await;
        let mut statuses = vec![];
        for _ in 0..2 {
            let asked = request("POST", "/").body("order").bytes();
            let mut client = Client::connect(gateway.address()).await;
            client.send(asked).await;
            statuses.push(client.head().await.status);
        }
        statuses.sort_unstable();
        assert!(statuses[0] == 200 && statuses[1] >= 502, "{reason}: {statuses:?}");
        assert_eq!((bad.hits(), good.hits()), (1, 1), "{reason}");
    }
}

#[tokio::test]
async fn nothing_is_tried_again_where_the_config_says_so() {
    let settings = ["retry: {attempts: 1}", "retry: {on: [], statuses: [500]}"];
    for settings in settings {
        for (_, failure) in failures().into_iter().filter(|(reason, _)| *reason != "timeout") {
            let (bad, good) = (Origin::start(move |_| failure.clone()).await, Origin::saying("served").await);
            let gateway = house(settings, &[bad.url(), good.url()]).await;
            for _ in 0..2 {
                let mut client = Client::connect(gateway.address()).await;
                client.send(get("/").bytes()).await;
                client.head().await;
            }
            assert_eq!((bad.hits(), good.hits()), (1, 1), "{settings}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_has_begun_is_the_answer() {
    let bad = Origin::start(|_| Answer::head(200, &[("content-length", "100")]).then_send("begun").then_reset()).await;
    let good = Origin::saying("served").await;
    let gateway = house("retry: {attempts: 3}", &[bad.url(), good.url()]).await;
    for _ in 0..2 {
        let mut client = Client::connect(gateway.address()).await;
        client.send(get("/").bytes()).await;
        assert_eq!(client.head().await.status, 200);
    }
    assert_eq!((bad.hits(), good.hits()), (1, 1));
}

#[tokio::test]
async fn the_last_answer_is_the_clients_and_each_endpoint_is_asked_once() {
    let mut origins = vec![];
    for name in ["one", "two", "three"] {
        origins.push(Origin::start(move |_| Answer::new(503, &[], name)).await);
    }
    let urls: Vec<String> = origins.iter().map(Origin::url).collect();
    let gateway = house("retry: {attempts: 3, backoff: 1ms}", &urls).await;
    let response = gateway.get("/").await;
    assert_eq!(response.status, 503);
    assert!(["one", "two", "three"].contains(&response.text().as_str()), "the endpoint's own words");
    assert_eq!(origins.iter().map(Origin::hits).collect::<Vec<_>>(), [1, 1, 1]);
    assert_eq!(gateway.access_log(1).await[0]["attempts"], 3);
}

#[tokio::test]
async fn an_answer_that_is_given_up_leaves_its_connection_for_others() {
    let calls = AtomicUsize::new(0);
    let origin = Origin::start(move |_| match calls.fetch_add(1, Ordering::Relaxed) % 2 {
        0 => Answer::head(503, &[("content-length", "4")]).then_wait(Duration::from_millis(20)).then_send("busy"),
        _ => Answer::ok("served"),
    })
    .await;
    let gateway = house("retry: {backoff: 200ms}", &[origin.url()]).await;
    for _ in 0..10 {
        assert_eq!(gateway.get("/").await.text(), "served", "the same endpoint is asked again where there is no other");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    assert!(origin.connections() <= 2, "{} connections for 20 requests", origin.connections());
}

// === bodies ===

fn put(body: &[u8]) -> [Request; 2] {
    let (half, rest) = body.split_at(body.len() / 2);
    [request("PUT", "/").body(body), request("PUT", "/").chunks(&[half, rest])]
}

#[tokio::test]
async fn a_body_is_sent_again_byte_for_byte() {
    let body: Vec<u8> = (0..60_000u32).map(|number| (number * 7 % 251) as u8).collect();
    for failure in [Answer::new(503, &[], ""), Answer::new(503, &[], "").without_reading(), Answer::raw("").then_close()] {
        for asked in put(&body) {
            let failure = failure.clone();
            let (bad, good) = (Origin::start(move |_| failure.clone()).await, Origin::saying("served").await);
            let gateway = house("retry: {}", &[bad.url(), good.url()]).await;
            let asked = asked.bytes();
            for _ in 0..2 {
                let mut client = Client::connect(gateway.address()).await;
                client.send(&asked).await;
                assert_eq!(client.response().await.status, 200);
            }
            assert!(bad.hits() >= 1 && good.hits() == 2, "{} were bad", bad.hits());
            assert!(good.requests().iter().all(|request| request.body == body), "whole and in order");
        }
    }
}

#[tokio::test]
async fn a_body_that_is_still_coming_follows_to_the_next_endpoint() {
    let bad = Origin::start(|_| Answer::new(503, &[], "").without_reading()).await;
    let good = Origin::saying("served").await;
    let gateway = house("retry: {backoff: 1ms}", &[bad.url(), good.url()]).await;
    for _ in 0..2 {
        let mut client = Client::connect(gateway.address()).await;
        client.send("PUT / HTTP/1.1\r\nhost: test.example\r\ncontent-length: 10\r\n\r\nfirst").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        client.send(" half").await;
        assert_eq!(client.response().await.status, 200);
    }
    assert!(bad.hits() >= 1 && good.hits() == 2, "{} were bad", bad.hits());
    assert!(good.requests().iter().all(|request| request.body == b"first half"), "{:?}", good.requests());
}

#[tokio::test]
async fn a_body_over_the_buffer_is_sent_once() {
    for asked in put(&[b'x'; 2_000]) {
        let (bad, good) = (Origin::start(|_| Answer::new(503, &[], "busy")).await, Origin::saying("served").await);
        let gateway = house("retry: {buffer: 1KiB}", &[bad.url(), good.url()]).await;
        let mut statuses = vec![];
        for _ in 0..2 {
            let mut client = Client::connect(gateway.address()).await;
            client.send(asked.bytes()).await;
            statuses.push(client.response().await.status);
        }
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 503]);
        assert_eq!((bad.hits(), good.hits()), (1, 1));
    }
}

// === time ===

#[tokio::test]
async fn all_tries_share_the_time_of_the_request() {
    let origins = [Origin::start(|_| Answer::silence()).await, Origin::start(|_| Answer::silence()).await];
    let urls = origins.each_ref().map(Origin::url);
    let gateway = house("retry: {attempts: 10, per_try_timeout: 250ms, backoff: 1ms}, timeouts: {request: 600ms}", &urls).await;
    let began = Instant::now();
    gateway.get("/").await.assert_problem(504, "upstream_timeout");
    let took = began.elapsed();
    assert!((Duration::from_millis(590)..Duration::from_millis(900)).contains(&took), "{took:?}");
    assert_eq!(origins.iter().map(Origin::hits).sum::<usize>(), 3, "250, 250 and the 100 that were left");
}

#[tokio::test]
async fn a_retry_that_would_come_too_late_is_not_begun() {
    let (one, other) = (Origin::start(|_| Answer::new(503, &[], "busy").delayed(Duration::from_millis(350))).await, nobody());
    let gateway =
        house("retry: {backoff: 10s, max_backoff: 10s}, timeouts: {request: 400ms}", &[one.url(), format!("http://{other}")]).await;
    let began = Instant::now();
    let response = gateway.get("/").await;
    assert!(response.status >= 502 && began.elapsed() < Duration::from_secs(1), "what is at hand is the answer: {}", response.status);
}

// === budget ===

#[tokio::test]
async fn in_an_outage_an_upstream_sees_little_more_than_its_requests() {
    let hits = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&hits);
    let origin = Origin::start(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        Answer::new(503, &[], "out of order")
    })
    .await;
    // The circuit would open, and spare it all of this.
    let settings = "circuit_breaker: {min_requests: 1000000}, retry: {attempts: 3, backoff: 1ms, min_per_second: 2}";
    let config = config(settings, &[origin.url()]);
    let gateway = Setup::new(&config).arguments(&["--workers", "2"]).start().await;
    let (began, mut clients) = (Instant::now(), vec![]);
    for _ in 0..4 {
        let address = gateway.address();
        clients.push(tokio::spawn(async move {
            let mut client = Client::connect(address).await;
            for _ in 0..250 {
                assert_eq!(client.ask(&get("/")).await.status, 503);
            }
        }));
    }
    for client in clients {
        client.await.expect("it asked to the end");
    }
    let (seconds, seen) = (began.elapsed().as_secs() as usize + 1, hits.load(Ordering::Relaxed));
    println!("1000 requests in {seconds} s or less: the upstream saw {seen}");
    assert!(seen >= 1_100, "some were tried again: {seen}");
    assert!(seen <= 1_200 + 2 * seconds, "a fifth more at most, and two a second: {seen}");
    assert!(retries(&gateway, "budget").await > 500.0, "what was not tried again is counted");
}

// === hedges ===

/// An endpoint that is slow every time, and one that is not.
async fn slow_and_quick(slow: Duration) -> (Origin, Origin) {
    (Origin::start(move |_| Answer::ok("slow").delayed(slow)).await, Origin::saying("quick").await)
}

#[tokio::test]
async fn a_hedge_cuts_the_tail_and_ends_what_it_has_outrun() {
    let (slow, quick) = slow_and_quick(Duration::from_secs(5)).await;
    let gateway = house("retry: {hedge: {after: 50ms}}", &[slow.url(), quick.url()]).await;
    let mut longest = Duration::ZERO;
    // One more would be over 5 %.
    while slow.hits() == 0 {
        let began = Instant::now();
        assert_eq!(gateway.get("/").await.text(), "quick");
        longest = longest.max(began.elapsed());
    }
    assert!((Duration::from_millis(50)..Duration::from_millis(1_000)).contains(&longest), "after 50 ms and not 5 s: {longest:?}");
    slow.wait_until_deserted(1).await;
    let second = quick.requests().into_iter().find(|request| request.header("x-gatehouse-attempt").is_some());
    assert_eq!(second.expect("it is told").header("x-gatehouse-attempt").as_deref(), Some("2"));
    assert!(retries(&gateway, "hedge").await >= 0.9);
    assert!(gateway.metrics().await.sum("gatehouse_hedges_won_total", &[("upstream", "group")]) >= 0.9);
    let log = gateway.access_log(quick.hits()).await;
    let hedged = log.iter().find(|entry| entry["attempts"] == 2).expect("the log has both tries");
    assert!(hedged["endpoint"].to_string().contains(&quick.address().to_string()), "and who answered: {hedged}");
}

#[tokio::test]
async fn only_a_few_requests_are_hedged_and_none_that_might_do_harm() {
    let (slow, quick) = slow_and_quick(Duration::from_millis(30)).await;
    let gateway = house("retry: {hedge: {after: 10ms}, min_per_second: 1000}", &[slow.url(), quick.url()]).await;
    for asked in [request("POST", "/").body("order"), request("DELETE", "/"), request("GET", "/").body("question")] {
        for _ in 0..2 {
            gateway.ask(Request::clone(&asked)).await;
        }
    }
    assert!(retries(&gateway, "hedge").await < 0.1, "these are not");
    for _ in 0..94 {
        gateway.get("/").await;
    }
    let hedged = retries(&gateway, "hedge").await;
    assert!((1.0..=5.0).contains(&hedged), "5 % of 100 at most: {hedged}");
}

#[tokio::test]
async fn when_to_hedge_is_learned() {
    // One answer in twenty-five takes long, which is less than one in twenty.
    let calls = Arc::new(AtomicUsize::new(0));
    let script = |calls: Arc<AtomicUsize>| {
        move |_: &_| match calls.fetch_add(1, Ordering::Relaxed) % 25 {
            24 => Answer::ok("served").delayed(Duration::from_millis(600)),
            _ => Answer::ok("served"),
        }
    };
    let origins = [Origin::start(script(Arc::clone(&calls))).await, Origin::start(script(Arc::clone(&calls))).await];
    let gateway = house("retry: {hedge: {}}", &origins.each_ref().map(Origin::url)).await;
    let mut client = Client::connect(gateway.address()).await;
    let mut late = vec![];
    for number in 0..250 {
        let began = Instant::now();
        assert_eq!(client.ask(&get("/")).await.status, 200);
        if began.elapsed() > Duration::from_millis(500) {
            late.push(number);
        }
    }
    assert!(late.iter().all(|number| *number < 130), "once a hundred answers are known, nobody waits for the slow ones: {late:?}");
    assert!(!late.is_empty(), "before that, somebody does");
}

// === what is told of it ===

#[tokio::test]
async fn each_try_is_a_span_with_the_endpoint_that_it_went_to() {
    let collector = Collector::start().await;
    let bad = Origin::start(|request| match request.header("x-slow") {
        Some(_) => Answer::silence(),
        None => Answer::new(503, &[], "busy"),
    })
    .await;
    let good = Origin::saying("served").await;
    for (header, settings, first) in [("x-plain", "retry: {}", "503"), ("x-slow", "retry: {hedge: {after: 50ms}}", "cancelled")] {
        let config = config(settings, &[bad.url(), good.url()]);
        let traces = format!("telemetry: {{traces: {{otlp: {{endpoint: \"{}\"}}, sample: 100%}}}}\n", collector.endpoint());
        let gateway = Setup::new(&(config + &traces)).one_worker().start().await;
        let (before, hits, mut tries) = (collector.spans().len(), bad.hits(), vec![]);
        while bad.hits() == hits {
            assert_eq!(gateway.ask(get("/").header(header, "1")).await.status, 200);
        }
        soon("the spans of a request with two tries", async {
            while tries.len() < 2 {
                tokio::time::sleep(Duration::from_millis(20)).await;
                let spans = collector.spans().split_off(before);
                let again = spans.iter().find(|span| span.get("http.request.resend_count") == Some("1"));
                let Some(again) = again else { continue };
                tries = spans.iter().filter(|span| span.kind == "client" && span.trace == again.trace).cloned().collect();
            }
        })
        .await;
        tries.sort_by_key(|span| span.start);
        let port = |span: &Span| span.get("server.port").map(str::to_owned);
        assert_eq!(tries[0].get("error.type"), Some(first), "{tries:#?}");
        assert_eq!((tries[0].get("http.request.resend_count"), tries[1].get("http.response.status_code")), (None, Some("200")));
        assert_eq!((port(&tries[0]), port(&tries[1])), (Some(bad.address().port().to_string()), Some(good.address().port().to_string())));
        assert_eq!(tries[0].parent, tries[1].parent, "beside each other");
    }
}

// === who else sends ===

#[tokio::test]
async fn what_a_plugin_fetches_is_tried_again() {
    let (bad, good) = (Origin::start(|_| Answer::raw("").then_close()).await, Origin::saying("{\"name\": \"Ada\"}").await);
    let config = config("retry: {}", &[bad.url(), good.url()])
        .replace("upstream: group}]", "chain: [{plugin: aggregate, config: {parts: [{name: user, upstream: group, path: /user}]}}]}]");
    let gateway = Setup::new(&config).one_worker().start().await;
    for _ in 0..2 {
        let response = gateway.get("/").await;
        assert_eq!(response.status, 200, "{}", response.text());
    }
    assert!(bad.hits() >= 1 && good.hits() == 2, "{} were bad", bad.hits());
}
