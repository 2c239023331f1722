//! Plugins that mean harm, or are just broken: it is their own request that ends.

use std::path::PathBuf;

use gatehouse_tests::{Gateway, Origin, Setup, authored};

/// A gateway with one worker: the reference plugin on `/bad`, and nothing on any other path.
async fn house(component: PathBuf) -> (Gateway, Origin) {
    let origin = Origin::saying("through").await;
    let config = format!(
        "
        upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
        plugins:
          - name: bad
            source: {{file: \"{}\"}}
            grants: [log, kv, jwt, introspection, keys, rate-limit, {{http: [origin]}}, metrics, identity]
            limits: {{cpu: 100ms}}
        routes:
          - {{name: others, upstream: origin}}
          - {{name: bad, match: [{{path: {{prefix: /bad}}}}], chain: [{{plugin: bad}}], upstream: origin}}
        ",
        origin.url(),
        component.display()
    );
    (Setup::new(&config).one_worker().start().await, origin)
}

/// Does the bad thing several times, while others on the same worker ask for what is good.
async fn harms_itself_only(component: PathBuf, action: &str, reason: &str) {
    let (gateway, _origin) = house(component).await;
    let target = format!("/bad/{action}");
    for round in 0..3 {
        let others = async {
            for _ in 0..20 {
                let response = gateway.get("/good").await;
                assert_eq!((response.status, response.text().as_str()), (200, "through"), "others are served in round {round}");
            }
        };
        let (bad, ()) = tokio::join!(gateway.get(&target), others);
        bad.assert_problem(503, reason);
        let after = gateway.get("/bad/multi").await;
        assert_eq!((after.status, after.text().as_str()), (200, "-"), "the next request to the plugin works");
    }
}

#[tokio::test]
async fn an_endless_loop_in_python() {
    harms_itself_only(authored::python("tests/conformance/python"), "loop", "plugin_timeout").await;
}

#[tokio::test]
async fn memory_without_end_in_javascript() {
    harms_itself_only(authored::javascript("tests/conformance/js"), "memory", "plugin_memory").await;
}

#[tokio::test]
async fn an_endless_loop_in_javascript() {
    harms_itself_only(authored::javascript("tests/conformance/js"), "loop", "plugin_timeout").await;
}

#[tokio::test]
async fn memory_without_end_in_python() {
    harms_itself_only(authored::python("tests/conformance/python"), "memory", "plugin_memory").await;
}
