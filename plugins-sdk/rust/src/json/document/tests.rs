//! Edits, and what they leave alone.

use super::*;

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

fn document(text: &str) -> Document<'_> {
    Document::parse(text.as_bytes()).unwrap()
}

#[test]
fn what_no_edit_touches_keeps_its_bytes() {
    let text = r#"{ "z":1.10, "a" : [ 1e5, -0.0 ], "\u00e9":12345678901234567890123, "twice":1, "twice":2 }"#;
    assert_eq!(document(text).to_text(0), text, "no edit, no change");
    let mut edited = document(text);
    edited.remove(&path("nothing.here"));
    let expected = r#"{"z":1.10,"a":[ 1e5, -0.0 ],"\u00e9":12345678901234567890123,"twice":1,"twice":2}"#;
    assert_eq!(edited.to_text(0), expected, "the order, the digits, the escapes, and what is in what was not opened");
}

#[track_caller]
fn check_removed(before: &str, at: &str, after: &str) {
    let mut document = document(before);
    document.remove(&path(at));
    assert_eq!(document.to_text(0), after, "{at}");
}

#[test]
fn removing_takes_out_every_value_at_the_place() {
    check_removed(r#"{"a":{"b":1,"c":2}}"#, "a.b", r#"{"a":{"c":2}}"#);
    check_removed(r#"{"a":[1,2,3]}"#, "a.1", r#"{"a":[1,3]}"#);
    check_removed(r#"{"a":[1,2,3]}"#, "a[5]", r#"{"a":[1,2,3]}"#);
    check_removed(r#"{"a":[1,2,3]}"#, "a[*]", r#"{"a":[]}"#);
    check_removed(r#"[{"a":1,"b":2},{"a":3},4]"#, "[*].a", r#"[{"b":2},{},4]"#);
    check_removed(r#"{"x":{"a":1},"y":{"a":2,"b":3}}"#, "*.a", r#"{"x":{},"y":{"b":3}}"#);
    check_removed(r#"{"a":1,"b":2,"a":3}"#, "a", r#"{"b":2}"#);
    check_removed(r#"{"a":{"x":1},"a":{"x":2}}"#, "a.x", r#"{"a":{},"a":{}}"#);
    check_removed(r#"{"p\u0061ss":1}"#, "pass", "{}");
    check_removed(r#"{"a.b":1,"x/y":2}"#, "/a.b", r#"{"x/y":2}"#);
    check_removed("7", "a", "7");
}

#[track_caller]
fn check_renamed(before: &str, at: &str, name: &str, after: &str) {
    let mut document = document(before);
    document.rename(&path(at), name);
    assert_eq!(document.to_text(0), after, "{at}");
}

#[test]
fn renaming_keeps_the_value_and_its_place() {
    check_renamed(r#"{"a":{"b":1,"c":2}}"#, "a.b", "n\"", r#"{"a":{"n\"":1,"c":2}}"#);
    check_renamed(r#"{"a":1,"b":2}"#, "a", "b", r#"{"b":1}"#);
    check_renamed(r#"{"a":1,"b":2}"#, "a", "a", r#"{"a":1,"b":2}"#);
    check_renamed(r#"{"b":2}"#, "a", "b", r#"{"b":2}"#);
    check_renamed("[1]", "0", "b", "[1]");
    check_renamed(r#"[{"a":1},{"a":2}]"#, "[*].a", "b", r#"[{"b":1},{"b":2}]"#);
}

#[track_caller]
fn check_set(at: &str, expected: Option<&str>) {
    let (path, value) = (path(at), document("\"v\""));
    let mut edited = document(r#"{"a":{"n":1},"l":[1],"o":[{},{"k":1}],"z":null}"#);
    let result = edited.set(&path, &value).map(|()| edited.to_text(0));
    assert_eq!(result.ok().as_deref(), expected, "{at}");
}

#[test]
fn setting_makes_what_is_missing_and_stops_at_what_is_in_the_way() {
    check_set("a.n", Some(r#"{"a":{"n":"v"},"l":[1],"o":[{},{"k":1}],"z":null}"#));
    check_set("a.m.k", Some(r#"{"a":{"n":1,"m":{"k":"v"}},"l":[1],"o":[{},{"k":1}],"z":null}"#));
    check_set("z.k", Some(r#"{"a":{"n":1},"l":[1],"o":[{},{"k":1}],"z":{"k":"v"}}"#));
    check_set("l.0", Some(r#"{"a":{"n":1},"l":["v"],"o":[{},{"k":1}],"z":null}"#));
    check_set("l[1]", Some(r#"{"a":{"n":1},"l":[1,"v"],"o":[{},{"k":1}],"z":null}"#));
    check_set("/l/-", Some(r#"{"a":{"n":1},"l":[1,"v"],"o":[{},{"k":1}],"z":null}"#));
    check_set("o[*].k", Some(r#"{"a":{"n":1},"l":[1],"o":[{"k":"v"},{"k":"v"}],"z":null}"#));
    check_set("z[*].k", Some(r#"{"a":{"n":1},"l":[1],"o":[{},{"k":1}],"z":null}"#));
    check_set("none[*].k", Some(r#"{"a":{"n":1},"l":[1],"o":[{},{"k":1}],"z":null}"#));
    check_set("l.2", None);
    check_set("l.x", None);
    check_set("a.n.x", None);
    check_set("l[*].x", None);
}

#[test]
fn setting_leaves_no_second_member_of_the_name() {
    let (path, value) = (path("a"), document("3"));
    let mut edited = document(r#"{"a":1,"b":2,"a":9}"#);
    edited.set(&path, &value).unwrap();
    assert_eq!(edited.to_text(0), r#"{"a":3,"b":2}"#, "whoever reads it sees the new value");
}

#[test]
fn what_was_taken_can_be_put_elsewhere() {
    let (from, to) = (path("a.b"), path("c.d"));
    let mut edited = document(r#"{"a":{"b":[1,2]},"a":{"b":3},"x":0}"#);
    let taken = edited.take(&from).expect("it is there");
    edited.set(&to, &taken).unwrap();
    assert_eq!(edited.to_text(0), r#"{"a":{},"a":{},"x":0,"c":{"d":3}}"#, "the last of two, and none is left behind");
    assert!(edited.take(&from).is_none(), "it is gone");
    assert_eq!(document("[1,2]").take(&path("[1]")).map(|taken| taken.to_text(0)).as_deref(), Some("2"), "an item, too");
}

#[track_caller]
fn check_kept(before: &str, paths: &[&str], after: &str) {
    let mut document = document(before);
    document.keep(&paths.iter().map(|text| path(text)).collect::<Vec<_>>());
    assert_eq!(document.to_text(0), after, "{paths:?}");
}

#[test]
fn keeping_removes_the_rest() {
    let text = r#"{"id":1,"user":{"name":"A","mail":"m"},"items":[{"id":1,"x":2},{"id":3}],"n":4}"#;
    check_kept(text, &["id"], r#"{"id":1}"#);
    check_kept(text, &["n", "user.name"], r#"{"user":{"name":"A"},"n":4}"#);
    check_kept(text, &["user", "user.name"], r#"{"user":{"name":"A","mail":"m"}}"#);
    check_kept(text, &["items[*].id"], r#"{"items":[{"id":1},{"id":3}]}"#);
    check_kept(text, &["items[1]"], r#"{"items":[{"id":3}]}"#);
    check_kept(text, &["n.deeper", "nothing"], "{}");
    check_kept(text, &[], "{}");
}

#[test]
fn objects_are_joined_without_taking_a_name_twice() {
    let mut whole = Document::object();
    whole.insert("a", document("[1]"));
    whole.absorb(document(r#"{"\u0061":2,"b":3}"#));
    whole.absorb(document("7"));
    whole.absorb(document(r#"{"b":4,"c":5}"#));
    assert_eq!(whole.to_text(0), r#"{"a":[1],"b":3,"c":5}"#, "the first of each name stays");
}

#[track_caller]
fn check_refused(text: &[u8]) {
    assert!(Document::parse(text).is_err(), "{text:?} is no JSON");
}

#[test]
fn only_json_is_a_document() {
    for text in ["", " ", "{", "{}x", "{'a':1}", "[1,]", r#"{"a":1,}"#, "01", "+1", "NaN", "\"a\nb\"", r#""\x""#, "\u{feff}{}"] {
        check_refused(text.as_bytes());
    }
    check_refused(b"\"\xff\"");
    check_refused(&[b'{', 0]);
}

#[test]
fn depth_alone_breaks_nothing() {
    let deep = ["[".repeat(100_000), "]".repeat(100_000)].concat();
    let mut document = document(&deep);
    document.remove(&path("[0].a"));
    assert_eq!(document.to_text(deep.len()), deep, "it is opened only as far as the path leads");
}
