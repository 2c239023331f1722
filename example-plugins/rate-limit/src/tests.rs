//! The limit, against buckets on the tests' clock.

use core::time::Duration;

use gatehouse_plugin::Client;
use gatehouse_plugin::testing::{self, Answer, Request, Tested};
use serde_json::json;

use crate::RateLimit;

fn plugin(config: &str) -> Tested {
    testing::configure::<RateLimit>(config).unwrap()
}

fn pass(plugin: &Tested, request: Request) -> Answer {
    plugin.send(request).forwarded().respond(Answer::new(200))
}

#[test]
fn the_headers_say_what_is_left() {
    let plugin = plugin(r#"{"rate": 100, "burst": 200}"#);
    let answer = pass(&plugin, Request::get("/"));
    assert_eq!(answer.header("ratelimit-policy"), Some(r#""default";q=200;w=2"#), "q is the burst, w = ceil(200 / 100)");
    assert_eq!(answer.header("ratelimit"), Some(r#""default";r=199;t=1"#), "199 left, one more within a second");
}

#[test]
fn a_request_over_the_limit_gets_429_until_there_is_a_token_again() {
    let plugin = plugin(r#"{"rate": 0.4, "burst": 2, "name": "slow"}"#);
    pass(&plugin, Request::get("/"));
    pass(&plugin, Request::get("/"));
    let refused = plugin.send(Request::get("/")).answered();
    assert_eq!(refused.status(), 429, "the bucket is empty");
    check_wait(&refused, 3, 4);
    assert_eq!(refused.header("ratelimit-policy"), Some(r#""slow";q=2;w=5"#), "w = 2 / 0.4");
    assert_eq!(refused.header("ratelimit"), Some(r#""slow";r=0;t=3"#), "nothing is left");
    assert_eq!(refused.header("content-type"), Some("application/problem+json"), "the body is a problem");
    assert_eq!(
        refused.json(),
        json!({
            "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
            "title": "Too Many Requests",
            "status": 429,
            "detail": "The quota is used up. Try again later.",
            "violated-policies": ["slow"],
        }),
        "the problem names the policy"
    );
    testing::advance(Duration::from_millis(2400));
    check_wait(&plugin.send(Request::get("/")).answered(), 1, 2);
    testing::advance(Duration::from_millis(200));
    pass(&plugin, Request::get("/"));
}

/// A `Retry-After` is never early, and late by a tenth and a second at most.
#[track_caller]
fn check_wait(refused: &Answer, earliest: u64, latest: u64) {
    let seconds: u64 = refused.header("retry-after").expect("a refusal says when").parse().expect("in whole seconds");
    assert!((earliest..=latest).contains(&seconds), "{seconds} is not in {earliest} to {latest}");
}

#[test]
fn the_burst_is_the_rate_rounded_up_unless_given() {
    let policy = |config| pass(&plugin(config), Request::get("/")).header("ratelimit-policy").map(String::from);
    assert_eq!(policy(r#"{"rate": 2.5}"#).as_deref(), Some(r#""default";q=3;w=2"#), "3 tokens at 2.5 a second");
    assert_eq!(policy(r#"{"rate": 0.01, "name": "b"}"#).as_deref(), Some(r#""b";q=1;w=100"#), "at least one token");
    assert_eq!(policy(r#"{"rate": "90/m"}"#).as_deref(), Some(r#""default";q=90;w=60"#), "90 in a minute are a bucket of 90");
}

#[test]
fn a_cost_above_one_takes_more() {
    let plugin = plugin(r#"{"rate": 1, "burst": 10, "cost": 4}"#);
    assert_eq!(pass(&plugin, Request::get("/")).header("ratelimit"), Some(r#""default";r=6;t=1"#), "10 - 4");
    pass(&plugin, Request::get("/"));
    // Two tokens are there, two more are needed.
    check_wait(&plugin.send(Request::get("/")).answered(), 2, 3);
}

#[test]
fn each_header_value_has_its_own_bucket_and_none_counts_as_the_client() {
    let plugin = plugin(r#"{"rate": 1, "burst": 1, "key": "header:X-Tenant"}"#);
    let tenant = |name: &str| Request::get("/").header("x-tenant", name);
    pass(&plugin, tenant("a"));
    pass(&plugin, tenant("b"));
    pass(&plugin, Request::get("/"));
    assert_eq!(plugin.send(tenant("a")).answered().status(), 429, "a has had its turn");
    assert_eq!(plugin.send(Request::get("/")).answered().status(), 429, "so has who sends none");
}

#[test]
fn several_policies_are_charged_together_or_not_at_all() {
    let plugin = plugin(r#"{"policies": [{"name": "second", "rate": 1, "burst": 2}, {"name": "day", "rate": "864/d", "burst": 3}]}"#);
    let answer = pass(&plugin, Request::get("/"));
    assert_eq!(answer.header("ratelimit-policy"), Some(r#""second";q=2;w=2, "day";q=3;w=300"#), "864 a day is one in 100 s");
    assert_eq!(answer.header("ratelimit"), Some(r#""second";r=1;t=1, "day";r=2;t=100"#), "both were charged");
    pass(&plugin, Request::get("/"));
    let refused = plugin.send(Request::get("/")).answered();
    assert_eq!(refused.header("ratelimit"), Some(r#""second";r=0;t=1, "day";r=1;t=100"#), "the day was not charged");
    assert_eq!(refused.json()["violated-policies"], json!(["second"]), "the one that refused is named");
    check_wait(&refused, 1, 2);
    testing::advance(Duration::from_secs(2));
    pass(&plugin, Request::get("/"));
    let refused = plugin.send(Request::get("/")).answered();
    assert_eq!(refused.json()["violated-policies"], json!(["day"]), "now the other one refuses");
    assert_eq!(refused.header("ratelimit"), Some(r#""second";r=1;t=1, "day";r=0;t=98"#), "and the second was not charged");
    check_wait(&refused, 98, 108);
}

#[test]
fn policies_may_differ_in_key_and_cost_and_need_no_name() {
    let plugin = plugin(
        r#"{"key": "header:x-tenant", "cost": 2, "policies": [{"rate": 1, "burst": 4}, {"rate": 1, "burst": 5, "key": "route", "cost": 1}]}"#,
    );
    let tenant = |name: &str| Request::get("/").header("x-tenant", name);
    let answer = pass(&plugin, tenant("a"));
    assert_eq!(answer.header("ratelimit"), Some(r#""default";r=2;t=1, "default-2";r=4;t=1"#), "two of the tenant's, one of all");
    let answer = pass(&plugin, tenant("b"));
    assert_eq!(answer.header("ratelimit"), Some(r#""default";r=2;t=1, "default-2";r=3;t=1"#), "the route's bucket is common");
}

#[test]
fn a_plan_has_a_limit_of_its_own() {
    let plugin = plugin(r#"{"rate": 1, "plans": {"gold": {"rate": 10, "burst": 30, "concurrency": 2}}}"#);
    let answer = pass(&plugin, Request::get("/").client(Client::new("acme", "api-key").plan("gold")));
    assert_eq!(
        answer.header("ratelimit-policy"),
        Some(r#""gold";q=30;w=3, "concurrency";q=2;qu="concurrent-requests""#),
        "the policy is called by the plan"
    );
    let answer = pass(&plugin, Request::get("/").client(Client::new("other", "api-key").plan("silver")));
    assert_eq!(answer.header("ratelimit-policy"), Some(r#""default";q=1;w=1"#), "a plan without a limit has everybody's");
}

#[test]
fn a_place_is_free_when_the_request_has_ended() {
    let plugin = plugin(r#"{"concurrency": 2}"#);
    let first = plugin.send(Request::get("/")).forwarded();
    let second = plugin.send(Request::get("/")).forwarded();
    let refused = plugin.send(Request::get("/")).answered();
    assert_eq!(refused.status(), 429, "two are under way");
    assert_eq!(refused.json()["violated-policies"], json!(["concurrency"]), "the problem says which limit it was");
    assert_eq!(refused.header("ratelimit-policy"), Some(r#""concurrency";q=2;qu="concurrent-requests""#), "and how much it is");
    assert_eq!(refused.header("ratelimit"), Some(r#""concurrency";r=0"#), "nobody knows until when");
    check_wait(&refused, 1, 2);
    assert_eq!(first.respond(Answer::new(200)).header("ratelimit"), None, "a good answer tells the policy only");
    pass(&plugin, Request::get("/"));
    drop(second);
}

#[test]
fn who_has_no_place_loses_no_token() {
    let plugin = plugin(r#"{"rate": 1, "burst": 9, "concurrency": 1}"#);
    let first = plugin.send(Request::get("/")).forwarded();
    assert_eq!(plugin.send(Request::get("/")).answered().status(), 429, "one is under way");
    drop(first);
    assert_eq!(pass(&plugin, Request::get("/")).header("ratelimit"), Some(r#""default";r=7;t=1"#), "two requests got through");
}

#[test]
fn the_older_headers_are_sent_to_those_who_ask() {
    let plugin = plugin(r#"{"policies": [{"rate": 1, "burst": 10}, {"rate": 2, "burst": 3, "name": "b"}], "legacy_headers": true}"#);
    let answer = pass(&plugin, Request::get("/"));
    let legacy =
        |answer: &Answer| ["limit", "remaining", "reset"].map(|what| answer.header(&std::format!("x-ratelimit-{what}")).map(String::from));
    assert_eq!(legacy(&answer), ["3", "2", "1"].map(|text| Some(text.into())), "2 of 3 is less than 9 of 10");
    pass(&plugin, Request::get("/"));
    pass(&plugin, Request::get("/"));
    let refused = plugin.send(Request::get("/")).answered();
    assert_eq!(legacy(&refused), ["3", "0", "1"].map(|text| Some(text.into())), "a refusal has them too");
}

#[test]
fn an_upstreams_stricter_limit_is_not_hidden_behind_the_older_headers() {
    let plugin = plugin(r#"{"rate": 1, "burst": 10, "legacy_headers": true}"#);
    let behind = |left: &str| Answer::new(200).with_header("x-ratelimit-limit", "1000").with_header("x-ratelimit-remaining", left);
    let answer = plugin.send(Request::get("/")).forwarded().respond(behind("5"));
    assert_eq!(answer.header_lines("x-ratelimit-remaining"), ["5"], "five are less than nine");
    assert_eq!(answer.header_lines("x-ratelimit-limit"), ["1000"], "so its own numbers stay");
    let answer = plugin.send(Request::get("/")).forwarded().respond(behind("500"));
    assert_eq!(answer.header_lines("x-ratelimit-remaining"), ["8"], "ours is the stricter");
    assert_eq!(answer.header_lines("x-ratelimit-limit"), ["10"], "and takes the place of the other");
}

#[test]
fn needs_are_what_the_keys_and_headers_want() {
    let declared = |config| {
        let plugin = plugin(config);
        let (request, response) = plugin.declared();
        (request.to_vec(), response.to_vec())
    };
    assert_eq!(declared(r#"{"rate": 1}"#), (vec![], vec![]), "nothing by default");
    let (request, response) =
        declared(r#"{"key": "header:b", "policies": [{"rate": 1}, {"rate": 2, "key": "header:a"}, {"rate": 3}], "legacy_headers": true}"#);
    assert_eq!(request, ["a", "b"], "each header once");
    assert_eq!(response, ["x-ratelimit-remaining"], "and what an upstream says of itself");
}

#[test]
fn an_upstreams_own_limits_stay() {
    let plugin = plugin(r#"{"rate": 1}"#);
    let upstream = Answer::new(200).with_header("ratelimit", r#""up";r=0;t=60"#);
    let answer = plugin.send(Request::get("/")).forwarded().respond(upstream);
    assert_eq!(answer.header_lines("ratelimit"), [r#""up";r=0;t=60"#, r#""default";r=0;t=1"#], "both are told");
}

#[test]
fn the_headers_can_be_left_out_of_answers_that_pass() {
    let plugin = plugin(r#"{"rate": 1, "headers": false}"#);
    assert_eq!(pass(&plugin, Request::get("/")).header("ratelimit"), None, "not on a good answer");
    let refused = plugin.send(Request::get("/")).answered();
    assert_eq!(refused.header("ratelimit"), Some(r#""default";r=0;t=1"#), "but on a refusal");
}

#[track_caller]
fn check_refused(config: &str, reason: &str) {
    let refusal = testing::configure::<RateLimit>(config).unwrap_err().to_string();
    assert!(refusal.contains(reason), "{config}: {refusal}");
}

#[test]
fn a_limit_out_of_range_is_refused() {
    check_refused("{}", "want a rate, policies or concurrency");
    check_refused(r#"{"rate": 0}"#, "rate: got 0, want > 0");
    check_refused(r#"{"rate": -1}"#, "rate: got -1, want > 0");
    check_refused(r#"{"rate": 1e10}"#, "at most 1e9");
    check_refused(r#"{"rate": "100 per minute"}"#, "a text such as");
    check_refused(r#"{"rate": 1, "burst": 0}"#, "burst: got 0, want > 0");
    check_refused(r#"{"rate": 1, "cost": 2}"#, "cost: got 2, want 1 to 1");
    check_refused(r#"{"rate": 1, "cost": 0}"#, "cost: got 0, want 1 to 1");
    check_refused(r#"{"rate": 1, "key": "ip"}"#, "want client, address, route, api-key or header:NAME");
    check_refused(r#"{"rate": 1, "key": "header:"}"#, "want the name of a header");
    check_refused(r#"{"rate": 1, "name": "a\"b"}"#, "without quotes");
    check_refused(r#"{"concurrency": 0}"#, "concurrency: got 0, want > 0");
    check_refused(r#"{"concurrency": 1, "burst": 1}"#, "rate: got nothing");
}

#[test]
fn policies_and_plans_that_do_not_fit_together_are_refused() {
    check_refused(r#"{"rate": 1, "policies": [{"rate": 1}]}"#, "stand in each of them");
    check_refused(r#"{"policies": [{"rate": 1}], "name": "a"}"#, "stand in each of them");
    check_refused(r#"{"policies": [{"burst": 1}]}"#, "missing field `rate`");
    check_refused(r#"{"policies": [{"rate": 1}, {"rate": 1, "burst": 0}]}"#, "policies[1].burst: got 0");
    check_refused(r#"{"policies": [{"rate": 1, "name": "a"}, {"rate": 2, "name": "a"}]}"#, "policies[1].name: got \"a\" a second time");
    let nine = std::format!(r#"{{"policies": [{}]}}"#, [r#"{"rate": 1}"#; 9].join(", "));
    check_refused(&nine, "policies: got 9, want 8 at most");
    check_refused(r#"{"plans": {"gold": {"rate": 1}}}"#, "want a rate, policies or concurrency");
    check_refused(r#"{"policies": [{"rate": 1}], "plans": {"gold": {"rate": 1}}}"#, "clients without a plan");
    check_refused(r#"{"rate": 1, "key": "route", "plans": {"gold": {"rate": 1}}}"#, "a plan is a client's");
    check_refused(r#"{"rate": 9, "cost": 5, "plans": {"free": {"rate": 1}}}"#, "plans.free.cost: got 5, want 1 to 1");
}
