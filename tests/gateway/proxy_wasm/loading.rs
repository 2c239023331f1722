//! What is taken as a filter, and what is refused, and why.

use gatehouse_tests::{Gateway, Origin, Response, Setup, files, gateway::plain, get, request};

use super::house::{self, House};

/// Checks that a gateway does not start with this module on a route, and what it says.
async fn check_refused(module: &str, said: &str) {
    let origin = Origin::saying("through").await;
    let config = format!(
        "upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
plugins: [{{name: filter, source: {{file: $DIR/filter.wasm}}}}]
routes: [{{name: all, chain: [{{plugin: filter}}], upstream: origin}}]\n",
        origin.url()
    );
    let module = wat::parse_str(module).expect("the module's text");
    let (code, output) = Setup::new(&config).file("filter.wasm", module).start_refused().await;
    assert_eq!(code, Some(78), "{output}");
    assert!(output.contains(said), "{said:?} should be said:\n{output}");
}

const MARKED: &str = r#"(func (export "proxy_abi_version_0_2_1"))"#;
const ALLOCATOR: &str = r#"(memory (export "memory") 1) (func (export "malloc") (param i32) (result i32) i32.const 8)"#;

#[tokio::test]
async fn a_core_module_without_the_marker_is_refused() {
    check_refused("(module)", "proxy_abi_version_0_2_1").await;
}

#[tokio::test]
async fn what_this_host_does_not_have_is_refused_by_name() {
    let missing = r#"(import "env" "proxy_make_coffee" (func (param i32) (result i32)))"#;
    check_refused(&format!("(module {missing} {MARKED} {ALLOCATOR})"), "it imports `env.proxy_make_coffee`").await;
}

#[tokio::test]
async fn a_filter_has_a_memory_and_an_allocator() {
    check_refused(&format!("(module {MARKED})"), "exports no `memory`").await;
    check_refused(&format!(r#"(module {MARKED} (memory (export "memory") 1))"#), "proxy_on_memory_allocate").await;
}

#[tokio::test]
async fn a_callback_of_another_type_is_refused() {
    let odd = r#"(func (export "proxy_on_log") (param i64))"#;
    check_refused(&format!("(module {MARKED} {ALLOCATOR} {odd})"), "`proxy_on_log` of another type").await;
}

#[tokio::test]
async fn a_filter_that_does_nothing_lets_everything_through() {
    let origin = Origin::saying("through").await;
    let module = wat::parse_str(format!("(module {MARKED} {ALLOCATOR})")).expect("the module's text");
    let config = format!(
        "upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
plugins: [{{name: filter, source: {{file: $DIR/filter.wasm}}}}]
routes: [{{name: all, chain: [{{plugin: filter}}, {{plugin: request-id}}], upstream: origin}}]\n",
        origin.url()
    );
    let gateway = Setup::new(&config).file("filter.wasm", module).start().await;
    assert_eq!(gateway.ask(request("POST", "/").body("abc")).await.text(), "through");
    assert_eq!(origin.request().body, b"abc");
}

#[tokio::test]
async fn a_configuration_that_the_filter_refuses_is_refused_with_its_last_words() {
    let (origin, side) = (Origin::saying("through").await, Origin::saying("").await);
    let config = house::config("probe", "", "config: refuse", &origin, &side);
    let (code, output) = Setup::new(&config).start_refused().await;
    assert_eq!(code, Some(78), "{output}");
    assert!(output.contains("routes[0].chain[0].config"), "{output}");
    assert!(output.contains("proxy_on_configure said no: the rule book is empty"), "{output}");
}

async fn upload(gateway: &Gateway, module: Vec<u8>) -> Response {
    gateway.api(request("POST", "/v1/plugins/filter/versions").header("content-type", "application/wasm").body(module)).await
}

#[tokio::test]
async fn a_filter_is_uploaded_and_rolled_out_as_every_plugin_is() {
    let origin = Origin::saying("through").await;
    let config = format!(
        "{}plugins: [{{name: filter, source: {{uploaded: true}}}}]\n",
        plain(&origin.url()).replace("upstream: origin", "chain: [{plugin: filter, config: uploaded}], upstream: origin")
    );
    let gateway = Setup::new(&plain(&origin.url())).start().await;
    let refused = upload(&gateway, b"\0asm\x01\0\0\0".to_vec()).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    let taken = upload(&gateway, std::fs::read(files::filter("http_config")).expect("it was built")).await;
    assert_eq!(taken.status, 201, "{}", taken.text());
    assert!(taken.text().contains("env.proxy_log"), "its imports are told: {}", taken.text());
    let _ = config;
}

#[tokio::test]
async fn filters_and_components_work_in_one_chain() {
    let (origin, side) = (Origin::saying("through").await, Origin::saying("").await);
    let config = house::config("http_config", "", "config: from-filter", &origin, &side).replace(
        "chain: [",
        "chain: [{plugin: transform, config: {request: {headers: {set: {x-first: \"1\"}}}, response: {headers: {set: {x-last: \"1\"}}}}}, ",
    );
    let gateway = Setup::new(&config).start().await;
    let response = gateway.get("/").await;
    assert_eq!((response.header("custom-header"), response.header("x-last")), (Some("from-filter"), Some("1")));
    assert_eq!(origin.request().header("x-first").as_deref(), Some("1"));
}

#[tokio::test]
async fn a_reload_keeps_the_instance_of_a_filter_that_did_not_change() {
    let house = House::with("probe").await;
    house.play("").await;
    let config = house::config("probe", "", "", &house.origin, &house.side) + "clients: [{name: somebody, keys: []}]\n";
    house.gateway.reload(&config.replace("\n        ", "\n")).await;
    house.gateway.ask(get("/").header("x-mode", "shared").header("x-key", "none")).await;
    house.assert_works().await;
}
