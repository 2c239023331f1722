//! The plugin author's loop, by the commands of the README: from an empty folder to a request that shows the plugin.
//! Each language has its test here, and its own folder may have more.

use std::path::PathBuf;

use gatehouse_tests::{
    Gateway, Origin, Registry, Reload,
    gateway::{ADMIN_TOKEN, Output, gatehouse_in_time},
    guests,
};
use serde_json::Value;
use tempfile::TempDir;

/// A folder in which an author works.
pub struct Desk(TempDir);

impl Desk {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("there is room for a folder"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).expect("the folder takes files");
    }

    /// `gatehouse plugin` in this folder.
    pub async fn plugin(&self, arguments: &[&str]) -> Output {
        let arguments: Vec<&str> = ["plugin"].iter().chain(arguments).copied().collect();
        // A toolchain may take minutes on a machine that does other things as well.
        gatehouse_in_time(self.0.path(), &arguments, std::time::Duration::from_secs(600)).await
    }

    /// The same, for what has to end well and say these things.
    pub async fn done(&self, arguments: &[&str], said: &[&str]) -> String {
        let output = self.plugin(arguments).await;
        assert_eq!(output.code, Some(0), "{arguments:?}: {}{}", output.stdout, output.stderr);
        for words in said {
            assert!(output.stdout.contains(words), "{words:?} should be said:\n{}", output.stdout);
        }
        output.stdout
    }

    /// The same, for what has to end with this code and say this on either stream.
    pub async fn refused(&self, arguments: &[&str], code: i32, said: &str) {
        let output = self.plugin(arguments).await;
        let text = format!("{}{}", output.stdout, output.stderr);
        assert_eq!(output.code, Some(code), "{arguments:?}: {text}");
        assert!(text.contains(said), "{said:?} should be said:\n{text}");
    }
}

/// From nothing to a request that shows the plugin's effect. The templates of all languages do the same.
pub async fn from_nothing(language: &str) {
    let desk = Desk::new();
    let component = "acme-hello/target/acme-hello.wasm";
    desk.done(&["new", "--lang", language, "acme-hello"], &[&format!("acme-hello is a plugin in {language}")]).await;
    desk.done(&["build", "acme-hello"], &[component, "with the schema of its configuration", "sha256 "]).await;
    desk.done(&["test", "acme-hello"], &["ok     the upstream is greeted", "4 passed, 0 failed"]).await;

    let origin = Origin::saying("through").await;
    let gateway = Gateway::in_front_of(&origin).await;
    desk.put("token", ADMIN_TOKEN);
    let admin = format!("http://{}", gateway.listener("admin"));
    let push = ["push", "acme-hello", component, "--admin", &admin, "--admin-token-file", "token"];
    desk.done(&push, &["acme-hello version 1 "]).await;
    let reloaded = gateway.reload(&routed(&origin, "good day")).await;
    assert!(matches!(reloaded, Reload::Applied(_)), "{}", gateway.log());

    assert_eq!(gateway.get("/hello").await.text(), "good day from acme-hello\n", "the plugin answers as it is configured");
    assert_eq!(gateway.get("/").await.text(), "through");
    assert_eq!(origin.request().header("x-greeting").as_deref(), Some("good day"), "and greets the upstream");

    assert!(matches!(gateway.reload(&routed(&origin, "")).await, Reload::Rejected), "the schema does not allow that");
    gateway.wait_for_log("the place of what is wrong", |line| line.contains("routes[0].chain[0].config.greeting")).await;
}

/// A configuration with the plugin, uploaded, on every path.
fn routed(origin: &Origin, greeting: &str) -> String {
    format!(
        "
        upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
        plugins: [{{name: acme-hello, source: {{uploaded: true}}, isolation: reuse}}]
        routes: [{{name: all, chain: [{{plugin: acme-hello, config: {{greeting: \"{greeting}\"}}}}], upstream: origin}}]
        ",
        origin.url()
    )
}

#[tokio::test]
async fn from_nothing_to_a_request_in_rust() {
    from_nothing("rust").await;
}

#[tokio::test]
async fn a_project_refuses_to_be_what_it_cannot() {
    let desk = Desk::new();
    desk.refused(&["new", "--lang", "rust", "Acme"], 1, "is no name for a plugin").await;
    desk.refused(&["new", "--lang", "cobol", "acme"], 2, "want one of rust").await;
    desk.done(&["new", "--lang", "rust", "acme"], &[]).await;
    desk.refused(&["new", "--lang", "rust", "acme"], 1, "is there already").await;
    desk.refused(&["new", "--lang", "rust", "other", "--sdk", "acme"], 1, "is no checkout of Gatehouse").await;
    std::fs::create_dir(desk.path("empty")).expect("the folder takes folders");
    desk.refused(&["build", "empty"], 1, "holds no project in rust").await;
    desk.refused(&["test", "acme"], 2, "run `gatehouse plugin build` first").await;
}

#[tokio::test]
async fn cases_that_differ_are_told_with_both_sides_and_end_with_1() {
    let desk = Desk::new();
    let component = guests::conformance();
    let component = component.to_str().expect("paths of tests are text");
    desk.put("tests.yaml", CASES);
    let output = desk.done(&["test", component, "--cases", "tests.yaml"], &["9 passed, 0 failed"]).await;
    let described = output.lines().find(|line| line.contains("a request is described")).expect("the case is told");
    assert!(
        described.contains("1 call, ") && described.contains(" us CPU, ") && described.contains(" KiB memory, 0 host calls"),
        "{output}"
    );

    desk.put(
        "tests.yaml",
        "cases:\n  - {name: other, request: {path: /describe}, expect: {respond: {status: 418, headers: {x-a: b}, body: no}}}\n",
    );
    for said in [
        "FAILED other",
        "respond.status\n    - want 418\n    + got  200",
        "respond.headers.x-a\n    - want \"b\"\n    + got  none",
        "respond.body\n    - want \"no\"\n    + got  \"GET http /describe 192.0.2.1\"",
        "0 passed, 1 failed",
    ] {
        desk.refused(&["test", component, "--cases", "tests.yaml"], 1, said).await;
    }
}

/// What the reference plugin of the conformance kit does, as cases.
const CASES: &str = r#"
given:
  kv: {before: "7"}
  tokens: {good: {subject: alice, scope: "read write"}, old: {subject: alice, expired: true}, forged: {forged: true}}
  clients: [{name: acme, keys: [the-key], scopes: [a, b], plan: gold}]
cases:
  - name: a request is described
    request: {path: /describe}
    expect: {respond: {status: 200, body: "GET http /describe 192.0.2.1"}}
  - name: a request is edited
    request: {path: /edit, headers: {x-in: old, x-gone: "1"}}
    upstream: {headers: {x-gone: "1"}}
    expect:
      next: {headers: {x-in: new, x-out: [one, two], x-gone: null}}
      response: {status: 200, headers: {x-late: ["1", "2"], x-gone: null}}
  - name: a request is sent elsewhere
    request: {path: /rewrite}
    expect: {next: {method: PURGE, path: "/changed?by=plugin"}}
  - name: bytes survive
    request: {path: /binary, headers: {x-in: {base64: "gP8="}}}
    expect: {next: {headers: {x-out: {base64: "gP8="}}}}
  - name: a client is shown
    request: {path: /client, client: {name: bob, method: jwt, scopes: [r]}}
    expect: {respond: {body: "bob jwt r -"}}
  - name: nobody is shown
    request: {path: /client}
    expect: {respond: {body: nobody}}
  - name: a client is stated
    request: {path: /set-client}
    expect: {next: {}, client: kit}
  - name: a configuration is refused
    config: {body: sideways}
    expect: {refused: "body is none, buffered or streamed, not sideways"}
  - name: several requests one after the other
    steps:
      - {request: {path: /describe}, expect: {respond: {status: 200}}}
      - {request: {path: /rewrite, method: POST}, after: 10s, expect: {next: {method: PURGE}}}
"#;

#[tokio::test]
async fn bad_cases_are_told_by_line_and_end_with_2() {
    let desk = Desk::new();
    let component = guests::conformance();
    let component = component.to_str().expect("paths of tests are text");
    for (cases, said) in [
        ("cases:\n  - {name: a, request: {path: [1,", "a mistake in the YAML"),
        ("cases:\n  - name: a\n    expct: {}\n", "tests.yaml:3:5"),
        ("cases:\n  - name: a\n    upstream: {status: ok}\n", "tests.yaml:3:24"),
        ("cases: []\n", "has no case"),
    ] {
        desk.put("tests.yaml", cases);
        desk.refused(&["test", component, "--cases", "tests.yaml"], 2, said).await;
    }
    desk.refused(&["test", component, "--cases", "nowhere.yaml"], 2, "nowhere.yaml: No such file").await;
}

/// A plugin that goes wrong on `/crash`, three lines below the method's first.
const CRASHING: &str = "\
use gatehouse_plugin::{NoConfig, Plugin, Request, Result, Verdict, next};

struct Crashing;

impl Plugin for Crashing {
    type Config = NoConfig;

    fn new(_config: NoConfig) -> Result<Self> {
        Ok(Self)
    }

    fn on_request(&self, request: Request) -> Result<Verdict> {
        let parts: Vec<&str> = request.path().split('/').collect();
        let second = parts[2];
        Ok(next().set_header(\"x-second\", second).into())
    }
}

gatehouse_plugin::export!(Crashing);
";

#[tokio::test]
async fn a_trap_is_told_with_file_and_line_in_tests_and_in_the_log_and_not_to_clients() {
    let desk = Desk::new();
    desk.done(&["new", "--lang", "rust", "crashing"], &[]).await;
    desk.put("crashing/src/lib.rs", CRASHING);
    desk.put("crashing/tests.yaml", "cases:\n  - {name: two parts, request: {path: /a/b}, expect: {next: {headers: {x-second: b}}}}\n  - {name: one, request: {path: /a}}\n");
    desk.done(&["build", "crashing"], &[]).await;
    desk.refused(&["test", "crashing"], 1, "src/lib.rs:14:").await;
    desk.refused(&["test", "crashing"], 1, "1 passed, 1 failed").await;

    let origin = Origin::saying("through").await;
    let component = desk.path("crashing/target/crashing.wasm");
    let config = format!(
        "
        upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
        plugins: [{{name: crashing, source: {{file: \"{}\"}}, limits: {{cpu: 1s}}}}]
        routes: [{{name: all, chain: [{{plugin: crashing}}], upstream: origin}}]
        ",
        origin.url(),
        component.display()
    );
    let gateway = Gateway::start(&config).await;
    let refused = gateway.get("/a").await;
    assert_eq!(refused.status, 503);
    assert!(!refused.text().contains("lib.rs"), "the author's files are nobody's business: {}", refused.text());
    gateway.wait_for_log("the line", |line| line.contains("plugin trapped") && line.contains("src/lib.rs:14:")).await;
    assert_eq!(gateway.get("/a/b").await.status, 200, "others are served");
}

#[tokio::test]
async fn a_component_is_measured_and_compared() {
    let desk = Desk::new();
    let component = guests::conformance();
    let component = component.to_str().expect("paths of tests are text");
    desk.put("tests.yaml", CASES);
    let measure = ["bench", component, "--cases", "tests.yaml", "--time", "50ms"];
    desk.done(&measure, &["instantiation", "calls/s", "p99"]).await;
    let compared = desk.done(&[&measure[..], &["--against", component, "--json"]].concat(), &[]).await;
    let compared: Value = serde_json::from_str(&compared).expect("JSON, as asked for");
    for side in ["this", "against"] {
        let measured = &compared[side];
        assert!(measured["calls"].as_u64() > Some(0) && measured["calls_per_second"].as_f64() > Some(0.0), "{compared}");
        assert!(measured["p50_us"].as_f64() <= measured["p99_us"].as_f64(), "{compared}");
        assert!(measured["memory"].as_u64() >= Some(65_536) && measured["instantiation_us"].as_f64() > Some(0.0), "{compared}");
    }
    assert_eq!(compared["this"]["size"], compared["against"]["size"], "one file is as large as itself");
    desk.refused(&[&measure[..], &["--config", r#"{"body": "sideways"}"#]].concat(), 1, "body is none, buffered or streamed").await;
    desk.refused(&[&measure[..], &["--case", "nobody has"]].concat(), 1, "no case of that name").await;
}

#[tokio::test]
async fn a_component_is_looked_at() {
    let desk = Desk::new();
    let component = guests::conformance();
    let component = component.to_str().expect("paths of tests are text");
    let found = desk.done(&["inspect", component], &[]).await;
    let found: Value = serde_json::from_str(&found).expect("JSON");
    assert_eq!(found["kind"], "a plugin: a step of a chain");
    assert_eq!(found["needs"]["request_headers"], serde_json::json!(["x-in", "authorization"]));
    assert_eq!(found["grants"], serde_json::json!(["log", "kv", "jwt", "introspection", "keys", "rate-limit", "http", "metrics"]));
    assert_eq!((&found["exceeds"], &found["refused"]), (&serde_json::json!([]), &Value::Null));
    assert!(found["instance"]["memory"].as_u64() >= Some(65_536), "{found}");
    assert!(found["advice"][0].as_str().is_some_and(|advice| advice.starts_with("grants: [log, kv")), "{found}");

    let refused = desk.done(&["inspect", component, "--config", r#"{"body": "sideways"}"#], &[]).await;
    let refused: Value = serde_json::from_str(&refused).expect("JSON");
    assert_eq!(refused["refused"], "body is none, buffered or streamed, not sideways");
    desk.put("text.wasm", "(component)");
    desk.refused(&["inspect", "text.wasm"], 1, "text: assemble it first").await;
}

#[tokio::test]
async fn a_component_goes_to_a_registry_and_from_there_into_a_gateway() {
    let (desk, registry, origin) = (Desk::new(), Registry::start().await, Origin::saying("through").await);
    desk.put("guest.wasm", guests::version("plain", "pushed"));
    let to = format!("oci://{}", registry.reference("acme/guest:v1"));
    let said = desk.done(&["push", "guest", "guest.wasm", "--to", &to], &["a gateway takes it as"]).await;
    let source = said.split('"').nth(1).expect("the reference with its digest is told");
    assert!(source.starts_with(&registry.reference("acme/guest@sha256:")), "{said}");
    let gateway = Gateway::start(&super::registries::config(&origin, &format!("\"{source}\""))).await;
    assert_eq!(gatehouse_tests::rollouts::label(&gateway.get("/").await), "pushed");
    desk.refused(&["push", "guest", "guest.wasm", "--to", "acme/guest"], 2, "want oci://HOST/NAME:TAG").await;
}
