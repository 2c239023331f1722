//! Plugins from a registry that is away, lies, or has something that is of no use: each is refused with a reason, and
//! whatever serves goes on.

use gatehouse_tests::{
    Answer, Gateway, Origin, Registry, Reload, Setup,
    guests::version,
    registry::{Layout, digest},
    rollouts::label,
    wire::soon,
};
use serde_json::json;

use crate::registries::{config, moving, wait_for_label};

async fn refused(oci: &str) -> String {
    let origin = Origin::saying("through").await;
    let (code, said) = Setup::new(&config(&origin, oci)).start_refused().await;
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("gatehouse.yaml:3:"), "the place is named: {said}");
    assert!(said.contains("plugins[0].source"), "{said}");
    said
}

#[track_caller]
fn says(said: &str, wanted: &str) {
    assert!(said.contains(wanted), "{wanted}: {said}");
}

#[tokio::test]
async fn a_start_without_the_registry_and_without_a_copy_names_the_place() {
    let mut registry = Registry::start().await;
    let reference = registry.reference("guest:1");
    says(&refused(&format!("\"{reference}\"")).await, "an artifact that can be pulled: ");
    registry.stop().await;
    let said = refused(&format!("\"{reference}\"")).await;
    says(&said, &format!("plugins[0].source.oci: got {reference}, want an artifact that can be pulled: "));
    says(&said, "Connection refused");
}

#[tokio::test]
async fn what_is_no_component_is_refused_with_a_reason() {
    let registry = Registry::start().await;
    let one = version("plain", "one");
    let (config, wasm) = ("application/vnd.wasm.config.v0+json", "application/wasm");
    registry.push_layers("guest", "two-layers", config, &[(wasm, &one), (wasm, b"other")]).await;
    registry.push_layers("guest", "tar", config, &[("application/vnd.oci.image.layer.v1.tar", &one)]).await;
    registry.push_layers("guest", "large", config, &[(wasm, &vec![0; (32 << 20) + 1])]).await;
    registry.push_layers("guest", "text", config, &[(wasm, b"not a component")]).await;
    for (tag, why) in [
        ("two-layers", "it has 2 layers, a component has one"),
        ("tar", "its layer is \"application/vnd.oci.image.layer.v1.tar\""),
        ("large", "its component has 33554433 bytes, 33554432 are allowed"),
        ("text", "a component that can be loaded, but"),
    ] {
        says(&refused(&format!("\"{}\"", registry.reference(&format!("guest:{tag}")))).await, why);
    }
}

/// A registry that says these things, whatever their digests are.
async fn lying(answers: Vec<(String, Vec<u8>)>) -> Origin {
    Origin::start(move |request| {
        let found = answers.iter().find(|(end, _)| request.target().ends_with(end.as_str()));
        match found {
            Some((_, body)) => Answer::new(200, &[("content-type", "application/vnd.oci.image.manifest.v1+json")], body),
            None => Answer::new(if request.target() == "/v2/" { 200 } else { 404 }, &[], "{}"),
        }
    })
    .await
}

fn manifest(layer: &str, size: usize) -> Vec<u8> {
    let described = |kind: &str, digest: &str, size| json!({"mediaType": kind, "digest": digest, "size": size});
    let config = described("application/vnd.wasm.config.v0+json", &digest(b"{}"), 2);
    json!({"schemaVersion": 2, "config": config, "layers": [described("application/wasm", layer, size)]}).to_string().into()
}

#[tokio::test]
async fn what_is_not_what_its_digest_says_is_refused() {
    let one = version("plain", "one");
    let honest = manifest(&digest(&one), one.len());
    let (wanted, got) = (digest(&honest), digest(b"{}"));

    let registry = lying(vec![(format!("/manifests/{wanted}"), manifest(&digest(b"other"), 5))]).await;
    let reference = |registry: &Origin| format!("\"{}/guest@{wanted}\"", registry.address());
    says(&refused(&reference(&registry)).await, &format!("Expected {wanted}"));

    let blob = format!("/blobs/{}", digest(&one));
    let registry = lying(vec![(format!("/manifests/{wanted}"), honest.clone()), (blob.clone(), b"{}".to_vec())]).await;
    says(&refused(&reference(&registry)).await, &format!("Expected {}, got {got}", digest(&one)));

    let registry = lying(vec![(format!("/manifests/{wanted}"), honest), (blob, vec![0; 33 << 20])]).await;
    says(&refused(&reference(&registry)).await, "its component has more than 33554432 bytes");
}

#[tokio::test]
async fn a_bad_push_keeps_nothing_else_from_being_applied() {
    let (registry, origin) = (Registry::start().await, Origin::saying("through").await);
    registry.push("guest", "stable", Layout::Wasm, &version("plain", "one")).await;
    let config = config(&origin, &moving(&registry, "guest:stable"));
    let gateway = Gateway::start(&config).await;

    registry.push("guest", "stable", Layout::Wasm, b"not a component").await;
    gateway.wait_for_metric("gatehouse_config_rejects_total", &[("reason", "plugin")], |count| count > 0.5).await;
    assert_eq!(label(&gateway.get("/").await), "one", "the last good one serves");
    soon("another look", async {
        let looks = gateway.metrics().await.sum("gatehouse_registry_pulls_total", &[("result", "unchanged")]);
        gateway.wait_for_metric("gatehouse_registry_pulls_total", &[("result", "unchanged")], |count| count > looks + 1.5).await;
    })
    .await;
    let rejects = gateway.metrics().await.sum("gatehouse_config_rejects_total", &[]);
    assert!((rejects - 1.0).abs() < 0.1, "it is tried once, not with every look: {rejects}");

    gateway.write(&config.replace("name: all", "name: everything"));
    gateway.signal(libc::SIGHUP);
    gateway.wait_for_metric("gatehouse_config_revision", &[], |revision| revision > 1.5).await;
    assert_eq!(label(&gateway.get("/").await), "one");
    let gateway = gateway.kill_and_start_again().await;
    assert_eq!(label(&gateway.get("/").await), "one", "a start is not held up either: {}", gateway.log());

    registry.push("guest", "stable", Layout::Wasm, &version("plain", "two")).await;
    wait_for_label(&gateway, "two").await;
}

#[tokio::test]
async fn a_plugin_that_cannot_be_pulled_is_a_reload_refused_until_it_can() {
    let (mut registry, origin) = (Registry::start().await, Origin::saying("through").await);
    registry.push("guest", "stable", Layout::Wasm, &version("plain", "one")).await;
    let gateway = Gateway::in_front_of(&origin).await;
    registry.stop().await;
    assert_eq!(gateway.reload(&config(&origin, &moving(&registry, "guest:stable"))).await, Reload::Rejected);
    assert_eq!(gateway.get("/").await.status, 200, "what served serves on");
    registry.start_again().await;
    gateway.wait_for_metric("gatehouse_config_revision", &[], |revision| revision > 1.5).await;
    assert_eq!(label(&gateway.get("/").await), "one", "nobody had to reload again");
}
