//! Versions of a plugin on a live gateway: uploaded, tried on some callers, promoted, rolled back, remembered.

use std::time::{Duration, Instant};

use gatehouse_tests::{
    Gateway, Load, Origin, Reload, Setup, bombs, get,
    guests::{renamed, version},
    request,
    rollouts::{Callers, Site, config, label},
};
use serde_json::{Value, json};

#[tokio::test]
async fn a_version_is_uploaded_promoted_and_rolled_back() {
    let site = Site::start(version("plain", "one")).await;
    assert_eq!(site.label("10.0.0.1").await, "one");
    let pushed = site.push(version("count", "two")).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    let pushed = pushed.json();
    assert_eq!((&pushed["version"], &pushed["configurations"]), (&2.into(), &1.into()), "the declared one is version 1: {pushed}");
    assert_eq!(site.view().await["versions"][0]["imports"], json!(["gatehouse:plugin/kv@0.1.0"]), "of the declared one, too");
    assert_eq!(pushed["imports"], json!(["gatehouse:plugin/kv@0.1.0"]));
    assert_eq!(pushed["needs"]["phases"], json!(["request", "response"]));
    assert_eq!(pushed["sha256"].as_str().map(str::len), Some(64));
    assert_eq!(site.label("10.0.0.1").await, "one", "it is there and serves nobody");

    let view = site.promote(2).await;
    assert_eq!((&view["stable"]["version"], &view["previous"]), (&2.into(), &1.into()), "{view}");
    assert_eq!(site.label("10.0.0.1").await, "two");

    let back = site.gateway.api(request("POST", "/v1/plugins/guest/rollback")).await;
    assert_eq!(back.status, 200, "{}", back.text());
    assert_eq!(back.json()["stable"]["version"], 1);
    assert_eq!(site.label("10.0.0.1").await, "one", "at once");
    assert_eq!(site.gateway.api(request("POST", "/v1/plugins/guest/rollback")).await.status, 409, "there is nothing before that");
    let ended: Vec<Value> = site.view().await["ended"].as_array().expect("a list").iter().map(|ended| ended["outcome"].clone()).collect();
    assert_eq!(ended, [json!("promoted"), json!("rolled_back")]);
}

#[tokio::test]
async fn the_same_component_again_is_the_version_it_was() {
    let site = Site::start(version("plain", "one")).await;
    assert_eq!(site.pushed(version("plain", "two")).await, 2);
    assert_eq!(site.pushed(version("plain", "two")).await, 2);
    assert_eq!(site.pushed(version("plain", "one")).await, 1, "even if it came with the configuration");
}

#[tokio::test]
async fn a_weight_is_a_share_of_callers_who_stay_in_it() {
    let site = Site::start(version("plain", "one")).await;
    let two = site.pushed(version("plain", "two")).await;
    let addresses: Vec<String> = (0..200).map(|number| format!("10.1.0.{number}")).collect();
    let tried = |weight: u64| {
        let (site, addresses) = (&site, &addresses);
        async move {
            site.roll_out(json!({"version": two, "weight": weight})).await;
            let mut tried = Vec::new();
            for address in addresses {
                if site.label(address).await == "two" {
                    tried.push(address.clone());
                }
            }
            tried
        }
    };
    let quarter = tried(25).await;
    assert!((25..=75).contains(&quarter.len()), "{} of 200 are about a quarter", quarter.len());
    assert_eq!(tried(25).await, quarter, "the same callers again");
    let half = tried(50).await;
    assert!((75..=125).contains(&half.len()), "{} of 200 are about a half", half.len());
    assert!(quarter.iter().all(|address| half.contains(address)), "who was in stays in");
    assert!(tried(0).await.is_empty(), "none is none");
    assert_eq!(site.gateway.api_delete("/v1/plugins/guest/rollout").await.status, 200);
    assert_eq!(site.label(&quarter[0]).await, "one", "withdrawn");
}

#[tokio::test]
async fn two_hundred_swaps_under_load_fail_no_request() {
    let site = Site::start(version("plain", "one")).await;
    let versions = [site.pushed(version("plain", "two")).await, site.pushed(version("plain", "three")).await];
    let callers = Callers::start(&site.gateway, 4);
    let load = Load::start(site.gateway.address(), 2, Duration::from_millis(1));
    let quiet = load.watch(Duration::from_secs(2)).await;
    let began = Instant::now();
    for swap in 0..200 {
        site.promote(versions[swap % 2]).await;
    }
    let swapping = load.since(began);
    let told = callers.told();
    assert_eq!(swapping.errors, 0, "{swapping:?}");
    // Where a request takes a millisecond and less, the machine's own noise is larger than the swaps'.
    let limit = (2 * quiet.p99).max(Duration::from_millis(15));
    assert!(swapping.p99 <= limit, "swaps slow requests down: {quiet:?}, then {swapping:?}");
    assert!(told.keys().all(|(status, _)| *status == 200), "every request was served, by one version in both phases: {told:?}");
    assert!(told.contains_key(&(200, "two".into())) && told.contains_key(&(200, "three".into())), "by both: {told:?}");
}

#[tokio::test]
async fn swaps_of_a_plugin_with_an_instance_for_each_request_fail_none() {
    let origin = Origin::saying("through").await;
    let config = config(&origin).replace("isolation: reuse", "isolation: request");
    let site = Site { gateway: Setup::new(&config).file("guest.wasm", version("plain", "one")).start().await, origin };
    let versions = [site.pushed(version("plain", "two")).await, site.pushed(version("plain", "three")).await];
    let callers = Callers::start(&site.gateway, 4);
    for swap in 0..60 {
        site.promote(versions[swap % 2]).await;
        site.roll_out(json!({"version": versions[(swap + 1) % 2], "weight": 50})).await;
    }
    let told = callers.told();
    assert!(told.keys().all(|(status, _)| *status == 200), "{told:?}");
}

#[tokio::test]
async fn versions_and_rollouts_survive_a_kill() {
    let origin = Origin::saying("through").await;
    let gateway = Setup::new(&config(&origin)).file("guest.wasm", version("plain", "one")).start().await;
    let site = Site { gateway, origin };
    let (two, three) = (site.pushed(version("plain", "two")).await, site.pushed(version("plain", "three")).await);
    site.promote(two).await;
    site.roll_out(json!({"version": three, "weight": 50, "abort_if": {"min_requests": 7}})).await;
    let before = (site.label("10.0.0.1").await, site.label("10.0.0.2").await, site.label("10.0.0.3").await, site.label("10.0.0.4").await);
    let site = Site { gateway: site.gateway.kill_and_start_again().await, ..site };
    let view = site.view().await;
    assert_eq!((&view["stable"]["version"], &view["candidate"]["version"]), (&two.into(), &three.into()), "{view}");
    assert_eq!(view["candidate"]["abort_if"]["min_requests"], 7);
    let after = (site.label("10.0.0.1").await, site.label("10.0.0.2").await, site.label("10.0.0.3").await, site.label("10.0.0.4").await);
    assert_eq!(before, after, "the same callers are tried on");
    site.gateway.api(request("POST", "/v1/plugins/guest/rollback")).await;
    site.gateway.api(request("POST", "/v1/plugins/guest/rollback")).await;
    assert_eq!(site.label("10.0.0.1").await, "one", "two steps back, to what the configuration declares");
}

#[tokio::test]
async fn another_file_is_a_later_decision() {
    let site = Site::start(version("plain", "one")).await;
    let two = site.pushed(version("plain", "two")).await;
    site.promote(two).await;
    assert!(matches!(site.gateway.reload(&config(&site.origin)).await, Reload::Applied(_)));
    assert_eq!(site.label("10.0.0.1").await, "two", "a reload of the same file changes nothing");
    std::fs::write(site.gateway.folder().join("guest.wasm"), version("plain", "four")).expect("the folder takes files");
    assert!(matches!(site.gateway.reload(&config(&site.origin)).await, Reload::Applied(_)));
    assert_eq!(site.label("10.0.0.1").await, "four");
    gatehouse_tests::wire::soon("the choice to be over", async {
        while site.view().await["ended"].as_array().and_then(|ended| ended.last()).is_none_or(|ended| ended["outcome"] != "superseded") {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_plugin_may_come_by_upload_alone() {
    let origin = Origin::saying("through").await;
    let gateway = Gateway::in_front_of(&origin).await;
    let push = |component: Vec<u8>| gateway.api(request("POST", "/v1/plugins/guest/versions").body(component));
    let uploaded = config(&origin).replace("{file: $DIR/guest.wasm}", "{uploaded: true}");
    let unused = uploaded.replace("[{plugin: guest}]", "[]");
    assert!(matches!(gateway.reload(&unused).await, Reload::Applied(_)), "it may be declared before: {}", gateway.log());
    assert_eq!(push(version("plain", "first")).await.status, 201);
    assert!(matches!(gateway.reload(&uploaded).await, Reload::Applied(_)), "{}", gateway.log());
    assert_eq!(label(&gateway.get("/").await), "first", "the first version serves at once");
    assert!(matches!(gateway.reload(&uploaded.replace("guest", "other")).await, Reload::Rejected), "nobody uploaded that");
    gateway.wait_for_log("of what is missing", |line| line.contains("gatehouse plugin push other FILE")).await;
}

#[tokio::test]
async fn a_gateway_starts_without_the_first_version_of_a_plugin_that_no_route_uses_yet() {
    let origin = Origin::saying("through").await;
    let uploaded = config(&origin).replace("{file: $DIR/guest.wasm}", "{uploaded: true}").replace("[{plugin: guest}]", "[]");
    let gateway = Gateway::start(&uploaded).await;
    let route = json!({"match": [{"path": {"prefix": "/guest"}}], "chain": [{"plugin": "guest"}], "upstream": "origin"});
    let early = gateway.api_send("PUT", "/v1/routes/guest", &route).await;
    assert!(early.status == 422 && early.text().contains("gatehouse plugin push guest FILE"), "{}", early.text());
    assert_eq!(gateway.api(request("POST", "/v1/plugins/guest/versions").body(version("plain", "first"))).await.status, 201);
    assert_eq!(gateway.api_send("PUT", "/v1/routes/guest", &route).await.status, 201);
    assert_eq!(label(&gateway.get("/guest").await), "first");
    let gateway = gateway.kill_and_start_again().await;
    assert_eq!(label(&gateway.get("/guest").await), "first");
}

#[tokio::test]
async fn many_uploads_leave_what_serves_alone() {
    let site = Site::start(version("plain", "one")).await;
    for upload in 2..=30 {
        assert_eq!(site.pushed(renamed(&version("plain", "two"), &upload.to_string())).await, upload);
        assert_eq!(site.view().await["stable"]["version"], 1, "after {upload} versions");
    }
    assert_eq!(site.label("10.0.0.1").await, "one", "nobody rolled anything out");
    let kept: Vec<_> = site.view().await["versions"].as_array().expect("a list").iter().map(|one| one["version"].as_u64()).collect();
    assert_eq!((kept.len(), kept[0], kept[1]), (20, Some(1), Some(12)), "{kept:?}");
}

#[tokio::test]
async fn a_version_without_a_part_can_be_deleted() {
    let site = Site::start(version("plain", "one")).await;
    let (two, three) = (site.pushed(version("plain", "two")).await, site.pushed(version("plain", "three")).await);
    let delete = |plugin: &str, version: u64| {
        let target = format!("/v1/plugins/{plugin}/versions/{version}");
        let gateway = &site.gateway;
        async move { gateway.api_delete(&target).await }
    };
    site.promote(two).await;
    site.roll_out(json!({"version": three, "weight": 5})).await;
    for version in 1..=3 {
        assert_eq!(delete("guest", version).await.status, 409, "{version} is declared and served before, serves, or is tried");
    }
    assert_eq!(site.gateway.api_delete("/v1/plugins/guest/rollout").await.status, 200);
    assert_eq!((delete("guest", three).await.status, delete("guest", three).await.status), (204, 404));
    let gone = site.gateway.api_send("PUT", "/v1/plugins/guest/rollout", &json!({"version": three})).await;
    assert!(gone.status == 422 && gone.text().contains("no version 3"), "{}", gone.text());
    assert_eq!(site.pushed(version("plain", "three")).await, 4, "a number comes once");
    assert_eq!(site.label("10.0.0.1").await, "two");

    let built_in = std::fs::read(gatehouse_tests::files::guest("gatehouse-mock")).expect("the gateway was built");
    let unused = site.gateway.api(request("POST", "/v1/plugins/unused/versions").body(built_in)).await;
    assert_eq!(unused.status, 201, "{}", unused.text());
    let modules = || std::fs::read_dir(site.gateway.folder().join("data/modules")).expect("a folder").count();
    let before = modules();
    assert_eq!(delete("unused", 1).await.status, 204, "no configuration names it");
    assert_eq!(site.gateway.api_get("/v1/plugins/unused").await.status, 404);
    assert_eq!(modules(), before - 1, "its file is gone");
    assert_eq!((delete("nobody", 1).await.status, delete("guest", 0).await.status), (404, 404));
}

#[tokio::test]
async fn what_cannot_be_a_version_is_refused_with_the_reason() {
    let site = Site::start(version("plain", "one")).await;
    let check = |component: Vec<u8>, said: &'static str| {
        let site = &site;
        async move {
            let response = site.push(component).await;
            assert_eq!(response.status, 422, "{said}: {}", response.text());
            assert!(response.text().contains(said), "{said:?} should be said: {}", response.text());
        }
    };
    check(b"\0asm\x01\0\0\0".to_vec(), "a core module").await;
    check(b"\x7fELF\x02\x01\x01".to_vec(), "machine code").await;
    check(b"nonsense".to_vec(), "not a WebAssembly component").await;
    check(bombs::huge_section(), "not valid").await;
    check(bombs::functions(10_000, 20), "not a plugin").await;
    check(bombs::functions(100_001, 0), "100001 functions").await;
    check(bombs::memory(65_536), "memory").await;
    check(std::fs::read(gatehouse_tests::guests::hostile()).expect("it was built"), "needs the grant").await;
    let view = site.view().await;
    assert_eq!(view["versions"].as_array().map_or(0, Vec::len), 0, "none of them is a version: {view}");
    assert_eq!(site.label("10.0.0.1").await, "one");
}

#[tokio::test]
async fn an_upload_that_is_a_compile_bomb_hurts_nobody() {
    let origin = Origin::saying("through").await;
    let setup = Setup::new(&config(&origin)).file("guest.wasm", version("plain", "one")).arguments(&["--compile-memory", "256MiB"]);
    let site = Site { gateway: setup.start().await, origin };
    let (before, callers) = (site.gateway.rss(), Callers::start(&site.gateway, 2));
    let response = site.push(bombs::functions(10, 900_000)).await;
    assert_eq!(response.status, 422, "{}", response.text());
    assert!(response.text().contains("256 MiB of memory"), "{}", response.text());
    let grown = site.gateway.rss().saturating_sub(before) >> 20;
    assert!(grown < 64, "the gateway itself took {grown} MiB");
    let told = callers.told();
    assert!(told.keys().all(|(status, _)| *status == 200), "{told:?}");
}

#[tokio::test]
async fn a_version_that_does_not_take_a_configuration_in_use_is_refused() {
    let origin = Origin::saying("through").await;
    let used = config(&origin).replace("{plugin: guest}", "{plugin: guest, config: {a: 1}}");
    let gateway = Setup::new(&used).file("guest.wasm", version("plain", "one")).start().await;
    let site = Site { gateway, origin };
    let response = site.push(version("picky", "two")).await;
    assert_eq!(response.status, 422, "{}", response.text());
    assert_eq!(response.json()["errors"][0]["got"], "{\"a\":1}", "{}", response.text());
    assert!(response.text().contains("this version takes no configuration"), "{}", response.text());
}

#[tokio::test]
async fn an_upload_that_is_too_large_or_packed_is_not_taken() {
    let site = Site::start(version("plain", "one")).await;
    let upload = || request("POST", "/v1/plugins/guest/versions");
    let mut client = gatehouse_tests::Client::connect(site.gateway.listener("admin")).await;
    let token = gatehouse_tests::gateway::ADMIN_TOKEN;
    client
        .send(format!(
            "POST /v1/plugins/guest/versions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\ncontent-length: 1073741824\r\n\r\n"
        ))
        .await;
    assert_eq!(client.response().await.status, 413, "before a byte of it was sent");
    let endless: Vec<&[u8]> = (0..33).map(|_| &[0; 1 << 20][..]).collect();
    assert_eq!(site.gateway.api(upload().chunks(&endless)).await.status, 413, "one that does not say how long it is");
    let packed = upload().header("content-encoding", "gzip").body(vec![0x1f, 0x8b, 8, 0]);
    assert_eq!(site.gateway.api(packed).await.status, 415, "what is packed may be larger than it looks");
    assert_eq!(site.gateway.api(request("POST", "/v1/plugins/a%2Fb/versions").body("x")).await.status, 422, "no name of a plugin");
    assert_eq!(site.gateway.get("/").await.status, 200);
}

#[tokio::test]
async fn a_rollout_that_makes_no_sense_is_refused() {
    let site = Site::start(version("plain", "one")).await;
    let two = site.pushed(version("plain", "two")).await;
    for (terms, status) in [
        (json!({"version": 9, "weight": 10}), 422),
        (json!({"version": two, "weight": 101}), 422),
        (json!({"version": two, "weight": -1}), 422),
        (json!({"version": two, "wieght": 1}), 400),
        (json!({"version": two, "abort_if": {"fault_rate": "lots"}}), 400),
        (json!({"version": 1, "weight": 10}), 409),
    ] {
        let response = site.gateway.api_send("PUT", "/v1/plugins/guest/rollout", &terms).await;
        assert_eq!(response.status, status, "{terms}: {}", response.text());
    }
    assert_eq!(site.gateway.api_get("/v1/plugins/nobody").await.status, 404);
    assert_eq!(site.gateway.api_delete("/v1/plugins/guest/rollout").await.status, 409, "nothing is rolled out");
    assert_eq!(site.label("10.0.0.1").await, "one");
}

#[tokio::test]
async fn the_audit_log_says_who_did_what() {
    let site = Site::start(version("plain", "one")).await;
    let two = site.pushed(version("plain", "two")).await;
    site.pushed(version("plain", "two")).await;
    site.promote(two).await;
    site.gateway.api(request("POST", "/v1/plugins/guest/rollback")).await;
    let audit = site.gateway.api_get("/v1/audit").await.json().to_string();
    for said in ["as a version of plugin guest", "roll out version 2 of plugin guest: to 100%", "roll back plugin guest"] {
        assert_eq!(audit.matches(said).count(), 1, "{said:?} once: {audit}");
    }
}

#[tokio::test]
async fn metrics_tell_what_is_rolled_out_and_how_it_ended() {
    let site = Site::start(version("plain", "one")).await;
    let two = site.pushed(version("plain", "two")).await;
    site.roll_out(json!({"version": two, "weight": 5})).await;
    let metrics = site.gateway.metrics().await;
    assert_eq!(metrics.sum("gatehouse_rollout_weight", &[("plugin", "guest"), ("version", "2"), ("part", "serves")]), 5.0);
    site.promote(two).await;
    let metrics = site.gateway.metrics().await;
    assert_eq!(metrics.sum("gatehouse_rollout_weight", &[]), 0.0, "nothing is tried any more");
    assert_eq!(metrics.sum("gatehouse_rollouts_ended_total", &[("plugin", "guest"), ("outcome", "promoted")]), 1.0);
}

#[tokio::test]
async fn all_plugins_are_listed_with_what_serves() {
    let site = Site::start(version("plain", "one")).await;
    let list = site.gateway.api_get("/v1/plugins").await.json();
    assert_eq!((&list["plugins"][0]["name"], &list["plugins"][0]["stable"]["source"]), (&"guest".into(), &"file".into()), "{list}");
    site.promote(site.pushed(renamed(&version("plain", "one"), "again")).await).await;
    let list = site.gateway.api_get("/v1/plugins").await.json();
    assert_eq!(list["plugins"][0]["stable"], json!({"version": 2, "sha256": list["plugins"][0]["stable"]["sha256"], "source": "upload"}));
    let metrics = site.gateway.get("/").await;
    assert_eq!(label(&metrics), "one");
    assert_eq!(site.gateway.ask(get("/")).await.status, 200);
}
