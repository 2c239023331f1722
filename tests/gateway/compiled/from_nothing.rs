//! From an empty folder to a request that shows the plugin, in Go and C, and what `plugin build` says of a toolchain that is
//! not there.

use std::path::Path;
use std::process::{Command, Stdio};

use gatehouse_tests::{Gateway, Origin, Reload, authored::done, files, gateway::ADMIN_TOKEN};

/// `gatehouse plugin` as its author types it.
fn plugin(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(files::gatehouse());
    command.arg("plugin").args(arguments).current_dir(folder).stdin(Stdio::null());
    command.env("PATH", files::toolchains()).env("GATEHOUSE_CACHE", files::built("compiled-plugins"));
    command
}

/// A project that is missing what builds it.
fn refused_without(folder: &Path, program: &str, install: &str) {
    let refused = plugin(folder, &["build", "greeter"]).env("PATH", folder).output().expect("the gateway's binary runs");
    let said = String::from_utf8_lossy(&refused.stderr);
    let expected = format!("{program} is missing; install it with\n  apt-get install {install}");
    assert!(refused.status.code() == Some(1) && said.contains(&expected), "{said}");
}

async fn from_nothing(language: &str, program: &str, install: &str) {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    done(&mut plugin(folder.path(), &["new", "--lang", language, "greeter"]));
    refused_without(folder.path(), program, install);
    let built = done(&mut plugin(folder.path(), &["build", "greeter"]));
    assert!(built.contains("greeter/target/greeter.wasm") && built.contains("with the schema of its configuration"), "{built}");

    let origin = Origin::saying("through").await;
    let gateway = Gateway::in_front_of(&origin).await;
    std::fs::write(folder.path().join("token"), ADMIN_TOKEN).expect("the folder takes files");
    let admin = format!("http://{}", gateway.listener("admin"));
    let push = ["push", "greeter", "greeter/target/greeter.wasm", "--admin", &admin, "--admin-token-file", "token"];
    let pushed = done(&mut plugin(folder.path(), &push));
    assert!(pushed.contains("greeter version 1 "), "{pushed}");
    let reloaded = gateway.reload(&routed(&origin)).await;
    assert!(matches!(reloaded, Reload::Applied(_)), "{}", gateway.log());

    assert_eq!(gateway.get("/hello").await.text(), "good day from greeter\n", "the plugin answers as it is configured");
    assert_eq!(gateway.get("/").await.text(), "through");
    assert_eq!(origin.request().header("x-greeting").as_deref(), Some("good day"), "and greets the upstream");
}

/// A configuration with the plugin, uploaded, on every path.
fn routed(origin: &Origin) -> String {
    format!(
        "
        upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
        plugins: [{{name: greeter, source: {{uploaded: true}}}}]
        routes: [{{name: all, chain: [{{plugin: greeter, config: {{greeting: good day}}}}], upstream: origin}}]
        ",
        origin.url()
    )
}

#[tokio::test]
async fn go_from_nothing_to_a_request() {
    from_nothing("go", "go", "golang-go").await;
}

#[tokio::test]
async fn c_from_nothing_to_a_request() {
    from_nothing("c", "clang", "clang lld wasi-libc libclang-rt-dev-wasm32").await;
}

#[tokio::test]
async fn a_mistake_in_c_is_told_by_the_compiler_and_one_in_the_flags_by_the_build() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    done(&mut plugin(folder.path(), &["new", "--lang", "c", "greeter"]));
    let refused = |what: &str| {
        let output = plugin(folder.path(), &["build", "greeter"]).output().expect("the gateway's binary runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains(what), "{what} should be said: {said}");
    };
    let project = folder.path().join("greeter");
    std::fs::write(project.join("src.c"), "int broken(void) { return }\n").expect("the folder takes files");
    refused("src.c:1:27: error:");
    std::fs::write(project.join("compile_flags.txt"), "-std=c17\n").expect("the folder takes files");
    refused("compile_flags.txt does not name the SDK");
}
