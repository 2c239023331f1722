//! Components that are refused when they are loaded, and configurations that make no sense with them.

use gatehouse_tests::{Setup, guests};

/// What a gateway says of this configuration, which it refuses.
async fn refusal(config: &str) -> String {
    let (code, said) = Setup::new(config).start_refused().await;
    assert_eq!(code, Some(78), "{said}");
    said
}

fn plugin(component: &str) -> String {
    format!("plugins: [{{name: app, source: {{file: \"{}\"}}}}]", guests::foreign(component).display())
}

#[track_caller]
fn says(said: &str, wanted: &str) {
    assert!(said.contains(wanted), "{said:?} should say {wanted:?}");
}

#[tokio::test]
async fn a_component_stands_where_its_kind_can() {
    let said = refusal(&format!("{}\nroutes: [{{name: all, chain: [{{plugin: app}}]}}]", plugin("wasip2-http-proxy"))).await;
    says(&said, "it is a wasi:http/incoming-handler@0.2 component: the end of a route, as its `component`");
    let said = refusal(&format!("{}\nroutes: [{{name: all, component: app}}]", plugin("middleware"))).await;
    says(&said, "it is a wasi:http/handler@0.3 middleware: a step of a chain");
    let said = refusal("routes: [{name: all, component: mock}]").await;
    says(&said, "it is a plugin: a step of a chain");
    let said = refusal("routes: [{name: all, component: nobody}]").await;
    says(&said, "routes[0].component: got \"nobody\", want the name of a plugin");
}

#[tokio::test]
async fn a_route_ends_once() {
    let routes = "upstreams: [{name: origin, endpoints: [{url: \"http://127.0.0.1:1\"}]}]
routes: [{name: all, component: app, upstream: origin}]";
    says(&refusal(&format!("{}\n{routes}", plugin("wasip2-http-proxy"))).await, "got upstream beside component, want one of the two");
}

#[tokio::test]
async fn a_component_has_an_environment_and_a_plugin_a_configuration() {
    let said =
        refusal(&format!("{}\nroutes: [{{name: all, chain: [{{plugin: app, config: {{a: 1}}}}], component: app}}]", plugin("middleware")))
            .await;
    says(&said, "a component of wasi:http is told by `env` in `plugins`");
    let said = refusal("plugins: [{name: mock, env: {A: b}}]\nroutes: [{name: all, chain: [{plugin: mock, config: {status: 200}}]}]").await;
    says(&said, "it has a configuration and no environment");
}

#[tokio::test]
async fn an_import_that_there_is_nothing_for_is_refused_by_its_name() {
    let config = "plugins: [{name: app, source: {file: $DIR/app.wasm}}]\nroutes: [{name: all, component: app}]";
    let (code, said) = Setup::new(config).file("app.wasm", guests::importing("wasi:keyvalue/store@0.2.0-draft2")).start_refused().await;
    assert_eq!(code, Some(78), "{said}");
    says(&said, "it imports `wasi:keyvalue/store@0.2.0-draft2`, which this gateway does not offer");
}
