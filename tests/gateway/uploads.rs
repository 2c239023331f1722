//! Plugins that no configuration declares: uploaded, used by routes, remembered, deleted.

use gatehouse_tests::{
    Gateway, Reload, Response, Setup, files,
    gateway::gatehouse,
    guests::{renamed, version},
    request,
};
use serde_json::{Value, json};

const NOTHING: &str = "routes: []\n";

/// A component that imports nothing: what it answers with is its configuration.
fn plain() -> Vec<u8> {
    std::fs::read(files::guest("gatehouse-mock")).expect("the gateway was built")
}

async fn push(gateway: &Gateway, component: Vec<u8>) -> Response {
    gateway.api(request("POST", "/v1/plugins/guest/versions?wait=true").body(component)).await
}

fn route(path: &str) -> Value {
    json!({"match": [{"path": {"prefix": path}}], "chain": [{"plugin": "guest", "config": {"body": path}}]})
}

#[track_caller]
fn check(response: &Response, status: u16, said: &str) {
    assert_eq!(response.status, status, "{}", response.text());
    assert!(response.text().contains(said), "{said:?} should be said: {}", response.text());
}

async fn serves(gateway: &Gateway, path: &str) {
    let response = gateway.get(path).await;
    assert_eq!((response.status, response.text()), (200, path.to_owned()), "{}", gateway.log());
}

#[tokio::test]
async fn a_plugin_that_was_only_uploaded_can_be_used_and_outlives_a_kill() {
    let gateway = Gateway::start(NOTHING).await;
    let put = async |gateway: &Gateway, target: &str| gateway.api_send("PUT", target, &route("/made")).await;
    check(&put(&gateway, "/v1/routes/made").await, 422, "gatehouse plugin push guest FILE");
    check(&push(&gateway, plain()).await, 201, "\"version\":1");
    let rolled = gateway.api_send("PUT", "/v1/plugins/guest/rollout?wait=5s", &json!({"version": 1, "weight": 100})).await;
    check(&rolled, 200, "\"version\":1");
    check(&put(&gateway, "/v1/routes/made?dry_run=true").await, 200, "\"dry_run\":true");
    assert_eq!(put(&gateway, "/v1/routes/made?wait=true").await.status, 201);
    serves(&gateway, "/made").await;
    let config = gateway.api_get("/v1/config?all=true").await.json();
    assert_eq!((&config["routes"][0]["name"], &config["plugins"]), (&json!("made"), &json!([])), "nobody declared it: {config}");

    let filed = "routes: [{name: filed, match: [{path: {prefix: /filed}}], chain: [{plugin: guest, config: {body: /filed}}]}]\n";
    assert!(matches!(gateway.reload(filed).await, Reload::Applied(_)), "a file may name it: {}", gateway.log());
    serves(&gateway, "/filed").await;
    assert_eq!(gateway.reload(&filed.replace("plugin: guest", "plugin: gest")).await, Reload::Rejected, "nobody uploaded that");
    gateway.write(filed);

    let mut gateway = gateway.kill_and_start_again().await;
    serves(&gateway, "/made").await;
    serves(&gateway, "/filed").await;
    gateway.terminate();
    gateway.wait().await;
    let gateway = gateway.start_again().await;
    serves(&gateway, "/made").await;
    assert_eq!(gateway.api_get("/v1/plugins/guest").await.json()["stable"]["version"], 1);
}

#[tokio::test]
async fn versions_of_an_undeclared_plugin_are_rolled_out_and_back_and_remembered() {
    let gateway = Gateway::start(NOTHING).await;
    assert_eq!(push(&gateway, plain()).await.status, 201);
    assert_eq!(gateway.api_send("PUT", "/v1/routes/made", &route("/made")).await.status, 201);
    check(&push(&gateway, renamed(&plain(), "two")).await, 201, "\"configurations\":1");
    let stable = async |gateway: &Gateway| gateway.api_get("/v1/plugins/guest").await.json()["stable"]["version"].clone();
    assert_eq!(stable(&gateway).await, 1, "the second one waits to be rolled out");
    let rolled = gateway.api_send("PUT", "/v1/plugins/guest/rollout?wait=true", &json!({"version": 2})).await;
    check(&rolled, 200, "\"previous\":1");
    let gateway = gateway.kill_and_start_again().await;
    serves(&gateway, "/made").await;
    assert_eq!(stable(&gateway).await, 2);
    assert_eq!(gateway.api(request("POST", "/v1/plugins/guest/rollback?wait=1s")).await.status, 200);
    assert_eq!(stable(&gateway).await, 1);
    serves(&gateway, "/made").await;
}

#[tokio::test]
async fn what_needs_a_grant_has_to_be_declared_first() {
    let gateway = Gateway::start(NOTHING).await;
    let refused = push(&gateway, version("plain", "one")).await;
    check(&refused, 422, "plugins: [{name: guest, source: {uploaded: true}, grants: [kv]}]");
    assert_eq!(gateway.api_get("/v1/plugins/guest").await.status, 404, "nothing is left of it");

    let declared = "plugins: [{name: guest, source: {uploaded: true}, grants: [kv], limits: {cpu: 1s, wall: 5s}}]\nroutes: []\n";
    assert!(matches!(gateway.reload(declared).await, Reload::Applied(_)), "{}", gateway.log());
    assert_eq!(push(&gateway, version("plain", "one")).await.status, 201);
    let target = "/v1/routes/made?wait=true";
    let made = json!({"match": [{"path": {"prefix": "/made"}}], "chain": [{"plugin": "guest"}, {"plugin": "mock"}]});
    assert_eq!(gateway.api_send("PUT", target, &made).await.status, 201);
    assert_eq!(gateway.get("/made").await.header("x-version"), Some("one"));
    assert_eq!(gateway.reload(NOTHING).await, Reload::Rejected, "it would lose what it needs");
    gateway.wait_for_log("of the grant", |line| line.contains("needs the grant `kv`")).await;
    assert_eq!(gateway.get("/made").await.header("x-version"), Some("one"), "nothing changed");
}

#[tokio::test]
async fn a_plugin_is_deleted_once_nothing_names_it() {
    let declared = "plugins: [{name: filed, source: {uploaded: true}}]\nroutes: []\n";
    let gateway = Gateway::start(declared).await;
    let modules = |gateway: &Gateway| std::fs::read_dir(gateway.folder().join("data/modules")).map_or(0, Iterator::count);
    assert_eq!(push(&gateway, plain()).await.status, 201);
    assert_eq!(push(&gateway, renamed(&plain(), "two")).await.status, 201);
    assert_eq!(gateway.api_send("PUT", "/v1/routes/made", &route("/made")).await.status, 201);
    check(&gateway.api_delete("/v1/plugins/guest").await, 409, "made");
    check(&gateway.api_delete("/v1/plugins/filed").await, 409, "declares the plugin");
    check(&gateway.api_delete("/v1/plugins/nobody").await, 404, "nobody");
    serves(&gateway, "/made").await;
    assert_eq!(modules(&gateway), 2, "both versions are there");

    assert_eq!(gateway.api_delete("/v1/routes/made").await.status, 200);
    assert_eq!(gateway.api_delete("/v1/plugins/guest?wait=true").await.status, 204);
    assert_eq!(gateway.api_delete("/v1/plugins/guest").await.status, 404);
    assert_eq!(modules(&gateway), 0, "their files are gone");
    check(&gateway.api_send("PUT", "/v1/routes/made", &route("/made")).await, 422, "the name of a plugin");
    check(&gateway.api_get("/v1/audit").await, 200, "delete plugin guest");
    let gateway = gateway.kill_and_start_again().await;
    assert_eq!(gateway.api_get("/v1/plugins/guest").await.status, 404);
    check(&push(&gateway, plain()).await, 201, "\"version\":1");
}

#[tokio::test]
async fn the_commands_bring_a_plugin_in_and_use_it() {
    let routes = "routes:\n  - {name: made, match: [{path: {prefix: /made}}], chain: [{plugin: guest, config: {body: /made}}]}\n";
    let setup = Setup::new(NOTHING).file("token", "the-token-of-the-tests\n");
    let gateway = setup.file("guest.wasm", plain()).file("api.yml-", routes).start().await;
    let admin = format!("http://{}", gateway.listener("admin"));
    let run = async |arguments: &[&str]| {
        gatehouse(gateway.folder(), &[arguments, &["--admin", &admin, "--admin-token-file", "token"]].concat()).await
    };
    let early = run(&["apply", "api.yml-"]).await;
    assert!(early.code == Some(2) && early.stderr.contains("gatehouse plugin push guest FILE"), "{early:?}");
    let pushed = run(&["plugin", "push", "guest", "guest.wasm"]).await;
    assert!(pushed.code == Some(0) && pushed.stdout.contains("version 1"), "{pushed:?}");
    let applied = run(&["apply", "api.yml-"]).await;
    assert_eq!(applied.code, Some(0), "{applied:?}");
    serves(&gateway, "/made").await;

    let checked = gatehouse(gateway.folder(), &["check", "api.yml-"]).await;
    assert_eq!(checked.code, Some(78), "without a gateway nobody knows of uploads: {checked:?}");
    assert!(checked.stderr.contains("plugins: [{name: guest, source: {uploaded: true}}]"), "{checked:?}");
}

#[tokio::test]
async fn every_change_may_be_waited_for() {
    let gateway = Gateway::start(NOTHING).await;
    let paths = gateway.api_get("/v1/openapi.json").await.json()["paths"].as_object().expect("a map").clone();
    for (path, operations) in &paths {
        for (method, operation) in operations.as_object().expect("a map").iter().filter(|(method, _)| *method != "get") {
            let parameters = operation["parameters"].as_array().expect("a list");
            assert!(parameters.iter().any(|parameter| parameter["name"] == "wait"), "{method} {path}: {parameters:?}");
        }
    }
    check(&gateway.api_send("PUT", "/v1/routes/made?wait=soon", &route("/made")).await, 400, "want a duration such as 5s, or true");
}
