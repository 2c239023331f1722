//! Traffic rules: where clients are sent instead, what an upstream is asked for instead, and who gets a copy.

use std::time::Duration;

use gatehouse_tests::{Answer, Client, Gateway, Origin, get, request};
use tokio::time::Instant;

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

/// The largest body that is copied.
const LARGEST: usize = 64 << 10;

/// A gateway that sends to `origin` and copies to `shadow`; the route does as `rest` says.
async fn mirroring(origin: &Origin, shadow: &str, rest: &str) -> Gateway {
    let config = format!(
        "
        upstreams:
          - {{name: origin, endpoints: [{{url: \"{}\"}}]}}
          - {{name: shadow, endpoints: [{{url: \"{shadow}\"}}], timeouts: {{first_byte: 60s}}}}
        routes: [{{name: all, upstream: origin, {rest}}}]
        ",
        origin.url()
    );
    Gateway::start(&config).await
}

async fn wait_for_copies(gateway: &Gateway, result: &str, copies: f64) {
    let labels = [("upstream", "shadow"), ("result", result)];
    gateway.wait_for_metric("gatehouse_mirrored_requests_total", &labels, |count| count >= copies).await;
}

#[tokio::test]
async fn a_copy_is_the_request_that_the_upstream_gets() {
    let (origin, shadow) = (Origin::saying("real").await, Origin::saying("shadow").await);
    let rules = "match: [{path: {prefix: /api}}], rewrite: {prefix: /v1}, mirror: [{upstream: shadow}], \
                 chain: [{plugin: transform, config: {request: {headers: {set: {x-set: yes}}}}}]";
    let gateway = mirroring(&origin, &shadow.url(), rules).await;
    let bodies: [&[u8]; 3] = [b"", b"some content", &vec![b'x'; LARGEST]];
    for (index, body) in bodies.iter().enumerate() {
        let asked = request("PUT", &format!("/api/{index}?q")).header("host", "a.example").header("x-own", "1").body(*body);
        assert_eq!(gateway.ask(asked).await.text(), "real", "the client hears of one of them");
    }
    assert_eq!(gateway.ask(request("PUT", "/api/3").header("host", "a.example").chunks(&[b"in", b"pieces"])).await.text(), "real");
    shadow.wait_for_hits(4).await;
    wait_for_copies(&gateway, "answered", 4.0).await;

    for real in origin.requests() {
        let copy = shadow.requests().into_iter().find(|copy| copy.target() == real.target()).expect("each is copied");
        assert_eq!((copy.method(), &copy.body, copy.whole), ("PUT", &real.body, true), "{}", real.head);
        for header in ["host", "x-own", "x-set", "x-forwarded-for", "via"] {
            assert_eq!(copy.header(header), real.header(header), "{header} of {}", real.head);
        }
        assert_eq!((copy.header("x-gatehouse-mirror").as_deref(), real.header("x-gatehouse-mirror")), (Some("1"), None), "{}", copy.head);
    }
    assert!(shadow.requests().iter().any(|copy| copy.target() == "/v1/2?q"), "rewritten, as the real one");
}

#[tokio::test]
async fn what_the_chain_made_of_a_body_is_what_is_copied() {
    let (origin, shadow) = (Origin::saying("real").await, Origin::saying("shadow").await);
    let rules = "mirror: [{upstream: shadow}], chain: [{plugin: transform, config: {request: {json: {set: {/b: 2}}}}}]";
    let gateway = mirroring(&origin, &shadow.url(), rules).await;
    let asked = request("POST", "/").header("content-type", "application/json").body("{\"a\":1}");
    assert_eq!(gateway.ask(asked).await.status, 200);
    wait_for_copies(&gateway, "answered", 1.0).await;
    let copied: serde_json::Value = serde_json::from_slice(&shadow.request().body).expect("it is JSON");
    assert_eq!(copied, serde_json::json!({"a": 1, "b": 2}));
}

#[tokio::test]
async fn large_bodies_are_not_copied_and_arrive_whole() {
    let (origin, shadow) = (Origin::saying("real").await, Origin::saying("shadow").await);
    let gateway = mirroring(&origin, &shadow.url(), "mirror: [{upstream: shadow}]").await;
    let large = vec![b'x'; LARGEST + 1];
    assert_eq!(gateway.ask(request("PUT", "/declared").body(large.clone())).await.text(), "real");
    assert_eq!(gateway.ask(request("PUT", "/chunked").chunks(&[&large[..LARGEST], &large[LARGEST..]])).await.text(), "real");
    wait_for_copies(&gateway, "too_large", 2.0).await;
    assert!(origin.requests().iter().all(|request| request.body.len() == LARGEST + 1), "nothing is missing");
    assert_eq!(shadow.hits(), 0, "nor is half of it sent");
}

#[tokio::test]
async fn a_mirror_in_trouble_neither_slows_nor_fails_anybody() {
    let origin = Origin::saying("real").await;
    let silent = Origin::start(|_| Answer::silence()).await;
    let broken = Origin::start(|_| Answer::raw("nonsense\r\n\r\n").then_close()).await;
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    for (shadow, result) in [(silent.url(), None), (broken.url(), Some("failed")), (nobody, Some("failed"))] {
        let gateway = mirroring(&origin, &shadow, "mirror: [{upstream: shadow}]").await;
        let mut client = Client::connect(gateway.address()).await;
        let begun = Instant::now();
        for _ in 0..20 {
            assert_eq!(client.ask(&request("POST", "/").body("content")).await.text(), "real");
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{shadow}: {:?}", begun.elapsed());
        if let Some(result) = result {
            wait_for_copies(&gateway, result, 20.0).await;
        }
    }
}

#[tokio::test]
async fn there_is_a_limit_on_copies_under_way() {
    const MOST: usize = 256;
    let (origin, shadow) = (Origin::saying("real").await, Origin::start(|_| Answer::silence()).await);
    let gateway = mirroring(&origin, &shadow.url(), "mirror: [{upstream: shadow}]").await;
    let mut client = Client::connect(gateway.address()).await;
    for _ in 0..MOST + 10 {
        assert_eq!(client.ask(&get("/")).await.text(), "real");
    }
    wait_for_copies(&gateway, "busy", 10.0).await;
    shadow.wait_for_hits(MOST).await;
    assert_eq!(shadow.hits(), MOST, "and not one more");
}

#[tokio::test]
async fn a_share_of_the_requests_is_copied() {
    let (origin, shadow) = (Origin::saying("real").await, Origin::saying("shadow").await);
    for (percent, fewest, most) in [("0%", 0, 0), ("25%", 48, 152)] {
        let before = shadow.hits();
        let gateway = mirroring(&origin, &shadow.url(), &format!("mirror: [{{upstream: shadow, percent: {percent}}}]")).await;
        let mut client = Client::connect(gateway.address()).await;
        for _ in 0..400 {
            client.ask(&get("/")).await;
        }
        if fewest > 0 {
            // 100 of 400 are expected, with a standard deviation of 8.7: six of those to either side.
            wait_for_copies(&gateway, "answered", f64::from(fewest)).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        let copies = shadow.hits() - before;
        assert!((fewest as usize..=most).contains(&copies), "{percent}: {copies} of 400");
    }
}

#[tokio::test]
async fn a_request_that_breaks_off_is_not_copied() {
    let (origin, shadow) = (Origin::saying("real").await, Origin::saying("shadow").await);
    let gateway = mirroring(&origin, &shadow.url(), "mirror: [{upstream: shadow}]").await;
    let mut client = Client::connect(gateway.address()).await;
    client.send("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf").await;
    origin.wait_for_hits(1).await;
    drop(client);
    wait_for_copies(&gateway, "incomplete", 1.0).await;
    assert_eq!(shadow.hits(), 0, "half a request is none");
}

#[tokio::test]
async fn the_answer_to_a_copy_is_read_only_where_that_saves_a_connection() {
    let origin = Origin::saying("real").await;
    let shadow = Origin::start(|request| match request.target() {
        "/small" => Answer::ok("small"),
        _ => Answer::head(200, &[("transfer-encoding", "chunked")]).then_chunk(&"x".repeat(1 << 20)).then_stall(),
    })
    .await;
    let gateway = mirroring(&origin, &shadow.url(), "mirror: [{upstream: shadow}]").await;
    let mut client = Client::connect(gateway.address()).await;
    for copies in 1..=5 {
        client.ask(&get("/small")).await;
        wait_for_copies(&gateway, "answered", f64::from(copies)).await;
    }
    assert_eq!(shadow.connections(), 1, "small answers leave the connection in order");
    client.ask(&get("/large")).await;
    shadow.wait_until_deserted(1).await;
}

#[tokio::test]
async fn an_upstream_of_no_weight_gets_nothing() {
    let (all, none) = (Origin::saying("all").await, Origin::saying("none").await);
    let config = format!(
        "
        upstreams:
          - {{name: all, endpoints: [{{url: \"{}\"}}]}}
          - {{name: none, endpoints: [{{url: \"{}\"}}]}}
        routes: [{{name: split, upstreams: [{{name: none, weight: 0}}, {{name: all, weight: 7}}]}}]
        ",
        all.url(),
        none.url()
    );
    let gateway = Gateway::start(&config).await;
    let mut client = Client::connect(gateway.address()).await;
    for _ in 0..50 {
        assert_eq!(client.ask(&get("/")).await.text(), "all");
    }
    assert_eq!(none.hits(), 0);
}
