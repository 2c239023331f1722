//! Cases on bodies: whole and in chunks, of any size, in both directions.

use gatehouse_tests::{Client, request, wire::eventually};

use super::house::House;

pub async fn whole_bodies_are_rewritten_both_ways(house: &House) {
    let response = house.gateway.ask(request("POST", "/buffered/upper").chunks(&[b"ques", b"tion"])).await;
    assert_eq!((response.status, response.text().as_str()), (200, "HELLO"));
    let arrived = house.arrived("/buffered/upper");
    assert_eq!((&*arrived.body, arrived.header("x-length").as_deref()), (&b"QUESTION"[..], Some("8")));
}

pub async fn empty_bodies_are_bodies(house: &House) {
    let response = house.post("/buffered/upper?empty", "").await;
    assert_eq!((response.status, response.body.len()), (200, 0));
    let arrived = house.arrived("/buffered/upper?empty");
    assert_eq!((arrived.body.len(), arrived.header("x-length").as_deref()), (0, Some("0")), "{}", arrived.head);
}

pub async fn bytes_of_bodies_survive(house: &House) {
    let bytes: Vec<u8> = (0..=255).collect();
    let response = house.post("/buffered/upper?bytes", bytes.clone()).await;
    assert_eq!(response.body, bytes.to_ascii_uppercase());
    assert_eq!(house.arrived("/buffered/upper?bytes").body, bytes.to_ascii_uppercase());
}

pub async fn a_body_at_the_limit_is_whole_and_one_beyond_is_refused(house: &House) {
    let response = house.post("/buffered/upper?full", "y".repeat(1000)).await;
    assert_eq!((response.status, response.text()), (200, "X".repeat(1000)));
    assert_eq!(house.arrived("/buffered/upper?full").body, "Y".repeat(1000).into_bytes());
    house.post("/buffered/beyond", "y".repeat(1001)).await.assert_problem(413, "body_too_large");
    house.gateway.ask(request("POST", "/buffered/beyond").chunks(&[&[b'y'; 1001]])).await.assert_problem(413, "body_too_large");
    assert_eq!(house.arrivals("/buffered/beyond"), 0, "what is too large does not arrive");
    let large = house.get("/buffered/upper?large").await;
    assert_eq!((large.status, large.header("x-gatehouse-error")), (502, Some("body_too_large")), "{}", large.head);
}

pub async fn a_plugin_lowers_the_limit(house: &House) {
    assert_eq!(house.post("/limit-body", "0123456789").await.status, 200);
    house.post("/limit-body", "0123456789a").await.assert_problem(413, "body_too_large");
}

pub async fn a_request_streams_chunk_by_chunk(house: &House) {
    let target = "/streamed/upper?slow";
    let mut client = Client::connect(house.gateway.address()).await;
    client.send(format!("POST {target} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")).await;
    eventually("the first chunk, before there is a second", || house.arrivals(target) == 1 && house.arrived(target).body == b"ONE").await;
    client.send("3\r\ntwo\r\n0\r\n\r\n").await;
    assert_eq!(client.response().await.text(), "HELLO<end>");
    assert_eq!(house.arrived(target).body, b"ONETWO<end>");
}

pub async fn a_response_streams_chunk_by_chunk(house: &House) {
    let mut client = Client::connect(house.gateway.address()).await;
    client.send("GET /streamed/upper?stall HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(client.head().await.status, 200);
    assert_eq!(client.chunk().await, b"ONE", "the first chunk comes before there is a second");
    drop(client);
    let whole = house.get("/streamed/upper?chunks").await;
    assert_eq!(whole.text(), "ONETWOTHREE<end>");
}

pub async fn chunks_are_held_back_and_remembered(house: &House) {
    let target = "/streamed/hold?chunks";
    let response = house.gateway.ask(request("POST", target).chunks(&[b"four", b"five"])).await;
    assert_eq!((response.status, response.text().as_str()), (200, "onetwothree"));
    assert_eq!(house.arrived(target).body, b"fourfive");
}

pub async fn a_request_is_stopped_inside_its_body(house: &House) {
    let mut client = Client::connect(house.gateway.address()).await;
    client.send("POST /streamed/stop HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\ngo\r\n").await;
    eventually("the first chunk", || house.arrivals("/streamed/stop") == 1 && house.arrived("/streamed/stop").body == b"go").await;
    client.send("4\r\nstop\r\n").await;
    let response = client.response().await;
    assert_eq!((response.status, response.text().as_str()), (409, "stopped"));
    assert!(!house.arrived("/streamed/stop").whole, "no whole request arrived");
}

pub async fn a_megabyte_streams_both_ways(house: &House) {
    let response = house.post("/streamed/upper?megabyte", "y".repeat(1 << 20)).await;
    let whole = |body: &[u8], letter: u8| body.len() == (1 << 20) + 5 && body[..1 << 20].iter().all(|&byte| byte == letter);
    assert!(whole(&response.body, b'X'), "{} bytes came back", response.body.len());
    let arrived = house.arrived("/streamed/upper?megabyte");
    assert!(whole(&arrived.body, b'Y'), "{} bytes arrived", arrived.body.len());
}
