//! The conformance kit: the cases of `tests/conformance/README.md`, against the reference plugin of each language.
//! One gateway for each language plays all cases one after the other; those that failed are told together.

mod bodies;
mod capabilities;
mod faults;
mod heads;
mod house;
mod phases;

use std::{path::PathBuf, pin::Pin, sync::Arc};

use gatehouse_tests::{authored, guests};

use house::House;

/// A language of plugins.
struct Language {
    name: &'static str,
    /// The reference plugin in it, built.
    component: fn() -> PathBuf,
    /// Settings it needs beyond the defaults: `limits`, `isolation`.
    settings: &'static str,
}

type Case = (&'static str, fn(Arc<House>) -> Pin<Box<dyn Future<Output = ()> + Send>>);

/// A list of cases: functions that take the house.
macro_rules! cases {
    ($($module:ident: $($case:ident)+;)+) => {
        &[$($((stringify!($case), |house| Box::pin(async move { $module::$case(&house).await }))),+),+]
    };
}

const CASES: &[Case] = cases! {
    heads:
        an_unknown_action_changes_nothing
        the_request_is_described
        lines_of_one_header_are_read_in_order
        a_header_without_value_is_not_a_missing_one
        headers_are_set_added_and_removed
        bytes_of_headers_survive
        all_headers_are_shown_to_those_who_ask
        method_and_path_are_rewritten
        a_known_client_is_shown
        a_client_is_made_known
        the_request_id_is_replaced
        a_plugin_answers_with_lines_of_one_header
        a_plugin_answers_with_nothing
        a_plugin_answers_with_many_bytes
        a_problem_is_json;
    phases:
        state_reaches_the_response_phase
        lines_of_a_response_are_read_and_its_status_is_set
        a_response_is_replaced
        answers_of_the_gateway_are_known_as_such;
    bodies:
        whole_bodies_are_rewritten_both_ways
        empty_bodies_are_bodies
        bytes_of_bodies_survive
        a_body_at_the_limit_is_whole_and_one_beyond_is_refused
        a_plugin_lowers_the_limit
        a_request_streams_chunk_by_chunk
        a_response_streams_chunk_by_chunk
        chunks_are_held_back_and_remembered
        a_request_is_stopped_inside_its_body
        a_megabyte_streams_both_ways;
    capabilities:
        lines_are_logged_at_their_levels
        small_values_are_kept
        tokens_are_verified
        opaque_tokens_are_asked_about
        keys_are_found
        buckets_are_taken_from
        several_buckets_are_taken_from_together
        a_place_is_entered
        an_upstream_is_asked
        an_upstream_that_is_gone_is_an_error
        several_upstreams_are_asked_at_once
        measurements_are_published;
    faults:
        an_error_is_a_fault_with_its_text
        a_trap_harms_its_own_request_only
        an_edit_that_is_not_allowed_is_a_fault
        an_endless_loop_ends
        memory_without_end_ends;
};

/// Plays all cases, and one more that needs a gateway of its own.
async fn conform(language: &Language) {
    let component = (language.component)();
    let house = Arc::new(House::new(&component, language.settings).await);
    let mut failed = Vec::new();
    for (name, case) in CASES {
        if tokio::spawn(case(house.clone())).await.is_err() {
            failed.push(*name);
        }
    }
    let (count, all, log) = (failed.len(), CASES.len(), house.gateway.log());
    assert!(failed.is_empty(), "{count} of {all} cases failed in {}: {failed:#?}\n{log}", language.name);
    faults::a_configuration_is_refused_in_the_plugins_words(&component, language.settings).await;
}

#[tokio::test]
async fn rust() {
    conform(&Language { name: "Rust", component: guests::conformance, settings: "" }).await;
}

#[tokio::test]
async fn javascript() {
    conform(&Language { name: "JavaScript", component: || authored::javascript("tests/conformance/js"), settings: "" }).await;
}

#[tokio::test]
async fn python() {
    conform(&Language { name: "Python", component: || authored::python("tests/conformance/python"), settings: "" }).await;
}

#[tokio::test]
async fn c() {
    conform(&Language { name: "C", component: || authored::c("tests/conformance/c"), settings: "" }).await;
}

#[tokio::test]
async fn go() {
    conform(&Language { name: "Go", component: || authored::go("tests/conformance/go"), settings: "" }).await;
}
