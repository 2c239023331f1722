//! Four of five endpoints go bad at once under steady load: killed, stopped, failing, slow. Real processes, and the table of
//! what clients noticed.

use std::time::{Duration, Instant};

use gatehouse_tests::{Gateway, Load, Origin, OriginProcess, client::ask, load::Stretch, request::request, wire::soon};

/// A config with one upstream: settings of it, and its endpoints.
fn upstream(settings: &str, endpoints: &[String]) -> String {
    let endpoints: Vec<String> = endpoints.iter().map(|url| format!("{{url: \"{url}\"}}")).collect();
    format!("upstreams: [{{name: group, {settings} endpoints: [{}]}}]\nroutes: [{{name: all, upstream: group}}]\n", endpoints.join(", "))
}

/// A client's pause between two requests, for each client: the load is the same however many there are, and so low that
/// a hiccup of the machine does not make the good endpoint look worse than the slow one.
const PAUSE: Duration = Duration::from_millis(6);

/// Stretches of time, as clients saw them.
struct Table {
    calm: Stretch,
    turmoil: Stretch,
    after: Stretch,
    recovery: Stretch,
}

impl Table {
    fn print(&self) {
        println!("{:<28} {:>8} {:>7} {:>9} {:>9}", "", "requests", "errors", "p50", "p99");
        let rows = [
            ("no faults", &self.calm),
            ("until all are ejected", &self.turmoil),
            ("after that", &self.after),
            ("until all are back", &self.recovery),
        ];
        for (name, stretch) in rows {
            println!("{name:<28} {:>8} {:>7} {:>9.1?} {:>9.1?}", stretch.requests, stretch.errors, stretch.p50, stretch.p99);
        }
    }

    fn check(&self) {
        let Self { calm, turmoil, after, recovery } = self;
        assert_eq!(calm.errors, 0, "nothing fails without faults");
        // Retries make good what is no answer and a 503, but not a 500: that takes five in a row, and some more under way.
        assert!(turmoil.errors <= 20, "few notice: {turmoil:?}");
        assert_eq!(after.errors, 0, "after ejection, nobody does");
        assert!(after.requests > 200, "under load: {after:?}");
        assert!(after.p99 <= calm.p99 * 2, "the slow one is left alone, too: {after:?} beside {calm:?}");
        assert_eq!(recovery.errors, 0, "nor does anybody when they come back");
    }
}

/// Waits until the endpoint is in use, or out of it; for as long as a first ejection takes by default.
async fn wait_for_health(gateway: &Gateway, endpoint: &str, wanted: f64) {
    let wait = async {
        loop {
            let healthy = gateway.metrics().await.sum("gatehouse_endpoint_healthy", &[("upstream", "group"), ("endpoint", endpoint)]);
            if (healthy - wanted).abs() < 0.5 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), wait).await;
    waited.unwrap_or_else(|_| panic!("{endpoint} is not {wanted}\n{}", gateway.log()));
}

/// A stretch with no error and a p99 below that. One hiccup of a busy machine makes the good endpoint look worse than the
/// slow one for seconds, so there are three; no error is allowed in any.
async fn best_of_three(load: &Load, p99: Duration) -> Stretch {
    for _ in 0..2 {
        let stretch = load.watch(Duration::from_secs(4)).await;
        if stretch.errors > 0 || stretch.p99 <= p99 {
            return stretch;
        }
    }
    load.watch(Duration::from_secs(4)).await
}

/// Five origins of which four go bad at once, under steady load, and come back. Those that wait for an answer when the
/// last endpoint is ejected have one after `settle`.
async fn four_of_five_go_bad(settings: &str, clients: usize, settle: Duration) -> Table {
    let mut origins = Vec::new();
    for _ in 0..5 {
        origins.push(OriginProcess::start().await);
    }
    let names: Vec<String> = origins.iter().map(|origin| origin.address().to_string()).collect();
    let urls: Vec<String> = names.iter().map(|name| format!("http://{name}")).collect();
    let gateway = Gateway::start(&upstream(settings, &urls)).await;
    let load = Load::start(gateway.address(), clients, PAUSE * clients as u32);

    // Latencies settle first.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let calm = load.watch(Duration::from_secs(3)).await;

    let began = Instant::now();
    origins[0].kill().await;
    origins[1].stop();
    origins[2].set_mode("500").await;
    origins[3].set_mode("slow").await;
    for name in &names[..3] {
        wait_for_health(&gateway, name, 0.0).await;
    }
    tokio::time::sleep(settle).await;
    let turmoil = load.since(began);
    let after = best_of_three(&load, calm.p99 * 2).await;

    let healed = Instant::now();
    origins[0].restart().await;
    origins[1].go_on();
    origins[2].set_mode("ok").await;
    origins[3].set_mode("ok").await;
    let before: Vec<u64> = [origins[0].hits().await, origins[1].hits().await, origins[2].hits().await].into();
    for name in &names {
        wait_for_health(&gateway, name, 1.0).await;
    }
    for (origin, before) in origins.iter().zip(before) {
        soon("requests at one that came back", async {
            while origin.hits().await < before + 10 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
    let recovery = load.since(healed);
    Table { calm, turmoil, after, recovery }
}

#[tokio::test]
async fn four_of_five_go_bad_and_nobody_notices_once_they_are_out() {
    // Three of five may be out at once by default, and their checks keep them out after their first ejection is over.
    let settings = "timeouts: {connect: 300ms, first_byte: 600ms}, balance: {slow_start: 2s}, \
        health: {outlier: {base_ejection: 1s}, active: {path: /healthz, interval: 300ms, timeout: 300ms}},";
    let table = four_of_five_go_bad(settings, 8, Duration::from_millis(700)).await;
    table.print();
    table.check();
}

/// The one that stopped would have 15 s to answer, and is out after one: it answers nobody while others do.
#[tokio::test]
async fn four_of_five_go_bad_with_every_setting_at_its_default() {
    let table = four_of_five_go_bad("", 16, Duration::from_secs(1)).await;
    table.print();
    table.check();
    assert!(table.turmoil.p99 < Duration::from_secs(5), "nobody waits for a time-out: {:?}", table.turmoil);
}

/// What is not idempotent cannot be asked of another, but whoever comes later is spared; and an answer, when there is one
/// at last, ends the silence.
#[tokio::test]
async fn a_stopped_endpoint_is_out_after_a_second_whatever_it_is_asked() {
    let (stopped, other) = (OriginProcess::start().await, Origin::saying("served").await);
    let (urls, name) = ([format!("http://{}", stopped.address()), other.url()], stopped.address().to_string());
    let gateway = Gateway::start(&upstream("balance: {algorithm: round_robin},", &urls)).await;
    let post = || request("POST", "/orders").body("order");
    stopped.stop();
    let waiting: Vec<_> = (0..6).map(|_| tokio::spawn(ask(gateway.address(), post()))).collect();
    let is_out = async || gateway.metrics().await.sum("gatehouse_ejections_total", &[("upstream", "group"), ("reason", "silence")]) > 0.5;
    soon("the ejection", async {
        while !is_out().await {
            assert_eq!(gateway.get("/").await.status, 200, "what can be asked of the other is");
        }
    })
    .await;
    for _ in 0..20 {
        assert_eq!(gateway.ask(post()).await.text(), "served", "at the other");
    }
    stopped.go_on();
    for answer in waiting {
        assert_eq!(answer.await.expect("the task ends").status, 200, "those who waited are answered");
    }
    wait_for_health(&gateway, &name, 1.0).await;
}

/// With nobody else who asks, there is nobody to compare with: the other endpoint is asked all the same.
#[tokio::test]
async fn a_lone_request_at_a_stopped_endpoint_is_answered_by_another() {
    let (stopped, other) = (OriginProcess::start().await, Origin::saying("served").await);
    let urls = [format!("http://{}", stopped.address()), other.url()];
    let gateway = Gateway::start(&upstream("balance: {algorithm: round_robin},", &urls)).await;
    stopped.stop();
    let began = Instant::now();
    for _ in 0..4 {
        assert_eq!(gateway.get("/").await.text(), "served");
    }
    assert!(began.elapsed() < Duration::from_secs(10), "after a second at most, and once: {:?}", began.elapsed());
    let doubled = gateway.metrics().await.sum("gatehouse_retries_total", &[("upstream", "group"), ("reason", "silence")]);
    assert!((doubled - 1.0).abs() < 0.1, "then it was out: {doubled}");
}
