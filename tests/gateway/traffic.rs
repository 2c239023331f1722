//! Traffic rules: where clients are sent instead, and what an upstream is asked for instead.

use gatehouse_tests::{Client, Gateway, Origin, get, request};

/// A gateway whose routes do as these lines say; the upstream is `origin`.
async fn start(origin: &Origin, routes: &[&str]) -> Gateway {
    let routes: String = routes.iter().map(|route| format!("  - {{{route}}}\n")).collect();
    Gateway::start(&format!("upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]\nroutes:\n{routes}", origin.url())).await
}

#[tokio::test]
async fn clients_are_sent_where_the_rule_says_and_the_query_goes_with_them() {
    let origin = Origin::saying("reached").await;
    let gateway = start(
        &origin,
        &[
            "name: secure, hosts: [a.example], redirect: {scheme: https, status: 301}",
            "name: port, hosts: [b.example], redirect: {scheme: https, port: 8443, status: 308}",
            "name: host, hosts: [c.example], redirect: {host: new.example, status: 307}",
            "name: moved, match: [{path: {prefix: /old}}], redirect: {prefix: /new}",
            "name: root, match: [{path: {prefix: /top}}], redirect: {prefix: /}",
            "name: whole, match: [{path: {regex: \"/item/[0-9]+\"}}], redirect: {path: /catalogue, status: 303}",
        ],
    )
    .await;
    let check = async |host: &str, target: &str, status: u16, location: &str| {
        let response = gateway.ask(get(target).header("host", host)).await;
        assert_eq!((response.status, response.header("location")), (status, Some(location)), "{host}{target}");
    };
    check("a.example:8080", "/x/y?q=1", 301, "https://a.example/x/y?q=1").await;
    check("b.example", "/", 308, "https://b.example:8443/").await;
    check("c.example:8080", "/x?q", 307, "http://new.example/x?q").await;
    check("d.example", "/old", 302, "/new").await;
    check("d.example", "/old/a%2fb?q=1", 302, "/new/a%2Fb?q=1").await;
    check("d.example", "/item/7?q=1", 303, "/catalogue?q=1").await;
    check("d.example", "/top//evil.example/", 302, "/.//evil.example/").await;
    assert_eq!(origin.hits(), 0, "nobody asked an upstream");
}

#[tokio::test]
async fn a_redirect_tells_the_scheme_that_a_trusted_proxy_knows() {
    let config = |trusted: &str| {
        format!(
            "
            listeners: [{{name: public, address: \"127.0.0.1:0\", trusted_proxies: [{trusted}]}}]
            routes: [{{name: all, redirect: {{host: new.example}}}}]
            "
        )
    };
    for (trusted, location) in [("127.0.0.1/32", "https://new.example/x"), ("", "http://new.example/x")] {
        let gateway = Gateway::start(&config(trusted)).await;
        let response = gateway.ask(get("/x").header("x-forwarded-proto", "https")).await;
        assert_eq!(response.header("location"), Some(location), "trusted: {trusted:?}");
    }
}

#[tokio::test]
async fn the_chain_has_its_say_before_a_redirect_and_after_it() {
    let origin = Origin::saying("reached").await;
    let gateway = start(
        &origin,
        &[
            "name: kept, match: [{path: {prefix: /kept}}], chain: [{plugin: api-key}], redirect: {prefix: /new}",
            "name: seen, chain: [{plugin: transform, config: {request: {path: /told}, response: {headers: {set: {x-seen: yes}}}}}], redirect: {scheme: https}",
        ],
    )
    .await;
    let refused = gateway.get("/kept/x").await;
    assert_eq!((refused.status, refused.header("location")), (401, None), "strangers are not told where it is");
    let response = gateway.ask(get("/x?q").header("host", "a.example")).await;
    assert_eq!((response.status, response.header("location")), (302, Some("https://a.example/told?q")), "{}", response.head);
    assert_eq!(response.header("x-seen"), Some("yes"), "the answer goes back through the chain");
}

#[tokio::test]
async fn a_redirect_leaves_the_connection_in_order() {
    let origin = Origin::saying("reached").await;
    let gateway =
        start(&origin, &["name: moved, match: [{path: {prefix: /old}}], redirect: {prefix: /new}", "name: rest, upstream: origin"]).await;
    let mut client = Client::connect(gateway.address()).await;
    let response = client.ask(&request("POST", "/old").body("some content")).await;
    assert_eq!((response.status, response.text().as_str()), (302, ""), "the body was read past, or the connection is said to end");
    if response.header("connection") != Some("close") {
        assert_eq!(client.ask(&get("/x")).await.text(), "reached");
    }
    let head = gateway.ask(request("HEAD", "/old")).await;
    assert_eq!((head.status, head.header("location")), (302, Some("/new")));
    let entry = gateway.access_log(1).await.remove(0);
    assert_eq!(
        (&entry["route"], &entry["status"], &entry["upstream"]),
        (&"moved".into(), &302.into(), &serde_json::Value::Null),
        "{entry}"
    );
}

#[tokio::test]
async fn without_a_host_nobody_is_sent_to_another_scheme() {
    let origin = Origin::saying("reached").await;
    let gateway = start(&origin, &["name: all, redirect: {scheme: https}"]).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    client.response().await.assert_problem(400, "bad_request");
}

#[tokio::test]
async fn an_upstream_is_asked_for_what_the_rule_says() {
    let origin = Origin::saying("reached").await;
    let gateway = start(
        &origin,
        &[
            "name: prefix, match: [{path: {prefix: /api/v1/}}], rewrite: {prefix: /v1, host: \"inner.example:81\"}, upstream: origin",
            "name: strip, match: [{path: {prefix: /strip}}], rewrite: {prefix: /}, upstream: origin",
            "name: whole, match: [{path: {regex: \"/item/[0-9]+\"}}], rewrite: {path: /item}, upstream: origin",
            "name: later, match: [{path: {prefix: /later}}], chain: [{plugin: transform, config: {request: {path: /later/told}}}], rewrite: {prefix: /v2}, upstream: origin",
            "name: away, match: [{path: {prefix: /away}}], chain: [{plugin: transform, config: {request: {path: /told}}}], rewrite: {prefix: /v2}, upstream: origin",
        ],
    )
    .await;
    let check = async |target: &str, arrived: &str, host: &str| {
        let response = gateway.ask(get(target).header("host", "outer.example")).await;
        assert_eq!(response.status, 200, "{target}");
        let request = origin.requests().pop().expect("it arrived");
        assert_eq!((request.target(), request.header("host").as_deref()), (arrived, Some(host)), "{target}");
        assert_eq!(request.header("x-forwarded-host").as_deref(), Some("outer.example"), "what the client asked for stays known");
    };
    check("/api/v1/orders/1?q=%61", "/v1/orders/1?q=%61", "inner.example:81").await;
    check("/api/v1", "/v1", "inner.example:81").await;
    check("/api/%761/orders", "/v1/orders", "inner.example:81").await;
    check("/strip", "/", "outer.example").await;
    check("/strip/?q", "/?q", "outer.example").await;
    check("/strip/a%2fb//c", "/a%2Fb//c", "outer.example").await;
    check("/item/7?q", "/item?q", "outer.example").await;
    check("/later/x", "/v2/told", "outer.example").await;
    check("/away/x", "/told", "outer.example").await;
    let log = gateway.access_log(9).await;
    assert!(log.iter().any(|entry| entry["path"] == "/api/v1/orders/1"), "the log has what the client asked for: {log:?}");
}
