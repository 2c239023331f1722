//! Signatures that are asked for while versions are there already: nothing that is not signed comes to serve, and nothing
//! stops serving.

use gatehouse_tests::{Origin, Reload, guests::version, rollouts::Site, rollouts::config};
use serde_json::json;

use crate::rollout_story::{done, put, signed};

fn with_policy(origin: &Origin, key: &str) -> String {
    format!("{}\n        plugin_signatures: [{{names: \"gu*\", keys: [\"{key}\"]}}]\n", config(origin))
}

#[tokio::test]
async fn a_policy_that_comes_later_is_refused_until_what_serves_is_signed() {
    let site = Site::start(version("plain", "one")).await;
    let folder = site.gateway.folder().to_owned();
    put(&folder, "two.wasm", version("plain", "two"));
    done(&site, &["push", "guest", "two.wasm"], &["version 2 is ready"]).await;
    site.promote(2).await;
    let key = signed(&folder, "key.pem", &["guest.wasm"]).await;
    let policy = with_policy(&site.origin, &key);
    assert_eq!(site.gateway.reload(&policy).await, Reload::Rejected, "the file is signed, and version 2 is not");
    let said = "version 2: plugin guest has to be signed, and this component is not; push it again with its signature";
    site.gateway.wait_for_log("of what is not signed", |line| line.contains(said) && line.contains("plugins[0].source")).await;
    assert_eq!(site.label("192.0.2.1").await, "two", "nobody is worse off");

    let site = Site { gateway: site.gateway.kill_and_start_again().await, ..site };
    let status = site.gateway.api_get("/v1/status").await.json();
    assert!(status["refused_files"].to_string().contains("version 2"), "a start says so, too: {status}");

    signed(&folder, "other.pem", &["two.wasm"]).await;
    done(&site, &["push", "guest", "two.wasm"], &["version 2 serves already"]).await;
    assert_eq!(site.gateway.reload(&policy).await, Reload::Rejected, "signed by somebody else");
    std::fs::remove_file(folder.join("key.pem")).expect("it is there");
    let key = signed(&folder, "key.pem", &["guest.wasm", "two.wasm"]).await;
    done(&site, &["push", "guest", "two.wasm"], &["version 2 serves already"]).await;
    assert!(matches!(site.gateway.reload(&with_policy(&site.origin, &key)).await, Reload::Applied(_)), "{}", site.gateway.log());
    assert_eq!(site.label("192.0.2.1").await, "two");
}

#[tokio::test]
async fn a_version_from_before_the_policy_comes_to_serve_nobody() {
    let site = Site::start(version("plain", "one")).await;
    let folder = site.gateway.folder().to_owned();
    let two = site.pushed(version("plain", "two")).await;
    let key = signed(&folder, "key.pem", &["guest.wasm"]).await;
    assert!(matches!(site.gateway.reload(&with_policy(&site.origin, &key)).await, Reload::Applied(_)), "{}", site.gateway.log());
    for terms in [json!({"version": two}), json!({"version": two, "weight": 5}), json!({"version": two, "shadow": true})] {
        let refused = site.gateway.api_send("PUT", "/v1/plugins/guest/rollout", &terms).await;
        assert_eq!((refused.status, refused.text().contains("ersion 2: plugin guest has to be signed")), (422, true), "{}", refused.text());
    }
    assert_eq!(site.label("192.0.2.1").await, "one");
}

#[tokio::test]
async fn a_signature_that_comes_or_goes_is_noticed() {
    let site = Site::start(version("plain", "one")).await;
    let folder = site.gateway.folder().to_owned();
    let key = signed(&folder, "key.pem", &["guest.wasm"]).await;
    let applied = site.gateway.reload(&with_policy(&site.origin, &key)).await;
    let Reload::Applied(revision) = applied else { panic!("{}", site.gateway.log()) };
    std::fs::rename(folder.join("guest.wasm.sig"), folder.join("away")).expect("it is there");
    site.gateway.wait_for_metric("gatehouse_config_degraded", &[], |degraded| degraded > 0.5).await;
    assert_eq!(site.label("192.0.2.1").await, "one");
    std::fs::rename(folder.join("away"), folder.join("guest.wasm.sig")).expect("it is there");
    site.gateway.wait_for_metric("gatehouse_config_degraded", &[], |degraded| degraded < 0.5).await;
    site.gateway.wait_for_metric("gatehouse_config_revision", &[], |now| now > revision as f64 + 0.5).await;
}
