//! Preflights and decorated answers, as a browser meets them.

use gatehouse_plugin::testing::{self, Answer, Request, Tested};

use crate::Cors;

const ORIGIN: &str = "https://app.example";

fn plugin(config: &str) -> Tested {
    testing::configure::<Cors>(config).unwrap()
}

fn named() -> Tested {
    plugin(
        r#"{"origins": ["https://app.example"], "methods": ["GET", "PUT"], "headers": ["x-a", "x-b"],
               "expose": ["x-request-id"], "credentials": true, "max_age": 600}"#,
    )
}

fn preflight(origin: &str) -> Request {
    Request::new("OPTIONS", "/")
        .header("origin", origin)
        .header("access-control-request-method", "PUT")
        .header("access-control-request-headers", "x-a, content-type")
}

fn answer(plugin: &Tested, request: Request) -> Answer {
    let upstream = Answer::new(200)
        .with_header("access-control-allow-origin", "https://upstream.example")
        .with_header("access-control-allow-credentials", "true")
        .with_header("access-control-allow-methods", "DELETE")
        .with_header("access-control-allow-headers", "x-upstream")
        .with_header("access-control-max-age", "86400")
        .with_header("vary", "Accept");
    plugin.send(request).forwarded().respond(upstream)
}

#[test]
fn a_preflight_is_answered_here() {
    let plugin = named();
    let answer = plugin.send(preflight(ORIGIN)).answered();
    assert_eq!(answer.status(), 204, "it has no body");
    assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN), "the origin is named");
    assert_eq!(answer.header("access-control-allow-methods"), Some("GET, PUT"), "the methods are listed");
    assert_eq!(answer.header("access-control-allow-headers"), Some("x-a, x-b"), "the headers are listed");
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"), "cookies may come");
    assert_eq!(answer.header("access-control-max-age"), Some("600"), "for ten minutes");
    let vary = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
    assert_eq!(answer.header("vary"), Some(vary), "caches tell preflights apart");
}

#[test]
fn a_preflight_from_elsewhere_allows_nothing() {
    let answer = named().send(preflight("https://evil.example")).answered();
    assert_eq!(answer.status(), 204, "it is answered all the same");
    assert_eq!(answer.header("access-control-allow-origin"), None, "the browser will stop here");
    assert_eq!(answer.header("access-control-allow-methods"), None, "nothing is allowed");
}

#[test]
fn an_options_request_that_is_no_preflight_goes_on() {
    let plugin = named();
    let _ = plugin.send(Request::new("OPTIONS", "/")).forwarded();
    let _ = plugin.send(Request::new("OPTIONS", "/").header("origin", ORIGIN)).forwarded();
}

#[test]
fn an_answer_says_who_may_read_it() {
    let answer = answer(&named(), Request::get("/").header("origin", ORIGIN));
    assert_eq!(answer.header_lines("access-control-allow-origin"), [ORIGIN], "the upstream's own is replaced");
    assert_eq!(answer.header_lines("access-control-allow-credentials"), ["true"], "cookies may come");
    assert_eq!(answer.header("access-control-expose-headers"), Some("x-request-id"), "scripts may read it");
    assert_eq!(answer.header_lines("vary"), ["Accept", "Origin"], "the upstream's vary stays");
}

#[test]
fn an_answer_to_another_origin_or_none_allows_nothing_and_still_varies() {
    let plugin = named();
    for request in [Request::get("/").header("origin", "https://evil.example"), Request::get("/")] {
        let answer = answer(&plugin, request);
        assert_eq!(answer.header("access-control-allow-origin"), None, "not even the upstream's own");
        assert_eq!(answer.header("access-control-allow-credentials"), None, "nor its credentials");
        for name in ["access-control-allow-methods", "access-control-allow-headers", "access-control-max-age"] {
            assert_eq!(answer.header(name), None, "nor its {name}");
        }
        assert_eq!(answer.header_lines("vary"), ["Accept", "Origin"], "a cache keeps it apart");
    }
}

#[test]
fn all_origins_are_a_star_and_do_not_vary() {
    let answer = answer(&plugin(r#"{"origins": ["*"]}"#), Request::get("/").header("origin", ORIGIN));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "anybody may read it");
    assert_eq!(answer.header_lines("vary"), ["Accept"], "the answer is the same for all");
}

#[test]
fn the_headers_asked_for_are_allowed_by_a_star() {
    let plugin = plugin(r#"{"origins": ["https://app.example"], "headers": ["*"], "credentials": true}"#);
    let answer = plugin.send(preflight(ORIGIN)).answered();
    assert_eq!(answer.header("access-control-allow-headers"), Some("x-a, content-type"), "a star means nothing with cookies");
    let odd = Request::new("OPTIONS", "/")
        .header("origin", ORIGIN)
        .header("access-control-request-method", "PUT")
        .header("access-control-request-headers", "x-a, b c");
    assert_eq!(plugin.send(odd).answered().header("access-control-allow-headers"), None, "only names are echoed");
}

#[test]
fn a_star_among_names_is_still_one() {
    let plugin = plugin(r#"{"origins": ["https://app.example"], "headers": ["*", "authorization"], "credentials": true}"#);
    let answer = plugin.send(preflight(ORIGIN)).answered();
    assert_eq!(answer.header("access-control-allow-headers"), Some("x-a, content-type"), "browsers would take it for a name");
}

#[test]
fn methods_in_small_letters_are_those_that_browsers_send() {
    let plugin = plugin(r#"{"origins": ["https://app.example"], "methods": ["get", "Put"]}"#);
    assert_eq!(plugin.send(preflight(ORIGIN)).answered().header("access-control-allow-methods"), Some("GET, PUT"));
}

#[track_caller]
fn check_refused(config: &str, reason: &str) {
    let refusal = testing::configure::<Cors>(config).unwrap_err().to_string();
    assert!(refusal.contains(reason), "{config}: {refusal}");
}

#[test]
fn an_unsafe_or_useless_configuration_is_refused() {
    check_refused("{}", "missing field `origins`");
    check_refused(r#"{"origins": []}"#, "want at least one");
    check_refused(r#"{"origins": ["*"], "credentials": true}"#, "want origins by name");
    check_refused(r#"{"origins": ["example.com"]}"#, "want an origin such as");
    check_refused(r#"{"origins": ["*"], "methods": ["GET POST"]}"#, "methods: got \"GET POST\"");
    check_refused(r#"{"origins": ["*"], "expose": ["a,b"]}"#, "expose: got");
}

#[test]
fn a_private_network_is_opened_only_if_asked_and_configured() {
    let asking = || preflight(ORIGIN).header("access-control-request-private-network", "true");
    let allowed = "access-control-allow-private-network";
    assert_eq!(named().send(asking()).answered().header(allowed), None, "not by default");
    let open = plugin(r#"{"origins": ["https://app.example"], "private_network": true}"#);
    let answer = open.send(asking()).answered();
    assert_eq!(answer.header(allowed), Some("true"), "as configured");
    assert!(answer.header("vary").is_some_and(|vary| vary.ends_with("Access-Control-Request-Private-Network")), "caches tell them apart");
    assert_eq!(open.send(preflight(ORIGIN)).answered().header(allowed), None, "nobody asked");
    assert_eq!(open.send(preflight("https://evil.example")).answered().header(allowed), None, "and not for others");
}

#[test]
fn credentials_go_with_names_only() {
    let refusal = |config| testing::configure::<Cors>(config).unwrap_err().to_string();
    assert!(refusal(r#"{"origins": ["*"], "credentials": true}"#).contains("the origin *"));
    assert!(refusal(r#"{"origins": ["null"], "credentials": true}"#).contains("the origin null"));
    assert!(refusal(r#"{"origins": ["https://a.example"], "methods": ["*"], "credentials": true}"#).contains("methods: got *"));
    assert!(refusal(r#"{"origins": ["https://a.example"], "expose": ["*"], "credentials": true}"#).contains("expose: got *"));
}
