//! `api-key`: keys in a header, known by their hashes.

use gatehouse_tests::{Gateway, Origin, get, tokens::sha256};

async fn house(config: &str) -> (Gateway, Origin) {
    let origin = Origin::saying("through").await;
    let yaml = format!(
        "
        clients:
          - {{name: acme, keys: [{{sha256: \"{}\"}}, {{sha256: \"{}\"}}], scopes: [orders.read]}}
          - {{name: late, keys: [{{sha256: \"{}\", expires: \"2020-01-01T00:00:00Z\"}}]}}
        upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
        routes: [{{name: all, chain: [{{plugin: api-key, config: {config}}}], upstream: origin}}]
        ",
        sha256("first"),
        sha256("second"),
        sha256("old"),
        origin.url()
    );
    (Gateway::start(&yaml).await, origin)
}

#[tokio::test]
async fn each_key_of_a_client_opens() {
    let (gateway, origin) = house("{}").await;
    for key in ["first", "second"] {
        assert_eq!(gateway.ask(get("/").header("X-API-Key", key)).await.status, 200, "{key}");
    }
    assert!(origin.requests().iter().all(|request| request.header("x-api-key").is_none()), "the upstream never sees a key");
    assert_eq!(gateway.access_log(1).await[0]["client"], "acme");
}

#[tokio::test]
async fn other_keys_do_not_and_are_not_told_apart() {
    let (gateway, origin) = house("{}").await;
    let mut answers = Vec::new();
    for key in [Some("wrong"), Some("old"), Some(""), Some(&*sha256("first"))] {
        let request = key.map_or_else(|| get("/"), |key| get("/").header("x-api-key", key));
        let response = gateway.ask(request).await;
        assert_eq!(response.status, 401, "{key:?}");
        assert!(response.header("www-authenticate").is_some(), "401 has a challenge");
        let mut problem = response.json();
        problem.as_object_mut().expect("a problem is an object").remove("request_id");
        answers.push(problem);
    }
    assert_eq!(gateway.get("/").await.status, 401, "no key at all");
    assert_eq!(answers[0], answers[1], "an expired key is answered like an unknown one");
    assert_eq!(origin.hits(), 0, "nobody got in");
}

#[tokio::test]
async fn header_scopes_and_hiding_are_configurable() {
    let (gateway, origin) = house("{header: x-token, hide_credentials: false, scopes: [orders.read]}").await;
    assert_eq!(gateway.ask(get("/").header("x-api-key", "first")).await.status, 401, "another header now");
    assert_eq!(gateway.ask(get("/").header("x-token", "first")).await.status, 200);
    assert_eq!(origin.request().header("x-token").as_deref(), Some("first"), "shown, as configured");
    let (gateway, origin) = house("{query: key, client_to_headers: {name: x-client, plan: x-plan}}").await;
    let told = get("/a?b=1&key=first&c=2").header("x-client", "root").header("x-plan", "gold");
    assert_eq!(gateway.ask(told).await.status, 200, "a key in the query");
    let seen = origin.request();
    assert_eq!((seen.target(), seen.header("x-client").as_deref(), seen.header("x-plan").as_deref()), ("/a?b=1&c=2", Some("acme"), None));
    assert_eq!(gateway.ask(get("/?key=first").header("x-api-key", "first")).await.status, 401, "two keys are none");
    let (gateway, origin) = house("{scopes: [orders.write]}").await;
    assert_eq!(gateway.ask(get("/").header("x-api-key", "first")).await.status, 403, "known, but without the scope");
    assert_eq!(origin.hits(), 0);
}
