//! Plugins from a registry: in the layouts that are common, by digest and by tag, and what is told of them.

use gatehouse_tests::{
    Gateway, Origin, Registry, Setup,
    gateway::gatehouse,
    guests::version,
    registry::{Layout, PASSWORD, USERNAME},
    rollouts::label,
    tls::Certificate,
    wire::soon,
};

/// A gateway whose plugin `guest` is in a registry, in front of an origin.
pub fn config(origin: &Origin, oci: &str) -> String {
    format!(
        "
        upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
        plugins:
          - {{name: guest, source: {{oci: {oci}}}, grants: [kv], limits: {{cpu: 1s, wall: 5s}}}}
        routes: [{{name: all, chain: [{{plugin: guest}}], upstream: origin}}]
        ",
        origin.url()
    )
}

/// A tag that is looked up every second.
pub fn moving(registry: &Registry, tag: &str) -> String {
    format!("{{reference: \"{}\", refresh: 1s}}", registry.reference(tag))
}

pub async fn wait_for_label(gateway: &Gateway, wanted: &str) {
    soon(&format!("the version {wanted}"), async {
        while label(&gateway.get("/").await) != wanted {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn both_layouts_serve_by_digest_and_are_pulled_once() {
    let (mut registry, origin) = (Registry::start().await, Origin::saying("through").await);
    for (layout, name) in [(Layout::Wasm, "wasm"), (Layout::Content, "content")] {
        let digest = registry.push("acme/guest", name, layout, &version("plain", name)).await;
        let reference = registry.reference(&format!("acme/guest@{digest}"));
        let gateway = Gateway::start(&config(&origin, &format!("\"{reference}\""))).await;
        assert_eq!(label(&gateway.get("/").await), name);
        let pulls = |result: &'static str| [("reference", reference.clone()), ("result", result.to_owned())];
        let metrics = gateway.metrics().await;
        let counted = |result| {
            let labels = pulls(result);
            metrics.sum("gatehouse_registry_pulls_total", &labels.each_ref().map(|(name, value)| (*name, value.as_str())))
        };
        assert_eq!([counted("pulled"), counted("unchanged"), counted("failed")].map(|count| count as u64), [1, 0, 0]);
        assert!(metrics.sum("gatehouse_registry_last_success_timestamp_seconds", &[]) > 1e9, "it is a Unix time");

        registry.stop().await;
        let gateway = gateway.kill_and_start_again().await;
        assert_eq!(label(&gateway.get("/").await), name, "nobody had to be asked");
        assert!((gateway.metrics().await.sum("gatehouse_registry_pulls_total", &[])).abs() < 0.5, "nor was");
        registry.start_again().await;
    }
}

#[tokio::test]
async fn a_tag_that_moves_is_followed_and_outlives_its_registry() {
    let (mut registry, origin) = (Registry::start().await, Origin::saying("through").await);
    registry.push("guest", "stable", Layout::Wasm, &version("plain", "one")).await;
    let gateway = Gateway::start(&config(&origin, &moving(&registry, "guest:stable"))).await;
    assert_eq!(label(&gateway.get("/").await), "one");
    gateway.wait_for_metric("gatehouse_registry_pulls_total", &[("result", "unchanged")], |count| count > 0.5).await;
    assert!((gateway.metrics().await.sum("gatehouse_config_revision", &[]) - 1.0).abs() < 0.1, "nothing new, nothing built");

    registry.push("guest", "stable", Layout::Content, &version("plain", "two")).await;
    wait_for_label(&gateway, "two").await;

    registry.stop().await;
    gateway.wait_for_metric("gatehouse_registry_pulls_total", &[("result", "failed")], |count| count > 0.5).await;
    assert_eq!(label(&gateway.get("/").await), "two", "the registry is not needed to serve");
    assert!(gateway.log().contains("the copy that is kept serves"), "{}", gateway.log());

    let gateway = gateway.kill_and_start_again().await;
    assert_eq!(label(&gateway.get("/").await), "two", "nor to start");
    assert!(gateway.log().contains("the copy that is kept serves"), "it says so: {}", gateway.log());

    registry.start_again().await;
    registry.push("guest", "stable", Layout::Wasm, &version("plain", "three")).await;
    wait_for_label(&gateway, "three").await;
}

#[tokio::test]
async fn the_digest_in_use_is_told() {
    let (registry, origin) = (Registry::start().await, Origin::saying("through").await);
    let digest = registry.push("guest", "stable", Layout::Wasm, &version("plain", "one")).await;
    let gateway = Gateway::start(&config(&origin, &moving(&registry, "guest:stable"))).await;
    let pinned = format!("{}@{digest}", registry.reference("guest:stable"));
    let view = gateway.api_get("/v1/plugins/guest").await.json();
    assert_eq!((&view["stable"]["source"], &view["stable"]["reference"]), (&"registry".into(), &pinned.as_str().into()), "{view}");

    let folder = gateway.folder();
    let explained = gatehouse(folder, &["explain", "--config", "gatehouse.yaml", "--data", "data", "GET", "/"]).await;
    assert!(explained.stdout.contains(&format!("from {pinned}\n")), "{explained:?}");
    let checked = gatehouse(folder, &["check", "gatehouse.yaml"]).await;
    assert_eq!(checked.code, Some(0), "a check needs no registry: {checked:?}");
}

#[tokio::test]
async fn an_uploaded_version_takes_turns_with_one_from_a_registry() {
    let (registry, origin) = (Registry::start().await, Origin::saying("through").await);
    registry.push("guest", "stable", Layout::Wasm, &version("plain", "one")).await;
    let gateway = Gateway::start(&config(&origin, &moving(&registry, "guest:stable"))).await;
    let push = gatehouse_tests::request("POST", "/v1/plugins/guest/versions").header("content-type", "application/wasm");
    let pushed = gateway.api(push.body(version("plain", "two"))).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    let whole = serde_json::json!({"version": pushed.json()["version"], "weight": 100});
    assert_eq!(gateway.api_send("PUT", "/v1/plugins/guest/rollout", &whole).await.status, 200);
    assert_eq!(label(&gateway.get("/").await), "two");
    assert_eq!(gateway.api(gatehouse_tests::request("POST", "/v1/plugins/guest/rollback")).await.status, 200);
    assert_eq!(label(&gateway.get("/").await), "one", "what the registry gave is a version like others");
}

#[tokio::test]
async fn a_registry_that_asks_gets_credentials() {
    let (registry, origin) = (Registry::start_asking().await, Origin::saying("through").await);
    registry.push("guest", "1", Layout::Wasm, &version("plain", "one")).await;
    let auth = format!("auth: {{username: {USERNAME}, password: {{env: REGISTRY_PASSWORD}}}}");
    let config = config(&origin, &format!("{{reference: \"{}\", {auth}}}", registry.reference("guest:1")));
    let gateway = Setup::new(&config).environment("REGISTRY_PASSWORD", PASSWORD).start().await;
    assert_eq!(label(&gateway.get("/").await), "one");

    let (code, said) = Setup::new(&config).environment("REGISTRY_PASSWORD", "another").start_refused().await;
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("Not authorized"), "{said}");
    assert!(!said.contains("another"), "the password is nobody's business: {said}");
}

#[tokio::test]
async fn a_registry_with_an_authority_of_its_own_is_trusted_if_the_configuration_names_it() {
    let (mut registry, origin) = (Registry::start().await, Origin::saying("through").await);
    registry.push("guest", "1", Layout::Wasm, &version("plain", "one")).await;
    let certificate = Certificate::of(&["127.0.0.1"]);
    registry.start_again_with_tls(&certificate).await;
    let source = |settings: &str| format!("{{reference: \"{}\", {settings}}}", registry.reference("guest:1"));
    let setup = |settings: &str, authority: &Certificate| Setup::new(&config(&origin, &source(settings))).file("ca.pem", authority.pem());

    let gateway = setup("ca: ca.pem", &certificate).start().await;
    assert_eq!(label(&gateway.get("/").await), "one", "over TLS, although it is on this machine");

    let (code, said) = setup("ca: ca.pem", &Certificate::of(&["127.0.0.1"])).start_refused().await;
    assert_eq!(code, Some(78), "another authority: {said}");
    assert!(said.contains("plugins[0].source.oci.reference") && said.contains("certificate"), "{said}");
    let (code, said) = setup("insecure: false", &certificate).start_refused().await;
    assert_eq!(code, Some(78), "the system's authorities do not know it: {said}");
    let (code, said) = setup("ca: nothing.pem", &certificate).start_refused().await;
    assert!(code == Some(78) && said.contains("plugins[0].source.oci.ca") && said.contains("nothing.pem"), "{said}");
    let (code, said) = setup("ca: ca.pem, insecure: true", &certificate).start_refused().await;
    assert!(code == Some(78) && said.contains("there is no TLS"), "{said}");
}
