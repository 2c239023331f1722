//! Clients and keys, from `gatehouse keys` to the request that a key opens.

use std::path::Path;

use gatehouse_tests::{
    Gateway, Reload, Setup,
    gateway::{Output, gatehouse, gatehouse_reading},
    get,
    tokens::sha256,
};

const ROUTES: &str = "routes: [{name: all, chain: [{plugin: api-key}, {plugin: mock}]}]\n";

async fn keys(arguments: &[&str]) -> Output {
    keys_in(tempfile::tempdir().expect("there is room for a folder").path(), arguments).await
}

async fn keys_in(folder: &Path, arguments: &[&str]) -> Output {
    gatehouse(folder, &[&["keys"], arguments].concat()).await
}

/// The key on the first line, and what to paste.
fn made(output: &Output) -> (&str, String) {
    assert_eq!(output.code, Some(0), "{output:?}");
    let (key, rest) = output.stdout.split_once('\n').expect("a key and more");
    (key, rest.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(|line| format!("{line}\n")).collect())
}

async fn status(gateway: &Gateway, key: &str) -> u16 {
    gateway.ask(get("/").header("x-api-key", key)).await.status
}

#[tokio::test]
async fn a_key_that_was_made_opens_what_its_entry_says() {
    let output = keys(&["create", "--env", "test", "--client", "acme", "--expires", "90d"]).await;
    let (key, entry) = made(&output);
    let parts: Vec<&str> = key.split('_').collect();
    assert_eq!(parts[..2], ["gth", "test"], "{key}");
    assert_eq!(parts[2..].iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 43, 6], "{key}");
    assert!(entry.contains(&format!("id: \"{}\", last4: \"{}\", sha256: \"{}\"", parts[2], &key[key.len() - 4..], sha256(key))), "{entry}");
    assert!(!entry.contains(key) && !output.stderr.contains(key), "the key itself is shown once");
    let gateway = Gateway::start(&format!("{ROUTES}clients:\n{entry}")).await;
    assert_eq!(status(&gateway, key).await, 200);
    assert_eq!(gateway.access_log(1).await[0]["client"], "acme");
    let other = if parts[3].starts_with('x') { "y" } else { "x" };
    let mistyped = format!("gth_test_{}_{other}{}_{}", parts[2], &parts[3][1..], parts[4]);
    assert_eq!(status(&gateway, &mistyped).await, 401, "and no other");
    let malformed = [("method", "api-key"), ("result", "malformed")];
    gateway.wait_for_metric("gatehouse_auth_total", &malformed, |count| count == 1.0).await;
}

#[tokio::test]
async fn a_new_clients_entry_with_scopes_is_one_that_the_configuration_takes() {
    let output = keys(&["create", "--client", "acme", "--scopes", "orders.read,orders.write"]).await;
    let (key, entry) = made(&output);
    let gateway = Gateway::start(&format!("{ROUTES}clients:\n{entry}")).await;
    assert_eq!(status(&gateway, key).await, 200, "{entry}");
}

#[tokio::test]
async fn what_the_configuration_would_refuse_makes_no_key() {
    for arguments in [["--client", "a b"], ["--client", ""], ["--scopes", ""], ["--scopes", "a,,b"], ["--scopes", "a b"]] {
        let output = keys(&[&["create"], arguments.as_slice()].concat()).await;
        assert!(output.code == Some(2) && output.stdout.is_empty() && output.stderr.contains("want "), "{arguments:?}: {output:?}");
    }
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let output = gatehouse_reading(folder.path(), &["keys", "hash"], &"x".repeat(4097)).await;
    assert!(output.code == Some(1) && output.stdout.is_empty(), "a key too long to be read opens nothing: {output:?}");
}

#[tokio::test]
async fn no_two_keys_are_the_same() {
    let (one, two) = (keys(&["create"]).await, keys(&["create"]).await);
    assert!(made(&one).0.starts_with("gth_live_"), "{one:?}");
    assert_ne!(made(&one).0, made(&two).0);
}

#[tokio::test]
async fn a_pepper_keeps_a_stolen_configuration_from_being_tried() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let pepper = "correct horse battery staple\n";
    std::fs::write(folder.path().join("pepper"), pepper).expect("the folder takes files");
    let output = keys_in(folder.path(), &["create", "--client", "acme", "--pepper-file", "pepper"]).await;
    let (key, entry) = made(&output);
    assert!(entry.contains("hmac: \"") && !entry.contains("sha256"), "{entry}");
    let config = format!("{ROUTES}identity: {{pepper: {{file: pepper}}}}\nclients:\n{entry}");
    let gateway = Setup::new(&config).file("pepper", pepper).start().await;
    assert_eq!(status(&gateway, key).await, 200, "with the same pepper");
    let other = Setup::new(&config).file("pepper", "another secret of the house").start().await;
    assert_eq!(status(&other, key).await, 401, "a digest without its pepper is worth nothing");
    let (code, said) = Setup::new(&config).file("pepper", "short").start_refused().await;
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("identity.pepper: got 5 bytes, want a secret of at least 16 bytes"), "{said}");
    assert!(!said.contains("short"), "a pepper is in no log: {said}");
}

#[tokio::test]
async fn the_pepper_may_be_that_of_a_configuration() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let config = format!("{ROUTES}identity: {{pepper: {{file: pepper}}}}\n");
    for (name, text) in [("gatehouse.yaml", config.as_str()), ("pepper", "correct horse battery staple")] {
        std::fs::write(folder.path().join(name), text).expect("the folder takes files");
    }
    let by_config = gatehouse_reading(folder.path(), &["keys", "hash", "--config", "gatehouse.yaml"], "a key\n").await;
    assert_eq!(by_config.code, Some(1), "a key holds no blanks: {by_config:?}");
    let by_config = gatehouse_reading(folder.path(), &["keys", "hash", "--config", "gatehouse.yaml"], "secret\n").await;
    let by_file = gatehouse_reading(folder.path(), &["keys", "hash", "--pepper-file", "pepper"], "secret").await;
    assert_eq!(by_config.stdout, by_file.stdout, "{by_config:?}");
    assert!(by_config.stdout.contains("- {hmac: \""), "{by_config:?}");
}

#[tokio::test]
async fn a_key_that_exists_is_hashed_and_a_mistyped_one_is_noticed() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let output = gatehouse_reading(folder.path(), &["keys", "hash", "--scopes", "a,b"], "legacy-key\n").await;
    assert!(output.stdout.contains(&format!("- {{sha256: \"{}\", scopes: [\"a\", \"b\"]}}", sha256("legacy-key"))), "{output:?}");
    let broken = format!("gth_live_abcdefgh_{}_000000", "0".repeat(43));
    let output = gatehouse_reading(folder.path(), &["keys", "hash"], &broken).await;
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stderr.contains("checksum") && output.stdout.is_empty(), "{output:?}");
}

#[tokio::test]
async fn a_key_rotates_without_a_refused_request_and_is_withdrawn_by_a_reload() {
    let client = |keys: &[&str], more: &str| {
        let keys: Vec<String> = keys.iter().map(|key| format!("{{sha256: \"{}\"}}", sha256(key))).collect();
        format!("{ROUTES}clients: [{{name: acme, keys: [{}]{more}}}]\n", keys.join(", "))
    };
    let gateway = Gateway::start(&client(&["old"], "")).await;
    assert_eq!(status(&gateway, "old").await, 200);
    assert_eq!(gateway.reload(&client(&["old", "new"], "")).await, Reload::Applied(2));
    assert_eq!((status(&gateway, "old").await, status(&gateway, "new").await), (200, 200), "both for a while");
    assert_eq!(gateway.reload(&client(&["new"], "")).await, Reload::Applied(3));
    assert_eq!((status(&gateway, "old").await, status(&gateway, "new").await), (401, 200), "the old one is withdrawn");
    assert_eq!(gateway.reload(&client(&["new"], ", disabled: true")).await, Reload::Applied(4));
    assert_eq!(status(&gateway, "new").await, 401, "a disabled client is like none");
}

#[tokio::test]
async fn a_key_of_two_clients_is_shown_in_both_places() {
    let digest = sha256("shared");
    let entry = |name: &str| format!("clients: [{{name: {name}, keys: [{{sha256: \"{digest}\"}}]}}]\n");
    let folder = tempfile::tempdir().expect("there is room for a folder");
    for (name, text) in [("a.yaml", entry("one")), ("b.yaml", entry("two"))] {
        std::fs::write(folder.path().join(name), text).expect("the folder takes files");
    }
    let output = gatehouse(folder.path(), &["check", "."]).await;
    assert_eq!(output.code, Some(78), "{output:?}");
    for said in ["a.yaml:1:39: clients[0].keys[0].sha256", "two has it too", "b.yaml:1:39: clients[0].keys[0].sha256", "one has it too"] {
        assert!(output.stderr.contains(said), "{said}: {}", output.stderr);
    }
}
