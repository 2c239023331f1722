//! Cases on failure: each ends its own request with the right reason, and the next one works.

use std::path::Path;

use gatehouse_tests::{
    Setup,
    origin::nobody,
    tokens::{SigningKey, key_set},
};

use super::house::{self, House};

pub async fn an_error_is_a_fault_with_its_text(house: &House) {
    fault(house, "/error", "plugin_trap").await;
    house.gateway.wait_for_log("has the text", |line| line.contains("as asked") && line.contains("gatehouse::chain")).await;
}

pub async fn a_trap_harms_its_own_request_only(house: &House) {
    fault(house, "/trap", "plugin_trap").await;
}

pub async fn an_edit_that_is_not_allowed_is_a_fault(house: &House) {
    fault(house, "/forbidden", "plugin_trap").await;
    assert_eq!(house.arrivals("/forbidden"), 0, "nothing of it was done");
}

pub async fn an_endless_loop_ends(house: &House) {
    fault(house, "/loop", "plugin_timeout").await;
}

pub async fn memory_without_end_ends(house: &House) {
    fault(house, "/memory", "plugin_memory").await;
}

async fn fault(house: &House, target: &str, reason: &str) {
    house.get(target).await.assert_problem(503, reason);
    house.assert_works().await;
}

/// A gateway of its own: it does not start.
pub async fn a_configuration_is_refused_in_the_plugins_words(component: &Path, settings: &str) {
    let config = house::config(component, settings, &format!("http://{}", nobody())).replace("body: buffered", "body: sideways");
    let keys = key_set(&[&SigningKey::es256("kit")]);
    let setup = Setup::new(&config).file("keys.json", keys).file("secret", "s3cret\n");
    let (code, written) = setup.start_refused().await;
    assert_ne!(code, Some(0), "the gateway does not start with it");
    assert!(written.contains("body is none, buffered or streamed, not sideways"), "{written}");
}
