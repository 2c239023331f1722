//! What is remembered of changes: of those that were refused, of those that files made, and how much of all of it stays.

use gatehouse_tests::{Client, Gateway, Origin, Reload, Setup, gateway::plain, get, request};
use serde_json::{Value, json};

fn kept(revisions: u32, audit: u32) -> String {
    format!(
        "admin: {{address: \"127.0.0.1:0\", keep: {{revisions: {revisions}, audit: {audit}}}}}\nroutes: [{{name: all, chain: [{{plugin: mock}}]}}]\n"
    )
}

async fn actions(gateway: &Gateway) -> Vec<String> {
    let log = gateway.api_get("/v1/audit?limit=1000").await.json();
    let text = |item: &Value| format!("{}: {}", item["by"].as_str().unwrap_or_default(), item["action"].as_str().unwrap_or_default());
    log["items"].as_array().expect("items").iter().map(text).collect()
}

#[tokio::test]
async fn attempts_that_were_refused_are_in_the_audit_log() {
    let gateway = Gateway::in_front_of(&Origin::saying("hello").await).await;
    let made = gateway.api_send("POST", "/v1/tokens", &json!({"name": "viewer", "scopes": ["read"]})).await.json();
    let token = made["token"].as_str().expect("shown once");
    let put = |target: &str, body: &str| request("PUT", target).header("content-type", "application/json").body(body);
    assert_eq!(gatehouse_tests::ask(gateway.listener("admin"), put("/v1/clients/a", "{}")).await.status, 401);
    assert_eq!(gateway.api_as(token, put("/v1/clients/b", "{}")).await.status, 403);
    assert_eq!(gateway.api(put("/v1/clients/c", "{}").header("if-match", "\"0\"")).await.status, 412);
    assert_eq!(gateway.api(put("/v1/routes/d", r#"{"upstream": "nowhere"}"#)).await.status, 422);
    assert_eq!(gateway.api(put("/v1/routes/e?dry_run=true", r#"{"upstream": "nowhere"}"#)).await.status, 422);
    assert_eq!(gateway.api_as("nobody's", get("/v1/clients")).await.status, 401);
    let viewer = format!("viewer ({})", made["id"].as_str().expect("an id"));
    assert_eq!(
        actions(&gateway).await[..4],
        [
            "operator (given): refused with 422: PUT /v1/routes/d".to_owned(),
            "operator (given): refused with 412: PUT /v1/clients/c".to_owned(),
            format!("{viewer}: refused with 403: PUT /v1/clients/b"),
            "nobody known, from 127.0.0.1: refused with 401: PUT /v1/clients/a".to_owned(),
        ],
        "and neither what only reads nor what only tries"
    );
}

#[tokio::test]
async fn whoever_has_no_token_cannot_fill_the_audit_log() {
    let gateway = Gateway::in_front_of(&Origin::saying("hello").await).await;
    let mut connection = Client::connect(gateway.listener("admin")).await;
    for attempt in 0..500 {
        let response = connection.ask(&request("DELETE", &format!("/v1/routes/{attempt}")).body("")).await;
        assert_eq!(response.status, 401);
    }
    assert_eq!(gateway.api_delete("/v1/upstreams/origin").await.status, 409, "declared in a file");
    let actions = actions(&gateway).await;
    assert!(actions.len() < 40, "{} entries", actions.len());
    assert!(actions[0].contains("refused with 409"), "a token that is known is listed all the same: {actions:?}");
    assert_eq!(gateway.api_get("/v1/audit/check").await.json()["intact"], true);
}

#[tokio::test]
async fn a_thousand_changes_leave_a_store_of_bounded_size() {
    let gateway = Gateway::start(&kept(20, 100)).await;
    let mut connection = Client::connect(gateway.listener("admin")).await;
    let store = gateway.folder().join("data/gatehouse.redb");
    let (scopes, mut sizes) = (|change: u64| (0..50).map(|scope| format!("scope-{change}-{scope}")).collect::<Vec<_>>(), Vec::new());
    for change in 0..1000 {
        let client = json!({"scopes": scopes(change)});
        let response = gateway.api_send_on(&mut connection, "PUT", "/v1/clients/acme", &client).await;
        assert!(response.status < 300, "{}", response.text());
        if change % 250 == 249 {
            sizes.push(std::fs::metadata(&store).expect("a store").len() >> 10);
        }
    }
    assert!(sizes[3] <= sizes[1] + 512, "it does not grow for ever: {sizes:?} KiB");

    let audit = gateway.api_get("/v1/audit/check").await.json();
    assert_eq!((&audit["entries"], &audit["intact"]), (&100.into(), &true.into()), "{audit}");
    assert!(audit["gone"].as_u64() >= Some(900), "{audit}");
    let last = gateway.api_get("/v1/revisions?limit=1").await.json()["items"][0]["number"].as_u64().expect("a number");
    let shown = async |number: u64| gateway.api_get(&format!("/v1/revisions/{number}")).await.json();
    assert_eq!(shown(last - 19).await["differences"].as_array().map(Vec::len), Some(1));
    let older = shown(last - 20).await;
    assert!(older["differences"].is_null() && older["by"] == "operator (given)", "who and when is known for longer: {older}");
    let back = gateway.api(request("POST", &format!("/v1/revisions/{}/rollback", last - 20)).body("")).await;
    assert_eq!(back.status, 200, "what changed since is there: {}", back.text());
    assert_eq!(gateway.api_get("/v1/clients/acme").await.json()["scopes"][0], "scope-979-0");
    let back = gateway.api(request("POST", &format!("/v1/revisions/{}/rollback", last - 30)).body("")).await;
    assert!(back.status == 409 && back.text().contains("not kept any more"), "{}", back.text());
}

#[tokio::test]
async fn a_key_that_was_revoked_does_not_come_back_with_a_rollback() {
    let gateway = Gateway::start("routes: [{name: all, chain: [{plugin: api-key}, {plugin: mock}]}]\n").await;
    assert_eq!(gateway.api_send("PUT", "/v1/clients/acme", &json!({})).await.status, 201);
    let make = async || gateway.api_send("POST", "/v1/clients/acme/keys", &json!({})).await.json();
    let (kept, revoked) = (make().await, make().await);
    let before = gateway.api_get("/v1/revisions?limit=1").await.json()["items"][0]["number"].as_u64().expect("a number");
    assert_eq!(gateway.api_delete(&format!("/v1/clients/acme/keys/{}", revoked["id"].as_str().expect("an id"))).await.status, 200);
    assert_eq!(gateway.api_delete("/v1/clients/acme").await.status, 200);
    let ask = |key: &Value| {
        let request = get("/").header("x-api-key", key["key"].as_str().expect("shown once"));
        gateway.ask(request)
    };
    assert_eq!((ask(&kept).await.status, ask(&revoked).await.status), (401, 401), "the client is gone");
    let back = gateway.api(request("POST", &format!("/v1/revisions/{before}/rollback")).body("")).await;
    assert_eq!(back.status, 200, "{}", back.text());
    assert_eq!((ask(&kept).await.status, ask(&revoked).await.status), (200, 401), "the client is back, and not what was revoked");
}

#[tokio::test]
async fn what_files_changed_is_shown_part_by_part() {
    let origin = Origin::saying("hello").await;
    let before = format!("{}clients: [{{name: gone}}, {{name: stays}}]\n", plain(&origin.url()));
    let gateway = Gateway::start(&before).await;
    let after = format!("{}clients: [{{name: stays}}, {{name: new}}]\nidentity: {{pepper: {{file: pepper}}}}\n", plain(&origin.url()));
    let after = after.replace("prefix: /", "prefix: /a");
    std::fs::write(gateway.folder().join("pepper"), "sixteen bytes and more").expect("the folder takes files");
    let applied = gateway.reload(&after).await;
    let Reload::Applied(revision) = applied else { panic!("{}", gateway.log()) };
    let shown = gateway.api_get(&format!("/v1/revisions/{revision}")).await.json();
    let parts = shown["file_differences"].as_array().expect("a list");
    let told: Vec<_> = parts
        .iter()
        .map(|part| (part["section"].as_str().unwrap(), part["name"].as_str().unwrap(), part["before"].is_null(), part["after"].is_null()))
        .collect();
    assert_eq!(
        told,
        [("clients", "gone", false, true), ("clients", "new", true, false), ("identity", "", true, false), ("routes", "all", false, false)],
        "{shown}"
    );
    let route = &parts[3];
    assert_eq!(
        (&route["before"]["match"][0]["path"]["prefix"], &route["after"]["match"][0]["path"]["prefix"]),
        (&"/".into(), &"/a".into()),
        "{route}"
    );
    assert_eq!((&shown["by"], &shown["file_changes"], &shown["differences"]), (&"files".into(), &4.into(), &json!([])), "{shown}");

    std::fs::write(gateway.folder().join("pepper"), "another sixteen bytes").expect("the folder takes files");
    gateway.write(&after.replace("name: new", "name: newer"));
    let gateway = gateway.kill_and_start_again().await;
    let shown = gateway.api_get(&format!("/v1/revisions/{}", revision + 1)).await.json();
    let told: Vec<_> = shown["file_differences"].as_array().expect("a list").iter().map(|part| part["name"].as_str().unwrap()).collect();
    assert_eq!(told, ["new", "newer"], "since the last process, too: {shown}");
}

#[tokio::test]
async fn how_much_is_kept_is_checked() {
    let (code, said) = Setup::new(&kept(0, 99)).start_refused().await;
    assert!(code == Some(78) && said.contains("admin.keep.revisions") && said.contains("admin.keep.audit"), "{code:?} {said}");
}
