//! The access log: one line of JSON for each request, with what happened and without secrets.

use gatehouse_tests::{Answer, Gateway, Origin, Setup, get, http2::Http2, origin::nobody, request, tokens::sha256};
use serde_json::json;

async fn start(origin: &Origin) -> Gateway {
    let config = format!(
        "
        clients: [{{name: acme, keys: [{{sha256: \"{}\"}}]}}]
        upstreams:
          - {{name: origin, endpoints: [{{url: \"{}\"}}]}}
          - {{name: gone, endpoints: [{{url: \"http://{}\"}}]}}
        routes:
          - {{name: keyed, match: [{{path: {{prefix: /keyed}}}}], chain: [{{plugin: api-key}}], upstream: origin}}
          - {{name: gone, match: [{{path: {{prefix: /gone}}}}], upstream: gone}}
          - {{name: open, match: [{{path: {{prefix: /open}}}}], upstream: origin}}
        ",
        sha256("secret-key"),
        origin.url(),
        nobody()
    );
    Setup::new(&config).one_worker().start().await
}

#[tokio::test]
async fn a_line_tells_what_was_asked_and_what_came_of_it() {
    let origin = Origin::saying("hello").await;
    let gateway = start(&origin).await;
    let keyed = request("POST", "/keyed/a?token=secret-query").header("x-api-key", "secret-key").header("user-agent", "curl/9").body("abc");
    assert_eq!(gateway.ask(keyed).await.status, 200);
    let entry = gateway.access_log(1).await.remove(0);
    for (field, expected) in [
        ("listener", "public"),
        ("client_address", "127.0.0.1"),
        ("method", "POST"),
        ("host", "test.example"),
        ("path", "/keyed/a"),
        ("protocol", "HTTP/1.1"),
        ("route", "keyed"),
        ("upstream", "origin"),
        ("client", "acme"),
        ("user_agent", "curl/9"),
    ] {
        assert_eq!(entry[field], expected, "{field} in {entry}");
    }
    for (field, expected) in [("status", 200), ("bytes_in", 3), ("bytes_out", 5), ("attempts", 1), ("revision", 1)] {
        assert_eq!(entry[field], expected, "{field} in {entry}");
    }
    assert!(entry["endpoint"].to_string().contains(&origin.address().to_string()), "{entry}");
    let micros = |field: &str| entry[field].as_u64().unwrap_or_else(|| panic!("{field} is a number in {entry}"));
    assert!(micros("duration_us") >= micros("upstream_us") && micros("duration_us") >= micros("overhead_us"), "{entry}");
    let time = entry["time"].as_str().expect("a time");
    assert!(time.len() == 24 && time.ends_with('Z') && &time[10..11] == "T", "RFC 3339 with milliseconds: {time}");
    assert_eq!(entry["request_id"].as_str().map(str::len), Some(32), "{entry}");
}

#[tokio::test]
async fn a_line_holds_no_secret() {
    let origin = Origin::saying("hello").await;
    let gateway = start(&origin).await;
    let secretive = get("/keyed?key=secret-query")
        .header("x-api-key", "secret-key")
        .header("authorization", "Bearer secret-token")
        .header("cookie", "session=secret-cookie");
    gateway.ask(secretive).await;
    let line = gateway.access_log(1).await.remove(0).to_string();
    assert!(!line.contains("secret-"), "{line}");
}

#[tokio::test]
async fn flags_say_what_was_out_of_the_ordinary() {
    let origin = Origin::saying("hello").await;
    let gateway = start(&origin).await;
    let mut seen = 0;
    for (path, status, flag, error) in
        [("/open", 200, "", ""), ("/nowhere", 404, "NR", "no_route"), ("/gone", 502, "UC", "upstream_connect"), ("/keyed", 401, "AU", "")]
    {
        assert_eq!(gateway.get(path).await.status, status, "{path}");
        seen += 1;
        let entry = gateway.access_log(seen).await.pop().expect("a line for each request");
        assert_eq!(entry["status"], status, "{path}: {entry}");
        assert!(entry["flags"].to_string().contains(flag), "{path}: {flag} in {entry}");
        assert_eq!(entry["error"].as_str().unwrap_or_default(), error, "{path}: {entry}");
    }
    let refused = gateway.access_log(seen).await.pop().expect("the last line");
    assert_eq!(refused["plugin"], "api-key", "the plugin that answered is named");
}

#[tokio::test]
async fn a_refusal_of_a_plugin_is_told_from_the_same_status_of_an_upstream() {
    let origin = Origin::start(|request| Answer::new(request.target()[1..].parse().unwrap_or(200), &[], "")).await;
    let config = format!(
        "
        upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
        routes:
          - {{name: open, upstream: origin}}
          - {{name: limited, match: [{{path: {{prefix: /limited}}}}], chain: [{{plugin: rate-limit, config: {{rate: 0.01, burst: 1}}}}], upstream: origin}}
          - {{name: mocked, match: [{{path: {{prefix: /mocked}}}}], chain: [{{plugin: mock, config: {{status: 403}}}}]}}
        ",
        origin.url()
    );
    let gateway = Setup::new(&config).one_worker().start().await;
    for (count, (path, status, flags)) in [
        ("/429", 429, json!(null)),
        ("/401", 401, json!(null)),
        ("/limited", 200, json!(null)),
        ("/limited", 429, json!(["PR", "RL"])),
        ("/mocked", 403, json!(["PR", "AU"])),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(gateway.get(path).await.status, status, "{path}");
        let entry = gateway.access_log(count + 1).await.pop().expect("a line for each request");
        assert_eq!(entry.get("flags").unwrap_or(&json!(null)), &flags, "{path}: {entry}");
    }
}

#[tokio::test]
async fn the_times_of_plugins_are_told_for_as_many_lines_as_wanted() {
    let config = |share: &str| {
        format!(
            "
            access_log: {{to: $DIR/access.jsonl, plugin_times: {share}}}
            routes: [{{name: all, chain: [{{plugin: request-id}}, {{plugin: mock, name: answer}}]}}]
            "
        )
    };
    let gateway = Setup::new(&config("100%")).one_worker().start().await;
    gateway.get("/").await;
    let entry = gateway.access_log(1).await.remove(0);
    let times = entry["plugins"].as_object().unwrap_or_else(|| panic!("a map of times: {entry}"));
    assert_eq!(times.keys().collect::<Vec<_>>(), ["answer", "request-id"], "{entry}");
    gateway.reload(&config("0%")).await;
    gateway.get("/").await;
    let entry = gateway.access_log(2).await.remove(1);
    assert!(entry.get("plugins").is_none(), "{entry}");
}

#[tokio::test]
async fn refused_heads_are_logged_too() {
    let origin = Origin::saying("hello").await;
    let gateway = start(&origin).await;
    let mut client = gatehouse_tests::Client::connect(gateway.address()).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n").await;
    let id = client.response().await.header("x-request-id").expect("a problem has an id").to_owned();
    let entry = gateway.access_log(1).await.remove(0);
    assert_eq!((&entry["status"], &entry["error"], &entry["request_id"]), (&400.into(), &"bad_request".into(), &id.into()), "{entry}");
}

#[tokio::test]
async fn a_line_cannot_be_forged_by_what_is_asked_for() {
    let origin = Origin::saying("hello").await;
    let gateway = start(&origin).await;
    let sly = get("/open/%22%7d").header("user-agent", "a\",\"status\":999,\"x\":\"\u{2028}\u{ff}\\");
    assert_eq!(gateway.ask(sly).await.status, 200);
    let entries = gateway.access_log(1).await;
    assert_eq!(entries.len(), 1, "one request, one line");
    assert_eq!(entries[0]["status"], 200, "{}", entries[0]);
}

#[tokio::test]
async fn http_2_is_logged_as_such() {
    let origin = Origin::saying("hello").await;
    let gateway = start(&origin).await;
    Http2::connect(gateway.address()).await.get("/open").await;
    assert_eq!(gateway.access_log(1).await[0]["protocol"], "HTTP/2");
}

#[tokio::test]
async fn a_log_that_was_moved_away_is_begun_anew() {
    let origin = Origin::saying("hello").await;
    let gateway = start(&origin).await;
    gateway.get("/open/1").await;
    gateway.access_log(1).await;
    let moved = gateway.folder().join("access.old");
    std::fs::rename(gateway.access_log_path(), &moved).unwrap();
    gateway.signal(libc::SIGHUP);
    gatehouse_tests::wire::eventually("the log to be opened anew", || gateway.access_log_path().exists()).await;
    gateway.get("/open/2").await;
    assert_eq!(gateway.access_log(1).await[0]["path"], "/open/2");
    assert_eq!(std::fs::read_to_string(moved).unwrap().lines().count(), 1, "and the old one was left alone");
}
