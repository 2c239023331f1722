//! The admin API: who may ask, what is said to those who may not, and that it says of itself what is true.

use gatehouse_tests::{Client, Gateway, Origin, Response, Setup, ask, gateway::plain, get, request, tls::Certificate};
use serde_json::{Value, json};

/// Checks that this is the API's own refusal.
#[track_caller]
fn check_problem(response: &Response, status: u16, kind: &str) -> Value {
    assert_eq!(response.status, status, "{}{}", response.head, response.text());
    assert_eq!(response.header("content-type"), Some("application/problem+json"), "{}", response.head);
    let problem = response.json();
    assert_eq!((&problem["status"], &problem["type"]), (&status.into(), &format!("urn:gatehouse:problem:{kind}").into()), "{problem}");
    assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
    problem
}

async fn start() -> Gateway {
    Gateway::in_front_of(&Origin::saying("hello").await).await
}

async fn new_token(gateway: &Gateway, body: Value) -> Value {
    let made = gateway.api_send("POST", "/v1/tokens", &body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    made.json()
}

#[tokio::test]
async fn nothing_is_told_without_a_token() {
    let gateway = start().await;
    let admin = gateway.listener("admin");
    for authorization in
        ["", "Bearer", "Bearer ", "Bearer the-token-of-the-test", "Basic dGhlLXRva2VuLW9mLXRoZS10ZXN0cw==", "the-token-of-the-tests"]
    {
        let response = ask(admin, get("/v1/status").header("authorization", authorization)).await;
        check_problem(&response, 401, "unauthorized");
        assert!(response.header("www-authenticate").is_some_and(|challenge| challenge.starts_with("Bearer")), "{}", response.head);
    }
    check_problem(&gateway.admin("/v1/openapi.json").await, 401, "unauthorized");
    assert_eq!(
        ask(admin, get("/v1/status").header("authorization", "bearer the-token-of-the-tests")).await.status,
        200,
        "RFC 9110: any case"
    );
}

#[tokio::test]
async fn the_status_shows_workers_upstreams_and_plugins() {
    let origin = Origin::saying("hello").await;
    let config = format!(
        "
        upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
        routes: [{{name: all, upstream: origin, chain: [{{plugin: request-id}}]}}]
        ",
        origin.url()
    );
    let gateway = Setup::new(&config).arguments(&["--workers", "2"]).start().await;
    assert_eq!(gateway.get("/").await.text(), "hello");
    let status = gateway.api_get("/v1/status").await.json();
    assert_eq!((&status["revision"], &status["ready"], &status["routes"]), (&1.into(), &true.into(), &1.into()), "{status}");
    let workers: Vec<_> = status["workers"].as_array().expect("a list").iter().map(|worker| worker["revision"].as_u64()).collect();
    assert_eq!(workers, [Some(1), Some(1)], "{status}");
    let endpoint = &status["upstreams"][0]["endpoints"][0];
    assert_eq!(status["upstreams"][0]["name"], "origin");
    assert_eq!((endpoint["endpoint"].as_str(), &endpoint["ready"]), (Some(&*origin.address().to_string()), &true.into()), "{status}");
    let plugin = &status["plugins"][0];
    assert_eq!((&plugin["name"], plugin["version"].as_str().map(str::len)), (&"request-id".into(), Some(12)), "{status}");
    assert!(plugin["instances"].as_u64().is_some_and(|instances| instances >= 1), "one answered the request: {status}");
}

#[tokio::test]
async fn a_token_may_do_what_its_scopes_say() {
    let gateway = start().await;
    let made = new_token(&gateway, json!({"name": "viewer", "scopes": ["read"]})).await;
    let token = made["token"].as_str().expect("shown once");
    assert_eq!(gateway.api_as(token, get("/v1/status")).await.status, 200);
    let refused = gateway.api_as(token, get("/v1/tokens")).await;
    let problem = check_problem(&refused, 403, "forbidden");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("`admin`")), "the scope that is missing: {problem}");
    assert!(
        refused.header("www-authenticate").is_some_and(|challenge| challenge.contains("insufficient_scope")),
        "RFC 6750: {}",
        refused.head
    );

    let listed = gateway.api_get("/v1/tokens").await;
    assert!(listed.json()["items"].as_array().is_some_and(|items| items.iter().any(|item| item["id"] == made["id"])), "{}", listed.text());
    assert!(!listed.text().contains(token), "a token is shown once");
    assert_eq!(gateway.api_delete(&format!("/v1/tokens/{}", made["id"].as_str().unwrap())).await.status, 204);
    check_problem(&gateway.api_as(token, get("/v1/status")).await, 401, "unauthorized");
    check_problem(&gateway.api_delete("/v1/tokens/nobody").await, 404, "not_found");
}

#[tokio::test]
async fn a_token_ends_when_it_was_said_to() {
    let gateway = start().await;
    let token = async |expires: &str| {
        let made = new_token(&gateway, json!({"name": "short", "scopes": ["admin"], "expires": expires})).await;
        gateway.api_as(made["token"].as_str().expect("shown once"), get("/v1/status")).await.status
    };
    assert_eq!((token("2001-01-01T00:00:00Z").await, token("2101-01-01T00:00:00Z").await), (401, 200));
}

#[tokio::test]
async fn the_first_token_is_printed_once_and_outlives_the_process() {
    let printed = |gateway: &Gateway| {
        let output = gateway.output();
        output.lines().find_map(|line| line.strip_prefix("admin token ")).map(str::to_owned)
    };
    let gateway = Setup::new(&plain(&Origin::saying("hello").await.url())).without_admin_token().start().await;
    let token = printed(&gateway).expect("a first start prints a token");
    assert_eq!(gateway.api_as(&token, get("/v1/status")).await.status, 200);
    assert!(!gateway.log().contains(&token), "it is in no log");
    let id = gateway.api_as(&token, get("/v1/tokens")).await.json()["items"][0]["id"].as_str().expect("one token").to_owned();
    check_problem(&gateway.api_as(&token, request("DELETE", &format!("/v1/tokens/{id}"))).await, 409, "last_token");

    let gateway = gateway.kill_and_start_again().await;
    assert_eq!(printed(&gateway), None, "printed once");
    assert_eq!(gateway.api_as(&token, get("/v1/status")).await.status, 200, "its digest was kept");
    for file in std::fs::read_dir(gateway.folder().join("data")).expect("a data folder").flatten().filter(|entry| entry.path().is_file()) {
        let bytes = std::fs::read(file.path()).expect("a file");
        assert!(!bytes.windows(token.len()).any(|window| window == token.as_bytes()), "only its digest: {}", file.path().display());
    }
}

#[tokio::test]
async fn a_token_that_could_be_guessed_is_refused() {
    let (code, text) = Setup::new("routes: []").environment("GATEHOUSE_ADMIN_TOKEN", "secret").start_refused().await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("the admin token has 6 bytes, want 16 or more"), "{text}");
}

#[tokio::test]
async fn a_token_can_come_from_a_file() {
    let setup = Setup::new("routes: [{name: all, chain: [{plugin: mock}]}]").file("token", "the-token-of-a-file\n");
    let gateway = setup.without_admin_token().arguments(&["--admin-token-file", "token"]).start().await;
    assert_eq!(gateway.api_as("the-token-of-a-file", get("/v1/status")).await.status, 200);
    assert!(!gateway.output().contains("admin token"), "none is made");
}

#[tokio::test]
async fn what_is_not_there_or_not_allowed_is_said() {
    let gateway = start().await;
    for path in ["/v1", "/v1/nothing", "/v1/tokens/a/b", "/v1/tokens/", "/v2/status", "/dashboard"] {
        check_problem(&gateway.api_get(path).await, 404, "not_found");
    }
    let refused = gateway.api(request("PATCH", "/v1/tokens")).await;
    check_problem(&refused, 405, "method_not_allowed");
    assert_eq!(refused.header("allow"), Some("GET, POST, HEAD"), "{}", refused.head);
    check_problem(&gateway.api_get("/v1/status?verbose=1").await, 400, "bad_request");
    let post = |body: &str| gateway.api(request("POST", "/v1/tokens").header("content-type", "application/json").body(body));
    for body in [
        "",
        "{",
        "[]",
        r#"{"name": "a"}"#,
        r#"{"name": "a", "scopes": ["root"]}"#,
        r#"{"name": "a", "scopes": []}"#,
        r#"{"name": "a b", "scopes": ["read"]}"#,
    ] {
        check_problem(&post(body).await, 400, "bad_request");
    }
    check_problem(&post(&" ".repeat((1 << 20) + 1)).await, 413, "body_too_large");
    let plain = request("POST", "/v1/tokens").header("content-type", "text/plain").body("{}");
    check_problem(&gateway.api(plain).await, 415, "unsupported_media_type");
}

#[tokio::test]
async fn the_description_is_of_what_is_served() {
    let gateway = start().await;
    let document = gateway.api_get("/v1/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().expect("paths");
    assert!(paths.contains_key("/v1/status") && paths.contains_key("/v1/tokens/{id}"), "{paths:?}");
    for (path, operations) in paths {
        let target = path.replace(['{', '}'], "");
        for (method, operation) in operations.as_object().expect("operations") {
            let response = ask(gateway.listener("admin"), request(&method.to_uppercase(), &target)).await;
            let open = operation["security"] == json!([]);
            assert_eq!(response.status == 401, !open, "{method} {path} asks for a token where it says so: {}", response.head);
            assert!(operation["responses"].get(response.status.to_string()).is_some(), "{method} {path}: {} is described", response.status);
        }
    }
    let references = find_references(&document);
    assert!(!references.is_empty(), "types are described once");
    for reference in references {
        let pointer = reference.strip_prefix('#').expect("inside the document");
        assert!(document.pointer(pointer).is_some(), "{reference} leads somewhere");
    }
}

fn find_references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(map) => {
            let own = map.get("$ref").and_then(Value::as_str).map(str::to_owned);
            own.into_iter().chain(map.values().flat_map(find_references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(find_references).collect(),
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn it_is_served_to_the_network_with_tls_only() {
    let certificate = Certificate::of(&["gateway.example"]);
    let files = |setup: Setup| setup.file("admin.pem", certificate.pem()).file("admin.key", certificate.key_pem());
    let config = "
        admin: {address: \"0.0.0.0:0\", tls: {certificates: [{cert: $DIR/admin.pem, key: $DIR/admin.key}]}}
        routes: [{name: all, chain: [{plugin: mock}]}]
        ";
    let gateway = files(Setup::new(config)).start().await;
    let port = gateway.listener("admin").port();
    let stream = certificate.connect(([127, 0, 0, 1], port).into(), "gateway.example", &[]).await;
    let response = Client::over(stream).ask(&get("/v1/status").header("authorization", "Bearer the-token-of-the-tests")).await;
    assert_eq!(response.status, 200, "{}", response.text());

    let renewed = Certificate::of(&["gateway.example"]);
    std::fs::write(gateway.folder().join("admin.pem"), renewed.pem()).expect("the folder takes files");
    std::fs::write(gateway.folder().join("admin.key"), renewed.key_pem()).expect("the folder takes files");
    gateway.signal(libc::SIGHUP);
    gateway.wait_for_log("of the reload", |line| line.contains("configuration applied")).await;
    let stream = renewed.connect(([127, 0, 0, 1], port).into(), "gateway.example", &[]).await;
    assert_eq!(Client::over(stream).ask(&get("/livez")).await.status, 200, "a renewed certificate is taken without a restart");

    let (code, text) = Setup::new("routes: []").arguments(&["--admin", "0.0.0.0:0"]).start_refused().await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("only loopback addresses without admin.tls"), "{text}");
}
