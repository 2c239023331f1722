//! Which route a request takes, seen by the upstream it arrives at. The matcher's own tests have every rule; these
//! show that configs, hosts and paths reach it as written.

use gatehouse_tests::{Gateway, Origin, Request, get, request};

/// A gateway whose routes answer with their own names.
async fn start() -> Gateway {
    let route = |name: &str, rest: &str| format!("  - {{name: {name}, {rest}, chain: [{{plugin: mock, config: {{body: {name}}}}}]}}\n");
    let routes = [
        route("host", "hosts: [api.example.com]"),
        route("wildcard", "hosts: [\"*.example.com\"]"),
        route("exact", "match: [{path: {exact: /orders/all}}]"),
        route("regex", "match: [{path: {regex: \"/orders/[0-9]+\"}}]"),
        route("prefix", "match: [{path: {prefix: /orders}}]"),
        route("longer", "match: [{path: {prefix: /orders/archive}}]"),
        route("post", "match: [{path: {prefix: /orders}, methods: [POST]}]"),
        route("gold", "match: [{path: {prefix: /orders}, headers: [{name: X-Tier, exact: gold}]}]"),
        route("page", "match: [{path: {prefix: /orders}, query: [{name: page, exact: \"2\"}]}]"),
        route("either", "match: [{path: {exact: /one}}, {path: {exact: /two}, methods: [PUT]}]"),
    ];
    Gateway::start(&format!("routes:\n{}", routes.concat())).await
}

#[tokio::test]
async fn the_most_specific_route_wins() {
    let gateway = start().await;
    let check = async |request: Request, route: &str| {
        let response = gateway.ask(request.clone()).await;
        assert_eq!((response.status, response.text().as_str()), (200, route), "{:?}", String::from_utf8(request.bytes()));
    };
    check(get("/orders"), "prefix").await;
    check(get("/orders/"), "prefix").await;
    check(get("/orders/x"), "prefix").await;
    check(get("/orders/all"), "exact").await;
    check(get("/orders/17"), "regex").await;
    check(get("/orders/archive/17"), "longer").await;
    check(request("POST", "/orders"), "post").await;
    check(get("/orders").header("x-tier", "gold"), "gold").await;
    check(request("POST", "/orders").header("x-tier", "gold"), "post").await;
    check(get("/orders?page=2"), "page").await;
    check(get("/orders?page=3&page=2"), "prefix").await;
    check(get("/one"), "either").await;
    check(request("PUT", "/two"), "either").await;
    check(get("/orders/all").header("host", "api.example.com"), "host").await;
    check(get("/x").header("host", "API.example.COM:8080"), "host").await;
    check(get("/x").header("host", "a.b.example.com"), "wildcard").await;
}

#[tokio::test]
async fn what_no_route_matches_is_not_found() {
    let gateway = start().await;
    for request in [get("/"), get("/ordersx"), get("/Orders"), get("/two"), get("/one/"), get("/x").header("host", "example.com")] {
        gateway.ask(request).await.assert_problem(404, "no_route");
    }
}

#[tokio::test]
async fn a_path_is_matched_and_forwarded_in_the_same_normal_form() {
    let (admin, open) = (Origin::saying("admin").await, Origin::saying("open").await);
    let config = format!(
        "
        upstreams:
          - {{name: admin, endpoints: [{{url: \"{}\"}}]}}
          - {{name: open, endpoints: [{{url: \"{}\"}}]}}
        routes:
          - {{name: admin, match: [{{path: {{prefix: /admin}}}}], upstream: admin}}
          - {{name: open, upstream: open}}
        ",
        admin.url(),
        open.url()
    );
    let gateway = Gateway::start(&config).await;
    let check = async |written: &str, body: &str, origin: &Origin, arrived: &str| {
        assert_eq!(gateway.get(written).await.text(), body, "{written}");
        assert_eq!(origin.requests().last().expect("it arrived").target(), arrived, "{written}");
    };
    check("/open/../admin/x", "admin", &admin, "/admin/x").await;
    check("/%61dmin/x", "admin", &admin, "/admin/x").await;
    check("/open/%2e%2E/admin", "admin", &admin, "/admin").await;
    check("/./admin/./y?a=/../b", "admin", &admin, "/admin/y?a=/../b").await;
    check("/admin%2fx", "open", &open, "/admin%2Fx").await;
    check("/a%20b?q=%61", "open", &open, "/a%20b?q=%61").await;
    check("//admin", "open", &open, "//admin").await;
    check("/%252e%252e/admin", "open", &open, "/%252e%252e/admin").await;
}

#[tokio::test]
async fn the_authority_of_an_absolute_target_wins_over_host() {
    let gateway = start().await;
    let response = gateway.ask(get("http://api.example.com/x").header("host", "other.example")).await;
    assert_eq!(response.text(), "host", "the target names the host");
}

#[tokio::test]
async fn upstreams_share_a_route_by_weight() {
    let (often, seldom) = (Origin::saying("often").await, Origin::saying("seldom").await);
    let config = format!(
        "
        upstreams:
          - {{name: often, endpoints: [{{url: \"{}\"}}]}}
          - {{name: seldom, endpoints: [{{url: \"{}\"}}]}}
        routes: [{{name: split, upstreams: [{{name: often, weight: 90}}, {{name: seldom, weight: 10}}]}}]
        ",
        often.url(),
        seldom.url()
    );
    let gateway = Gateway::start(&config).await;
    for _ in 0..200 {
        assert_eq!(gateway.get("/").await.status, 200);
    }
    // 20 of 200 are expected by weight; by chance alone, fewer than 4 or more than 50 come once in a million runs.
    let share = seldom.hits();
    assert!((4..=50).contains(&share), "a tenth goes to the lighter one: {share} of 200");
    assert_eq!(often.hits() + share, 200, "and all arrive once");
}

#[tokio::test]
async fn endpoints_take_turns_by_weight() {
    let (heavy, light, none) = (Origin::saying("heavy").await, Origin::saying("light").await, Origin::saying("none").await);
    let config = format!(
        "
        upstreams:
          - name: group
            balance: {{algorithm: round_robin}}
            endpoints:
              - {{url: \"{}\", weight: 3}}
              - {{url: \"{}\"}}
              - {{url: \"{}\", weight: 0}}
        routes: [{{name: all, upstream: group}}]
        ",
        heavy.url(),
        light.url(),
        none.url()
    );
    let gateway = gatehouse_tests::Setup::new(&config).one_worker().start().await;
    for _ in 0..40 {
        assert_eq!(gateway.get("/").await.status, 200);
    }
    assert_eq!((heavy.hits(), light.hits(), none.hits()), (30, 10, 0), "round robin is exact on one worker");
}

#[tokio::test]
async fn an_upstream_where_nobody_has_registered_says_so() {
    let gateway = Gateway::start(
        "
        upstreams: [{name: empty, discovery: {register: {ttl: 10s}}}]
        routes: [{name: all, upstream: empty}]
        ",
    )
    .await;
    let response = gateway.get("/").await;
    response.assert_problem(503, "no_healthy_endpoint");
    assert!(response.header("retry-after").is_some(), "it says when to come back");
}
