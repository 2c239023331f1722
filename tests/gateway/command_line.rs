//! The commands: what they print, and the codes they end with.

use std::path::Path;

use gatehouse_tests::{
    Origin, Setup,
    gateway::{Output, gatehouse},
    get,
    tokens::sha256,
};
use serde_json::Value;

async fn check(files: &[(&str, &str)], path: &str) -> Output {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("the folder takes files");
    }
    gatehouse(folder.path(), &["check", path]).await
}

/// Checks that a config is refused with all of these said.
async fn check_refused(config: &str, said: &[&str]) {
    let output = check(&[("gatehouse.yaml", config)], "gatehouse.yaml").await;
    let text = format!("{}{}", output.stdout, output.stderr);
    assert_eq!(output.code, Some(78), "{config}\n{text}");
    for word in said {
        assert!(text.contains(word), "{word:?} is said of\n{config}\n{text}");
    }
}

const GOOD: &str = "\
upstreams:
  - {name: orders, endpoints: [{url: \"http://127.0.0.1:9001\"}]}
routes:
  - {name: orders, match: [{path: {prefix: /orders}}], chain: [{plugin: rate-limit, config: {rate: 5}}], upstream: orders}
";

#[tokio::test]
async fn a_good_config_passes() {
    let output = check(&[("gatehouse.yaml", GOOD)], "gatehouse.yaml").await;
    assert_eq!(output.code, Some(0), "{output:?}");
}

#[tokio::test]
async fn the_files_of_a_folder_are_one_config() {
    let (upstreams, routes) = GOOD.split_once("routes:").unwrap();
    let files = [("a.yaml", upstreams), ("b.yaml", &format!("routes:{routes}"))];
    assert_eq!(check(&files, ".").await.code, Some(0));
    assert_eq!(check(&files[1..], ".").await.code, Some(78), "the routes alone lack an upstream");
}

#[tokio::test]
async fn every_problem_is_shown_with_place_value_and_wish() {
    let bad = "\
upstreams:
  - {name: orders, endpoints: [{url: \"http://127.0.0.1:9001\"}]}
routes:
  - name: orders
    match: [{path: {prefix: /a//b}}]
    chain:
      - {plugin: rate-limit, config: {rate: 0}}
      - {plugin: transfrom}
    upstream: ordres
    upstrem: x
";
    check_refused(
        bad,
        &[
            "gatehouse.yaml:5:",
            "routes[0].match[0].path.prefix",
            "gatehouse.yaml:7:",
            "routes[0].chain[0].config",
            "rate",
            "gatehouse.yaml:8:",
            "transform",
            "gatehouse.yaml:9:",
            "orders",
            "gatehouse.yaml:10:",
            "upstrem",
        ],
    )
    .await;
}

#[tokio::test]
async fn what_is_wrong_with_a_config_is_said_where_it_stands() {
    check_refused("routes: [", &["gatehouse.yaml:"]).await;
    check_refused("routes: 5", &["gatehouse.yaml:1:", "routes"]).await;
    check_refused("rutes: []", &["gatehouse.yaml:1:1", "rutes", "routes"]).await;
    check_refused("routes: []\nroutes: []", &["gatehouse.yaml:2:", "routes"]).await;
    check_refused("routes: [{name: a, match: [{path: {regex: \"(\"}}], chain: [{plugin: mock}]}]", &["gatehouse.yaml:1:", "regex"]).await;
    check_refused("routes: [{name: a, chain: [{plugin: mock}]}, {name: a, chain: [{plugin: mock}]}]", &["gatehouse.yaml:1:", "a"]).await;
    check_refused(
        "upstreams: [{name: a, endpoints: [{url: \"ftp://a\"}]}]",
        &["gatehouse.yaml:1:", "upstreams[0].endpoints[0].url", "ftp://a"],
    )
    .await;
    check_refused(
        "upstreams: [{name: a, endpoints: [{url: \"http://a:1\"}], timeouts: {connect: soon}}]",
        &["gatehouse.yaml:1:", "connect", "soon"],
    )
    .await;
    check_refused("admin: {address: \"0.0.0.0:9080\"}", &["gatehouse.yaml:1:", "admin", "0.0.0.0:9080"]).await;
    check_refused(
        "routes: [{name: a, chain: [{plugin: mock, config: {stauts: 200}}]}]",
        &["gatehouse.yaml:1:", "routes[0].chain[0].config", "stauts"],
    )
    .await;
    check_refused("routes: [{name: a, chain: [{plugin: jwt, config: {issuer: nobody}}]}]", &["nobody"]).await;
}

#[tokio::test]
async fn a_file_that_is_not_there_is_a_problem_too() {
    let output = gatehouse(Path::new("/"), &["check", "/nowhere/gatehouse.yaml"]).await;
    assert_eq!(output.code, Some(78), "{output:?}");
    assert!(
        output.stderr.contains("/nowhere/gatehouse.yaml") || output.stdout.contains("/nowhere/gatehouse.yaml"),
        "it is named: {output:?}"
    );
}

#[tokio::test]
async fn a_start_with_a_bad_config_says_the_same_and_ends_with_78() {
    let (code, text) = Setup::new("routes: [{name: all, upstream: missing}]").start_refused().await;
    assert_eq!(code, Some(78), "{text}");
    assert!(text.contains("gatehouse.yaml:1:") && text.contains("routes[0].upstream") && text.contains("missing"), "{text}");
}

#[tokio::test]
async fn the_schema_is_one() {
    let output = gatehouse(Path::new("/"), &["schema"]).await;
    assert_eq!(output.code, Some(0), "{output:?}");
    let schema: Value = serde_json::from_str(&output.stdout).expect("a schema is JSON");
    for key in ["listeners", "admin", "upstreams", "issuers", "clients", "plugins", "routes"] {
        assert!(schema["properties"][key].is_object(), "{key} is described");
    }
    assert!(schema["$schema"].is_string(), "it says which kind of schema it is");
}

#[tokio::test]
async fn a_route_is_explained_with_its_rivals() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let rival = "  - {name: gold, match: [{path: {prefix: /orders}, headers: [{name: x-tier, exact: gold}]}], chain: [{plugin: mock}]}\n";
    std::fs::write(folder.path().join("gatehouse.yaml"), format!("{GOOD}{rival}")).expect("the folder takes files");
    let explain = async |more: &[&str]| {
        let arguments = [&["explain", "--config", "gatehouse.yaml", "GET", "http://any.example/orders/1"], more].concat();
        let output = gatehouse(folder.path(), &arguments).await;
        assert_eq!(output.code, Some(0), "{output:?}");
        output.stdout
    };
    let plain = explain(&[]).await;
    for word in ["orders", "rate-limit", "gold", "x-tier"] {
        assert!(plain.contains(word), "the winner, its chain, the loser and why: {word:?} in\n{plain}");
    }
    let gold = explain(&["-H", "x-tier: gold"]).await;
    let first = |text: &str| text.lines().next().unwrap_or_default().to_owned();
    assert!(first(&plain).starts_with("orders") && first(&gold).starts_with("gold"), "the winner comes first:\n{gold}");
    assert!(!gold.contains("null"), "a step without a configuration has an empty one or its defaults:\n{gold}");
    assert!(plain.contains("127.0.0.1:9001"), "where it goes in the end:\n{plain}");
}

#[tokio::test]
async fn an_explanation_for_programs_has_the_whole_chain() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let second = "  - {name: gold, match: [{path: {prefix: /orders}, headers: [{name: x-tier, exact: gold}]}], chain: [{plugin: api-key, on_error: skip}]}\n";
    std::fs::write(folder.path().join("gatehouse.yaml"), format!("{GOOD}{second}")).expect("the folder takes files");
    let explain = async |target: &str, more: &[&str]| {
        let arguments = [&["explain", "--json", "--config", "gatehouse.yaml", "GET", target], more].concat();
        let output = gatehouse(folder.path(), &arguments).await;
        let report: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        (output.code, report)
    };
    let (code, report) = explain("/orders/./7?a=b", &["-H", "host: any.example"]).await;
    assert_eq!(code, Some(0), "{report}");
    assert_eq!(report["request"], serde_json::json!({"method": "GET", "host": "any.example", "path": "/orders/7", "query": "a=b"}));
    let route = &report["route"];
    assert_eq!(route["name"], "orders");
    let step = &route["chain"][0];
    assert_eq!(
        (&step["plugin"], &step["on_error"], &step["config"]["rate"]),
        (&"rate-limit".into(), &"closed".into(), &5.into()),
        "{step}"
    );
    assert_eq!(step["version"].as_str().map(str::len), Some(12), "the digest's first digits: {step}");
    assert_eq!(route["upstreams"][0]["endpoints"][0]["url"], "http://127.0.0.1:9001");
    let lost = &report["candidates"][1];
    assert_eq!((&lost["route"], &lost["won"]), (&"gold".into(), &false.into()), "{lost}");
    assert!(lost["why"].as_str().is_some_and(|why| why.contains("x-tier")), "{lost}");

    let (_, report) = explain("/orders", &["-H", "x-tier: gold"]).await;
    let step = &report["route"]["chain"][0];
    assert_eq!((&step["on_error"], &step["config"]["header"]), (&"skip".into(), &"x-api-key".into()), "defaults are filled in: {step}");
    assert_eq!(report["route"]["upstreams"], serde_json::json!([]));
}

#[tokio::test]
async fn an_explanation_says_where_a_request_is_sent_instead() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let config = "\
upstreams: [{name: u, endpoints: [{url: 'http://127.0.0.1:9001'}]}]
routes:
  - {name: moved, match: [{path: {prefix: /old}}], redirect: {prefix: /new, status: 308}}
  - {name: inner, match: [{path: {prefix: /api}}], rewrite: {prefix: /v1}, upstream: u, mirror: [{upstream: u, percent: 5%}]}
";
    std::fs::write(folder.path().join("gatehouse.yaml"), config).expect("the folder takes files");
    let said = [
        ("/old/x", r#"redirect {"prefix":"/new","status":308}"#),
        ("/api/x", r#"rewrite {"prefix":"/v1"}"#),
        ("/api/x", r#"mirror {"upstream":"u","percent":"5%"}"#),
    ];
    for (target, said) in said {
        let output = gatehouse(folder.path(), &["explain", "--config", "gatehouse.yaml", "GET", target]).await;
        assert!(output.stdout.contains(said), "{target}: {output:?}");
        let json = gatehouse(folder.path(), &["explain", "--json", "--config", "gatehouse.yaml", "GET", target]).await;
        let report: Value = serde_json::from_str(&json.stdout).expect("it is JSON");
        assert!(report["route"]["redirect"]["prefix"] == "/new" || report["route"]["rewrite"]["prefix"] == "/v1", "{report}");
    }
}

#[tokio::test]
async fn a_request_that_no_route_takes_is_explained_too() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let config = "\
routes:
  - {name: a, hosts: [a.example], match: [{path: {prefix: /a}, methods: [GET]}], chain: [{plugin: mock}]}
  - {name: b, hosts: [b.example], match: [{path: {prefix: /b}, query: [{name: v, exact: \"2\"}]}], chain: [{plugin: mock}]}
";
    std::fs::write(folder.path().join("gatehouse.yaml"), config).expect("the folder takes files");
    std::fs::write(folder.path().join("empty.yaml"), "routes: []\n").expect("the folder takes files");
    std::fs::write(folder.path().join("bad.yaml"), "routes: 5\n").expect("the folder takes files");
    for (config, method, url, code, said) in [
        ("gatehouse.yaml", "GET", "http://c.example/a", 1, "404: no route is for the host c.example"),
        ("gatehouse.yaml", "GET", "/a", 1, "404: no route takes requests without a host"),
        ("gatehouse.yaml", "GET", "http://a.example/c", 1, "404: no route for this host is for the path /c"),
        ("gatehouse.yaml", "POST", "http://a.example/a", 1, "404: the path is served, the method POST is not"),
        ("gatehouse.yaml", "GET", "http://b.example/b?v=1", 1, "404: the nearest is b, but the query lacks"),
        ("gatehouse.yaml", "GET", "http://a.example/a%00", 1, "400: "),
        ("empty.yaml", "GET", "/", 1, "404: there are no routes"),
        ("bad.yaml", "GET", "/", 78, "routes"),
        ("missing.yaml", "GET", "/", 78, "missing.yaml"),
        ("gatehouse.yaml", "G T", "/", 2, "G T"),
    ] {
        let output = gatehouse(folder.path(), &["explain", "--config", config, method, url]).await;
        assert_eq!(output.code, Some(code), "{method} {url}: {output:?}");
        assert!(format!("{}{}", output.stdout, output.stderr).contains(said), "{method} {url}: {said} in {output:?}");
    }
}

#[tokio::test]
async fn a_route_can_be_served_without_any_file() {
    let origin = Origin::saying("through").await;
    let route = format!("/orders={}", origin.url());
    let gateway = Setup::without_config().arguments(&["--route", &route, "--listen", "127.0.0.1:0"]).start().await;
    assert_eq!(gateway.get("/orders/1").await.text(), "through");
    assert_eq!(origin.request().target(), "/orders/1", "the path is kept");
    gateway.get("/other").await.assert_problem(404, "no_route");
}

#[tokio::test]
async fn an_address_that_is_taken_is_said_to_be() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, text) = Setup::new(&format!("listeners: [{{name: public, address: \"{address}\"}}]")).start_refused().await;
    assert!(code.is_some_and(|code| code != 0), "it does not run on: {text}");
    assert!(text.contains(&address), "the address is named: {text}");
}

#[tokio::test]
async fn an_access_log_that_cannot_be_opened_is_said_to_be_and_why() {
    let (code, text) = Setup::new("access_log: {to: /nowhere/access.log}").start_refused().await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("access log /nowhere/access.log cannot be opened: No such file or directory"), "{text}");
}

#[tokio::test]
async fn arguments_that_are_wrong_are_explained() {
    for arguments in [&["run", "--route", "orders"][..], &["run", "--listen", "nowhere"], &["fly"], &["run", "--workers", "none"]] {
        let output = gatehouse(Path::new("/"), arguments).await;
        assert!(output.code.is_some_and(|code| code != 0), "{arguments:?}: {output:?}");
        assert!(!output.stderr.is_empty() && !output.stderr.contains("panicked"), "{arguments:?} is explained: {output:?}");
    }
}

#[tokio::test]
async fn secrets_of_the_config_are_hashes_only() {
    let config = format!(
        "
        clients: [{{name: acme, keys: [{{sha256: \"{}\"}}]}}]
        routes: [{{name: all, chain: [{{plugin: api-key}}, {{plugin: mock}}]}}]
        ",
        sha256("the-key")
    );
    let gateway = Setup::new(&config).start().await;
    assert_eq!(gateway.ask(get("/").header("x-api-key", "the-key")).await.status, 200);
    assert!(!gateway.log().contains("the-key") && !gateway.output().contains("the-key"), "a key is never written");
    let entry = gateway.access_log(1).await.remove(0);
    assert!(!entry.to_string().contains("the-key"), "not even into the access log: {entry}");
}
