//! Versions and configurations that change all the time: callers do not notice, and nothing is left behind.

use std::time::{Duration, Instant};

use gatehouse_tests::{
    Load, Origin, Reload, Setup,
    footprint::{Footprint, files_in, is_full, size},
    guests::{enlarged, renamed, version},
    rollouts::{Site, config},
};

/// A site whose compiled components are in its data folder, as without the tests' own cache.
async fn start() -> Site {
    let origin = Origin::saying("through").await;
    let setup = Setup::new(&config(&origin)).file("guest.wasm", version("plain", "one")).arguments(&["--cache", "data/compiled"]);
    Site { gateway: setup.start().await, origin }
}

/// A bound that a busy machine may miss by what others take of it, where the specification's own is not asked for.
fn bound(bound: Duration) -> Duration {
    if is_full() { bound } else { bound + Duration::from_millis(100) }
}

#[tokio::test]
async fn swaps_and_uploads_under_load_are_not_noticed() {
    let site = start().await;
    let versions = [site.pushed(version("plain", "two")).await, site.pushed(version("plain", "three")).await];
    let load = Load::start(site.gateway.address(), 4, Duration::from_millis(2));
    site.promote(versions[1]).await;
    let quiet = load.watch(Duration::from_secs(size(2, 10) as u64)).await;

    let from = Instant::now();
    for swap in 0..200 {
        site.promote(versions[swap % 2]).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let swapping = load.since(from);
    println!("quiet {quiet:?}\n200 swaps {swapping:?}");
    assert_eq!((quiet.errors, swapping.errors), (0, 0), "no request failed: {swapping:?}");
    assert!(swapping.p99 <= bound(quiet.p99 * 2), "{:?} at the 99th percentile, {:?} without swaps", swapping.p99, quiet.p99);

    let megabyte = enlarged(&version("plain", "four"), 1 << 20);
    let from = Instant::now();
    let four = site.pushed(megabyte).await;
    let uploaded = from.elapsed();
    site.promote(four).await;
    assert_eq!(site.label("192.0.2.1").await, "four");
    let (served, uploading) = (from.elapsed(), load.since(from));
    println!("1 MB uploaded in {uploaded:?}, served after {served:?}, meanwhile {uploading:?}");
    assert_eq!(uploading.errors, 0, "no request failed: {uploading:?}");
    assert!(!is_full() || served < Duration::from_secs(2), "from upload to serving: {served:?}");
    assert!(uploading.p99 <= bound(quiet.p99 * 12 / 10), "{:?} at the 99th percentile, {:?} without", uploading.p99, quiet.p99);
}

#[tokio::test]
async fn swaps_uploads_and_reloads_leave_nothing_behind() {
    let mut site = start().await;
    let mut serial = 0;
    // As many versions as are kept, and more: from then on each that comes lets another go.
    for _ in 0..22 {
        serial = upload(&site, serial).await;
    }
    change(&mut site, size(20, 200), &mut serial).await;
    let before = Footprint::of(&site.gateway);
    change(&mut site, size(100, 1000), &mut serial).await;
    before.is_reached_again(&site.gateway).await;
    let after = Footprint::of(&site.gateway);
    println!("{before:?}\n{after:?}");
    assert!(after.rss <= before.rss + before.rss / 10, "from {} to {} KiB", before.rss >> 10, after.rss >> 10);
    let status = site.gateway.api_get("/v1/status").await.json();
    let guests = status["plugins"].as_array().expect("a list").iter().filter(|plugin| plugin["name"] == "guest").count();
    assert!(guests <= 2, "the stable version and the one before: {status}");
}

/// Uploads one more version and makes it the stable one.
async fn upload(site: &Site, serial: usize) -> usize {
    let label = format!("v{serial}");
    site.promote(site.pushed(renamed(&version("plain", &label), "more")).await).await;
    assert_eq!(site.label("192.0.2.1").await, label);
    serial + 1
}

/// So many swaps and as many reloads, and a tenth as many uploads.
async fn change(site: &mut Site, times: usize, serial: &mut usize) {
    let versions = [site.pushed(version("plain", "even")).await, site.pushed(version("plain", "odd")).await];
    for time in 0..times {
        site.promote(versions[time % 2]).await;
        assert_eq!(site.label("192.0.2.1").await, ["even", "odd"][time % 2]);
        let changed = format!("{}\n        # {time}\n", config(&site.origin).replace("wall: 5s", ["wall: 5s", "wall: 6s"][time % 2]));
        assert!(matches!(site.gateway.reload(&changed).await, Reload::Applied(_)), "{}", site.gateway.log());
        if time % 10 == 0 {
            *serial = upload(site, *serial).await;
        }
    }
}

#[tokio::test]
async fn a_restart_with_fifty_plugins_compiles_nothing() {
    let count = size(12, 50);
    let origin = Origin::saying("through").await;
    let list = |each: &dyn Fn(usize) -> String| (0..count).map(each).collect::<Vec<_>>().join("\n          ");
    let config = format!(
        "
        upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
        plugins:
          {}
        routes:
          {}
        ",
        origin.url(),
        list(&|one| format!("- {{name: p{one}, source: {{file: $DIR/p{one}.wasm}}, isolation: reuse, grants: [kv]}}")),
        list(&|one| format!("- {{name: r{one}, match: [{{path: {{prefix: /r{one}/}}}}], chain: [{{plugin: p{one}}}], upstream: origin}}")),
    );
    let mut setup = Setup::new(&config).arguments(&["--cache", "data/compiled"]);
    for one in 0..count {
        setup = setup.file(&format!("p{one}.wasm"), version("plain", &format!("p{one}")));
    }
    let mut gateway = setup.start().await;
    let compiled = || files_in(&gateway.folder().join("data/compiled"));
    let before = compiled();
    assert_eq!(before.len(), 2 * count + 1, "code and checksum of each, and a key");
    gateway.terminate();
    gateway.wait().await;

    let from = Instant::now();
    let gateway = gateway.start_again().await;
    let ready = from.elapsed();
    println!("{count} plugins, ready in {ready:?}");
    assert_eq!(files_in(&gateway.folder().join("data/compiled")), before, "none was written anew");
    assert!(!is_full() || ready < Duration::from_secs(1), "ready in {ready:?}");
    for one in 0..count {
        let response = gateway.get(&format!("/r{one}/")).await;
        assert_eq!(response.header("x-version"), Some(&*format!("p{one}")));
    }
}
