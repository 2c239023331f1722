//! Builds the guests of `guests/` as components, by a cargo of their own into `target/guests`, as the gateway's build
//! script does with the plugins that come with it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

#[path = "build/proxy_wasm.rs"]
mod proxy_wasm;
#[path = "build/published.rs"]
mod published;
#[path = "build/wasi_http.rs"]
mod wasi_http;

const GUESTS: [&str; 6] = ["conformance", "gatehouse-pii-redact", "hostile", "std-guest", "version", "witness"];
const TARGET: &str = "wasm32-wasip2";

fn main() -> ExitCode {
    let tests = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo says so"));
    let root = tests.parent().expect("tests/ is a folder of the repository");
    let folders = [
        "build.rs",
        "build",
        "conformance/rust",
        "../example-plugins/pii-redact",
        "guests",
        "proxy-wasm",
        "wasi-http",
        "../plugins-sdk/rust",
        "../wit",
    ];
    for folder in folders {
        println!("cargo::rerun-if-changed={folder}");
    }
    let target = root.join("target/guests");
    if !build(root, &target) {
        println!("cargo::error=the guests of the tests do not build; if the target is missing: rustup target add {TARGET}");
        return ExitCode::FAILURE;
    }
    println!("cargo::rustc-env=GUESTS={}", target.join(TARGET).join("guest").display());
    let target = root.join("target/wasi-http");
    if let Err(problem) = wasi_http::build(&tests, &target, TARGET) {
        println!("cargo::error=the components of wasi:http do not build: {problem}");
        return ExitCode::FAILURE;
    }
    println!("cargo::rustc-env=WASI_HTTP={}", target.join(TARGET).join("release/examples").display());
    let target = root.join("target/proxy-wasm");
    if let Err(problem) = proxy_wasm::build(&tests, &target) {
        println!("cargo::error=the filters of Proxy-Wasm do not build: {problem}");
        return ExitCode::FAILURE;
    }
    println!("cargo::rustc-env=PROXY_WASM={}", target.join(proxy_wasm::TARGET).join("release/examples").display());
    ExitCode::SUCCESS
}

fn build(root: &Path, target: &Path) -> bool {
    let mut cargo = cargo();
    cargo.current_dir(root).args(["build", "--profile", "guest", "--target", TARGET, "--target-dir"]).arg(target);
    for guest in GUESTS {
        cargo.args(["-p", guest]);
    }
    cargo.status().is_ok_and(|status| status.success())
}

/// A cargo for guests: flags for the host (coverage, sanitizers) are not flags for them.
fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").expect("cargo says so"));
    for variable in ["CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS", "CARGO_TARGET_DIR", "CARGO_BUILD_TARGET", "RUSTC_WORKSPACE_WRAPPER"] {
        cargo.env_remove(variable);
    }
    cargo
}
