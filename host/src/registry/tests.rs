use super::*;

fn artifact(reference: &str) -> Artifact {
    Artifact { reference: reference.into(), credentials: None, refresh: Duration::from_secs(60), insecure: None, authorities: None }
}

fn pulled(content: &'static str) -> Pulled {
    let bytes: Arc<[u8]> = content.as_bytes().into();
    Pulled { manifest: format!("sha256:of {content}"), component: Sha256Digest::of(&bytes), copy: Copied::Memory(bytes), signature: None }
}

/// Registries that know one artifact and ask nobody.
fn knowing(artifact: &Artifact) -> Registries {
    let registries = Registries::offline(None);
    registries.attend(std::slice::from_ref(artifact));
    registries
}

#[track_caller]
fn built_with(registries: &Registries, artifact: &Artifact) -> String {
    let component = registries.choose(artifact).expect("there is one");
    String::from_utf8(component.bytes).expect("text")
}

#[test]
fn an_offer_serves_once_it_is_applied_and_the_last_good_one_where_it_is_not() {
    let tag = artifact("registry.example/acme:1");
    let registries = knowing(&tag);
    registries.learn(&tag, Ok(Some(pulled("one"))));
    assert_eq!(built_with(&registries, &tag), "one");
    registries.settle();

    registries.learn(&tag, Ok(Some(pulled("bad"))));
    assert_eq!(built_with(&registries, &tag), "bad", "it is tried");
    assert!(registries.withdraw(), "something else can be built");
    assert_eq!(built_with(&registries, &tag), "one");
    registries.settle();
    assert_eq!(built_with(&registries, &tag), "one", "and stays out");
    registries.learn(&tag, Ok(None));
    assert_eq!(built_with(&registries, &tag), "one", "as long as the tag stays there");

    registries.offer_again();
    assert_eq!(built_with(&registries, &tag), "bad", "until other files may want it");
    registries.withdraw();
    registries.learn(&tag, Ok(Some(pulled("two"))));
    assert_eq!(built_with(&registries, &tag), "two", "or the tag moves on");
}

#[test]
fn what_comes_while_a_snapshot_is_built_is_not_taken_for_applied() {
    let tag = artifact("registry.example/acme:1");
    let registries = knowing(&tag);
    registries.learn(&tag, Ok(Some(pulled("one"))));
    assert_eq!(built_with(&registries, &tag), "one");
    registries.learn(&tag, Ok(Some(pulled("two"))));
    registries.settle();
    let entries = registries.entries.lock();
    assert_eq!((entries[&tag].serving.clone(), entries[&tag].offer.clone()), (Some(pulled("one")), Some(pulled("two"))));
}

#[test]
fn a_tag_that_goes_back_takes_its_offer_back() {
    let tag = artifact("registry.example/acme:1");
    let registries = knowing(&tag);
    registries.learn(&tag, Ok(Some(pulled("one"))));
    built_with(&registries, &tag);
    registries.settle();
    registries.learn(&tag, Ok(Some(pulled("two"))));
    registries.learn(&tag, Ok(Some(pulled("one"))));
    assert_eq!(built_with(&registries, &tag), "one");
    assert_eq!(registries.entries.lock()[&tag].offer, None);
}

#[test]
fn tags_are_looked_at_again_and_digests_only_as_long_as_they_are_missing() {
    let (tag, pinned) = (artifact("registry.example/acme:1"), artifact("registry.example/acme@sha256:of one"));
    for (artifact, again) in [(tag, true), (pinned, false)] {
        let registries = knowing(&artifact);
        registries.learn(&artifact, Err(PullError::Slow(PATIENCE)));
        assert!(registries.entries.lock()[&artifact].due.is_some(), "missing");
        let absent = registries.choose(&artifact).err();
        assert_eq!(absent, Some(Absent::Failed("the registry took longer than 60s".into())));
        registries.learn(&artifact, Ok(Some(pulled("one"))));
        assert_eq!(registries.entries.lock()[&artifact].due.is_some(), again, "{}", artifact.reference);
    }
}

#[test]
fn what_no_configuration_needs_is_forgotten() {
    let (kept, gone) = (artifact("registry.example/acme:1"), artifact("registry.example/acme:2"));
    let registries = knowing(&kept);
    registries.attend(std::slice::from_ref(&gone));
    registries.learn(&kept, Ok(Some(pulled("one"))));
    registries.learn(&gone, Ok(Some(pulled("two"))));
    built_with(&registries, &kept);
    registries.settle();
    assert_eq!(registries.entries.lock().keys().map(|artifact| &*artifact.reference).collect::<Vec<_>>(), ["registry.example/acme:1"]);
}

#[test]
fn a_copy_outlives_the_process_and_is_believed_only_if_it_is_whole() {
    let folder = std::env::temp_dir().join(format!("gatehouse-registry-{}", std::process::id()));
    let tag = artifact("registry.example/acme:1");
    let remembered = || Kept::within(&folder).remembered(&tag).and_then(|pulled| pulled.bytes());
    let registries = Registries { kept: Some(Kept::within(&folder)), ..knowing(&tag) };
    let found = registries.put_away(pull::Found { manifest: "sha256:of one".into(), bytes: b"one".to_vec(), signature: None });
    let Copied::Disk(path) = found.copy.clone() else { panic!("there is a disk") };
    registries.learn(&tag, Ok(Some(found)));
    assert_eq!(remembered(), None, "it has not served yet");
    built_with(&registries, &tag);
    registries.settle();
    assert_eq!(remembered().as_deref(), Some(&b"one"[..]));
    std::fs::write(path, "altered").expect("ours");
    assert_eq!(remembered(), None, "it is not what its name says");
    std::fs::remove_dir_all(&folder).expect("ours");
}
