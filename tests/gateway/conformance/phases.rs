//! Cases on the way back: what the response phase knows and does.

use super::house::House;

pub async fn state_reaches_the_response_phase(house: &House) {
    let response = house.get("/state").await;
    let (state, id) = (response.header("x-state").expect("the state is told"), response.header("x-id").expect("the id is told"));
    assert_eq!(id.len(), 32, "an id has 32 digits: {id}");
    assert_eq!(state, format!("state {id}"), "both phases have the id of the request");
}

pub async fn lines_of_a_response_are_read_and_its_status_is_set(house: &House) {
    let response = house.get("/status").await;
    assert_eq!((response.status, response.header("x-seen")), (202, Some("200 1|2")));
    assert_eq!(response.text(), "hello", "the body is the upstream's");
}

pub async fn a_response_is_replaced(house: &House) {
    let response = house.get("/replace").await;
    assert_eq!((response.status, response.text().as_str(), response.header("x-a")), (203, "replaced", Some("1")));
    assert!(response.all("x-up").is_empty(), "nothing of it is left: {}", response.head);
    assert_eq!(house.arrivals("/replace"), 1, "the upstream had answered");
}

pub async fn answers_of_the_gateway_are_known_as_such(house: &House) {
    assert_eq!(house.get("/from-gateway").await.header("x-from-gateway"), Some("false"));
    let dead = house.get("/dead/from-gateway").await;
    dead.assert_problem(502, "upstream_connect");
    assert_eq!(dead.header("x-from-gateway"), Some("true"));
}
