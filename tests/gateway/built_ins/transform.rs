//! `transform`: headers, path, query and JSON, both ways.

use std::time::Duration;

use gatehouse_tests::{Answer, Client, Gateway, Origin, Request, gateway::gatehouse, get, http2::Http2, request};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::start;

const MIB: usize = 1 << 20;

/// A gateway that takes long bodies and has a `transform` with this configuration.
async fn roomy(config: &str, origin: &Origin) -> Gateway {
    let chain = format!("{{plugin: transform, config: {config}}}");
    let upstreams = format!("upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]", origin.url());
    Gateway::start(&format!("{upstreams}\nroutes: [{{name: all, max_body: 100MiB, chain: [{chain}], upstream: origin}}]\n")).await
}

fn post_json(body: impl Into<Vec<u8>>) -> Request {
    request("POST", "/").header("content-type", "application/json").body(body)
}

/// A list of records, of about this length.
fn records(length: usize) -> String {
    let record =
        |at: usize| format!(r#"{{"id":{at},"name":"Ada L\u00f6velace","secret":"x{at}","price":1.10,"tags":["a","b","c"],"note":null}}"#);
    let all: Vec<String> = (0..length / record(10_000).len()).map(record).collect();
    format!(r#"{{"items":[{}],"total":12345678901234567890123}}"#, all.join(","))
}

#[tokio::test]
async fn request_headers_path_and_query_are_rewritten() {
    let origin = Origin::saying("through").await;
    let chain = "{plugin: transform, config: {request: {path: /new, query: {set: {q: \"1 2\"}, remove: [drop]}, \
        headers: {set: {x-set: s}, append: {x-many: b}, remove: [x-gone], rename: {x-old: x-new}}}}}";
    let gateway = start(chain, &[("origin", origin.url())]).await;
    let asked = get("/old?drop=1&keep=2").header("x-set", "client").header("x-many", "a").header("x-gone", "g").header("x-old", "o");
    assert_eq!(gateway.ask(asked).await.status, 200);
    let arrived = origin.request();
    let (path, query) = arrived.target().split_once('?').expect("a query is left");
    assert_eq!(path, "/new");
    let pairs: Vec<&str> = query.split('&').collect();
    assert!(pairs.contains(&"keep=2") && (pairs.contains(&"q=1%202") || pairs.contains(&"q=1+2")) && pairs.len() == 2, "{query}");
    assert_eq!(arrived.all("x-set"), ["s"]);
    assert_eq!(arrived.all("x-many"), ["a", "b"]);
    assert!(arrived.header("x-gone").is_none() && arrived.header("x-old").is_none());
    assert_eq!(arrived.all("x-new"), ["o"]);
}

#[tokio::test]
async fn json_is_rewritten_both_ways() {
    let origin = Origin::start(|_| Answer::json(200, &json!({"secret": 1, "old": {"deep": 2}, "kept": [3]}))).await;
    let chain = "{plugin: transform, config: {request: {json: {set: {added: true}, remove: [password], rename: {a: b}}}, \
        response: {json: {remove: [secret], move: {old.deep: shallow}}}}}";
    let gateway = start(chain, &[("origin", origin.url())]).await;
    let body = json!({"a": 1, "password": "p"}).to_string();
    let response = gateway.ask(request("POST", "/").header("content-type", "application/json").body(body)).await;
    let arrived: serde_json::Value = serde_json::from_slice(&origin.request().body).expect("JSON arrived");
    assert_eq!(arrived, json!({"added": true, "b": 1}));
    assert_eq!(origin.request().header("content-length"), Some(origin.request().body.len().to_string()), "the length fits the new body");
    assert_eq!(response.json(), json!({"old": {}, "kept": [3], "shallow": 2}));
}

#[tokio::test]
async fn what_is_no_json_is_refused() {
    let origin = Origin::saying("not json").await;
    let chain = "{plugin: transform, config: {request: {json: {remove: [a]}}, response: {json: {remove: [a]}}}}";
    let gateway = start(chain, &[("origin", origin.url())]).await;
    let refused = gateway.ask(request("POST", "/").header("content-type", "application/json").body("{")).await;
    assert_eq!(refused.status, 400, "{}", refused.head);
    assert_eq!(origin.hits(), 0, "half-read bodies do not go on");
    let refused = gateway.ask(request("POST", "/").header("content-type", "application/json").body("{}")).await;
    assert_eq!(refused.status, 502, "an upstream's answer that cannot be edited is not passed on: {}", refused.head);
}

#[tokio::test]
async fn response_status_and_headers_are_rewritten() {
    let origin = Origin::start(|_| Answer::new(200, &[("server", "origin/1"), ("x-old", "o")], "through")).await;
    let chain =
        "{plugin: transform, config: {response: {status: 203, headers: {set: {x-set: s}, remove: [server], rename: {x-old: x-new}}}}}";
    let gateway = start(chain, &[("origin", origin.url())]).await;
    let response = gateway.get("/").await;
    assert_eq!((response.status, response.text().as_str()), (203, "through"));
    assert_eq!((response.header("x-set"), response.header("server"), response.header("x-new")), (Some("s"), None, Some("o")));
}

#[tokio::test]
async fn a_body_of_a_megabyte_is_edited_within_the_limits_both_ways() {
    let sent = records(MIB - 4096);
    let answer = sent.clone();
    let origin = Origin::start(move |_| Answer::new(200, &[("content-type", "application/json"), ("etag", "\"1\"")], &answer)).await;
    let edits = "{remove: [\"items[*].secret\"], rename: {\"items[*].id\": key}, set: {by: gatehouse}}";
    let gateway = roomy(&format!("{{request: {{json: {edits}}}, response: {{json: {edits}}}}}"), &origin).await;
    let mut expected: Value = serde_json::from_str(&sent).expect("JSON");
    for item in expected["items"].as_array_mut().expect("items") {
        let item = item.as_object_mut().expect("an object");
        item.remove("secret");
        let id = item.remove("id").expect("an id");
        item.insert("key".into(), id);
    }
    expected["by"] = json!("gatehouse");

    let response = gateway.ask(post_json(sent)).await;
    assert_eq!(response.status, 200, "{}", response.text());
    assert!(response.json() == expected, "every record came back edited");
    assert_eq!(response.header("etag"), None, "it was of another body");
    let arrived = origin.request();
    assert!(serde_json::from_slice::<Value>(&arrived.body).expect("JSON") == expected, "and went out edited");
    let text = String::from_utf8(arrived.body.clone()).expect("text");
    assert!(text.contains(r#""total":12345678901234567890123"#) && text.contains(r#""price":1.10"#), "with every digit");
    assert!(text.starts_with(r#"{"items":[{"key":0,"name":"#), "in its order: {}", &text[..60]);
    assert_eq!(arrived.header("content-length"), Some(arrived.body.len().to_string()), "the length fits the new body");
    assert_eq!(gateway.metrics().await.sum("gatehouse_plugin_faults_total", &[]), 0.0, "no limit was met");
}

#[tokio::test]
async fn a_body_that_was_made_to_be_dear_meets_no_limit() {
    let origin = Origin::saying("through").await;
    let edits = "{remove: [\"[*].x\", \"[*][*].x\", \"*.*.*.x\"], set: {\"[*].*\": 1}}";
    let gateway = roomy(&format!("{{on_unparsable: pass, request: {{json: {edits}}}}}"), &origin).await;
    let filled = |start: &str, piece: &str, end: &str| [start, &piece.repeat((MIB - 64) / piece.len()), end].concat();
    let dear = [
        filled("[", "0,", "0]"),
        filled("[", "[0],", "0]"),
        filled("[", "{\"\":0},", "0]"),
        filled("[", "[{}],", "0]"),
        filled("{", "\"\":0,", "\"\":0}"),
        filled("{", "\"\\u0061\":{},", "\"\":0}"),
        filled("", "[", ""),
        ["[".repeat(MIB / 2 - 64), "]".repeat(MIB / 2 - 64)].concat(),
    ];
    for body in dear {
        let start = body[..20].to_owned();
        let response = gateway.ask(post_json(body)).await;
        assert_eq!(response.status, 200, "{start}: {}", response.text());
    }
    assert_eq!(gateway.metrics().await.sum("gatehouse_plugin_faults_total", &[]), 0.0, "no limit was met");
}

#[tokio::test]
async fn a_json_body_that_is_too_large_is_refused_either_way() {
    let origin = Origin::start(|_| Answer::new(200, &[("content-type", "application/json")], " ".repeat(MIB + 1))).await;
    let gateway = roomy("{request: {json: {remove: [a]}}, response: {json: {remove: [a]}}}", &origin).await;
    gateway.ask(post_json(vec![b' '; MIB + 1])).await.assert_problem(413, "body_too_large");
    gateway
        .ask(request("POST", "/").header("content-type", "application/x+json").chunks(&[&vec![b' '; MIB + 1]]))
        .await
        .assert_problem(413, "body_too_large");
    assert_eq!(origin.hits(), 0, "nothing went on");
    let refused = gateway.ask(post_json("{}")).await;
    assert_eq!((refused.status, refused.header("x-gatehouse-error")), (502, Some("body_too_large")), "{}", refused.head);
    let roomier = roomy("{max_body: 2MiB, request: {json: {remove: [a]}}}", &origin).await;
    assert_eq!(roomier.ask(post_json(format!("{}{{}}", " ".repeat(MIB)))).await.status, 200, "the limit is the operator's");
}

#[tokio::test]
async fn a_compressed_body_is_refused_or_passes_by_the_policy() {
    let origin =
        Origin::start(|_| Answer::new(200, &[("content-type", "application/json"), ("content-encoding", "gzip")], "\u{1f}zip")).await;
    let config = "request: {json: {remove: [a]}}, response: {json: {remove: [a]}}";
    let gateway = roomy(&format!("{{{config}}}"), &origin).await;
    let zipped = || post_json("\u{1f}zip").header("content-encoding", "gzip").header("accept-encoding", "gzip, br");
    let refused = gateway.ask(zipped()).await;
    assert_eq!((refused.status, origin.hits()), (415, 0), "it cannot be read: {}", refused.head);
    assert_eq!(gateway.ask(post_json("{}").header("accept-encoding", "gzip")).await.status, 502, "nor can the upstream's");
    assert_eq!(origin.request().header("accept-encoding"), None, "which was not invited to compress");
    let passing = roomy(&format!("{{on_unparsable: pass, {config}}}"), &origin).await;
    let passed = passing.ask(zipped()).await;
    assert_eq!((passed.status, passed.text().as_str(), passed.header("content-encoding")), (200, "\u{1f}zip", Some("gzip")));
    assert_eq!(origin.requests()[1].body, "\u{1f}zip".as_bytes(), "it went on as it was");
}

#[tokio::test]
async fn a_body_of_another_type_passes_a_json_edit_at_any_length() {
    let bytes: Vec<u8> = (0..20 * MIB).map(|at| (at % 251) as u8).collect();
    let answer = bytes.clone();
    let origin = Origin::start(move |_| Answer::new(200, &[("content-type", "image/png"), ("etag", "\"1\"")], &answer)).await;
    let gateway = roomy("{request: {json: {remove: [a]}}, response: {json: {remove: [a]}}}", &origin).await;
    let chunks: Vec<&[u8]> = bytes.chunks(100_000).collect();
    let response = gateway.ask(request("POST", "/").header("content-type", "application/octet-stream").chunks(&chunks)).await;
    assert_eq!((response.status, response.header("etag")), (200, Some("\"1\"")), "{}", response.head);
    assert!(response.body == bytes, "every byte came back");
    assert!(origin.request().body == bytes, "and went out");
}

#[tokio::test]
async fn a_streamed_body_passes_when_only_the_head_is_edited() {
    let bytes: Vec<u8> = (0..20 * MIB).map(|at| (at % 251) as u8).collect();
    let answer = bytes.clone();
    let origin = Origin::start(move |asked| match asked.target() {
        "/slow" => Answer::head(200, &[("transfer-encoding", "chunked")])
            .then_chunk("early")
            .then_wait(Duration::from_secs(2))
            .then_chunk("late")
            .then_send("0\r\n\r\n"),
        _ => Answer::new(200, &[("content-type", "application/json")], &answer),
    })
    .await;
    let gateway = roomy("{request: {headers: {set: {x-a: b}}, query: {set: {q: x}}}, response: {headers: {set: {x-c: d}}}}", &origin).await;
    let chunks: Vec<&[u8]> = bytes.chunks(100_000).collect();
    let response = gateway.ask(request("POST", "/").header("content-type", "application/json").chunks(&chunks)).await;
    assert_eq!((response.status, response.header("x-c")), (200, Some("d")), "{}", response.head);
    assert!(response.body == bytes && origin.request().body == bytes, "every byte is the same, both ways");

    let gateway = roomy("{response: {status: 203, headers: {rename: {x-a: x-b}}}}", &origin).await;
    let mut client = Client::connect(gateway.address()).await;
    let begun = Instant::now();
    client.send(get("/slow").bytes()).await;
    assert_eq!(client.head().await.status, 203);
    assert_eq!(client.chunk().await, b"early");
    assert!(begun.elapsed() < Duration::from_secs(1), "the first part did not wait for the second: {:?}", begun.elapsed());
    assert_eq!(client.chunk().await, b"late");
}

#[tokio::test]
async fn a_response_without_a_body_keeps_its_head() {
    let origin = Origin::start(|asked| {
        let headers = [("content-type", "application/json"), ("etag", "\"1\"")];
        match asked.target() {
            "/none" => Answer::head(204, &headers),
            "/same" => Answer::head(304, &headers),
            _ => Answer::head(200, &[headers[0], headers[1], ("content-length", "11")]),
        }
    })
    .await;
    let gateway = roomy("{response: {json: {set: {a: 1}}}}", &origin).await;
    for (asked, status, length) in [(get("/none"), 204, None), (get("/same"), 304, None), (request("HEAD", "/"), 200, None)] {
        let response = gateway.ask(asked).await;
        assert_eq!((response.status, response.header("etag")), (status, Some("\"1\"")), "{}", response.head);
        assert_eq!(response.header("content-length"), length, "{}", response.head);
        assert!(response.body.is_empty(), "there is nothing to edit");
    }
}

#[tokio::test]
async fn templates_carry_the_request_into_both_bodies() {
    let origin = Origin::start(|_| Answer::json(404, &json!({"who": "forged"}))).await;
    let chain = "{plugin: transform, config: {request: {method: PUT, path: \"/u/{request.segment.1}\", json: {set: {lang: \"{request.header.accept-language:-en}\"}}}, \
        response: {headers: {set: {x-what: \"{request.path} {response.status}\"}}, json: {set: {who: \"{client.name}\", was: \"{response.status}\", q: \"{request.query.q}\"}}}}}";
    let gateway = start(chain, &[("origin", origin.url())]).await;
    let response = gateway.ask(request("POST", "/users/7?q=a%20b").header("content-type", "application/json").body("{}")).await;
    let arrived = origin.request();
    assert_eq!((arrived.method(), arrived.target()), ("PUT", "/u/7?q=a%20b"));
    assert_eq!(arrived.body, br#"{"lang":"en"}"#);
    assert_eq!(response.header("x-what"), Some("/users/7 404"));
    assert_eq!(response.json(), json!({"was": 404, "q": "a b"}), "and nobody was authenticated");
}

#[tokio::test]
async fn check_names_the_place_of_each_mistake() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "
upstreams: [{name: a, endpoints: [{url: \"http://127.0.0.1:1\"}]}]
routes:
  - name: all
    upstream: a
    chain:
      - plugin: transform
        config:
          on_unparsable: drop
          max_body: 1 MB
          request:
            headers: {sett: {a: b}}
            query: {remove: debug}
          response: {status: 99}
";
    std::fs::write(folder.path().join("gatehouse.yaml"), text).expect("it can be written");
    let output = gatehouse(folder.path(), &["check", "gatehouse.yaml"]).await;
    assert_eq!(output.code, Some(78), "{output:?}");
    let said = output.stdout + &output.stderr;
    for expected in [
        "gatehouse.yaml:9:26: routes[0].chain[0].config.on_unparsable: got \"drop\", want reject or pass",
        "gatehouse.yaml:10:21: routes[0].chain[0].config.max_body: got \"1 MB\"",
        "gatehouse.yaml:12:23: routes[0].chain[0].config.request.headers.sett: got the unknown key \"sett\", want one of append, remove, rename, set (hint: did you mean set?)",
        "gatehouse.yaml:13:29: routes[0].chain[0].config.request.query.remove: got \"debug\", want a list",
        "gatehouse.yaml:14:30: routes[0].chain[0].config.response.status: got 99, want",
    ] {
        assert!(said.contains(expected), "{expected}\nis not in\n{said}");
    }
}

#[tokio::test]
async fn a_changed_method_or_status_keeps_its_framing() {
    let origin = Origin::start(|_| Answer::ok("a body")).await;
    let path = |plugin: &str, name: &str, config: &str| {
        format!(
            "{{name: {name}, match: [{{path: {{prefix: /{name}}}}}], chain: [{{plugin: {plugin}, config: {config}}}], upstream: origin}}"
        )
    };
    let routes = [
        path("transform", "none", "{response: {status: 204}}"),
        path("transform", "reset", "{response: {status: 205}}"),
        path("transform", "same", "{response: {status: 304}}"),
        path("transform", "head", "{request: {method: HEAD}}"),
        path("transform", "json", "{response: {json: {set: {a: 1}}}, content_types: [\"*/*\"]}"),
    ];
    let upstreams = format!("upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]", origin.url());
    let gateway = Gateway::start(&format!("{upstreams}\nroutes: [{}]\n", routes.join(", "))).await;
    let client = Http2::connect(gateway.address()).await;
    for (target, status) in [("/none", 204), ("/reset", 205), ("/same", 304), ("/head", 200)] {
        for response in [gateway.get(target).await, client.get(target).await] {
            assert_eq!((response.status, response.text().as_str()), (status, ""), "{target}: {}", response.head);
        }
    }
    assert_eq!(gateway.get("/none").await.header("content-length"), None, "RFC 9110 §8.6: a 204 has none");
    let head = gateway.ask(request("HEAD", "/json")).await;
    assert_eq!((head.status, head.header("content-length")), (200, None), "a GET would not be as long as the upstream's");
}

#[tokio::test]
async fn a_client_cannot_make_a_path_that_climbs_or_faults() {
    let origin = Origin::saying("through").await;
    let chain = "{plugin: transform, config: {request: {path: \"/files/{request.query.name}\", query: {set: {a: b}}}}}";
    let gateway = start(chain, &[("origin", origin.url())]).await;
    for climbing in ["..%2fetc", "%2e%2e%2Fetc", "a%2F..%2F..%2Fetc", "..%5Cetc", "%00", ".."] {
        let response = gateway.get(&format!("/?name={climbing}")).await;
        assert_eq!(response.status, 400, "{climbing}: {}", response.text());
    }
    assert_eq!(origin.hits(), 0, "none of them reached the upstream");
    assert_eq!(gateway.get("/?name=a%2Fb..c").await.status, 200);
    assert_eq!(origin.request().target(), "/files/a%2Fb..c?name=a%2Fb..c&a=b");
    assert_eq!(gateway.get("/?name=x&q=a\\b").await.status, 200, "a backslash in a query is the client's to send");
    assert_eq!(origin.requests()[1].target(), "/files/x?name=x&q=a\\b&a=b");
    let long = format!("/?name=x&q={}", "a".repeat(16_366));
    assert_eq!(gateway.get(&long).await.status, 414, "as for a client's own target");
}

#[tokio::test]
async fn what_a_plugin_refuses_of_its_configuration_is_shown_where_it_stands() {
    let folder = tempfile::tempdir().expect("a folder for it");
    let text = "\
routes:
  - name: all
    chain:
      - {plugin: rate-limit, config: {rate: 1, burst: 2, cost: 3}}
      - {plugin: transform, config: {request: {path: \"/a b\"}}}
      - {plugin: transform, config: {request: {path: /x/../y}}}
      - plugin: aggregate
        config:
          parts:
            - {name: a, upstream: o, path: /a}
            - {name: b, upstream: o, path: /\u{e9}}
      - {plugin: aggregate, config: {partial_status: 204, parts: [{name: a, upstream: o, path: /}]}}
    upstream: o
upstreams: [{name: o, endpoints: [{url: \"http://127.0.0.1:1\"}]}]
";
    std::fs::write(folder.path().join("gatehouse.yaml"), text).expect("it can be written");
    let output = gatehouse(folder.path(), &["check", "gatehouse.yaml"]).await;
    assert_eq!(output.code, Some(78), "{output:?}");
    let said = output.stdout + &output.stderr;
    for expected in [
        "gatehouse.yaml:4:64: routes[0].chain[0].config.cost: got 3, want a value that rate-limit takes: got 3, want 1 to 2",
        "gatehouse.yaml:5:54: routes[0].chain[1].config.request.path: got \"/a b\", want a value that transform takes",
        "gatehouse.yaml:6:54: routes[0].chain[2].config.request.path: got \"/x/../y\"",
        "gatehouse.yaml:11:44: routes[0].chain[3].config.parts[1].path: got \"/\u{e9}\", want a value that aggregate takes",
        "routes[0].chain[4].config.partial_status: got 204",
    ] {
        assert!(said.contains(expected), "{expected}\nis not in\n{said}");
    }
}
