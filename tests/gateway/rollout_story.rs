//! A plugin's way into a running gateway by the commands of the README, and who may bring one in.

use std::path::Path;

use gatehouse_tests::{
    Origin, Reload, Setup,
    gateway::{ADMIN_TOKEN, Output, gatehouse},
    guests::version,
    request,
    rollouts::{Callers, Site, config},
};

/// `gatehouse plugin` as its user types it, with the token in a file.
async fn plugin(site: &Site, arguments: &[&str]) -> Output {
    let folder = site.gateway.folder();
    std::fs::write(folder.join("token"), ADMIN_TOKEN).expect("the folder takes files");
    let admin = format!("http://{}", site.gateway.listener("admin"));
    let arguments: Vec<&str> =
        ["plugin"].iter().chain(arguments).chain(&["--admin", &admin, "--admin-token-file", "token"]).copied().collect();
    gatehouse(folder, &arguments).await
}

pub async fn done(site: &Site, arguments: &[&str], said: &[&str]) -> String {
    let output = plugin(site, arguments).await;
    assert_eq!(output.code, Some(0), "{arguments:?}: {}{}", output.stdout, output.stderr);
    for words in said {
        assert!(output.stdout.contains(words), "{words:?} should be said:\n{}", output.stdout);
    }
    output.stdout
}

pub fn put(folder: &Path, name: &str, bytes: Vec<u8>) {
    std::fs::write(folder.join(name), bytes).expect("the folder takes files");
}

#[tokio::test]
async fn the_whole_story() {
    let site = Site::start(version("plain", "one")).await;
    let callers = Callers::start(&site.gateway, 2);
    put(site.gateway.folder(), "two.wasm", version("count", "two"));
    put(site.gateway.folder(), "bad.wasm", version("trap", "bad"));

    done(&site, &["push", "guest", "two.wasm"], &["guest version 2 is ready", "imports gatehouse:plugin/kv@0.1.0"]).await;
    done(&site, &["rollout", "guest", "2", "--weight", "20", "--min-requests", "1000"], &["version 2 serves 20%"]).await;
    gatehouse_tests::wire::eventually("some get it", || callers.told().contains_key(&(200, "two".into()))).await;
    done(&site, &["list"], &["guest version 1, trying version 2"]).await;
    done(&site, &["rollout", "guest", "2"], &["guest version 2", "version 2 promoted: in place of version 1"]).await;
    assert_eq!(site.label("192.0.2.1").await, "two");

    done(&site, &["push", "guest", "bad.wasm"], &["version 3 is ready"]).await;
    done(&site, &["rollout", "guest", "3", "--weight", "50", "--min-requests", "50"], &[]).await;
    site.ended().await;
    done(&site, &["list", "guest"], &["version 3 aborted: fault_rate is", "guest version 2"]).await;
    assert_eq!(site.label("192.0.2.1").await, "two");
    done(&site, &["rollback", "guest"], &["guest version 1", "rolled back to version 1 by"]).await;
    assert_eq!(site.label("192.0.2.1").await, "one");
    let told = callers.told();
    assert!(told.keys().all(|(status, label)| *status == 200 || label.is_empty()), "{told:?}");
}

#[tokio::test]
async fn a_command_that_is_refused_says_why() {
    let site = Site::start(version("plain", "one")).await;
    put(site.gateway.folder(), "core.wasm", b"\0asm\x01\0\0\0".to_vec());
    for (arguments, said) in [
        (&["push", "guest", "core.wasm"][..], "a core module"),
        (&["push", "guest", "nowhere.wasm"], "nowhere.wasm: No such file"),
        (&["rollout", "guest", "9"], "version: got 9, want the number of a version"),
        (&["rollback", "guest"], "no candidate and no version before"),
        (&["list", "nobody"], "No plugin is named nobody"),
    ] {
        let output = plugin(&site, arguments).await;
        assert_eq!(output.code, Some(1), "{arguments:?}: {}", output.stdout);
        assert!(output.stderr.contains(said), "{said:?} should be said: {}", output.stderr);
    }
    let output =
        gatehouse(site.gateway.folder(), &["plugin", "list", "--admin", "http://127.0.0.1:1", "--admin-token-file", "token"]).await;
    assert!(output.stderr.contains("no admin API at http://127.0.0.1:1"), "{}", output.stderr);
}

#[tokio::test]
async fn a_component_is_inspected_without_a_gateway() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    put(folder.path(), "guest.wasm", version("count", "one"));
    let output = gatehouse(folder.path(), &["plugin", "inspect", "guest.wasm"]).await;
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    let found: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
    assert_eq!(found["imports"], serde_json::json!(["gatehouse:plugin/kv@0.1.0"]));
    assert_eq!(found["needs"]["phases"], serde_json::json!(["request", "response"]));
}

/// Makes a key and signs files with it. The public key.
pub async fn signed(folder: &Path, key: &str, files: &[&str]) -> String {
    let made = gatehouse(folder, &["plugin", "sign", "--new-key", key]).await;
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    for file in files {
        let output = gatehouse(folder, &["plugin", "sign", file, "--key", key]).await;
        assert_eq!(output.code, Some(0), "{}", output.stderr);
    }
    made.stdout.trim().strip_prefix("public key ").expect("it says the key").to_owned()
}

#[tokio::test]
async fn a_plugin_that_has_to_be_signed_is_refused_without_a_signature_by_the_right_key() {
    let origin = Origin::saying("through").await;
    let gateway = Setup::new(&config(&origin)).file("guest.wasm", version("plain", "one")).start().await;
    let site = Site { gateway, origin };
    let folder = site.gateway.folder().to_owned();
    put(&folder, "two.wasm", version("plain", "two"));
    put(&folder, "three.wasm", version("plain", "three"));
    let key = signed(&folder, "key.pem", &["guest.wasm", "two.wasm"]).await;
    signed(&folder, "mallory.pem", &["three.wasm"]).await;
    let again = gatehouse(&folder, &["plugin", "sign", "--new-key", "key.pem"]).await;
    assert_eq!(again.code, Some(1), "no key is written over: {}", again.stdout);

    let policy = format!("{}\n        plugin_signatures: [{{names: \"gu*\", keys: [\"{key}\"]}}]\n", config(&site.origin));
    assert!(matches!(site.gateway.reload(&policy).await, Reload::Applied(_)), "the file is signed: {}", site.gateway.log());
    done(&site, &["push", "guest", "two.wasm"], &["version 2 is ready"]).await;
    assert_eq!(site.view().await["versions"][1]["signed_by"], key.as_str());

    let forged = plugin(&site, &["push", "guest", "three.wasm"]).await;
    assert!(forged.stderr.contains("not by a key that may sign plugin guest"), "{}{}", forged.stdout, forged.stderr);
    let unsigned = site.push(version("plain", "four")).await;
    assert_eq!((unsigned.status, unsigned.text().contains("has to be signed")), (422, true), "{}", unsigned.text());
    let moved = request("POST", "/v1/plugins/guest/versions").header("x-gatehouse-signature", "AAAA").body(version("plain", "five"));
    assert_eq!(site.gateway.api(moved).await.status, 422);

    put(&folder, "guest.wasm", version("plain", "six"));
    assert_eq!(site.gateway.reload(&policy).await, Reload::Rejected, "a file that is not what was signed");
    assert_eq!(site.label("192.0.2.1").await, "one", "the last good one serves");
}
