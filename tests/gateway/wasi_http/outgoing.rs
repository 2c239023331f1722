//! Requests that components send: to the upstreams they were granted, and nowhere else.

use gatehouse_tests::{Answer, Client, Gateway, Origin, Setup, get, guests, request};

/// A component with a grant for `granted`, beside an upstream that it was not granted.
async fn sending(component: &str, settings: &str, granted: &Origin, other: &Origin) -> Gateway {
    let config = format!(
        "
        upstreams:
          - {{name: granted, endpoints: [{{url: \"{}\"}}]}}
          - {{name: other, endpoints: [{{url: \"{}\"}}]}}
        plugins: [{{name: app, source: {{file: \"{}\"}}, {settings}}}]
        routes:
          - {{name: all, component: app}}
          - {{name: keep, match: [{{path: {{exact: /keep}}}}], upstream: other}}
        ",
        granted.url(),
        other.url(),
        guests::foreign(component).display()
    );
    Setup::new(&config).one_worker().start().await
}

#[tokio::test]
async fn a_component_reaches_what_it_was_granted_by_name_and_by_address() {
    let (granted, other) = (Origin::saying("granted").await, Origin::saying("other").await);
    let gateway = sending("harm", "grants: [http: [granted]]", &granted, &other).await;
    assert_eq!(gateway.get("/fetch/http/granted/by/name").await.text(), "200");
    assert_eq!(granted.requests()[0].target(), "/by/name");
    assert_eq!(granted.requests()[0].header("host"), Some(granted.address().to_string()), "the name means nothing there");
    assert_eq!(gateway.get(&format!("/fetch/http/{}/by/address", granted.address())).await.text(), "200");
    assert_eq!(granted.requests()[1].target(), "/by/address");
}

#[tokio::test]
async fn everything_else_is_denied() {
    let (granted, other) = (Origin::saying("granted").await, Origin::saying("other").await);
    let gateway = sending("harm", "grants: [http: [granted]]", &granted, &other).await;
    let address = other.address();
    for target in [format!("http/other/"), format!("http/{address}/"), format!("https/{}/", granted.address()), "http/127.0.0.1:1/".into()]
    {
        let text = gateway.get(&format!("/fetch/{target}")).await.text();
        assert!(text.contains("HttpRequestDenied"), "{target}: {text}");
    }
    let ungranted = sending("harm", "", &granted, &other).await;
    let text = ungranted.get("/fetch/http/granted/").await.text();
    assert!(text.contains("HttpRequestDenied"), "without a grant: {text}");
    assert_eq!((granted.hits(), other.hits()), (0, 0), "nobody was asked");
}

#[tokio::test]
async fn the_proxy_of_wstd_passes_bodies_in_both_directions() {
    let granted = Origin::start(|request| Answer::ok(format!("{} {}", request.method(), request.target()))).await;
    let other = Origin::saying("other").await;
    let gateway =
        sending("wstd-http-server-proxy", "grants: [http: [granted]], env: {TARGET_URL: \"http://granted/\"}", &granted, &other).await;
    let response = gateway.ask(request("POST", "/proxy/some/where?x=1").body("the body")).await;
    assert_eq!((response.status, response.text().as_str()), (200, "POST /some/where?x=1"), "{}", response.head);
    assert_eq!(granted.request().body, b"the body");
}

#[tokio::test]
async fn a_request_of_a_component_whose_client_is_gone_is_given_up() {
    let granted = Origin::start(|_| Answer::silence()).await;
    let other = Origin::saying("other").await;
    let gateway = sending("harm", "grants: [http: [granted]]", &granted, &other).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send(get("/fetch/http/granted/").bytes()).await;
    granted.wait_for_hits(1).await;
    drop(client);
    granted.wait_until_deserted(1).await;
}

#[tokio::test]
async fn an_upstream_that_fails_is_told_to_the_component() {
    let granted = Origin::start(|_| Answer::raw("").then_reset()).await;
    let other = Origin::saying("other").await;
    let gateway = sending("harm", "grants: [http: [granted]]", &granted, &other).await;
    let text = gateway.get("/fetch/http/granted/").await.text();
    assert!(text.contains("ConnectionTerminated"), "{text}");
}
