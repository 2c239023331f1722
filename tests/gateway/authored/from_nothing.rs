//! From an empty folder to a request that shows the plugin: each language by the commands that its template's README names,
//! and what is missing by the command that the build says.

use std::path::Path;
use std::process::{Command, Stdio};

use gatehouse_tests::{Gateway, Origin, Reload, authored::done, files, gateway::ADMIN_TOKEN};

/// `gatehouse plugin` as its author types it.
fn plugin(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(files::gatehouse());
    command.arg("plugin").args(arguments).current_dir(folder).stdin(Stdio::null());
    command.env_remove("VIRTUAL_ENV").env_remove("PYTHONPATH").env("GATEHOUSE_CACHE", files::built("compiled-plugins"));
    command
}

/// Builds the project twice: the first time it says what is missing, and how it is installed.
fn build(folder: &Path, missing: &str) {
    let refused = plugin(folder, &["build", "greeter"]).output().expect("the gateway's binary runs");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains(&format!("{missing} is missing; install it with\n")), "{said}");
    let install = said.lines().last().expect("the last line is the command");
    done(Command::new("sh").args(["-c", install]).current_dir(folder).stdin(Stdio::null()));
    let built = done(&mut plugin(folder, &["build", "greeter"]));
    assert!(built.contains("greeter/target/greeter.wasm") && built.contains("with the schema of its configuration"), "{built}");
}

async fn from_nothing(language: &str, missing: &str) {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    done(&mut plugin(folder.path(), &["new", "--lang", language, "greeter"]));
    build(folder.path(), missing);

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
async fn javascript_from_nothing_to_a_request() {
    from_nothing("js", "what the SDK builds with").await;
}

#[tokio::test]
async fn python_from_nothing_to_a_request() {
    from_nothing("python", "a virtual environment with what the SDK builds with").await;
}
