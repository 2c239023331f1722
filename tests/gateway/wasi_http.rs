//! Other people's components: examples of public SDKs, unchanged, at the end of a route; a middleware in a chain; and
//! some that mean harm.

use gatehouse_tests::{
    Client, Gateway, Origin, Setup,
    gateway::gatehouse,
    get, guests, request,
    streaming::{self, StreamClient, Version},
};
use http::HeaderValue;
use http_body_util::BodyExt;

mod harm;
mod middleware;
mod outgoing;
mod refusals;

/// A gateway with one component on every path.
async fn answering(component: &str) -> Gateway {
    with(component, "").await
}

/// The same with more settings of the plugin.
async fn with(component: &str, settings: &str) -> Gateway {
    let file = guests::foreign(component);
    let config = format!(
        "
        plugins: [{{name: app, source: {{file: \"{}\"}}, {settings}}}]
        routes: [{{name: all, component: app}}]
        ",
        file.display()
    );
    Setup::new(&config).one_worker().start().await
}

#[tokio::test]
async fn the_examples_of_wasip2_and_wasip3_answer() {
    for component in ["wasip2-http-proxy", "wasip3-http-proxy", "wasip3-http-proxy-compat"] {
        let gateway = answering(component).await;
        for _ in 0..3 {
            let response = gateway.get("/").await;
            assert_eq!((response.status, response.text().as_str()), (200, "Hello, WASI!"), "{component}");
        }
    }
}

#[tokio::test]
async fn the_http_server_of_wstd_answers() {
    let gateway = answering("wstd-http-server").await;
    let home = gateway.get("/").await;
    assert_eq!((home.status, home.text().as_str()), (200, "Hello, wasi:http/proxy world!\n"));
    assert_eq!(gateway.get("/nowhere").await.status, 404);
    assert_eq!(gateway.get("/wait-response").await.text().split_at(10).0, "slept for ", "it may wait");
    assert_eq!(gateway.get("/stream-body").await.text().lines().count(), 5, "piece by piece");
    let status = gateway.ask(get("/response-status").header("x-response-status", "418")).await;
    assert_eq!(status.status, 418);
    let echoed = gateway.ask(get("/echo-headers").header("x-mine", "a").header("x-mine", "b")).await;
    assert_eq!(echoed.all("x-mine"), ["a", "b"]);
    gateway.wait_for_log("is printed", |line| line.contains("serving /stream-body") && line.contains("\"plugin\":\"app\"")).await;
}

#[tokio::test]
async fn bodies_pass_through_a_component_as_they_come() {
    let gateway = answering("wstd-http-server").await;
    let mut client = Client::connect(gateway.address()).await;
    client.send("POST /echo HTTP/1.1\r\nhost: test.example\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n").await;
    assert_eq!(client.head().await.status, 200, "it answers before the request is over");
    assert_eq!(client.chunk().await, b"first");
    client.send("6\r\nsecond\r\n").await;
    assert_eq!(client.chunk().await, b"second", "and goes on with what comes");
    client.send("0\r\n\r\n").await;
    assert_eq!(client.chunk().await, b"", "until it is over");

    let large = vec![b'x'; 3 << 20];
    let echoed = gateway.ask(request("POST", "/echo").body(large.clone())).await;
    assert!(echoed.body == large, "three megabytes come back whole");
}

#[tokio::test]
async fn trailers_reach_a_component_and_come_back() {
    let gateway = answering("wstd-http-server").await;
    let mut client = StreamClient::connect(gateway.address(), Version::Http2).await;
    let response = client.ask("POST", "/echo-trailers", streaming::ending_with("x-sum", "1")).await.expect("it answers");
    let collected = response.into_body().collect().await.expect("to its end");
    assert_eq!(collected.trailers().and_then(|trailers| trailers.get("x-sum")), Some(&HeaderValue::from_static("1")));
}

#[tokio::test]
async fn an_error_of_a_component_is_the_gateways_answer_before_the_head_and_a_broken_body_after() {
    let gateway = answering("wstd-http-server").await;
    gateway.get("/response-fail").await.assert_problem(502, "plugin_trap");
    let mut client = Client::connect(gateway.address()).await;
    client.send(get("/response-body-fail").bytes()).await;
    let (answer, _) = client.rest().await;
    assert!(!answer.ends_with(b"0\r\n\r\n"), "it does not look complete: {:?}", String::from_utf8_lossy(&answer));
    assert_eq!(gateway.get("/").await.status, 200, "the next request is served");
}

#[tokio::test]
async fn a_component_answers_behind_a_chain() {
    let origin = Origin::saying("not asked").await;
    let config = format!(
        "
        upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
        plugins: [{{name: app, source: {{file: \"{}\"}}}}]
        routes:
          - name: app
            match: [{{path: {{prefix: /app}}}}]
            chain:
              - {{plugin: transform, config: {{request: {{headers: {{set: {{x-response-status: \"201\"}}}}}}, response: {{headers: {{set: {{x-chain: \"yes\"}}}}}}}}}}
            rewrite: {{path: /response-status}}
            component: app
          - {{name: rest, upstream: origin}}
        ",
        origin.url(),
        guests::foreign("wstd-http-server").display()
    );
    let gateway = Setup::new(&config).start().await;
    let response = gateway.get("/app/anything").await;
    assert_eq!((response.status, response.header("x-chain")), (201, Some("yes")), "{}", response.head);
    assert_eq!(gateway.get("/other").await.text(), "not asked");
    gateway.wait_for_metric("gatehouse_plugin_duration_seconds_count", &[("plugin", "app")], |count| count == 1.0).await;
}

#[tokio::test]
async fn a_component_is_uploaded_rolled_out_and_back() {
    let config = "
        plugins: [{name: app, source: {file: $DIR/app.wasm}}]
        routes: [{name: all, component: app}]
        ";
    let bytes = |name| std::fs::read(guests::foreign(name)).expect("it was built");
    let gateway = Setup::new(config).file("app.wasm", bytes("wasip2-http-proxy")).start().await;
    assert_eq!(gateway.get("/").await.text(), "Hello, WASI!");
    let upload = request("POST", "/v1/plugins/app/versions").header("content-type", "application/wasm").body(bytes("wstd-http-server"));
    let taken = gateway.api(upload).await;
    assert_eq!(taken.status, 201, "{}", taken.text());
    let other = request("POST", "/v1/plugins/app/versions").header("content-type", "application/wasm").body(bytes("middleware"));
    let refused = gateway.api(other).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert!(refused.text().contains("t is a wasi:http/handler@0.3 middleware: a step of a chain; the plugin is"), "{}", refused.text());
    let terms = serde_json::json!({"version": taken.json()["version"], "weight": 100});
    let rolled_out = gateway.api_send("PUT", "/v1/plugins/app/rollout", &terms).await;
    assert_eq!(rolled_out.status, 200, "{}", rolled_out.text());
    assert_eq!(gateway.get("/").await.text(), "Hello, wasi:http/proxy world!\n", "the new version answers");
    let back = gateway.api_send("POST", "/v1/plugins/app/rollback", &serde_json::json!({})).await;
    assert_eq!(back.status, 200, "{}", back.text());
    assert_eq!(gateway.get("/").await.text(), "Hello, WASI!", "and the one before again");
    let gateway = gateway.kill_and_start_again().await;
    assert_eq!(gateway.get("/").await.text(), "Hello, WASI!", "after a restart, from the cache");
}

#[tokio::test]
async fn a_route_to_a_component_is_made_by_the_admin_api() {
    let file = guests::foreign("wasip2-http-proxy");
    let config = format!(
        "
        plugins: [{{name: app, source: {{file: \"{}\"}}}}]
        routes: [{{name: other, match: [{{path: {{prefix: /other}}}}], component: app}}]
        ",
        file.display()
    );
    let gateway = Setup::new(&config).start().await;
    assert_eq!(gateway.get("/made").await.status, 404);
    let route = serde_json::json!({"match": [{"path": {"prefix": "/made"}}], "component": "app"});
    let made = gateway.api_send("PUT", "/v1/routes/made", &route).await;
    assert!(made.status == 200 || made.status == 201, "{}", made.text());
    assert_eq!(gateway.get("/made").await.text(), "Hello, WASI!");
    assert_eq!(gateway.api_get("/v1/routes/made").await.json()["component"], "app");
}

#[tokio::test]
async fn inspect_says_what_a_component_is() {
    let folder = std::env::temp_dir();
    let kinds = [("wasip2-http-proxy", "incoming-handler@0.2"), ("wasip3-http-proxy", "service"), ("middleware", "handler@0.3 middleware")];
    for (component, what) in kinds {
        let file = guests::foreign(component);
        let told = gatehouse(&folder, &["plugin", "inspect", file.to_str().expect("a path in text")]).await;
        assert!(told.code == Some(0) && told.stdout.contains(what), "{component}: {} {}", told.stdout, told.stderr);
    }
}
