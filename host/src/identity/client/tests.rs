//! Who holds which key, and what a new configuration leaves as it was.

use super::*;

fn client(name: &str, keys: &[&str]) -> ClientSettings {
    let keys = keys.iter().map(|text| key(text)).collect();
    ClientSettings { name: name.into(), keys, scopes: vec!["orders.read".into(), "orders.write".into()], ..ClientSettings::default() }
}

fn key(text: &str) -> KeySettings {
    KeySettings { digest: KeyDigest::Plain(Digest::of(text.as_bytes())), expires: None, scopes: None, id: None }
}

fn build(settings: Vec<ClientSettings>) -> Clients {
    Clients::build(settings.into_iter(), None, None).expect("clients without a fault")
}

fn name<'a>(clients: &'a Clients, key: &str) -> Result<&'a str, NoKey> {
    clients.find(key.as_bytes()).map(|key| &*key.client.name)
}

#[test]
fn each_key_of_a_client_finds_it() {
    let clients = build(vec![client("acme", &["one", "two"]), client("other", &["three"])]);
    for (key, holder) in [("one", "acme"), ("two", "acme"), ("three", "other")] {
        assert_eq!(name(&clients, key), Ok(holder), "{key}");
    }
    let digest = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed";
    for key in ["four", "ONE", digest] {
        assert_eq!(name(&clients, key), Err(NoKey::Unknown), "{key} is nobody's");
    }
    assert_eq!(name(&clients, ""), Err(NoKey::Malformed), "nothing is no key");
    assert_eq!(name(&clients, &"x".repeat(5000)), Err(NoKey::Malformed), "no key is that long");
}

#[test]
fn a_broken_key_of_ours_is_refused_before_any_look_up() {
    let broken = "gth_live_abcdefgh_0123456789012345678901234567890123456789012_000000";
    let clients = build(vec![client("acme", &[broken])]);
    assert_eq!(name(&clients, broken), Err(NoKey::Malformed), "even if somebody has its digest");
}

#[test]
fn a_key_ends_when_it_says() {
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
    let mut acme = client("acme", &["one", "two"]);
    acme.keys[0].expires = Some(end);
    let clients = build(vec![acme]);
    let before = end - Duration::from_nanos(1);
    assert!(clients.find_at(b"one", || before).is_ok(), "up to its end");
    assert_eq!(clients.find_at(b"one", || end).err(), Some(NoKey::Expired), "not at its end");
    assert!(clients.find_at(b"two", || end).is_ok(), "the other key has none");
    assert_eq!(name(&clients, "one"), Err(NoKey::Expired), "1970 is over");
}

#[test]
fn a_key_may_reach_less_far_than_its_client_and_never_further() {
    let mut acme = client("acme", &["all", "some", "none"]);
    acme.keys[1].scopes = Some(vec!["orders.read".into(), "admin".into()]);
    acme.keys[2].scopes = Some(Vec::new());
    let clients = build(vec![acme]);
    let scopes = |text: &[u8]| clients.find(text).map(|key| key.scopes.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(scopes(b"all"), Ok(vec!["orders.read".into(), "orders.write".into()]), "the client's");
    assert_eq!(scopes(b"some"), Ok(vec!["orders.read".into()]), "its own, without what the client has not");
    assert_eq!(scopes(b"none"), Ok(vec![]), "it may say none");
}

#[test]
fn a_disabled_client_is_like_none() {
    let mut acme = client("acme", &["one"]);
    acme.disabled = true;
    assert_eq!(name(&build(vec![acme]), "one"), Err(NoKey::Unknown), "nobody learns that it exists");
}

#[test]
fn peppered_and_plain_keys_live_side_by_side() {
    let pepper = || Pepper::new(b"a secret of the house");
    let mut acme = client("acme", &["plain", "peppered"]);
    acme.keys[1].digest = KeyDigest::Peppered(pepper().digest(b"peppered"));
    let clients = Clients::build([acme.clone()].into_iter(), Some(pepper()), None).expect("clients without a fault");
    assert_eq!((name(&clients, "plain"), name(&clients, "peppered")), (Ok("acme"), Ok("acme")), "each by its digest");
    let other = Clients::build([acme.clone()].into_iter(), Some(Pepper::new(b"another")), None).expect("clients without a fault");
    assert_eq!(name(&other, "peppered"), Err(NoKey::Unknown), "the digest is worth nothing without its pepper");
    let error = ClientError::NoPepper { client: 0, key: 1 };
    assert_eq!(Clients::build([acme].into_iter(), None, None).err(), Some(vec![error]), "a pepper is missing");
}

#[test]
fn every_shared_key_is_named_at_once() {
    let settings = vec![client("acme", &["one"]), client("other", &["two", "one"]), client("third", &["two"])];
    let expected = vec![
        ClientError::SharedKey { client: 1, key: 1, holder: "acme".into() },
        ClientError::SharedKey { client: 2, key: 0, holder: "other".into() },
    ];
    assert_eq!(Clients::build(settings.into_iter(), None, None).err(), Some(expected), "both");
}

#[test]
fn the_last_use_is_known_to_the_second() {
    let clients = build(vec![client("acme", &["one", "two"])]);
    let when = SystemTime::UNIX_EPOCH + Duration::from_millis(1_800_000_000_250);
    let key = clients.find_at(b"one", || when).expect("a good key");
    assert_eq!(key.last_used(), Some(when - Duration::from_millis(250)), "without the fraction");
    assert_eq!(clients.look_up(b"two").and_then(|key| key.last_used()), None, "the other was not used");
}

#[test]
fn what_did_not_change_stays_the_same_object() {
    let before = build(vec![client("acme", &["one", "two"]), client("other", &["three"])]);
    let one = Arc::clone(before.find(b"one").expect("a good key"));
    let mut settings = vec![client("acme", &["one", "two"]), client("other", &["three"])];
    settings[0].keys[1].id = Some("new".into());
    settings[1].plan = Some("gold".into());
    let three = Arc::clone(before.find(b"three").expect("a good key"));
    let after = Clients::build(settings.into_iter(), None, Some(&before)).expect("clients without a fault");
    let now = |text: &[u8]| Arc::clone(after.look_up(text).expect("a known key"));
    assert!(Arc::ptr_eq(&now(b"one"), &one), "nothing about it changed");
    assert!(Arc::ptr_eq(&now(b"two").client, &one.client), "a key changed, its client did not");
    assert_eq!(now(b"two").id.as_deref(), Some("new"), "the change is there");
    assert_eq!(now(b"three").client.plan.as_deref(), Some("gold"), "that one too");
    assert_eq!(now(b"three").last_used(), three.last_used(), "and its last use is not forgotten");
}

#[test]
fn a_hundred_thousand_clients_are_found() {
    let settings: Vec<_> = (0..100_000).map(|n| client(&format!("client-{n}"), &[&format!("key-{n}")])).collect();
    let clients = build(settings);
    assert_eq!(clients.len(), 100_000, "all are there");
    for n in (0..100_000).step_by(997) {
        assert_eq!(name(&clients, &format!("key-{n}")), Ok(&*format!("client-{n}")), "each its own");
    }
    assert_eq!(name(&clients, "key-100000"), Err(NoKey::Unknown), "one more than there are");
}

#[test]
fn a_changed_client_has_its_new_keys_and_not_its_old_ones() {
    let before = build(vec![client("acme", &["one", "two"]), client("other", &["three"])]);
    let after = before.amend(Some(&client("acme", &["one", "two"])), Some(client("acme", &["two", "four"]))).unwrap();
    for (key, holder) in [("two", Ok("acme")), ("four", Ok("acme")), ("three", Ok("other")), ("one", Err(NoKey::Unknown))] {
        assert_eq!(name(&after, key), holder, "{key}");
    }
    assert_eq!(name(&before, "one"), Ok("acme"), "who looked before still finds what there was");
    let gone = after.amend(Some(&client("acme", &["two", "four"])), None).unwrap();
    assert_eq!((name(&gone, "two"), name(&gone, "three"), gone.len()), (Err(NoKey::Unknown), Ok("other"), 1));
    let error = gone.amend(None, Some(client("acme", &["three"]))).expect_err("a key that another client has");
    assert_eq!(error, [ClientError::SharedKey { client: 0, key: 0, holder: "other".into() }]);
    assert_eq!(name(&gone.amend(None, Some(client("acme", &["two"]))).unwrap(), "two"), Ok("acme"), "a key may come back");
}

#[test]
fn after_a_thousand_changes_everybody_has_the_keys_of_the_last_one() {
    let settings = |place: usize, round: usize| client(&format!("client-{place}"), &[&format!("key-{place}-{round}")]);
    let mut clients = build((0..50).map(|place| settings(place, 0)).collect());
    let mut rounds = [0; 50];
    for change in 0..1_000 {
        let place = change * 7 % 50;
        let before = settings(place, rounds[place]);
        rounds[place] += 1;
        clients = clients.amend(Some(&before), Some(settings(place, rounds[place]))).unwrap();
    }
    for (place, round) in rounds.into_iter().enumerate() {
        assert_eq!(name(&clients, &format!("key-{place}-{round}")), Ok(&*format!("client-{place}")));
        assert_eq!(name(&clients, &format!("key-{place}-{}", round - 1)), Err(NoKey::Unknown), "the key before");
    }
    assert_eq!(clients.len(), 50);
}
