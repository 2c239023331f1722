//! Versions that misbehave while they are tried: each is withdrawn by itself within seconds, and says why.

use std::time::{Duration, Instant};

use gatehouse_tests::{
    get,
    guests::{renamed, version},
    request,
    rollouts::{Callers, Site},
};
use serde_json::{Value, json};

/// What became of a version that was tried like this on a site at work, and how long that took.
async fn tried(mode: &str, terms: Value) -> (Site, Callers, Value, Duration) {
    let site = Site::start(version("plain", "one")).await;
    let two = site.pushed(version(mode, "two")).await;
    let callers = Callers::start(&site.gateway, 4);
    let mut terms = terms;
    terms["version"] = two.into();
    let began = Instant::now();
    site.roll_out(terms).await;
    let ended = site.ended().await;
    (site, callers, ended, began.elapsed())
}

#[track_caller]
fn check_aborted(ended: &Value, took: Duration, said: &str) {
    assert_eq!((&ended["outcome"], &ended["version"]), (&"aborted".into(), &2.into()), "{ended}");
    let reason = ended["reason"].as_str().expect("a text");
    assert!(reason.contains(said), "{said:?} should be said: {reason}");
    assert!(took < Duration::from_secs(15), "within seconds: {took:?}");
}

#[tokio::test]
async fn a_version_that_traps_now_and_then_goes_back() {
    let (site, callers, ended, took) = tried("trap", json!({"weight": 50, "abort_if": {"fault_rate": "2%", "min_requests": 100}})).await;
    check_aborted(&ended, took, "fault_rate");
    site.gateway.wait_for_log("of the withdrawal", |line| line.contains("plugin version withdrawn") && line.contains("fault_rate")).await;
    let before = callers.told();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let after = callers.told();
    let (faults, two) = ((503, String::new()), (200, "two".to_owned()));
    assert_eq!(after.get(&faults), before.get(&faults), "nobody is hurt any more: {after:?}");
    assert_eq!(after.get(&two), before.get(&two), "nobody gets it any more: {after:?}");
    assert!(before.contains_key(&two), "it was tried: {before:?}");
}

/// Waits until the version before serves again, and gives back what became of the one that served.
async fn gone_back(site: &Site) -> Value {
    gatehouse_tests::wire::soon("the version before to serve again", async {
        loop {
            let view = site.view().await;
            let last = view["ended"].as_array().and_then(|ended| ended.last()).cloned().unwrap_or_default();
            if last["outcome"] == "aborted" {
                assert_eq!((&view["stable"]["version"], &view["watched"]), (&1.into(), &Value::Null), "{view}");
                return last;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_version_that_everybody_got_at_once_and_that_traps_goes_back() {
    let site = Site::start(version("plain", "one")).await;
    let two = site.pushed(version("trap", "two")).await;
    let callers = Callers::start(&site.gateway, 4);
    let began = Instant::now();
    let view = site.promote(two).await;
    assert_eq!(view["watched"]["version"], two, "{view}");
    let ended = gone_back(&site).await;
    check_aborted(&ended, began.elapsed(), "fault_rate is");
    assert!(ended["reason"].as_str().is_some_and(|reason| reason.ends_with("version 1 serves again")), "{ended}");
    assert_eq!(site.label("192.0.2.1").await, "one");
    let audit = site.gateway.api_get("/v1/audit").await.json();
    assert!(
        audit["items"][0]["action"].as_str().is_some_and(|action| action.starts_with("roll back version 2 of plugin guest")),
        "{audit}"
    );
    assert!(callers.told().contains_key(&(200, "two".into())), "it served");
}

#[tokio::test]
async fn a_version_is_watched_on_after_a_kill() {
    let site = Site::start(version("plain", "one")).await;
    let two = site.pushed(version("trap", "two")).await;
    site.promote(two).await;
    let site = Site { gateway: site.gateway.kill_and_start_again().await, ..site };
    assert_eq!(site.view().await["watched"]["version"], two);
    let _callers = Callers::start(&site.gateway, 4);
    gone_back(&site).await;
}

#[tokio::test]
async fn a_version_that_does_well_is_watched_for_a_while_only() {
    let site = Site::start(version("plain", "one")).await;
    let two = site.pushed(version("plain", "two")).await;
    let _callers = Callers::start(&site.gateway, 2);
    site.roll_out(json!({"version": two, "abort_if": {"window": "1s", "min_requests": 50}})).await;
    gatehouse_tests::wire::soon("the watch to end", async {
        while !site.view().await["watched"].is_null() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(site.view().await["stable"]["version"], two);
}

#[tokio::test]
async fn a_version_that_is_slower_goes_back() {
    let terms = json!({"weight": 50, "abort_if": {"added_p99": "10ms", "fault_rate": "50%", "min_requests": 50}});
    let (_site, _callers, ended, took) = tried("slow", terms).await;
    check_aborted(&ended, took, "added_p99");
}

#[tokio::test]
async fn a_version_that_refuses_whom_the_other_lets_through_goes_back() {
    let (site, _callers, ended, took) =
        tried("deny", json!({"weight": 50, "abort_if": {"added_refusals": "10%", "min_requests": 50}})).await;
    check_aborted(&ended, took, "added_refusals");
    assert_eq!(site.label("192.0.2.1").await, "one");
}

#[tokio::test]
async fn a_shadow_that_says_something_else_goes_back_and_no_client_notices() {
    let (_site, callers, ended, took) = tried("deny", json!({"shadow": true, "abort_if": {"mismatch": "1%", "min_requests": 50}})).await;
    check_aborted(&ended, took, "mismatch");
    let told = callers.told();
    assert_eq!(told.keys().collect::<Vec<_>>(), [&(200, "one".to_owned())], "only the stable version spoke: {told:?}");
}

#[tokio::test]
async fn a_shadow_that_says_the_same_stays_and_has_no_effect() {
    let site = Site::start(version("count", "one")).await;
    let two = site.pushed(renamed(&version("count", "one"), "the same, rebuilt")).await;
    site.roll_out(json!({"version": two, "shadow": true})).await;
    for asked in 1..=200_u32 {
        let response = site.gateway.ask(get("/")).await;
        assert_eq!(response.header("x-count"), Some(&*asked.to_string()), "what the shadow counts is nobody else's count");
    }
    let view = gatehouse_tests::wire::soon("all to be compared", async {
        loop {
            let view = site.view().await;
            let compared = &view["candidate"]["compared"];
            let seen = ["matched", "mismatched", "skipped"].iter().filter_map(|key| compared[key].as_u64()).sum::<u64>();
            if seen >= 400 {
                return view;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let compared = &view["candidate"]["compared"];
    assert_eq!(compared["mismatched"], 0, "{compared}");
    assert!(compared["matched"].as_u64() >= Some(300), "both phases of nearly all requests: {compared}");
    assert_eq!(site.origin.hits(), 200, "and the upstream saw each request once");
}

#[tokio::test]
async fn a_shadow_of_a_built_in_takes_nobodys_tokens() {
    let built_in = std::fs::read(gatehouse_tests::files::guest("gatehouse-rate-limit")).expect("the gateway was built");
    let origin = gatehouse_tests::Origin::saying("through").await;
    let gateway = gatehouse_tests::Gateway::start(&format!(
        "upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
routes: [{{name: all, chain: [{{plugin: rate-limit, config: {{rate: 0.001, burst: 20, key: route}}}}], upstream: origin}}]
",
        origin.url()
    ))
    .await;
    let pushed = gateway.api(request("POST", "/v1/plugins/rate-limit/versions").body(renamed(&built_in, "rebuilt"))).await;
    assert_eq!((pushed.status, &pushed.json()["version"]), (201, &2.into()), "the built-in is version 1: {}", pushed.text());
    let shadowed = gateway.api_send("PUT", "/v1/plugins/rate-limit/rollout", &json!({"version": 2, "shadow": true})).await;
    assert_eq!(shadowed.status, 200, "{}", shadowed.text());
    for asked in 1..=20 {
        assert_eq!(gateway.get("/").await.status, 200, "request {asked} of 20");
    }
    assert_eq!(gateway.get("/").await.status, 429, "and not one more");
    let compared = gatehouse_tests::wire::soon("all to be compared", async {
        loop {
            let compared = gateway.api_get("/v1/plugins/rate-limit").await.json()["candidate"]["compared"].clone();
            if compared["matched"].as_u64().unwrap_or_default() + compared["mismatched"].as_u64().unwrap_or_default() >= 21 {
                return compared;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(compared["matched"].as_u64() >= Some(21), "with buckets of its own it decides the same: {compared}");
}

#[tokio::test]
async fn a_difference_is_told() {
    let site = Site::start(version("plain", "one")).await;
    let two = site.pushed(version("deny", "two")).await;
    site.roll_out(json!({"version": two, "shadow": true})).await;
    site.gateway.ask(get("/")).await;
    let example = gatehouse_tests::wire::soon("a difference", async {
        loop {
            if let Some(example) = site.view().await["candidate"]["compared"]["example"].as_str() {
                return example.to_owned();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(example.contains("the candidate 403 with a body of 6 bytes"), "{example}");
}

#[tokio::test]
async fn a_candidate_that_faults_leaves_the_request_to_the_stable_version_if_asked_to() {
    let origin = gatehouse_tests::Origin::saying("through").await;
    let config = gatehouse_tests::rollouts::config(&origin).replace("isolation: reuse", "isolation: reuse, on_error: previous");
    let gateway = gatehouse_tests::Setup::new(&config).file("guest.wasm", version("plain", "one")).start().await;
    let site = Site { gateway, origin };
    let two = site.pushed(version("trap", "two")).await;
    let callers = Callers::start(&site.gateway, 4);
    site.roll_out(json!({"version": two, "weight": 50, "abort_if": {"min_requests": 100}})).await;
    check_aborted(&site.ended().await, Duration::ZERO, "fault_rate");
    let told = callers.told();
    assert!(told.keys().all(|(status, _)| *status == 200), "no client saw a fault: {told:?}");
}
