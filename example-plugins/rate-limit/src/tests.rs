//! The limit, against buckets on the tests' clock.

use core::time::Duration;

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
    assert_eq!(refused.header("retry-after"), Some("3"), "a token takes 2.5 s");
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
    assert_eq!(plugin.send(Request::get("/")).answered().header("retry-after"), Some("1"), "not yet, but soon");
    testing::advance(Duration::from_millis(200));
    pass(&plugin, Request::get("/"));
}

#[test]
fn the_burst_is_the_rate_rounded_up_unless_given() {
    let policy = |config| pass(&plugin(config), Request::get("/")).header("ratelimit-policy").map(String::from);
    assert_eq!(policy(r#"{"rate": 2.5}"#).as_deref(), Some(r#""default";q=3;w=2"#), "3 tokens at 2.5 a second");
    assert_eq!(policy(r#"{"rate": 0.01, "name": "b"}"#).as_deref(), Some(r#""b";q=1;w=100"#), "at least one token");
}

#[test]
fn a_cost_above_one_takes_more() {
    let plugin = plugin(r#"{"rate": 1, "burst": 10, "cost": 4}"#);
    assert_eq!(pass(&plugin, Request::get("/")).header("ratelimit"), Some(r#""default";r=6;t=1"#), "10 - 4");
    pass(&plugin, Request::get("/"));
    let refused = plugin.send(Request::get("/")).answered();
    assert_eq!(refused.header("retry-after"), Some("2"), "2 tokens are there, 2 more are needed");
}

#[test]
fn each_header_value_has_its_own_bucket_and_none_counts_by_address() {
    let plugin = plugin(r#"{"rate": 1, "burst": 1, "key": "header:X-Tenant"}"#);
    let tenant = |name: &str| Request::get("/").header("x-tenant", name);
    pass(&plugin, tenant("a"));
    pass(&plugin, tenant("b"));
    pass(&plugin, Request::get("/"));
    assert_eq!(plugin.send(tenant("a")).answered().status(), 429, "a has had its turn");
    assert_eq!(plugin.send(Request::get("/")).answered().status(), 429, "so has the address");
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
    check_refused("{}", "missing field `rate`");
    check_refused(r#"{"rate": 0}"#, "rate: got 0, want > 0");
    check_refused(r#"{"rate": -1}"#, "rate: got -1, want > 0");
    check_refused(r#"{"rate": 1e10}"#, "at most 1e9");
    check_refused(r#"{"rate": 1, "burst": 0}"#, "burst: got 0, want > 0");
    check_refused(r#"{"rate": 1, "cost": 2}"#, "cost: got 2, want 1 to 1");
    check_refused(r#"{"rate": 1, "cost": 0}"#, "cost: got 0, want 1 to 1");
    check_refused(r#"{"rate": 1, "key": "ip"}"#, "want client, address, route or header:NAME");
    check_refused(r#"{"rate": 1, "key": "header:"}"#, "want the name of a header");
    check_refused(r#"{"rate": 1, "name": "a\"b"}"#, "without quotes");
}
