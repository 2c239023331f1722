//! Bodies and trailers on their way through a filter.

use gatehouse_tests::{Answer, Client, Origin, request};

use super::house::House;

fn post(mode: &str) -> gatehouse_tests::Request {
    request("POST", "/").header("x-mode", mode)
}

#[tokio::test]
async fn a_filter_judges_a_body_when_it_has_all_of_it() {
    let house = House::with("probe").await;
    let chunks: [&[u8]; 3] = [b"something ", b"forb", b"idden"];
    let refused = house.gateway.ask(post("judge").chunks(&chunks)).await;
    assert_eq!((refused.status, refused.text().as_str()), (403, "not that"));
    let allowed = house.gateway.ask(post("judge").chunks(&[b"something ", b"else"])).await;
    assert_eq!(allowed.status, 200);
    assert_eq!(house.origin.requests().last().map(|request| request.body.clone()), Some(b"something else".to_vec()));
}

#[tokio::test]
async fn a_filter_that_pauses_is_shown_all_that_is_held() {
    let origin = Origin::start(|_| Answer::chunked(&["one", "two", "three"])).await;
    let house = House::between("probe", "", "", origin, Origin::saying("").await).await;
    assert_eq!(house.play("count-response").await.text(), "onetwothree");
    house.said("a response of 11 bytes").await;
}

#[tokio::test]
async fn a_filter_changes_each_piece_as_it_passes() {
    let house = House::with("probe").await;
    house.gateway.ask(post("each").chunks(&[b"ab", b"cd"])).await;
    let text = house.body().await;
    assert!(text.starts_with('[') && text.replace(['[', ']'], "") == "abcd", "{text}");
}

#[tokio::test]
async fn a_length_that_the_filter_left_in_the_head_is_kept_or_the_request_ends() {
    let house = House::with("probe").await;
    house.gateway.ask(post("longer").chunks(&[b"some"])).await;
    let text = house.body().await;
    assert!(text.starts_with("some and more"), "without a length any will do: {text}");
    let declared = house.gateway.ask(post("longer").body("some")).await;
    declared.assert_problem(503, "plugin_trap");
    house.assert_works().await;
}

#[tokio::test]
async fn a_body_that_passes_keeps_its_length() {
    let house = House::with("probe").await;
    house.gateway.ask(post("").body("twelve bytes")).await;
    assert_eq!(house.origin.request().header("content-length").as_deref(), Some("12"));
    let response = house.gateway.ask(post("").body("twelve bytes")).await;
    assert_eq!(response.header("content-length"), Some("5"), "nobody changed it");
}

#[tokio::test]
async fn no_more_of_a_body_is_held_than_the_limit_says() {
    let house = House::configured("probe", "limits: {body: 64KiB}", "").await;
    let large = house.gateway.ask(post("hold").body(vec![b'x'; 1 << 20])).await;
    large.assert_problem(413, "body_too_large");
    let passing = house.gateway.ask(post("").body(vec![b'x'; 1 << 20])).await;
    assert_eq!(passing.status, 200, "what passes is not held");
    house.assert_works().await;
}

#[tokio::test]
async fn a_filter_changes_trailers() {
    let origin = Origin::start(|_| {
        Answer::head(200, &[("transfer-encoding", "chunked"), ("trailer", "x-sum")]).then_send("3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n")
    });
    let house = House::between("probe", "", "", origin.await, Origin::saying("").await).await;
    let mut client = Client::connect(house.gateway.address()).await;
    client.send(b"GET / HTTP/1.1\r\nhost: test.example\r\nte: trailers\r\nconnection: te, close\r\n\r\n").await;
    let response = String::from_utf8_lossy(&client.rest().await.0).into_owned();
    assert!(response.contains("x-sum: 7, seen"), "{response}");
}

#[tokio::test]
async fn a_reply_that_comes_too_late_ends_the_response() {
    let house = House::with("probe").await;
    let mut client = Client::connect(house.gateway.address()).await;
    client.send(b"GET / HTTP/1.1\r\nhost: test.example\r\nx-mode: late\r\n\r\n").await;
    client.rest().await;
    house.gateway.wait_for_log("says why", |line| line.contains("a reply after the response began")).await;
    house.assert_works().await;
}
