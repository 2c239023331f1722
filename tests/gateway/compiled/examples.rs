//! The plugins of `example-plugins/` in C and Go, and the one that redacts streams.

use std::path::Path;

use aws_lc_rs::hmac;
use gatehouse_tests::{
    Answer, Client, Gateway, Origin, Request, Setup, authored, get, guests, request,
    tokens::{seconds_from_now, sha256_bytes},
};

/// A gateway with this plugin on every path, and an upstream that answers like that.
async fn house(component: &Path, config: &str, answer: Answer) -> (Gateway, Origin) {
    let origin = Origin::start(move |_| answer.clone()).await;
    let (url, component) = (origin.url(), component.display());
    let config = format!(
        "
        upstreams: [{{name: origin, endpoints: [{{url: \"{url}\"}}]}}]
        plugins: [{{name: example, source: {{file: \"{component}\"}}, isolation: reuse, grants: [kv, identity]}}]
        routes: [{{name: all, chain: [{{plugin: example, config: {config}}}], upstream: origin}}]
        "
    );
    (Setup::new(&config).one_worker().start().await, origin)
}

async fn greets(component: &Path) {
    let (gateway, origin) = house(component, "{}", Answer::ok("through")).await;
    let response = gateway.get("/").await;
    assert_eq!((response.status, response.header("x-hello")), (200, Some("world")), "the client is greeted");
    assert_eq!(origin.request().header("x-hello-from").as_deref(), Some("127.0.0.1"), "the upstream learns the address");
}

#[tokio::test]
async fn c_says_hello() {
    greets(&authored::c("example-plugins/hello-c")).await;
}

#[tokio::test]
async fn go_says_hello() {
    greets(&authored::go("example-plugins/hello-go")).await;
}

#[tokio::test]
async fn header_values_get_one_form() {
    let component = authored::c("example-plugins/header-normalize");
    let config = "{headers: {X-Tenant: {lower: true, max: 9}, x-note: {collapse: false}}}";
    let (gateway, origin) = house(&component, config, Answer::ok("through")).await;
    let asked = get("/").header("x-tenant", "ACME \t  Corp").header("x-tenant", "b").header("x-note", "a  B").header("x-other", "A  b");
    assert_eq!(gateway.ask(asked).await.status, 200);
    let arrived = origin.request();
    assert_eq!(arrived.all("x-tenant"), ["acme corp", "b"], "every line of it");
    assert_eq!((arrived.header("x-note").as_deref(), arrived.header("x-other").as_deref()), (Some("a  B"), Some("A  b")));

    let refused = gateway.ask(get("/").header("x-tenant", "0123456789")).await;
    assert_eq!((refused.status, refused.header("content-type")), (400, Some("application/problem+json")));
    assert_eq!(refused.json()["detail"], "The header x-tenant is longer than 9 bytes.");
    assert_eq!(origin.hits(), 1, "what is refused does not arrive");
}

const SECRET: &str = "a secret of acme's";

/// A request signed by hand, as the README of the example says.
fn signed(secret: &str, path: &str, body: &str, at: i64, sent: &str) -> Request {
    let message = format!("POST\n{path}\n{at}\n{}", sha256_bytes(body.as_bytes()));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), message.as_bytes());
    let signature: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let headers = [("x-key-id", "acme"), ("x-timestamp", &at.to_string()), ("x-signature", &signature)];
    headers.iter().fold(request("POST", path), |request, (name, value)| request.header(name, value)).body(sent)
}

#[tokio::test]
async fn signed_requests_get_in_and_others_do_not() {
    let component = authored::go("example-plugins/hmac-signature");
    let (gateway, origin) = house(&component, &format!("{{keys: {{acme: \"{SECRET}\"}}}}"), Answer::ok("through")).await;
    let now = seconds_from_now(0);
    let refused = async |what: &str, request: Request| {
        let response = gateway.ask(request).await;
        assert_eq!((response.status, response.header("www-authenticate")), (401, Some("HMAC-SHA256")), "{what}: {}", response.text());
    };
    assert_eq!(gateway.ask(signed(SECRET, "/a?b=c", "body", now, "body")).await.status, 200);
    assert_eq!(origin.request().header("x-signature"), None, "the upstream does not see the signature");
    refused("the same again", signed(SECRET, "/a?b=c", "body", now, "body")).await;
    refused("another body", signed(SECRET, "/", "body", now, "other")).await;
    refused("another secret", signed("another secret of 16", "/", "body", now, "body")).await;
    refused("an old one", signed(SECRET, "/", "body", now - 400, "body")).await;
    refused("one of the future", signed(SECRET, "/", "body", now + 400, "body")).await;
    refused("no signature", request("POST", "/").body("body")).await;
    assert_eq!(origin.hits(), 1, "nothing of these arrived");
}

#[tokio::test]
async fn personal_data_is_redacted_across_chunks() {
    let chunks = ["pay ali", "ce@exam", "ple.com with 4111 1111", " 1111 1111 toda", "y"];
    let (gateway, _origin) = house(&guests::pii_redact(), "{}", Answer::chunked(&chunks)).await;
    assert_eq!(gateway.get("/").await.text(), "pay [redacted] with [redacted] today");
}

#[tokio::test]
async fn what_is_redacted_still_streams() {
    let begun = Answer::head(200, &[("transfer-encoding", "chunked")]).then_chunk("the first words and alice@exam").then_stall();
    let (gateway, _origin) = house(&guests::pii_redact(), "{}", begun).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(client.head().await.status, 200);
    assert_eq!(client.chunk().await, b"the first words and", "all but the word that may go on, and the space before it");
}
