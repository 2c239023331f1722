//! Endpoints that register themselves by the admin API, and are forgotten when they do not do it again.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use gatehouse_tests::{Answer, Client, Gateway, Load, Origin, Reload, load::Stretch, wire::soon};
use serde_json::{Value, json};

fn registering(settings: &str) -> String {
    format!("upstreams: [{{name: group, {settings} discovery: {{register: {{ttl: 10s}}}}}}]\nroutes: [{{name: all, upstream: group}}]\n")
}

async fn register(gateway: &Gateway, id: &str, body: Value) -> (u16, Value) {
    let answer = gateway.api_send("PUT", &format!("/v1/upstreams/group/endpoints/{id}"), &body).await;
    (answer.status, answer.json())
}

async fn wait_for_endpoints(gateway: &Gateway, wanted: f64) {
    let labels = [("upstream", "group"), ("source", "register")];
    gateway.wait_for_metric("gatehouse_discovery_endpoints", &labels, |count| (count - wanted).abs() < 0.5).await;
}

async fn wait_for_status(gateway: &Gateway, wanted: u16) {
    soon(&format!("answers with {wanted}"), async {
        while gateway.get("/").await.status != wanted {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_registration_serves_until_it_is_removed() {
    let origin = Origin::saying("here").await;
    let gateway = Gateway::start(&registering("")).await;
    assert_eq!(gateway.get("/").await.header("x-gatehouse-error"), Some("no_healthy_endpoint"), "nobody is there yet");
    let (status, registered) = register(&gateway, "one", json!({"url": origin.url(), "weight": 3})).await;
    assert_eq!(status, 201, "{registered}");
    assert_eq!(registered, json!({"upstream": "group", "id": "one", "url": origin.url(), "weight": 3, "ttl": "10s"}));
    wait_for_status(&gateway, 200).await;
    assert_eq!(register(&gateway, "one", json!({"url": origin.url()})).await.0, 200, "the same again is a renewal");
    let status = gateway.api_get("/v1/status").await.json();
    let endpoint = &status["upstreams"][0]["endpoints"][0];
    assert_eq!((&endpoint["source"], &endpoint["endpoint"]), (&"register".into(), &origin.address().to_string().into()), "{status}");
    let listed = gateway.api_get("/v1/upstreams/group/endpoints").await.json();
    assert_eq!((&listed["items"][0]["id"], &listed["items"][0]["url"]), (&"one".into(), &origin.url().into()), "{listed}");

    assert_eq!(gateway.api_delete("/v1/upstreams/group/endpoints/one").await.status, 204);
    wait_for_status(&gateway, 503).await;
    assert_eq!(gateway.api_delete("/v1/upstreams/group/endpoints/one").await.status, 404, "it is gone");
    let metrics = gateway.metrics().await;
    for event in ["registered", "renewed", "removed"] {
        assert!((metrics.sum("gatehouse_registrations_total", &[("event", event)]) - 1.0).abs() < 0.1, "one was {event}");
    }
    assert!((metrics.sum("gatehouse_config_revision", &[]) - 1.0).abs() < 0.1, "a registration is no revision");
}

#[tokio::test]
async fn who_is_not_heard_of_is_forgotten() {
    let origin = Origin::saying("here").await;
    let gateway = Gateway::start(&registering("")).await;
    let began = Instant::now();
    register(&gateway, "one", json!({"url": origin.url(), "ttl": "1s"})).await;
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(register(&gateway, "one", json!({"url": origin.url(), "ttl": "1s"})).await.0, 200, "it is still there");
    }
    assert!(began.elapsed() > Duration::from_secs(1), "by then it would have been forgotten");
    wait_for_status(&gateway, 503).await;
    assert_eq!(register(&gateway, "one", json!({"url": origin.url()})).await.0, 201, "it is new again");
}

#[tokio::test]
async fn a_wrong_registration_says_what_is_wrong_and_changes_nothing() {
    let origin = Origin::saying("here").await;
    let config = format!(
        "upstreams:\n  - {{name: group, discovery: {{register: {{}}}}}}\n  - {{name: fixed, endpoints: [{{url: \"{}\"}}]}}\n\
         routes: [{{name: all, upstreams: [{{name: group, weight: 1}}, {{name: fixed, weight: 1}}]}}]\n",
        origin.url()
    );
    let gateway = Gateway::start(&config).await;
    let put = |target: &'static str, body: Value| {
        let gateway = &gateway;
        async move {
            let answer = gateway.api_send("PUT", target, &body).await;
            (answer.status, answer.json())
        }
    };
    let good = json!({"url": origin.url()});
    let (status, problem) = put("/v1/upstreams/nobody/endpoints/one", good.clone()).await;
    assert_eq!((status, &problem["type"]), (404, &"urn:gatehouse:problem:not_found".into()), "{problem}");
    let (status, problem) = put("/v1/upstreams/fixed/endpoints/one", good.clone()).await;
    assert_eq!((status, &problem["type"]), (409, &"urn:gatehouse:problem:not_registering".into()), "{problem}");
    assert_eq!(gateway.api_delete("/v1/upstreams/fixed/endpoints/one").await.status, 409);
    assert_eq!(gateway.api_get("/v1/upstreams/fixed/endpoints").await.status, 409);

    for (body, paths) in [
        (json!({"url": "127.0.0.1:80"}), &["url"][..]),
        (json!({"url": "http://127.0.0.1:80/path"}), &["url"]),
        (json!({"url": "http://nobody.invalid:80"}), &["url"]),
        (json!({"url": "http://127.0.0.1:0", "weight": 1_000_001, "ttl": "0s"}), &["url", "weight", "ttl"]),
        (json!({"url": origin.url(), "ttl": "25h"}), &["ttl"]),
    ] {
        let (status, problem) = put("/v1/upstreams/group/endpoints/one", body).await;
        let found: Vec<&str> = problem["errors"].as_array().expect("a list").iter().filter_map(|error| error["path"].as_str()).collect();
        assert_eq!((status, &*found), (422, paths), "{problem}");
    }
    let (status, problem) = put("/v1/upstreams/group/endpoints/o%20ne", good.clone()).await;
    assert_eq!((status, &problem["errors"][0]["path"]), (422, &"id".into()), "{problem}");
    assert_eq!(put("/v1/upstreams/group/endpoints/one", json!({"url": origin.url(), "port": 1})).await.0, 400, "an unknown key");
    assert!(gateway.metrics().await.sum("gatehouse_discovery_endpoints", &[]) < 0.5, "nobody was registered");
}

#[tokio::test]
async fn registrations_outlive_a_reload_and_end_with_their_upstream() {
    let origin = Origin::saying("here").await;
    let gateway = Gateway::start(&registering("")).await;
    register(&gateway, "one", json!({"url": origin.url(), "ttl": "60s"})).await;
    wait_for_status(&gateway, 200).await;
    let load = Load::start(gateway.address(), 4, Duration::from_millis(1));
    for round in 0..5 {
        let changed = registering(&format!("timeouts: {{idle: {}s}},", 30 + round));
        assert!(matches!(gateway.reload(&changed).await, Reload::Applied(_)));
    }
    let whole = load.since(Instant::now() - Duration::from_secs(60));
    assert!(whole.errors == 0 && whole.requests > 0, "nobody noticed: {whole:?}");
    drop(load);

    let without = "routes: [{name: all, chain: [{plugin: mock, config: {body: none}}]}]\n";
    assert!(matches!(gateway.reload(without).await, Reload::Applied(_)));
    // A snapshot is kept until its last user has let go of it.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(matches!(gateway.reload(&registering("")).await, Reload::Applied(_)));
    assert_eq!(gateway.get("/").await.status, 503, "nobody knows them any more");
}

// === a thousand ===

const CROWD: usize = 1_000;

/// Members of a crowd that register over and over, from several connections. All of them are one origin.
struct Crowd {
    /// How many of them still do.
    alive: AtomicUsize,
    port: u16,
    renewals: AtomicUsize,
}

impl Crowd {
    fn url(&self, member: usize) -> String {
        format!("http://127.1.{}.{}:{}", member / 250, member % 250 + 1, self.port)
    }

    /// Registers each member of one part, over and over.
    async fn beat(&self, gateway: &Gateway, part: usize, parts: usize) {
        let mut connection = Client::connect(gateway.listener("admin")).await;
        loop {
            for member in (part..CROWD).step_by(parts).filter(|member| *member < self.alive.load(Ordering::Relaxed)) {
                let (target, body) = (format!("/v1/upstreams/group/endpoints/{member}"), json!({"url": self.url(member), "ttl": "5s"}));
                let status = gateway.api_send_on(&mut connection, "PUT", &target, &body).await.status;
                assert!(status == 200 || status == 201, "{target}: {status}");
                self.renewals.fetch_add(1, Ordering::Relaxed);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

#[track_caller]
fn check_unmoved(what: &str, calm: &Stretch, stretch: &Stretch) {
    println!("{what:<12} {:>6} requests, {} errors, p50 {:?}, p99 {:?}", stretch.requests, stretch.errors, stretch.p50, stretch.p99);
    assert!(stretch.requests > 100, "{what}: {stretch:?}");
    assert_eq!(stretch.errors, 0, "{what}: no request failed");
    // The machine runs the crowd, the origin and other tests as well.
    let most = (calm.p99 * 10).max(Duration::from_millis(200));
    assert!(stretch.p99 < most, "{what}: {stretch:?}, calm {calm:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_endpoints_come_renew_and_go_and_cost_no_request() {
    let origin = Origin::start_at(SocketAddr::from(([0, 0, 0, 0], 0)), |_| Answer::ok("here")).await;
    let port = origin.address().port();
    let config = registering(&format!("endpoints: [{{url: \"http://127.0.0.1:{port}\"}}], balance: {{slow_start: 1s}},"));
    let gateway = Gateway::start(&config).await;
    let before = gateway.metrics().await;
    let load = Load::start(gateway.address(), 4, Duration::from_millis(2));
    let calm = load.watch(Duration::from_secs(2)).await;
    check_unmoved("calm", &calm, &calm);

    let crowd = Arc::new(Crowd { alive: AtomicUsize::new(CROWD), port, renewals: AtomicUsize::new(0) });
    let beats = async { tokio::join!(crowd.beat(&gateway, 0, 3), crowd.beat(&gateway, 1, 3), crowd.beat(&gateway, 2, 3)) };
    let story = async {
        let began = Instant::now();
        wait_for_endpoints(&gateway, CROWD as f64).await;
        // They come within a fraction of a second; their slow start takes one.
        tokio::time::sleep(Duration::from_secs(1)).await;
        check_unmoved("coming", &calm, &load.since(began));
        let steady = load.watch(Duration::from_secs(3)).await;
        check_unmoved("renewing", &calm, &steady);
        wait_for_endpoints(&gateway, CROWD as f64).await;
        assert!(crowd.renewals.load(Ordering::Relaxed) > CROWD, "they did renew");

        let began = Instant::now();
        crowd.alive.store(CROWD / 2, Ordering::Relaxed);
        wait_for_endpoints(&gateway, (CROWD / 2) as f64).await;
        check_unmoved("expiring", &calm, &load.since(began));
        crowd.alive.store(CROWD, Ordering::Relaxed);
        wait_for_endpoints(&gateway, CROWD as f64).await;
        check_unmoved("coming back", &calm, &load.since(began));
    };
    tokio::select! {
        _ = beats => unreachable!("they go on for ever"),
        () = story => {}
    }
    let after = gateway.metrics().await;
    let expired = after.sum("gatehouse_registrations_total", &[("event", "expired")]);
    assert!((expired - (CROWD / 2) as f64).abs() < 0.5, "only those that stopped: {expired}");
    for name in ["gatehouse_config_revision", "gatehouse_router_build_seconds"] {
        assert!((after.sum(name, &[]) - before.sum(name, &[])).abs() < f64::EPSILON, "{name} has not moved");
    }
    assert_eq!(gateway.get("/").await.status, 200);
}

#[tokio::test]
async fn registrations_outlive_a_restart_and_still_have_to_be_renewed() {
    let (origin, other) = (Origin::saying("here").await, Origin::saying("there").await);
    let mut gateway = Gateway::start(&registering("")).await;
    register(&gateway, "one", json!({"url": origin.url(), "weight": 3, "ttl": "8s"})).await;
    register(&gateway, "two", json!({"url": other.url()})).await;
    assert_eq!(gateway.api_delete("/v1/upstreams/group/endpoints/two").await.status, 204);
    wait_for_status(&gateway, 200).await;
    gateway.terminate();
    assert!(gateway.wait().await.success());
    let gateway = gateway.start_again().await;
    assert_eq!(gateway.get("/").await.text(), "here", "with the first request");
    let listed = gateway.api_get("/v1/upstreams/group/endpoints").await.json();
    let ids: Vec<&Value> = listed["items"].as_array().expect("a list").iter().map(|item| &item["id"]).collect();
    assert_eq!(ids, ["one"], "who had left stays away: {listed}");
    assert_eq!(listed["items"][0]["weight"], 3, "{listed}");
    wait_for_endpoints(&gateway, 0.0).await;
    assert_eq!(gateway.get("/").await.status, 503, "nobody renewed it");
}

#[tokio::test]
async fn registrations_outlive_a_crash() {
    let origin = Origin::saying("here").await;
    let gateway = Gateway::start(&registering("")).await;
    register(&gateway, "one", json!({"url": origin.url(), "ttl": "1m"})).await;
    // They are written within about a second, which a busy machine may make several.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let gateway = gateway.kill_and_start_again().await;
    assert_eq!(gateway.get("/").await.text(), "here", "with the first request");
}
