//! Components that are not what a gateway should spend itself on: each refused with its reason, and nobody else pays.

use gatehouse_tests::{Gateway, Origin, Reload, Setup, bombs, gateway::gatehouse_reading, gateway::plain};

/// A config with one plugin from the file `bomb.wasm` in the config's folder, used by no route.
fn with_bomb(origin: &Origin) -> String {
    format!("{}plugins: [{{name: bomb, source: {{file: $DIR/bomb.wasm}}}}]\n", plain(&origin.url()))
}

/// Checks that a gateway does not start with this component, and what it says.
async fn check_refused(component: Vec<u8>, arguments: &[&str], said: &str) {
    let origin = Origin::saying("through").await;
    let setup = Setup::new(&with_bomb(&origin)).file("bomb.wasm", component).arguments(arguments);
    let (code, output) = setup.start_refused().await;
    assert_eq!(code, Some(78), "{output}");
    assert!(output.contains(said), "{said:?} should be said:\n{output}");
    assert!(output.contains("plugins[0].source"), "with the place:\n{output}");
}

#[tokio::test]
async fn a_component_that_takes_too_long_to_compile_is_refused() {
    check_refused(bombs::functions(20_000, 1_400), &["--compile-cpu", "1s"], "more than 1 s of computing time").await;
}

#[tokio::test]
async fn a_component_that_takes_too_much_memory_to_compile_is_refused() {
    check_refused(bombs::functions(10, 900_000), &["--compile-memory", "256MiB"], "more than 256 MiB of memory").await;
}

#[tokio::test]
async fn components_out_of_proportion_are_refused_before_they_are_compiled() {
    check_refused(bombs::functions(100_001, 0), &[], "100001 functions where 100000 are allowed").await;
    check_refused(bombs::functions(1, (1 << 20) + 10), &[], "bytes in one function where 1048576 are allowed").await;
    check_refused(bombs::functions(25_000, 1_400), &[], "bytes where 33554432 are allowed").await;
    check_refused(bombs::huge_section(), &[], "not valid").await;
}

#[tokio::test]
async fn ten_thousand_functions_compile_and_are_no_plugin_yet() {
    check_refused(bombs::functions(10_000, 20), &[], "it is not a plugin").await;
}

#[tokio::test]
async fn a_memory_larger_than_any_plugin_may_have_is_refused() {
    check_refused(bombs::memory(65_536), &[], "memory").await;
}

#[tokio::test]
async fn what_is_no_component_is_refused() {
    check_refused(b"\0asm\x01\0\0\0".to_vec(), &[], "a core module").await;
    check_refused(b"\x7fELF\x02\x01\x01 compiled ahead of time".to_vec(), &[], "machine code").await;
    check_refused(b"PK\x03\x04 an archive".to_vec(), &[], "not a WebAssembly component").await;
    check_refused(vec![0x1f, 0x8b, 8, 0], &[], "not a WebAssembly component").await;
}

#[tokio::test]
async fn a_bomb_in_a_new_config_hurts_nobody() {
    let origin = Origin::saying("through").await;
    let gateway =
        Setup::new(&plain(&origin.url())).file("bomb.wasm", bombs::functions(10, 900_000)).arguments(&["--compile-memory", "256MiB"]);
    let gateway: Gateway = gateway.start().await;
    let before = gateway.rss();
    assert_eq!(gateway.reload(&with_bomb(&origin)).await, Reload::Rejected);
    assert_eq!(gateway.get("/").await.text(), "through", "the last good config serves on");
    let grown = gateway.rss().saturating_sub(before) >> 20;
    assert!(grown < 128, "the gateway itself did not take the memory: {grown} MiB more");
}

#[tokio::test]
async fn the_compilers_process_is_held_to_its_limits() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let run = |arguments: &'static [&'static str], component: Vec<u8>| {
        let folder = folder.path().to_owned();
        async move { gatehouse_reading(&folder, arguments, component).await }
    };
    let output = run(
        &["compile-plugin", "--engine", "contract", "--memory", "2147483648", "--cpu", "1", "--nice", "0"],
        bombs::functions(20_000, 1_400),
    )
    .await;
    assert_eq!(output.code, None, "a signal ended it: {}", output.stderr);
    let output =
        run(&["compile-plugin", "--engine", "contract", "--memory", "2147483648", "--cpu", "60"], b"\0asm\x0d\0\x01\0\x01".to_vec()).await;
    assert_eq!(output.code, Some(1));
    assert!(output.stdout.contains("unexpected end"), "the reason goes where code would: {}", output.stdout);
}
