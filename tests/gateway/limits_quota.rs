//! Quotas: several policies at once, whose bucket it is, what a reload does to it, and how exact it is under load.

use std::time::{Duration, Instant};

use gatehouse_tests::{Client, Gateway, Origin, Reload, Response, Setup, get, tokens::sha256};

fn chain(steps: &str) -> String {
    format!("routes: [{{name: all, chain: [{steps}, {{plugin: mock}}]}}]")
}

/// The `r` of a policy in `RateLimit`.
#[track_caller]
fn left(response: &Response, policy: &str) -> u32 {
    let quota = response.header("ratelimit").unwrap_or_else(|| panic!("the state is told: {}", response.head));
    let member =
        quota.split(", ").find(|member| member.starts_with(&format!("\"{policy}\";"))).unwrap_or_else(|| panic!("{policy} in {quota}"));
    let left = member.split(';').find_map(|parameter| parameter.strip_prefix("r="));
    left.and_then(|left| left.parse().ok()).unwrap_or_else(|| panic!("r in {member}"))
}

#[tokio::test]
async fn several_policies_are_charged_together_or_not_at_all() {
    let policies = "[{name: small, rate: 0.01, burst: 2}, {name: large, rate: \"36/h\", burst: 10, cost: 2}]";
    let gateway = Gateway::start(&chain(&format!("{{plugin: rate-limit, config: {{policies: {policies}}}}}"))).await;
    let first = gateway.get("/").await;
    assert_eq!(first.header("ratelimit-policy"), Some("\"small\";q=2;w=200, \"large\";q=10;w=1000"), "one list of both");
    assert_eq!((left(&first, "small"), left(&first, "large")), (1, 8));
    gateway.get("/").await;
    for _ in 0..5 {
        let refused = gateway.get("/").await;
        assert_eq!(refused.status, 429);
        assert_eq!(refused.json()["violated-policies"], serde_json::json!(["small"]));
        assert_eq!(left(&refused, "large"), 6, "a refusal by one takes nothing from the other");
    }
}

#[tokio::test]
async fn policies_without_a_name_have_buckets_of_their_own() {
    let config = "{policies: [{rate: 0.01, burst: 3}, {rate: 0.01, burst: 5}]}";
    let gateway = Gateway::start(&chain(&format!("{{plugin: rate-limit, config: {config}}}"))).await;
    let first = gateway.get("/").await;
    assert_eq!((left(&first, "default"), left(&first, "default-2")), (2, 4), "one token of each");
}

#[tokio::test]
async fn a_missing_header_counts_as_the_client() {
    let gateway = Gateway::start(&chain("{plugin: rate-limit, config: {rate: 0.01, burst: 1, key: \"header:x-tenant\"}}")).await;
    assert_eq!(gateway.get("/").await.status, 200);
    assert_eq!(gateway.get("/").await.status, 429, "the address has had its turn");
    assert_eq!(gateway.ask(get("/").header("x-tenant", "a")).await.status, 200, "a tenant has its own");
}

/// Two clients: the first with two keys, the second on a plan.
fn clients() -> String {
    format!(
        "clients: [{{name: a, keys: [{{sha256: \"{}\"}}, {{sha256: \"{}\"}}]}}, {{name: b, plan: gold, keys: [{{sha256: \"{}\"}}]}}]",
        sha256("key-a1"),
        sha256("key-a2"),
        sha256("key-b")
    )
}

#[tokio::test]
async fn the_keys_of_a_client_share_its_bucket() {
    let steps = "{plugin: api-key}, {plugin: rate-limit, config: {rate: 0.01, burst: 1}}";
    let gateway = Gateway::start(&format!("{}\n{}\n", clients(), chain(steps))).await;
    let status = async |key: &str| gateway.ask(get("/").header("x-api-key", key)).await.status;
    assert_eq!([status("key-a1").await, status("key-a2").await, status("key-b").await], [200, 429, 200]);
}

#[tokio::test]
async fn the_keys_of_a_client_can_count_alone() {
    let steps = "{plugin: api-key}, {plugin: rate-limit, config: {rate: 0.01, burst: 1, key: api-key}}";
    let gateway = Gateway::start(&format!("{}\n{}\n", clients(), chain(steps))).await;
    let status = async |key: &str| gateway.ask(get("/").header("x-api-key", key)).await.status;
    assert_eq!([status("key-a1").await, status("key-a2").await], [200, 200], "each has a bucket");
    assert_eq!([status("key-a1").await, status("key-a2").await], [429, 429], "and that is empty now");
}

#[tokio::test]
async fn where_no_key_was_used_the_limit_of_keys_is_that_of_the_address() {
    let gateway = Gateway::start(&chain("{plugin: rate-limit, config: {rate: 0.01, burst: 1, key: api-key}}")).await;
    assert_eq!(gateway.ask(get("/").header("x-api-key", "key-a1")).await.status, 200);
    assert_eq!(gateway.ask(get("/").header("x-api-key", "key-a2")).await.status, 429, "a key that nobody checked is no key");
}

#[tokio::test]
async fn a_plan_has_a_limit_of_its_own_and_others_have_everybodys() {
    let limit = "{rate: 0.01, burst: 2, plans: {gold: {rate: 0.01, burst: 50}, silver: {rate: 0.01, burst: 1}}}";
    let steps = format!("{{plugin: api-key}}, {{plugin: rate-limit, config: {limit}}}");
    let gateway = Gateway::start(&format!("{}\n{}\n", clients(), chain(&steps))).await;
    let ask = async |key: &str| gateway.ask(get("/").header("x-api-key", key)).await;
    assert_eq!(left(&ask("key-b").await, "gold"), 49, "b is on gold");
    assert_eq!(left(&ask("key-a1").await, "default"), 1, "a is on no plan");
    let changed = clients().replace("{name: a,", "{name: a, plan: silver,").replace("plan: gold", "plan: none");
    assert!(matches!(gateway.reload(&format!("{changed}\n{}\n", chain(&steps))).await, Reload::Applied(_)));
    assert_eq!(ask("key-a1").await.status, 429, "a changed to a bucket of one, and one was used");
    assert_eq!(left(&ask("key-b").await, "default"), 0, "b lost its plan, and one and one were used of two");
}

#[tokio::test]
async fn a_wrong_guess_takes_nothing_from_the_client_it_pretends_to_be() {
    let steps = "{plugin: api-key}, {plugin: rate-limit, config: {rate: 0.01, burst: 2}}";
    let gateway = Gateway::start(&format!("{}\n{}\n", clients(), chain(steps))).await;
    for guess in ["key-a3", "key-a", "KEY-A1", ""] {
        assert_eq!(gateway.ask(get("/").header("x-api-key", guess)).await.status, 401);
    }
    assert_eq!(left(&gateway.ask(get("/").header("x-api-key", "key-a1")).await, "default"), 1, "one of two is left after the first");
}

#[tokio::test]
async fn before_authentication_a_guess_costs_the_guessers_own_address() {
    let config = format!(
        "
        listeners: [{{name: public, address: \"127.0.0.1:0\", trusted_proxies: [127.0.0.1/32]}}]
        {}
        {}
        ",
        clients(),
        chain("{plugin: rate-limit, config: {rate: 0.01, burst: 3}}, {plugin: api-key}")
    );
    let gateway = Gateway::start(&config).await;
    let ask =
        async |address: &str, key: &str| gateway.ask(get("/").header("x-forwarded-for", address).header("x-api-key", key)).await.status;
    let guesses = [ask("192.0.2.1", "guess").await, ask("192.0.2.1", "guess").await, ask("192.0.2.1", "guess").await];
    assert_eq!(guesses, [401, 401, 401]);
    assert_eq!(ask("192.0.2.1", "key-a1").await, 429, "the guesser's address is used up");
    assert_eq!(ask("192.0.2.2", "key-a1").await, 200, "the client elsewhere has lost nothing");
}

#[tokio::test]
async fn a_bucket_lives_through_reloads_and_keeps_what_was_used() {
    let with = |rate: &str, more: &str| {
        chain(&format!("{{plugin: rate-limit, config: {{{rate}}}}}")).replace("name: all", &format!("name: all{more}"))
    };
    let gateway = Gateway::start(&with("rate: 0.01, burst: 5", "")).await;
    for _ in 0..3 {
        gateway.get("/").await;
    }
    let reload = async |config: String| assert!(matches!(gateway.reload(&config).await, Reload::Applied(_)));
    reload(with("rate: 0.01, burst: 5", ", timeouts: {request: 20s}")).await;
    assert_eq!(left(&gateway.get("/").await, "default"), 1, "something else changed: the three are still used");
    reload(with("rate: 0.02, burst: 10", "")).await;
    assert_eq!(left(&gateway.get("/").await, "default"), 5, "a larger bucket: four and one are missing of ten");
    reload(with("rate: 0.01, burst: 2", "")).await;
    assert_eq!(gateway.get("/").await.status, 429, "a smaller one: all of it is missing, and no more than that");
}

#[tokio::test]
async fn an_unfit_limit_is_refused_with_its_place_and_the_old_one_serves_on() {
    let gateway = Gateway::start(&chain("{plugin: rate-limit, config: {rate: 0.01, burst: 1}}")).await;
    assert_eq!(gateway.get("/").await.status, 200);
    assert_eq!(gateway.reload(&chain("{plugin: rate-limit, config: {policies: [{rate: 1}, {rate: 0}]}}")).await, Reload::Rejected);
    let line = gateway.wait_for_log("of the refusal", |line| line.contains("policies[1].rate")).await;
    assert!(line.contains("got 0"), "{line}");
    assert_eq!(gateway.get("/").await.status, 429, "the bucket is as it was");
}

#[tokio::test]
async fn what_is_cheap_for_the_upstream_may_cost_less() {
    let gateway = Gateway::start(
        "
        routes:
          - {name: dear, match: [{path: {prefix: /dear}}], chain: [{plugin: rate-limit, config: {name: n, rate: 0.01, burst: 10, cost: 7}}, {plugin: mock}]}
          - {name: cheap, chain: [{plugin: rate-limit, config: {name: n, rate: 0.01, burst: 10}}, {plugin: mock}]}
        ",
    )
    .await;
    assert_eq!(left(&gateway.get("/dear").await, "n"), 3);
    assert_eq!(gateway.get("/dear").await.status, 429, "three are not seven");
    assert_eq!(left(&gateway.get("/").await, "n"), 2, "but they are one");
}

#[tokio::test]
async fn an_upstreams_own_limits_are_not_loosened() {
    let origin = Origin::start(|_| {
        gatehouse_tests::Answer::new(
            200,
            &[("ratelimit", "\"up\";r=0;t=60"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-limit", "7")],
            "",
        )
    })
    .await;
    let gateway = Gateway::start(&format!(
        "
        upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
        routes: [{{name: all, chain: [{{plugin: rate-limit, config: {{rate: 5, legacy_headers: true}}}}], upstream: origin}}]
        ",
        origin.url()
    ))
    .await;
    let response = gateway.get("/").await;
    assert_eq!(response.all("ratelimit"), ["\"up\";r=0;t=60", "\"default\";r=4;t=1"], "both are members of the list");
    assert_eq!(response.all("x-ratelimit-remaining"), ["0"], "of the older headers the stricter stay");
    assert_eq!(response.all("x-ratelimit-limit"), ["7"]);
}

/// Requests over so many connections, one after the other on each, until the time is over; how many passed, and how long it took.
async fn hammer(gateway: &Gateway, connections: usize, time: Duration, pause: Duration) -> (f64, f64) {
    let began = Instant::now();
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let address = gateway.address();
        clients.spawn(async move {
            let mut client = Client::connect(address).await;
            let mut passed = 0;
            while began.elapsed() < time {
                passed += u32::from(client.ask(&get("/")).await.status == 200);
                tokio::time::sleep(pause).await;
            }
            passed
        });
    }
    let passed: u32 = clients.join_all().await.into_iter().sum();
    (f64::from(passed), began.elapsed().as_secs_f64())
}

#[tokio::test]
async fn a_burst_passes_and_then_the_rate() {
    let gateway = Gateway::start(&chain("{plugin: rate-limit, config: {rate: 20, burst: 10}}")).await;
    let (passed, took) = hammer(&gateway, 1, Duration::from_secs(2), Duration::from_millis(5)).await;
    let most = 20.0 * took + 10.0;
    assert!(passed <= most, "{passed} passed where {most} may");
    // The last token may be a twentieth of a second away when the time is over.
    assert!(passed >= 20.0 * 2.0 + 10.0 - 3.0, "{passed} passed where 50 should");
}

#[tokio::test]
async fn eight_connections_on_two_workers_get_the_rate_and_the_burst_and_not_one_more() {
    let config = chain("{plugin: rate-limit, config: {policies: [{rate: 150, burst: 40, key: route}, {rate: 1000000}]}}");
    for config in [config, chain("{plugin: rate-limit, config: {rate: 150, burst: 40, key: route}}")] {
        let gateway = Setup::new(&config).arguments(&["--workers", "2"]).start().await;
        let (passed, took) = hammer(&gateway, 8, Duration::from_secs(2), Duration::ZERO).await;
        let most = 150.0 * took + 40.0;
        assert!(passed <= most, "{passed} passed where {most} may");
        assert!(passed >= 0.95 * (150.0 * 2.0 + 40.0), "{passed} passed where {most} may");
    }
}
