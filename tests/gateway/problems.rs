//! The answers that the gateway makes itself: one shape, an id, a reason of the closed list.

use gatehouse_tests::{Client, Gateway, get, origin::nobody, request};

const CONFIG: &str = "
    routes:
      - {name: mock, match: [{path: {prefix: /mock}}], chain: [{plugin: mock, config: {status: 418, body: short}}]}
      - {name: empty, match: [{path: {prefix: /empty}}], chain: [{plugin: request-id}], upstream: gone}
";

async fn start() -> Gateway {
    let config = format!("{CONFIG}\n    upstreams: [{{name: gone, endpoints: [{{url: \"http://{}\"}}]}}]\n", nobody());
    Gateway::start(&config).await
}

#[tokio::test]
async fn a_problem_tells_status_reason_and_id_and_nothing_of_the_inside() {
    let gateway = start().await;
    for (path, status, reason) in [("/nowhere", 404, "no_route"), ("/empty", 502, "upstream_connect")] {
        let response = gateway.get(path).await;
        response.assert_problem(status, reason);
        let text = response.text();
        assert!(!text.contains("127.0.0.1") && !text.contains("refused"), "endpoints and causes stay in the log: {text}");
    }
}

#[tokio::test]
async fn every_request_has_an_id_of_its_own() {
    let gateway = start().await;
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let response = gateway.get("/nowhere").await;
        let id = response.header("x-request-id").expect("a problem has an id").to_owned();
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "32 hexadecimal digits: {id}");
        assert!(ids.insert(id), "no id comes twice");
    }
}

#[tokio::test]
async fn an_id_that_the_client_sent_is_not_trusted() {
    let gateway = start().await;
    let response = gateway.ask(get("/nowhere").header("x-request-id", "chosen-by-the-client")).await;
    assert_ne!(response.header("x-request-id"), Some("chosen-by-the-client"));
}

#[tokio::test]
async fn a_plugins_answer_is_not_marked_as_the_gateways() {
    let gateway = start().await;
    let response = gateway.get("/mock").await;
    assert_eq!((response.status, response.text().as_str()), (418, "short"));
    assert!(response.header("x-gatehouse-error").is_none(), "the plugin said this");
}

#[tokio::test]
async fn a_problem_for_head_has_no_body() {
    let gateway = start().await;
    let mut client = Client::connect(gateway.address()).await;
    let response = client.ask(&request("HEAD", "/nowhere")).await;
    assert_eq!((response.status, response.header("x-gatehouse-error")), (404, Some("no_route")));
    assert_eq!(client.ask(&get("/mock")).await.status, 418, "the next answer begins where it should");
}

#[tokio::test]
async fn the_gateways_own_answers_walk_back_through_the_chain() {
    let config = format!(
        "
        upstreams: [{{name: gone, endpoints: [{{url: \"http://{}\"}}]}}]
        routes:
          - name: all
            chain:
              - {{plugin: cors, config: {{origins: [\"https://app.example\"]}}}}
              - {{plugin: request-id}}
            upstream: gone
        ",
        nobody()
    );
    let gateway = Gateway::start(&config).await;
    let response = gateway.ask(get("/").header("origin", "https://app.example")).await;
    response.assert_problem(502, "upstream_connect");
    assert_eq!(response.header("access-control-allow-origin"), Some("https://app.example"), "a browser may read the error");
}

#[tokio::test]
async fn the_route_without_upstream_says_that_nothing_is_there() {
    let gateway = Gateway::start("routes: [{name: bare, match: [{path: {exact: /bare}}], chain: [{plugin: request-id}]}]").await;
    gateway.get("/bare").await.assert_problem(404, "no_route");
}
