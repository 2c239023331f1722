//! The plugin contract of `wit/`, by a guest that says what it was shown.

use gatehouse_tests::{Answer, Gateway, Origin, Request, Response, get, guests, origin::nobody, request, tokens::sha256};
use serde_json::{Value, json};

/// A gateway whose chain is uses of the witness with these configurations.
async fn start(origin: &str, chain: &[Value]) -> Gateway {
    let steps: String = chain.iter().map(|config| format!("      - {{plugin: witness, config: {config}}}\n")).collect();
    with_chain(origin, &steps).await
}

async fn with_chain(origin: &str, steps: &str) -> Gateway {
    let (guest, key) = (guests::witness(), sha256("key"));
    Gateway::start(&format!(
        "clients: [{{name: acme, keys: [{{sha256: \"{key}\"}}], scopes: [read, write]}}]
upstreams: [{{name: origin, endpoints: [{{url: \"{origin}\"}}]}}]
plugins: [{{name: witness, source: {{file: \"{}\"}}}}]
routes:
  - name: all
    chain:
{steps}    upstream: origin
",
        guest.display()
    ))
    .await
}

/// What one use of the witness was shown of a request.
async fn shown(config: Value, request: Request) -> Value {
    let gateway = start(&format!("http://{}", nobody()), &[config]).await;
    gateway.ask(request).await.json()
}

fn testimony(response: &Response) -> Value {
    let line = response.header("x-testimony").unwrap_or_else(|| panic!("the witness spoke: {}", response.head));
    serde_json::from_str(line).expect("it speaks JSON")
}

#[tokio::test]
async fn a_plugin_is_shown_the_request_and_the_headers_it_declared() {
    let asked = request("POST", "/a/../b?c=d").header("x-one", "1").header("x-two", "2").header("X-One", "again").body("unseen");
    let shown = shown(json!({"answers": true, "request_headers": ["X-One", "host", "x-none"]}), asked).await;
    assert_eq!(shown["method"], "POST");
    assert_eq!(shown["scheme"], "http");
    assert_eq!(shown["path"], "/b?c=d", "normalised, with its query");
    assert_eq!(shown["address"], "127.0.0.1");
    let headers: Vec<&Value> = shown["headers"].as_array().expect("a list").iter().collect();
    for line in [json!(["X-One", "1"]), json!(["X-One", "again"]), json!(["host", "test.example"])] {
        assert!(headers.contains(&&line), "{line} is shown: {shown}");
    }
    assert_eq!(headers.len(), 3, "and nothing that was not declared: {shown}");
    assert_eq!(
        (&shown["others"], &shown["client"], &shown["body"]),
        (&Value::Null, &Value::Null, &Value::Null),
        "nor what was not asked for"
    );
}

#[tokio::test]
async fn all_headers_are_shown_to_those_who_ask() {
    let config = json!({"answers": true, "request_headers": ["x-one"], "wants": ["all-request-headers"]});
    let shown = shown(config, get("/").header("x-one", "1").header("X-Two", "2")).await;
    assert_eq!(shown["others"]["x-two"], "2", "names are in lower case: {shown}");
    assert!(shown["others"]["x-one"].is_null(), "a declared one is not shown twice: {shown}");
}

#[tokio::test]
async fn a_known_client_is_shown_to_those_who_ask() {
    let steps = "      - {plugin: api-key}\n      - {plugin: witness, config: {answers: true, wants: [client]}}\n";
    let gateway = with_chain(&format!("http://{}", nobody()), steps).await;
    let shown = gateway.ask(get("/").header("x-api-key", "key")).await.json();
    assert_eq!(shown["client"]["name"], "acme", "{shown}");
    assert_eq!(shown["client"]["method"], "api-key");
    assert_eq!(shown["client"]["scopes"], json!(["read", "write"]));
}

#[tokio::test]
async fn a_chain_runs_forward_and_back() {
    let origin = Origin::saying("through").await;
    let gateway = start(&origin.url(), &[json!({"name": "a"}), json!({"name": "b"}), json!({"name": "c"})]).await;
    let response = gateway.get("/").await;
    assert_eq!(origin.request().all("x-order"), ["a", "b", "c"], "in order on the way in");
    assert_eq!(response.all("x-order"), ["c", "b", "a"], "in reverse on the way back");
    assert_eq!(response.all("x-later"), ["c", "b", "a"], "edits for later included");
}

#[tokio::test]
async fn an_answer_turns_back_where_it_was_given() {
    let origin = Origin::saying("through").await;
    let gateway = start(&origin.url(), &[json!({"name": "a"}), json!({"name": "b", "answers": true}), json!({"name": "c"})]).await;
    let response = gateway.get("/").await;
    assert_eq!(origin.hits(), 0, "the upstream never saw it");
    assert_eq!(response.all("x-order"), ["a"], "only those before it saw the answer: {}", response.head);
}

#[tokio::test]
async fn the_response_phase_gets_its_own_state_and_what_it_declared() {
    let origin = Origin::start(|_| Answer::new(418, &[("x-up", "1"), ("x-other", "2")], "tea")).await;
    let gateway = start(&origin.url(), &[json!({"response_headers": ["x-up"]})]).await;
    let response = gateway.get("/kept").await;
    let told = testimony(&response);
    assert_eq!(told["status"], 418);
    assert_eq!(told["headers"], json!([["x-up", "1"]]));
    assert_eq!(told["state"]["path"], "/kept", "the state is what the request phase kept: {told}");
    assert_eq!(told["state"]["id"], told["id"], "both phases have the id of the request");
    assert_eq!(told["from_gateway"], false);
    assert_eq!(told["body"], Value::Null);
}

#[tokio::test]
async fn each_use_of_a_plugin_has_its_own_state() {
    let origin = Origin::saying("through").await;
    let gateway = start(&origin.url(), &[json!({"name": "a", "request_headers": ["x-a"]}), json!({"name": "b"})]).await;
    let told = testimony(&gateway.ask(get("/").header("x-a", "1")).await);
    assert_eq!(told["state"]["headers"], json!([["x-a", "1"]]), "the first use has the last word, and its own state: {told}");
}

#[tokio::test]
async fn the_gateways_own_answers_are_shown_as_such() {
    let gateway = start(&format!("http://{}", nobody()), &[json!({})]).await;
    let response = gateway.get("/").await;
    let told = testimony(&response);
    assert_eq!((&told["from_gateway"], &told["status"]), (&json!(true), &json!(502)));
    response.assert_problem(502, "upstream_connect");
}

#[tokio::test]
async fn a_response_can_be_replaced() {
    let origin = Origin::start(|_| Answer::new(500, &[("x-up", "1")], "secret stack trace")).await;
    let gateway = start(&origin.url(), &[json!({"replaces": true})]).await;
    let response = gateway.get("/").await;
    assert_eq!(response.status, 203);
    assert_eq!(response.json()["status"], 500, "the guest saw what it replaced");
    assert!(response.header("x-up").is_none() && !response.text().contains("secret"), "nothing of it is left");
}

#[tokio::test]
async fn a_buffered_request_body_is_shown_whole_and_can_be_replaced() {
    let origin = Origin::saying("through").await;
    let gateway = start(&origin.url(), &[json!({"request_buffer": 100, "upper": true})]).await;
    let response = gateway.ask(request("POST", "/").chunks(&[b"he", b"llo"])).await;
    assert_eq!(testimony(&response)["state"]["body"], "hello");
    let arrived = origin.request();
    assert_eq!(arrived.body, b"HELLO");
    assert_eq!(arrived.all("content-length").len() + arrived.all("transfer-encoding").len(), 1, "one framing: {}", arrived.head);
    gateway.ask(request("POST", "/").body(vec![b'x'; 101])).await.assert_problem(413, "body_too_large");
    gateway.ask(request("POST", "/").chunks(&[&[b'x'; 101]])).await.assert_problem(413, "body_too_large");
    assert_eq!(origin.hits(), 1, "what is too large does not arrive");
}

#[tokio::test]
async fn a_buffered_response_body_is_shown_whole_and_can_be_replaced() {
    let origin =
        Origin::start(|request| if request.target() == "/large" { Answer::ok("x".repeat(101)) } else { Answer::chunked(&["he", "llo"]) })
            .await;
    let gateway = start(&origin.url(), &[json!({"response_buffer": 100, "upper": true})]).await;
    let response = gateway.get("/").await;
    assert_eq!(response.text(), "HELLO");
    assert_eq!(testimony(&response)["body"], "hello");
    let large = gateway.get("/large").await;
    assert_eq!((large.status, large.header("x-gatehouse-error")), (502, Some("body_too_large")), "{}", large.head);
}

#[tokio::test]
async fn a_body_of_a_type_that_was_not_asked_for_passes_unseen_at_any_length() {
    let long = "x".repeat(101);
    let origin = Origin::start({
        let long = long.clone();
        move |request| Answer::new(200, &[("content-type", request.header("x-answer").as_deref().unwrap_or("text/x"))], &long)
    })
    .await;
    let config = json!({"request_buffer": 100, "response_buffer": 100, "body_types": ["application/json", "*/*+json"], "upper": true});
    let gateway = start(&origin.url(), &[config]).await;
    let sent = |kind: &str, answer: &str| request("POST", "/").header("content-type", kind).header("x-answer", answer).body(long.clone());

    let response = gateway.ask(sent("image/png", "text/plain")).await;
    assert_eq!((response.status, response.text()), (200, long.clone()), "{}", response.head);
    assert_eq!(origin.request().body, long.as_bytes(), "neither was cut, nor put in capitals");
    let testimony = testimony(&response);
    assert_eq!((&testimony["body"], &testimony["state"]["body"]), (&Value::Null, &Value::Null), "nor was either shown");

    gateway.ask(sent("application/json", "text/plain")).await.assert_problem(413, "body_too_large");
    let large = gateway.ask(sent("image/png", "application/problem+json; charset=utf-8")).await;
    assert_eq!((large.status, large.header("x-gatehouse-error")), (502, Some("body_too_large")), "{}", large.head);
}

#[tokio::test]
async fn a_streamed_request_body_passes_through_the_plugin() {
    let origin = Origin::saying("through").await;
    let gateway = start(&origin.url(), &[json!({"request_body": "streamed", "upper": true})]).await;
    let mut client = gatehouse_tests::Client::connect(gateway.address()).await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n").await;
    origin.wait_for_hits(1).await;
    gatehouse_tests::wire::eventually("the first chunk", || origin.request().body == b"ONE").await;
    client.send("6\r\nholdup\r\n5\r\nthree\r\n0\r\n\r\n").await;
    assert_eq!(client.response().await.status, 200);
    let body = String::from_utf8(origin.request().body).expect("text");
    assert!(body.starts_with("ONE") && body.ends_with("<end>") && !body.to_lowercase().contains("holdup"), "{body}");
}

#[tokio::test]
async fn a_streamed_body_with_a_length_gets_the_framing_of_what_it_became() {
    let origin = Origin::saying("through").await;
    let gateway = start(&origin.url(), &[json!({"request_body": "streamed", "upper": true})]).await;
    assert_eq!(gateway.ask(request("POST", "/").body("hello")).await.status, 200);
    let arrived = origin.request();
    assert_eq!(arrived.body, b"HELLO<end>");
    assert!(arrived.header("content-length").is_none_or(|length| length == "10"), "the old length is gone: {}", arrived.head);
}

#[tokio::test]
async fn a_plugin_can_stop_a_request_inside_its_body() {
    let origin = Origin::saying("through").await;
    let gateway = start(&origin.url(), &[json!({"request_body": "streamed"})]).await;
    let response = gateway.ask(request("POST", "/").chunks(&[b"stop"])).await;
    assert_eq!((response.status, response.text().as_str()), (409, "stopped"));
    assert!(origin.requests().iter().all(|request| !request.whole), "no whole request arrived");
}

#[tokio::test]
async fn a_streamed_response_body_passes_through_the_plugin() {
    let origin = Origin::start(|_| Answer::chunked(&["one", "holdup", "three"])).await;
    let gateway = start(&origin.url(), &[json!({"response_body": "streamed", "upper": true})]).await;
    let response = gateway.get("/").await;
    let text = response.text();
    assert!(text.starts_with("ONE") && text.ends_with("<end>"), "{text}");
    assert!(response.header("content-length").is_none(), "its length is not known ahead: {}", response.head);
}

#[tokio::test]
async fn a_streamed_response_with_a_length_gets_the_framing_of_what_it_became() {
    let origin = Origin::saying("hello").await;
    let gateway = start(&origin.url(), &[json!({"response_body": "streamed", "upper": true})]).await;
    let mut client = gatehouse_tests::Client::connect(gateway.address()).await;
    assert_eq!(client.ask(&get("/")).await.text(), "HELLO<end>");
    assert_eq!(client.ask(&get("/")).await.text(), "HELLO<end>", "the connection is in step");
}

#[tokio::test]
async fn two_plugins_stream_one_body() {
    let origin = Origin::saying("hello").await;
    let both = json!({"request_body": "streamed", "response_body": "streamed", "upper": true});
    let gateway = start(&origin.url(), &[both.clone(), both]).await;
    let response = gateway.ask(request("POST", "/").body("question")).await;
    assert_eq!(origin.request().body, b"QUESTION<END><end>", "the first plugin first on the way in");
    assert_eq!(response.text(), "HELLO<END><end>", "and last on the way back");
}
