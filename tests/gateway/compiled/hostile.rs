//! A Go plugin that panics, a C plugin that writes where it must not: it is their own request that ends.

use std::path::Path;

use gatehouse_tests::{Gateway, Origin, Setup, authored};

/// A gateway with one worker: the plugin on `/bad`, and nothing on any other path.
async fn house(component: &Path, isolation: &str) -> (Gateway, Origin) {
    let origin = Origin::saying("through").await;
    let config = format!(
        "
        upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
        plugins:
          - name: bad
            source: {{file: \"{}\"}}
            isolation: {isolation}
            grants: [log, kv, jwt, introspection, keys, rate-limit, {{http: [origin]}}, metrics, identity]
            limits: {{cpu: 250ms}}
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
async fn harms_itself_only(component: &Path, isolation: &str, action: &str, reason: &str) {
    let (gateway, _origin) = house(component, isolation).await;
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
        let after = gateway.get("/bad/fine").await;
        assert_eq!((after.status, after.text().as_str()), (200, "through"), "the next request to the plugin works");
    }
}

#[tokio::test]
async fn a_panic_in_go() {
    let component = authored::go("tests/conformance/go");
    for isolation in ["request", "reuse"] {
        harms_itself_only(&component, isolation, "trap", "plugin_trap").await;
    }
}

#[tokio::test]
async fn memory_without_end_in_go() {
    harms_itself_only(&authored::go("tests/conformance/go"), "reuse", "memory", "plugin_memory").await;
}

#[tokio::test]
async fn a_write_out_of_bounds_in_c() {
    let component = authored::c("tests/projects/wild-c");
    for isolation in ["request", "reuse"] {
        harms_itself_only(&component, isolation, "write", "plugin_trap").await;
        harms_itself_only(&component, isolation, "call", "plugin_trap").await;
        harms_itself_only(&component, isolation, "stack", "plugin_trap").await;
    }
}

#[tokio::test]
async fn a_write_over_its_own_memory_in_c_reaches_nobody_else() {
    let (gateway, _origin) = house(&authored::c("tests/projects/wild-c"), "request").await;
    for _ in 0..3 {
        let scribbled = gateway.get("/bad/scribble").await;
        scribbled.assert_problem(503, "plugin_trap");
        assert_eq!(gateway.get("/bad/fine").await.text(), "through", "another instance has its own memory");
        assert_eq!(gateway.get("/good").await.text(), "through", "and so has the gateway");
    }
}
