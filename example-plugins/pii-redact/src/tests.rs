//! What is redacted, wherever the chunks end.

use gatehouse_plugin::testing::{self, Answer, Request};

use super::Redact;
use super::patterns::{CARD, EMAIL};
use super::runs::Runs;

/// What goes on of a text that comes in chunks of this size.
fn redacted(text: &str, size: usize) -> String {
    let chunks = text.as_bytes().chunks(size).map(|chunk| (chunk, false)).chain([(&[][..], true)]);
    let (mut email, mut card) = (Runs::new(&EMAIL), Runs::new(&CARD));
    let passed = chunks.flat_map(|(chunk, last)| card.pass(&email.pass(chunk, last, b"#"), last, b"#"));
    String::from_utf8(passed.collect()).unwrap()
}

#[track_caller]
fn check(text: &str, expected: &str) {
    for size in 1..=text.len() {
        assert_eq!(redacted(text, size), expected, "in chunks of {size}");
    }
}

#[test]
fn addresses_are_redacted_and_what_looks_like_one_is_not() {
    check("write to alice.b+c@mail.example.com, or to <bob@example.org>.", "write to #, or to <#>.");
    check("\"o'neil@example.co\",", "\"#\",");
    check("'eve@example.com'.", "'#'.");
    check(
        "a@b, @example.com, a@@example.com, a@example.c, user@localhost 4@5.6",
        "a@b, @example.com, a@@example.com, a@example.c, user@localhost 4@5.6",
    );
}

#[test]
fn cards_are_redacted_by_their_check_digit() {
    check("4111111111111111", "#");
    check("paid by 4111 1111 1111 1111 today", "paid by # today");
    check("5500-0000-0000-0004;", "#;");
    check("order 12 4111 1111 1111 1111 of 3", "order 12 # of 3");
    check("4111111111111112 and 0000000000000000", "4111111111111112 and 0000000000000000");
    check("4111  1111 1111 1111", "4111  1111 1111 1111");
}

#[test]
fn a_word_longer_than_any_address_passes() {
    let long = format!("{}@example.com x@example.com", "a".repeat(400));
    assert_eq!(redacted(&long, 7), format!("{}@example.com #", "a".repeat(400)));
}

#[test]
fn a_response_is_redacted_on_its_way() {
    let plugin = testing::configure::<Redact>("{}").unwrap();
    let answer = plugin.send(Request::get("/")).forwarded().respond(Answer::new(200).with_body("write to alice@example.com"));
    assert_eq!(answer.text(), "write to [redacted]");
}

#[test]
fn what_is_compressed_does_not_pass() {
    let plugin = testing::configure::<Redact>("{}").unwrap();
    let forwarded = plugin.send(Request::get("/").header("accept-encoding", "gzip")).forwarded();
    assert_eq!(forwarded.header("accept-encoding"), Some("identity"), "nobody is asked for it");
    let answer = forwarded.respond(Answer::new(200).with_header("content-encoding", "gzip"));
    assert_eq!(answer.status(), 502);
}

#[test]
fn requests_are_redacted_if_that_is_asked_for() {
    let plugin = testing::configure::<Redact>(r#"{"request": true, "response": false, "patterns": ["email"], "mask": ""}"#).unwrap();
    let forwarded = plugin.send(Request::post("/").body("from a@example.com 4111111111111111")).forwarded();
    assert_eq!(forwarded.body(), b"from  4111111111111111");
    assert_eq!(forwarded.header("accept-encoding"), None, "the answer may be compressed");
}
