//! The admin API against its own description: schemathesis makes requests of it, right ones and wrong ones, and holds
//! every answer against what the description says of it.

use std::{process::Stdio, time::Duration};

use gatehouse_tests::{
    Origin, Setup, files,
    gateway::{ADMIN_TOKEN, Reload},
    guests::version,
    rollouts::config,
};
use tokio::process::Command;

/// Requests of each kind for each operation. `GATEHOUSE_FUZZ=500` for the long way.
const EXAMPLES: &str = "10";

/// Answers that no description allows. Left out is what only the configuration as a whole can say, such as that a right
/// name names nothing; and methods there are none of.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance,negative_data_rejection,missing_required_header,use_after_free";

#[tokio::test]
async fn the_admin_api_is_what_its_description_says() {
    let origin = Origin::saying("through").await;
    let gateway = Setup::new(&config(&origin)).file("guest.wasm", version("plain", "one")).start().await;
    let examples = std::env::var("GATEHOUSE_FUZZ").unwrap_or_else(|_| EXAMPLES.into());
    let mut tool = Command::new(files::installed("schemathesis/bin/schemathesis"));
    tool.arg("run").arg(format!("http://{}/v1/openapi.json", gateway.listener("admin")));
    tool.arg("--header").arg(format!("Authorization: Bearer {ADMIN_TOKEN}"));
    tool.args(["--phases", "examples,coverage,fuzzing,stateful", "--max-examples", &examples, "--checks", CHECKS]);
    // One worker: on Python 3.11 two that parse at once upset each other ("AST constructor recursion depth mismatch").
    tool.args(["--seed", "1", "--no-shrink", "--continue-on-failure", "--workers", "1", "--warnings", "off", "--no-color"]);
    tool.env("SCHEMATHESIS_HOOKS", "hooks").env("PYTHONPATH", files::repository().join("tests/schemathesis"));
    tool.env("PYTHONDONTWRITEBYTECODE", "1").current_dir(gateway.folder()).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(3600), tool.output()).await.expect("it ends").expect("it was installed");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("Test cases:"), "it did send something: {said}");

    assert_eq!(gateway.get("/").await.status, 200, "requests are served as before");
    assert!(matches!(gateway.reload(&config(&origin)).await, Reload::Applied(_)), "{}", gateway.log());
    let audit = gateway.api_get("/v1/audit/check").await.json();
    assert_eq!(audit["intact"], true, "{audit}");
    assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
}
