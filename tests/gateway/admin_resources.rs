//! Resources that are made, changed and deleted while the gateway runs: checked whole, served at once, kept for ever.

use std::time::Duration;

use gatehouse_tests::{Gateway, Origin, Reload, Response, Setup, get, request};
use serde_json::{Value, json};

/// A gateway with one route of a file, and an origin for more.
async fn start(origin: &Origin) -> Gateway {
    Gateway::start(&files(origin)).await
}

fn files(origin: &Origin) -> String {
    format!(
        "
        upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
        routes: [{{name: filed, match: [{{path: {{prefix: /filed}}}}], upstream: origin}}]
        ",
        origin.url()
    )
}

fn route(prefix: &str) -> Value {
    json!({"match": [{"path": {"prefix": prefix}}], "upstream": "origin"})
}

/// Puts a resource that is taken.
async fn put(gateway: &Gateway, target: &str, body: &Value) -> Response {
    let response = gateway.api_send("PUT", target, body).await;
    assert!(matches!(response.status, 200 | 201), "{target}: {}", response.text());
    response
}

#[track_caller]
fn check_refused(response: &Response, status: u16, kind: &str) -> Value {
    let problem = response.json();
    assert_eq!((response.status, &problem["type"]), (status, &format!("urn:gatehouse:problem:{kind}").into()), "{problem}");
    problem
}

fn tag(response: &Response) -> &str {
    response.header("etag").expect("a tag")
}

#[tokio::test]
async fn a_route_that_is_put_serves_at_once_and_outlives_the_process() {
    let origin = Origin::saying("hello").await;
    let gateway = start(&origin).await;
    assert_eq!(gateway.get("/made").await.status, 404);
    let made = put(&gateway, "/v1/routes/made?wait=5s", &route("/made")).await;
    let outcome = made.json();
    assert_eq!((made.status, &outcome["revision"]), (201, &2.into()), "{outcome}");
    assert_eq!(outcome["workers"]["serving"], outcome["workers"]["of"], "{outcome}");
    assert_eq!(gateway.get("/made").await.text(), "hello", "served before it is acknowledged");

    let gateway = gateway.kill_and_start_again().await;
    assert_eq!(gateway.get("/made").await.text(), "hello", "acknowledged is durable");
    assert_eq!(gateway.api_get("/v1/status").await.json()["revision"], 2, "nothing changed, so the revision is the same");
    let shown = gateway.api_get("/v1/routes/made").await;
    assert_eq!((shown.json()["upstream"].as_str(), tag(&shown)), (Some("origin"), tag(&made)));
    assert_eq!(shown.header("x-gatehouse-origin"), Some("api"));

    assert_eq!(gateway.api_delete("/v1/routes/made").await.status, 200);
    assert_eq!((gateway.get("/made").await.status, gateway.api_get("/v1/routes/made").await.status), (404, 404));
    let gateway = gateway.kill_and_start_again().await;
    assert_eq!((gateway.get("/made").await.status, gateway.get("/filed").await.status), (404, 200));
}

#[tokio::test]
async fn what_would_be_wrong_is_refused_whole_with_every_place() {
    let origin = Origin::saying("hello").await;
    let gateway = start(&origin).await;
    let refuse = async |body: Value| {
        let response = gateway.api_send("PUT", "/v1/routes/bad", &body).await;
        let problem = check_refused(&response, 422, "invalid");
        let errors = problem["errors"].as_array().expect("errors").iter();
        errors.map(|error| (error["path"].as_str().unwrap().to_owned(), error["code"].as_str().unwrap().to_owned())).collect::<Vec<_>>()
    };
    let path = |path: &str, code: &str| (path.to_owned(), code.to_owned());
    let wrong_shapes = json!({"uptream": "origin", "match": [{"path": {"prefix": 5}}], "chain": [{"plugin": "mock", "on_error": "panic"}]});
    let mut found = refuse(wrong_shapes).await;
    found.sort();
    assert_eq!(found, [path("chain[0].on_error", "value"), path("match[0].path.prefix", "type"), path("uptream", "unknown_key")]);
    let wrong_meanings = json!({"upstream": "nobody", "match": [{"path": {"regex": "("}}], "chain": [{"plugin": "nothing"}]});
    let mut found = refuse(wrong_meanings).await;
    found.sort();
    assert_eq!(found, [path("chain[0].plugin", "reference"), path("match[0].path.regex", "value"), path("upstream", "reference")]);
    let wrong_config = json!({"chain": [{"plugin": "mock", "config": {"stauts": 200}}]});
    assert_eq!(refuse(wrong_config).await, [path("chain[0].config.stauts", "unknown_key")], "the plugin has its say");
    assert_eq!(gateway.api_get("/v1/routes/bad").await.status, 404);
    assert_eq!(gateway.api_get("/v1/status").await.json()["revision"], 1, "nothing was changed");
}

#[tokio::test]
async fn what_is_needed_cannot_be_deleted() {
    let origin = Origin::saying("hello").await;
    let gateway = start(&origin).await;
    put(&gateway, "/v1/upstreams/made", &json!({"endpoints": [{"url": origin.url()}]})).await;
    put(&gateway, "/v1/routes/made", &json!({"match": [{"path": {"prefix": "/made"}}], "upstream": "made"})).await;
    let problem = check_refused(&gateway.api_delete("/v1/upstreams/made").await, 422, "invalid");
    assert_eq!(problem["errors"][0]["path"], "routes.made.upstream", "who needs it: {problem}");
    assert_eq!(gateway.get("/made").await.text(), "hello");

    // A file may need it, too.
    let with_file = format!("{}\n", files(&origin).replace("/filed}}], upstream: origin", "/filed}}], upstream: made"));
    assert!(matches!(gateway.reload(&with_file).await, Reload::Applied(_)), "{}", gateway.log());
    gateway.api_delete("/v1/routes/made").await;
    let problem = check_refused(&gateway.api_delete("/v1/upstreams/made").await, 422, "invalid");
    let place = problem["errors"][0]["file"].as_str().expect("a file");
    assert!(place.contains("gatehouse.yaml:2:"), "the file with its line: {problem}");
    check_refused(&gateway.api_delete("/v1/upstreams/nobody").await, 404, "not_found");
}

#[tokio::test]
async fn what_a_file_declares_is_the_files() {
    let origin = Origin::saying("hello").await;
    let gateway = start(&origin).await;
    for response in [gateway.api_send("PUT", "/v1/routes/filed", &route("/other")).await, gateway.api_delete("/v1/routes/filed").await] {
        let problem = check_refused(&response, 409, "declared_in_file");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("gatehouse.yaml")), "{problem}");
    }
    let shown = gateway.api_get("/v1/routes/filed").await;
    assert!(shown.header("x-gatehouse-origin").is_some_and(|origin| origin.starts_with("file ")), "{}", shown.head);

    // A file that declares a name later has it from then on.
    put(&gateway, "/v1/routes/made", &route("/api")).await;
    let more = files(&origin).replace("routes: [", "routes: [{name: made, match: [{path: {prefix: /file}}], upstream: origin}, ");
    assert!(matches!(gateway.reload(&more).await, Reload::Applied(_)), "{}", gateway.log());
    assert_eq!((gateway.get("/api").await.status, gateway.get("/file").await.status), (404, 200));
    gateway
        .wait_for_log("warns of it", |line| {
            line.contains("route \\\"made\\\" of the admin API") || line.contains("route \"made\" of the admin API")
        })
        .await;
    assert!(matches!(gateway.reload(&files(&origin)).await, Reload::Applied(_)), "{}", gateway.log());
    assert_eq!((gateway.get("/api").await.status, gateway.get("/file").await.status), (200, 404), "it was not lost");
}

#[tokio::test]
async fn a_reload_keeps_what_was_made() {
    let origin = Origin::saying("hello").await;
    let gateway = start(&origin).await;
    put(&gateway, "/v1/routes/made", &route("/made")).await;
    assert!(matches!(gateway.reload(&files(&origin).replace("/filed", "/moved")).await, Reload::Applied(3)), "{}", gateway.log());
    assert_eq!(
        (gateway.get("/made").await.status, gateway.get("/moved").await.status, gateway.get("/filed").await.status),
        (200, 200, 404)
    );
    assert_eq!(gateway.reload(&files(&origin).replace("name: origin", "name: renamed")).await, Reload::Rejected, "the made route needs it");
    let status = gateway.api_get("/v1/status").await.json();
    assert!(status["refused_files"].to_string().contains("routes.made.upstream"), "{status}");
    assert!((gateway.metrics().await.sum("gatehouse_config_degraded", &[]) - 1.0).abs() < f64::EPSILON);
    put(&gateway, "/v1/routes/more", &route("/more")).await;
    assert_eq!((gateway.get("/more").await.status, gateway.get("/moved").await.status), (200, 200), "beside what was last applied");
}

#[tokio::test]
async fn a_caller_changes_only_what_it_has_seen() {
    let origin = Origin::saying("hello").await;
    let gateway = start(&origin).await;
    let send = async |header: (&str, &str), body: &Value| {
        let request = request("PUT", "/v1/routes/made").header("content-type", "application/json").header(header.0, header.1);
        gateway.api(request.body(body.to_string())).await
    };
    check_refused(&send(("if-match", "\"nothing\""), &route("/a")).await, 412, "precondition_failed");
    let first = send(("if-none-match", "*"), &route("/a")).await;
    assert_eq!(first.status, 201, "{}", first.text());
    check_refused(&send(("if-none-match", "*"), &route("/b")).await, 412, "precondition_failed");
    let second = send(("if-match", tag(&first)), &route("/b")).await;
    assert_eq!(second.status, 200, "{}", second.text());
    check_refused(&send(("if-match", tag(&first)), &route("/c")).await, 412, "precondition_failed");
    let delete = |tag: &str| gateway.api(request("DELETE", "/v1/routes/made").header("if-match", tag));
    check_refused(&delete(tag(&first)).await, 412, "precondition_failed");
    assert_eq!(delete(tag(&second)).await.status, 200);
}

#[tokio::test]
async fn a_dry_run_says_what_would_come_of_it() {
    let origin = Origin::saying("hello").await;
    let gateway = start(&origin).await;
    let tried = gateway.api_send("PUT", "/v1/routes/made?dry_run=true", &route("/made")).await.json();
    assert_eq!((&tried["dry_run"], &tried["revision"], &tried["changes"][0]["name"]), (&true.into(), &1.into(), &"made".into()), "{tried}");
    check_refused(&gateway.api_send("PUT", "/v1/routes/made?dry_run=true", &json!({"upstream": "nobody"})).await, 422, "invalid");
    assert_eq!((gateway.get("/made").await.status, gateway.api_get("/v1/routes/made").await.status), (404, 404));
}

#[tokio::test]
async fn lists_have_pages() {
    let origin = Origin::saying("hello").await;
    let gateway = start(&origin).await;
    for name in ["b", "d", "a", "z"] {
        put(&gateway, &format!("/v1/routes/{name}"), &route(&format!("/{name}"))).await;
    }
    let (mut names, mut target) = (Vec::new(), "/v1/routes?limit=2".to_owned());
    loop {
        let page = gateway.api_get(&target).await.json();
        let items = page["items"].as_array().expect("items");
        assert!(items.len() <= 2, "{page}");
        names.extend(items.iter().map(|item| format!("{} {}", item["name"].as_str().unwrap(), item["origin"].as_str().unwrap())));
        let Some(next) = page["next"].as_str() else { break };
        target = format!("/v1/routes?limit=2&after={next}");
    }
    assert_eq!(names, ["a api", "b api", "d api", "filed file", "z api"]);
}

#[tokio::test]
async fn everything_is_replaced_at_once_or_not_at_all() {
    let origin = Origin::saying("hello").await;
    let gateway = start(&origin).await;
    put(&gateway, "/v1/routes/old", &route("/old")).await;
    let shown = gateway.api_get("/v1/config").await;
    assert_eq!(shown.json()["routes"][0]["name"], "old", "{}", shown.text());
    let mut new = route("/new");
    new["name"] = "new".into();
    let wrong = json!({"routes": [new, {"name": "bad", "upstream": "nobody"}]});
    check_refused(&gateway.api_send("PUT", "/v1/config", &wrong).await, 422, "invalid");
    let wrong = json!({"routes": [new, {"name": "bad", "upstreem": "origin"}]});
    let problem = check_refused(&gateway.api_send("PUT", "/v1/config", &wrong).await, 422, "invalid");
    assert_eq!(problem["errors"][0]["path"], "routes[1].upstreem", "{problem}");
    assert_eq!((gateway.get("/old").await.status, gateway.get("/new").await.status), (200, 404));

    let replace = |tag: &str| {
        let request = request("PUT", "/v1/config").header("content-type", "application/json").header("if-match", tag);
        gateway.api(request.body(json!({"routes": [new]}).to_string()))
    };
    check_refused(&replace("\"r1\"").await, 412, "precondition_failed");
    let done = replace(tag(&shown)).await;
    assert_eq!(done.json()["changes"].as_array().map(Vec::len), Some(2), "{}", done.text());
    assert_eq!((gateway.get("/old").await.status, gateway.get("/new").await.status), (404, 200));
    let again = gateway.api_send("PUT", "/v1/config", &json!({"routes": [new]})).await.json();
    assert_eq!((&again["changes"], &again["revision"]), (&json!([]), &3.into()), "nothing to do is nothing done");
    let all = gateway.api_get("/v1/config?all=true").await.json();
    assert_eq!(all["routes"].as_array().map(Vec::len), Some(2), "with what files declare: {all}");
}

#[tokio::test]
async fn revisions_lead_back() {
    let origin = Origin::saying("hello").await;
    let gateway = start(&origin).await;
    put(&gateway, "/v1/routes/a", &route("/one")).await;
    put(&gateway, "/v1/routes/a", &route("/two")).await;
    put(&gateway, "/v1/routes/b", &route("/three")).await;
    let list = gateway.api_get("/v1/revisions?limit=3").await.json();
    let numbers: Vec<_> = list["items"].as_array().expect("items").iter().map(|item| item["number"].as_u64().unwrap()).collect();
    assert_eq!((numbers.as_slice(), &list["next"]), (&[4, 3, 2][..], &2.into()), "{list}");
    let third = gateway.api_get("/v1/revisions/3").await.json();
    let change = &third["differences"][0];
    assert_eq!(
        (&change["before"]["match"][0]["path"]["prefix"], &change["after"]["match"][0]["path"]["prefix"]),
        (&"/one".into(), &"/two".into())
    );
    assert_eq!(third["by"], "operator (given)", "{third}");

    let gateway = gateway.kill_and_start_again().await;
    let tried = gateway.api(request("POST", "/v1/revisions/2/rollback?dry_run=true")).await.json();
    assert_eq!(tried["changes"].as_array().map(Vec::len), Some(2), "{tried}");
    let done = gateway.api(request("POST", "/v1/revisions/2/rollback")).await;
    assert_eq!((done.status, &done.json()["revision"]), (200, &5.into()), "{}", done.text());
    assert_eq!((gateway.get("/one").await.status, gateway.get("/two").await.status, gateway.get("/three").await.status), (200, 404, 404));
    gateway.api(request("POST", "/v1/revisions/4/rollback")).await;
    assert_eq!(
        (gateway.get("/one").await.status, gateway.get("/two").await.status, gateway.get("/three").await.status),
        (404, 200, 200),
        "and forth"
    );
    check_refused(&gateway.api(request("POST", "/v1/revisions/99/rollback")).await, 404, "not_found");
}

#[tokio::test]
async fn the_audit_log_says_who_did_what() {
    let origin = Origin::saying("hello").await;
    let gateway = start(&origin).await;
    let made = gateway.api_send("POST", "/v1/tokens", &json!({"name": "ci", "scopes": ["write"]})).await.json();
    let (token, id) = (made["token"].as_str().unwrap(), made["id"].as_str().unwrap());
    let body = request("PUT", "/v1/routes/made").header("content-type", "application/json").body(route("/made").to_string());
    assert_eq!(gateway.api_as(token, body).await.status, 201);
    let log = gateway.api_get("/v1/audit").await.json();
    let deeds: Vec<_> = log["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| format!("{}: {}", item["by"].as_str().unwrap(), item["action"].as_str().unwrap()))
        .collect();
    assert_eq!(deeds, [format!("ci ({id}): put route made"), format!("operator (given): make token ci ({id})")]);
    let check = gateway.api_get("/v1/audit/check").await.json();
    assert_eq!((&check["entries"], &check["intact"], &check["hash"]), (&2.into(), &true.into(), &log["items"][0]["hash"]), "{check}");
}

#[tokio::test]
async fn a_key_works_from_the_moment_it_is_shown_until_it_is_revoked() {
    let gateway = Setup::new("routes: [{name: all, chain: [{plugin: api-key, config: {scopes: [read]}}, {plugin: mock}]}]").start().await;
    put(&gateway, "/v1/clients/acme", &json!({"scopes": ["read", "write"]})).await;
    let make = async |body: Value| gateway.api_send("POST", "/v1/clients/acme/keys", &body).await;
    let made = make(json!({})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let (key, id) = (made.json()["key"].as_str().unwrap().to_owned(), made.json()["id"].as_str().unwrap().to_owned());
    let ask = |key: &str| gateway.ask(get("/").header("x-api-key", key));
    assert_eq!(ask(&key).await.status, 200);

    let narrow = make(json!({"scopes": ["write"], "env": "test"})).await.json();
    assert_eq!(ask(narrow["key"].as_str().unwrap()).await.status, 403, "the key may do less than its client");
    let late = make(json!({"expires": "2001-01-01T00:00:00Z"})).await.json();
    assert_eq!(ask(late["key"].as_str().unwrap()).await.status, 401);
    check_refused(&make(json!({"scopes": ["admin"]})).await, 422, "invalid");
    let listed = gateway.api_get("/v1/clients/acme/keys").await;
    let items = listed.json()["items"].as_array().unwrap().clone();
    assert_eq!((items.len(), &items[0]["id"], &items[2]["expired"]), (3, &id.as_str().into(), &true.into()), "{}", listed.text());
    assert!(!listed.text().contains(&key), "shown once");

    let rotated = gateway.api_send("POST", &format!("/v1/clients/acme/keys/{id}/rotate"), &json!({"grace": "1h"})).await.json();
    let new = rotated["key"].as_str().unwrap();
    assert_eq!((ask(&key).await.status, ask(new).await.status), (200, 200), "for as long as the grace lasts");
    assert_eq!(gateway.api_delete(&format!("/v1/clients/acme/keys/{id}")).await.status, 200);
    assert_eq!((ask(&key).await.status, ask(new).await.status), (401, 200));
    let end = json!({"expires": "2001-01-01T00:00:00Z"});
    let target = format!("/v1/clients/acme/keys/{}", rotated["id"].as_str().unwrap());
    assert_eq!(gateway.api_send("PUT", &target, &end).await.status, 200);
    assert_eq!(ask(new).await.status, 401);
    check_refused(&gateway.api_delete("/v1/clients/acme/keys/nothing").await, 404, "not_found");
    check_refused(&gateway.api_send("POST", "/v1/clients/nobody/keys", &json!({})).await, 404, "not_found");
}

#[tokio::test]
async fn keys_are_kept_with_the_pepper_where_there_is_one() {
    let config = "
        identity: {pepper: {env: PEPPER}}
        routes: [{name: all, chain: [{plugin: api-key}, {plugin: mock}]}]
        ";
    let gateway = Setup::new(config).environment("PEPPER", "salt-and-pepper-16").start().await;
    put(&gateway, "/v1/clients/acme", &json!({})).await;
    let made = gateway.api_send("POST", "/v1/clients/acme/keys", &json!({})).await.json();
    assert_eq!(gateway.ask(get("/").header("x-api-key", made["key"].as_str().unwrap())).await.status, 200);
    let client = gateway.api_get("/v1/clients/acme").await.json();
    assert!(client["keys"][0]["hmac"].is_string() && client["keys"][0]["sha256"].is_null(), "{client}");
}

#[tokio::test]
async fn a_broken_file_is_no_reason_not_to_start() {
    let origin = Origin::saying("hello").await;
    let mut gateway = start(&origin).await;
    put(&gateway, "/v1/routes/made", &route("/made")).await;
    gateway.write("routes: [{name: broken");
    gateway.terminate();
    gateway.wait().await;
    let gateway = gateway.start_again().await;
    assert_eq!((gateway.get("/filed").await.status, gateway.get("/made").await.status), (200, 200), "the last good one serves");
    assert_eq!(gateway.admin("/readyz").await.status, 200);
    let status = gateway.api_get("/v1/status").await.json();
    let place = status["refused_files"][0]["file"].as_str().expect("what is wrong");
    assert!(place.contains("gatehouse.yaml:"), "the file with its line: {status}");
    assert!((gateway.metrics().await.sum("gatehouse_config_degraded", &[]) - 1.0).abs() < f64::EPSILON);
    put(&gateway, "/v1/routes/more", &route("/more")).await;
    assert_eq!(gateway.get("/more").await.status, 200, "it can be changed meanwhile");

    assert!(matches!(gateway.reload(&files(&origin).replace("/filed", "/mended")).await, Reload::Applied(_)), "{}", gateway.log());
    assert_eq!((gateway.get("/mended").await.status, gateway.get("/more").await.status), (200, 200));
    assert_eq!(gateway.api_get("/v1/status").await.json()["refused_files"], json!([]));
    gateway.wait_for_metric("gatehouse_config_degraded", &[], |degraded| degraded == 0.0).await;
}

#[tokio::test]
async fn a_broken_component_is_no_reason_not_to_start() {
    let config = "
        plugins: [{name: hello, source: {file: $DIR/hello.wasm}, grants: [kv]}]
        routes: [{name: all, chain: [{plugin: hello}, {plugin: mock}]}]
        ";
    let component = gatehouse_tests::guests::version("plain", "one");
    let mut gateway = Setup::new(config).file("hello.wasm", component.clone()).start().await;
    assert_eq!(gateway.get("/").await.status, 200);
    let file = gateway.folder().join("hello.wasm");
    std::fs::write(&file, "no component").expect("the folder takes files");
    gateway.terminate();
    gateway.wait().await;
    let gateway = gateway.start_again().await;
    assert_eq!(gateway.get("/").await.status, 200, "the copy of the last good one serves");
    let status = gateway.api_get("/v1/status").await.json();
    assert_eq!(status["refused_files"][0]["path"], "plugins[0].source", "{status}");
    let gateway = gateway.kill_and_start_again().await;
    assert_eq!(gateway.get("/").await.status, 200, "the broken one was not taken for a good one");

    std::fs::write(&file, component).expect("the folder takes files");
    gateway.wait_for_metric("gatehouse_config_degraded", &[], |degraded| degraded == 0.0).await;
}

#[tokio::test]
async fn routes_of_the_command_line_have_others_beside_them() {
    let origin = Origin::saying("hello").await;
    let arguments =
        ["--route", &format!("/filed={}", origin.url()), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"].map(str::to_owned);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let gateway = Setup::without_config().arguments(&arguments).start().await;
    put(&gateway, "/v1/routes/made", &json!({"match": [{"path": {"prefix": "/made"}}], "upstream": "filed"})).await;
    assert_eq!((gateway.get("/filed").await.status, gateway.get("/made").await.status), (200, 200));
    let problem = check_refused(&gateway.api_delete("/v1/routes/filed").await, 409, "declared_in_file");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("command line")), "{problem}");
    let gateway = gateway.kill_and_start_again().await;
    assert_eq!(gateway.get("/made").await.status, 200);
}

#[tokio::test]
async fn changes_from_everywhere_lose_no_request_and_no_change() {
    let origin = Origin::saying("hello").await;
    let gateway = start(&origin).await;
    let asking = async {
        for _ in 0..200 {
            assert_eq!(gateway.get("/filed").await.status, 200);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let changing = async |worker: usize| {
        for turn in 0..5 {
            put(&gateway, &format!("/v1/routes/r-{worker}-{turn}"), &route(&format!("/r/{worker}/{turn}"))).await;
        }
    };
    let reloading = async {
        for turn in 0..3 {
            gateway.write(&format!("{}# {turn}\n", files(&origin)));
            gateway.signal(libc::SIGHUP);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::join!(asking, changing(0), changing(1), changing(2), reloading);
    let list = gateway.api_get("/v1/routes?limit=100").await.json();
    assert_eq!(list["items"].as_array().map(Vec::len), Some(16), "15 were made beside that of the file");
    for (worker, turn) in [(0, 0), (1, 4), (2, 4)] {
        assert_eq!(gateway.get(&format!("/r/{worker}/{turn}")).await.status, 200, "{worker} {turn}");
    }
}
