//! Heads: what a filter changes, what it may not, what it learns.

use super::house::House;

#[tokio::test]
async fn a_filter_changes_the_head_of_a_request() {
    let house = House::with("probe").await;
    let request = gatehouse_tests::get("/a").header("x-mode", "rewrite").header("x-gone", "1");
    house.gateway.ask(request).await;
    let sent = house.origin.request();
    assert_eq!((sent.method(), sent.target()), ("PUT", "/rewritten?by=probe"));
    assert_eq!(sent.header("host").as_deref(), Some("rewritten.test"));
    assert_eq!(sent.all("x-twice"), ["1", "2"]);
    assert_eq!((sent.header("x-gone"), sent.header("transfer-encoding")), (None, None), "framing is the gateway's");
}

#[tokio::test]
async fn a_filter_replaces_all_headers_and_the_message_stays_whole() {
    let house = House::with("probe").await;
    let response = house.gateway.ask(gatehouse_tests::get("/a").header("x-mode", "replace-all").header("x-other", "1")).await;
    assert_eq!(response.status, 200);
    let sent = house.origin.request();
    assert_eq!((sent.target(), sent.header("x-only").as_deref(), sent.header("x-other")), ("/all", Some("1"), None));
    assert_eq!(sent.header("host").as_deref(), Some("test.example"), "a host is not lost by leaving it out");
}

#[tokio::test]
async fn a_filter_changes_the_head_of_a_response() {
    let house = House::with("probe").await;
    let response = house.play("teapot").await;
    assert_eq!((response.status, response.text().as_str()), (418, "GET "));
    assert_eq!(response.header("x-probed"), Some("200 false 2"), "it saw what the origin said");
}

#[tokio::test]
async fn a_filter_answers_in_place_of_the_origin_and_of_its_response() {
    let house = House::with("probe").await;
    let response = house.play("replace-response").await;
    assert_eq!((response.status, response.text().as_str(), response.header("x-probe")), (451, "not for you", Some("replied")));
    assert_eq!(response.header("content-type"), Some("text/plain"), "as other hosts have it");
    assert_eq!(house.origin.hits(), 1);
}

#[tokio::test]
async fn a_filter_is_shown_its_own_answer() {
    let house = House::with("probe").await;
    let response = house.play("properties").await;
    assert_eq!((response.status, response.header("x-probed")), (200, Some("200 false 2")));
    assert_eq!(house.origin.hits(), 0);
}

#[tokio::test]
async fn a_filter_reads_properties_of_a_request() {
    let house = House::with("probe").await;
    let told = house.play("properties").await.text();
    let expected = [
        "request.path=/a?b=c",
        "request.url_path=/a",
        "request.query=b=c",
        "request.host=test.example",
        "request.method=GET",
        "request.scheme=http",
        "request.protocol=HTTP/1.1",
        "request.headers.x-mode=properties",
        "source.address=127.0.0.1",
        "plugin_name=filter",
        "plugin_root_id=-",
        "route_name=all",
        "cluster_name=origin",
        "set.before=yes",
    ];
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_filter_sees_the_end_of_a_request_with_all_that_it_was() {
    let house = House::with("probe").await;
    house.play("logged").await;
    house.said("over: /a?b=c 200 Some(200)").await;
}

#[tokio::test]
async fn a_filter_sees_answers_of_the_gateway_too() {
    let origin = gatehouse_tests::Origin::start(|_| gatehouse_tests::Answer::raw("").then_close()).await;
    let house = House::between("probe", "", "", origin, gatehouse_tests::Origin::saying("").await).await;
    let response = house.play("").await;
    assert_eq!(response.status, 502);
    assert_eq!(response.header("x-probed"), Some("502 false 2"));
}

#[tokio::test]
async fn contexts_have_ids_of_their_own_and_are_told_whether_a_body_follows() {
    let house = House::with("probe").await;
    house.play("").await;
    house.gateway.ask(gatehouse_tests::request("POST", "/").body("x")).await;
    let told: Vec<_> = house.origin.requests().iter().map(|request| request.header("x-context")).collect();
    assert_eq!(told, [Some("2 true".to_owned()), Some("2 false".to_owned())], "an id is free again when its request is over");
}
