//! Cases on heads: what a plugin reads of one, writes into one, and answers itself.

use gatehouse_tests::{Client, get, request};

use super::house::{House, KEY, assert_says};

pub async fn an_unknown_action_changes_nothing(house: &House) {
    let response = house.gateway.ask(request("POST", "/nothing-known?a=b").header("x-in", "in").body("question")).await;
    assert_eq!((response.status, response.text().as_str()), (200, "hello"));
    assert_eq!(response.all("x-up"), ["1", "2"]);
    let arrived = house.arrived("/nothing-known?a=b");
    assert_eq!((arrived.method(), arrived.header("x-in").as_deref(), &*arrived.body), ("POST", Some("in"), &b"question"[..]));
}

pub async fn the_request_is_described(house: &House) {
    let response = house.gateway.ask(request("PURGE", "/a/../describe?a=b&c")).await;
    assert_says(&response, "PURGE http /describe?a=b&c 127.0.0.1");
    for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let response = house.gateway.ask(request(method, "/describe")).await;
        assert_says(&response, &format!("{method} http /describe 127.0.0.1"));
    }
}

pub async fn lines_of_one_header_are_read_in_order(house: &House) {
    let asked = get("/multi").header("x-in", "one").header("x-other", "no").header("X-In", "two").header("x-in", "a, b");
    assert_says(&house.gateway.ask(asked).await, "one|two|a, b");
}

pub async fn a_header_without_value_is_not_a_missing_one(house: &House) {
    assert_says(&house.given("/multi", "").await, "");
    assert_says(&house.get("/multi").await, "-");
}

pub async fn headers_are_set_added_and_removed(house: &House) {
    let asked = get("/edit").header("x-in", "old").header("x-in", "older").header("x-gone", "1").header("x-out", "zero");
    let response = house.gateway.ask(asked).await;
    let arrived = house.arrived("/edit");
    assert_eq!(arrived.all("x-in"), ["new"], "every line was replaced by one");
    assert_eq!(arrived.all("x-out"), ["zero", "one", "two"], "lines were added to the one that was there");
    assert!(arrived.all("x-gone").is_empty(), "{}", arrived.head);
    assert_eq!(response.all("x-late"), ["1", "2"], "the response was decorated: {}", response.head);
    assert!(response.all("x-gone").is_empty(), "{}", response.head);
}

pub async fn bytes_of_headers_survive(house: &House) {
    let value: Vec<u8> = (0x21..0x7f).chain(0x80..=0xff).collect();
    let mut client = Client::connect(house.gateway.address()).await;
    client.send([b"GET /binary HTTP/1.1\r\nhost: a\r\nx-in: ", &value[..], b"\r\nconnection: close\r\n\r\n"].concat()).await;
    let (answer, _) = client.rest().await;
    let line = [b"x-out: ", &value[..], b"\r\n"].concat();
    assert!(contains(&house.arrived("/binary").raw, &line), "the upstream got the bytes as they were");
    assert!(contains(&answer, &line), "and so did the client");
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

pub async fn all_headers_are_shown_to_those_who_ask(house: &House) {
    let response = house.gateway.ask(get("/all/others").header("X-Strange", "1").header("x-in", "in").header("x-strange", "2")).await;
    let text = response.text();
    let lines: Vec<_> = text.lines().collect();
    for line in ["host: test.example", "x-in: in", "x-strange: 1", "x-strange: 2"] {
        assert!(lines.contains(&line), "{line} is among {lines:?}");
    }
    assert_says(&house.gateway.ask(get("/others").header("x-strange", "1").header("x-in", "in")).await, "x-in: in");
}

pub async fn method_and_path_are_rewritten(house: &House) {
    assert_eq!(house.get("/rewrite").await.status, 200);
    assert_eq!(house.arrived("/changed?by=plugin").method(), "PURGE");
}

pub async fn a_known_client_is_shown(house: &House) {
    let known = house.gateway.ask(get("/known/client").header("x-api-key", KEY)).await;
    assert_says(&known, "acme api-key read,write gold");
    assert_says(&house.get("/client").await, "nobody");
}

pub async fn a_client_is_made_known(house: &House) {
    assert_says(&house.get("/twice/set-client").await, "kit reference a,b gold");
}

pub async fn the_request_id_is_replaced(house: &House) {
    let response = house.get("/dead/request-id").await;
    response.assert_problem(502, "upstream_connect");
    assert_eq!(response.header("x-request-id"), Some("kit-1"));
}

pub async fn a_plugin_answers_with_lines_of_one_header(house: &House) {
    let response = house.get("/respond").await;
    assert_eq!((response.status, response.text().as_str()), (418, "short and stout"));
    assert_eq!(response.all("x-a"), ["1", "2"]);
    assert_eq!(house.arrivals("/respond"), 0, "the upstream never saw it");
}

pub async fn a_plugin_answers_with_nothing(house: &House) {
    let response = house.get("/nothing").await;
    assert_eq!((response.status, response.body.len()), (204, 0));
}

pub async fn a_plugin_answers_with_many_bytes(house: &House) {
    let response = house.get("/bytes").await;
    assert_eq!(response.header("content-type"), Some("application/octet-stream"));
    assert!(response.body == (0..=255).collect::<Vec<u8>>().repeat(1000), "{} bytes arrived", response.body.len());
}

pub async fn a_problem_is_json(house: &House) {
    let response = house.get("/problem").await;
    assert_eq!((response.status, response.header("content-type")), (403, Some("application/problem+json")));
    let problem = response.json();
    assert_eq!((&problem["status"], &problem["title"]), (&403.into(), &"Forbidden".into()), "{problem}");
    assert_eq!(problem["detail"], "as \"asked\"");
}
