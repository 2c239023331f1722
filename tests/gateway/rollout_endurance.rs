//! Versions of plugins over the long run: a thousand swaps, and a kill at any moment.

use std::{net::SocketAddr, time::Duration};

use gatehouse_tests::{
    Origin, Request, Setup,
    gateway::ADMIN_TOKEN,
    guests::{renamed, version},
    request,
    rollouts::{Site, config},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Kills of the gateway in the midst of a change. `GATEHOUSE_KILLS=200` for the long way.
const KILLS: u64 = 25;

#[tokio::test]
async fn a_thousand_swaps_leave_memory_flat() {
    let origin = Origin::saying("through").await;
    let gateway = Setup::new(&config(&origin)).file("guest.wasm", version("plain", "one")).one_worker().start().await;
    let site = Site { gateway, origin };
    let versions = [site.pushed(version("plain", "two")).await, site.pushed(version("plain", "three")).await];
    let swap = async |number: usize| {
        site.promote(versions[number % 2]).await;
        assert_eq!(site.label("192.0.2.1").await, ["two", "three"][number % 2], "swap {number} serves");
    };
    // Pools, caches and allocators fill up over the first rounds.
    for number in 0..200 {
        swap(number).await;
    }
    let before = site.gateway.rss();
    for number in 200..1200 {
        swap(number).await;
    }
    let (after, limit) = (site.gateway.rss(), before + before / 10);
    assert!(after <= limit, "1,000 swaps took the gateway from {} to {} KiB", before >> 10, after >> 10);
    let status = site.gateway.api_get("/v1/status").await.json();
    let guests = status["plugins"].as_array().expect("a list").iter().filter(|plugin| plugin["name"] == "guest").count();
    assert_eq!(guests, 2, "the stable version and the one before, and no more: {status}");
}

/// What was acknowledged.
#[derive(Default)]
struct Acknowledged {
    versions: Vec<(u64, String)>,
    stable: u64,
}

/// A change, by its number: an upload, or the promotion of what came last.
fn change(number: u64, acknowledged: &Acknowledged) -> (Request, bool) {
    let last = acknowledged.versions.last().map_or(0, |(version, _)| *version);
    if number.is_multiple_of(2) || last <= 1 {
        let component = renamed(&version("plain", "one"), &format!("upload {number}"));
        return (request("POST", "/v1/plugins/guest/versions").body(component), true);
    }
    let terms = json!({"version": last, "weight": 100});
    (request("PUT", "/v1/plugins/guest/rollout").header("content-type", "application/json").body(terms.to_string()), false)
}

/// Asks for a change. What was answered, if that was good and came through whole.
async fn attempt(admin: SocketAddr, change: Request) -> Option<Value> {
    let change = change.header("authorization", &format!("Bearer {ADMIN_TOKEN}")).header("connection", "close");
    let mut stream = TcpStream::connect(admin).await.ok()?;
    stream.write_all(&change.bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n").filter(|(head, _)| head.starts_with("HTTP/1.1 20"))?;
    assert!(head.contains("content-length"), "a body that is cut shows: {head}");
    serde_json::from_str(body).ok()
}

#[tokio::test]
async fn a_kill_at_any_moment_loses_nothing_that_was_acknowledged() {
    let kills = std::env::var("GATEHOUSE_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
    let origin = Origin::saying("through").await;
    let gateway = Setup::new(&config(&origin)).file("guest.wasm", version("plain", "one")).start().await;
    let mut site = Site { gateway, origin };
    let mut acknowledged = Acknowledged { stable: 1, ..Acknowledged::default() };
    for number in 0..kills {
        let (change, is_upload) = change(number, &acknowledged);
        let admin = site.gateway.listener("admin");
        let under_way = tokio::spawn(attempt(admin, change));
        // Spread over the time that a change takes, from before it is read to after it was answered. An upload is compiled.
        let longest = if is_upload { 700 } else { 40 };
        tokio::time::sleep(Duration::from_millis(number * 7919 % longest)).await;
        site = Site { gateway: site.gateway.kill_and_start_again().await, ..site };
        let answer = under_way.await.expect("an attempt that fails is none");

        let view = site.view().await;
        let versions = view["versions"].as_array().cloned().unwrap_or_default();
        let promoted = acknowledged.versions.last().map(|(version, _)| *version);
        match (answer, is_upload) {
            (Some(answer), true) => {
                let sha256 = answer["sha256"].as_str().expect("a digest").to_owned();
                acknowledged.versions.push((answer["version"].as_u64().expect("a number"), sha256));
            }
            (Some(_), false) => acknowledged.stable = promoted.expect("it was uploaded before"),
            (None, _) => {}
        }
        // Twenty are kept; whoever is older had to make room.
        for (version, sha256) in acknowledged.versions.iter().rev().take(10) {
            let kept = versions.iter().find(|kept| kept["version"] == *version);
            assert_eq!(kept.map(|kept| &kept["sha256"]), Some(&json!(sha256)), "kill {number}: version {version} is there: {view}");
        }
        // None as long as nothing was ever changed: the declared component has no number then.
        let stable = view["stable"]["version"].as_u64().unwrap_or(1);
        let allowed = [Some(acknowledged.stable), promoted.filter(|_| !is_upload)];
        assert!(allowed.contains(&Some(stable)), "kill {number}: {stable} serves, {allowed:?} may: {view}");
        acknowledged.stable = stable;
        assert_eq!(site.label("192.0.2.1").await, "one", "kill {number}: requests are served");
    }
    assert!(!acknowledged.versions.is_empty() && acknowledged.stable > 1, "some changes came through, and some were cut short");
}
