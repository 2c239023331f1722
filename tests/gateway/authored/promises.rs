//! What the SDKs promise: numbers of 128 bits are told exactly, errors name the author's line, slow starters are ready.

use std::path::PathBuf;

use gatehouse_tests::{Gateway, Setup, authored, get, origin::nobody};

/// A gateway with the reference plugin, as it is configured by default, in front of nobody.
async fn house(component: PathBuf) -> Gateway {
    let config = format!(
        "
        listeners: [{{name: public, address: \"127.0.0.1:0\", trusted_proxies: [127.0.0.1/32]}}]
        upstreams: [{{name: nobody, endpoints: [{{url: \"http://{}\"}}]}}]
        plugins:
          - name: kit
            source: {{file: \"{}\"}}
            grants: [log, kv, jwt, introspection, keys, rate-limit, {{http: [nobody]}}, metrics, identity]
            limits: {{cpu: 500ms}}
        routes: [{{name: all, chain: [{{plugin: kit}}], upstream: nobody}}]
        ",
        nobody(),
        component.display()
    );
    Setup::new(&config).one_worker().start().await
}

fn both() -> [PathBuf; 2] {
    [authored::javascript("tests/conformance/js"), authored::python("tests/conformance/python")]
}

#[tokio::test]
async fn ids_and_addresses_are_exact() {
    for component in both() {
        let gateway = house(component).await;
        let response = gateway.get("/state").await;
        response.assert_problem(502, "upstream_connect");
        assert_eq!(response.header("x-id"), response.json()["request_id"].as_str(), "the plugin knows the request's id");
        let address = "2001:db8:1234:5678:9abc:def0:fedc:ba99";
        let described = gateway.ask(get("/describe").header("x-forwarded-for", address)).await;
        assert_eq!(described.text(), format!("GET http /describe {address}"));
    }
}

#[tokio::test]
async fn an_error_names_the_authors_line() {
    for (component, said) in both().into_iter().zip(["faults.ts:5)", "RuntimeError: nobody catches this (faults.py, line 8, in commit)"]) {
        let gateway = house(component).await;
        gateway.get("/trap").await.assert_problem(503, "plugin_trap");
        gateway.wait_for_log(said, |line| line.contains(said) && line.contains("gatehouse::chain")).await;
    }
}

#[tokio::test]
async fn instances_of_slow_starters_are_kept() {
    for component in both() {
        let gateway = house(component).await;
        assert_eq!(gateway.get("/multi").await.text(), "-");
        gateway.wait_for_metric("gatehouse_plugin_instances", &[("plugin", "kit"), ("state", "idle")], |idle| idle >= 1.0).await;
    }
}
