//! A middleware that knows nothing of gateways, as a step of a chain.

use gatehouse_tests::{Answer, Client, Gateway, Origin, Setup, get, guests, request};

/// The middleware between two plugins of the gateway's own, in front of an origin.
async fn between(origin: &Origin, settings: &str) -> Gateway {
    let config = format!(
        "
        upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
        plugins: [{{name: middle, source: {{file: \"{}\"}}, {settings}}}]
        routes:
          - name: all
            chain:
              - {{plugin: transform, name: outer, config: {{request: {{headers: {{set: {{x-outer: \"in\"}}}}}}, response: {{headers: {{set: {{x-outer: out}}}}}}}}}}
              - {{plugin: middle}}
              - {{plugin: transform, name: inner, config: {{request: {{headers: {{set: {{x-inner: \"in\"}}}}}}, response: {{headers: {{set: {{x-inner: out}}}}}}}}}}
            upstream: origin
        ",
        origin.url(),
        guests::foreign("middleware").display()
    );
    Setup::new(&config).one_worker().start().await
}

#[tokio::test]
async fn a_middleware_sees_the_request_and_the_response_of_the_rest_of_the_chain() {
    let origin = Origin::saying("through").await;
    let gateway = between(&origin, "").await;
    let response = gateway.ask(request("POST", "/path?x=1").body("a body")).await;
    assert_eq!((response.status, response.text().as_str()), (200, "through"), "{}", response.head);
    assert_eq!(response.header("x-middleware"), Some("was here, too"));
    assert_eq!((response.header("x-inner"), response.header("x-outer")), (Some("out"), Some("out")));
    let seen = origin.request();
    assert_eq!((seen.method(), seen.target(), seen.body.as_slice()), ("POST", "/path?x=1", &b"a body"[..]));
    assert_eq!(seen.header("x-middleware").as_deref(), Some("was here"));
    assert_eq!((seen.header("x-inner").as_deref(), seen.header("x-outer").as_deref()), (Some("in"), Some("in")));
    assert_eq!(seen.header("host").as_deref(), Some("test.example"));
}

#[tokio::test]
async fn a_middleware_that_answers_itself_leaves_the_rest_alone() {
    let origin = Origin::saying("through").await;
    let gateway = between(&origin, "").await;
    let response = gateway.get("/refused").await;
    assert_eq!((response.status, response.text().as_str(), response.header("x-refused-by")), (403, "not here", Some("middleware")));
    assert_eq!((response.header("x-outer"), response.header("x-inner")), (Some("out"), None), "the steps before it see that");
    assert_eq!(origin.hits(), 0);
}

#[tokio::test]
async fn a_middleware_changes_a_body_as_it_comes() {
    let large: String = "lower case ".repeat(100_000);
    let sent = large.clone();
    let origin = Origin::start(move |_| Answer::ok(sent.clone())).await;
    let gateway = between(&origin, "").await;
    let response = gateway.get("/shout").await;
    assert!(response.text() == large.to_uppercase(), "all of it, in capitals");
}

#[tokio::test]
async fn a_request_body_passes_a_middleware_as_it_comes() {
    let origin = Origin::saying("through").await;
    let gateway = between(&origin, "").await;
    let mut client = Client::connect(gateway.address()).await;
    client.send("POST /slow HTTP/1.1\r\nhost: test.example\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n").await;
    origin.wait_for_hits(1).await;
    client.send("6\r\nsecond\r\n0\r\n\r\n").await;
    assert_eq!(client.response().await.text(), "through");
    assert_eq!(origin.request().body, b"firstsecond");
}

#[tokio::test]
async fn the_rest_of_the_chain_is_there_once() {
    let origin = Origin::saying("through").await;
    let gateway = between(&origin, "").await;
    let response = gateway.get("/twice").await;
    assert_eq!((response.text().as_str(), response.header("x-second")), ("through", Some("false")));
    assert_eq!(origin.hits(), 1);
}

#[tokio::test]
async fn what_becomes_of_a_request_whose_middleware_faults_is_the_operators_to_say() {
    let origin = Origin::saying("through").await;
    let gateway = between(&origin, "").await;
    for path in ["/panic", "/error"] {
        let response = gateway.get(path).await;
        response.assert_problem(503, "plugin_trap");
        assert_eq!(response.header("x-outer"), Some("out"), "the steps before it see that");
    }
    assert_eq!(origin.hits(), 0);
    let gateway = between(&origin, "on_error: skip").await;
    let response = gateway.get("/panic").await;
    assert_eq!((response.status, response.text().as_str(), response.header("x-middleware")), (200, "through", None));
    let with_body = gateway.ask(request("POST", "/panic").chunks(&[b"on its way"])).await;
    with_body.assert_problem(503, "plugin_trap");
}

#[tokio::test]
async fn the_gateways_own_errors_pass_a_middleware_on_their_way_back() {
    let origin = Origin::start(|_| Answer::raw("").then_reset()).await;
    let gateway = between(&origin, "").await;
    let response = gateway.get("/path").await;
    assert_eq!((response.status, response.header("x-middleware")), (502, Some("was here, too")), "{}", response.head);
}

#[tokio::test]
async fn a_middleware_whose_client_is_gone_is_stopped() {
    let origin = Origin::start(|_| Answer::silence()).await;
    let gateway = between(&origin, "limits: {instances: 1}").await;
    let mut client = Client::connect(gateway.address()).await;
    client.send(get("/path").bytes()).await;
    origin.wait_for_hits(1).await;
    drop(client);
    origin.wait_until_deserted(1).await;
    assert_eq!(gateway.get("/refused").await.status, 403, "its instance is free again");
}

#[tokio::test]
async fn a_middleware_stands_before_a_component_and_twice_in_a_chain() {
    let config = format!(
        "
        plugins:
          - {{name: middle, source: {{file: \"{}\"}}}}
          - {{name: app, source: {{file: \"{}\"}}}}
        routes: [{{name: all, chain: [{{plugin: middle, name: first}}, {{plugin: middle, name: second}}], component: app}}]
        ",
        guests::foreign("middleware").display(),
        guests::foreign("wasip3-http-proxy").display()
    );
    let gateway = Setup::new(&config).start().await;
    let response = gateway.get("/").await;
    assert_eq!(response.text(), "Hello, WASI!");
    assert_eq!(response.all("x-middleware"), ["was here, too", "was here, too"]);
}
