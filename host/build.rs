//! Builds the plugins that come with the gateway, as components, and writes the list that embeds them; and the list that
//! embeds what plugin projects build with: `wit/` and the SDKs.
//!
//! They are built by a cargo of their own into `target/guests`, because a build script runs inside one that holds the
//! lock on the folder it builds into.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The plugins that come with the gateway, by the name of their folder in `example-plugins`.
const BUILTINS: &[&str] = &[
    "acl",
    "aggregate",
    "api-key",
    "basic-auth",
    "cors",
    "ip-allow",
    "jwt",
    "mock",
    "oauth2-introspection",
    "rate-limit",
    "request-id",
    "size-limit",
    "transform",
];
const TARGET: &str = "wasm32-wasip2";
/// What lies beside the sources of an SDK once it was built or tested, and its tests.
const NO_SOURCES: &[&str] = &["target", "node_modules", "__pycache__", "dist", "build", "tests"];

fn main() -> ExitCode {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo says so")).join("..");
    let examples = BUILTINS.iter().map(|name| format!("example-plugins/{name}"));
    for path in ["wit", "plugins-sdk/rust", "Cargo.lock"].map(String::from).into_iter().chain(examples) {
        println!("cargo::rerun-if-changed={}", root.join(path).display());
    }
    if !build(&root) {
        println!("cargo::error=the built-in plugins do not build; if the target is missing: rustup target add {TARGET}");
        return ExitCode::FAILURE;
    }
    embed(&root);
    embed_sdks(&root);
    ExitCode::SUCCESS
}

fn build(root: &Path) -> bool {
    let mut cargo = Command::new(env::var_os("CARGO").expect("cargo says so"));
    cargo.current_dir(root).args(["build", "--profile", "guest", "--target", TARGET, "--target-dir"]).arg(target(root));
    for name in BUILTINS {
        cargo.args(["-p", &format!("gatehouse-{name}")]);
    }
    // Flags for the host (coverage, sanitizers) are not flags for guests.
    for variable in ["CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS", "CARGO_TARGET_DIR", "CARGO_BUILD_TARGET", "RUSTC_WORKSPACE_WRAPPER"] {
        cargo.env_remove(variable);
    }
    cargo.status().is_ok_and(|status| status.success())
}

fn target(root: &Path) -> PathBuf {
    root.join("target/guests")
}

fn embed(root: &Path) {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says so"));
    let mut list = String::from("[\n");
    for name in BUILTINS {
        let file = format!("gatehouse_{}.wasm", name.replace('-', "_"));
        let built = target(root).join(TARGET).join("guest").join(&file);
        // A copy, so that a later build of another profile cannot change what this one embeds.
        fs::copy(&built, out.join(&file)).unwrap_or_else(|error| panic!("{}: {error}", built.display()));
        let _ = writeln!(list, "    ({name:?}, include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{file}\"))),");
    }
    list.push(']');
    fs::write(out.join("builtins.rs"), list).expect("OUT_DIR can be written");
}

/// Every file of `wit/` and `plugins-sdk/` by its path in the repository.
fn embed_sdks(root: &Path) {
    let root = root.canonicalize().expect("the repository is there");
    let mut files = Vec::new();
    for folder in ["wit", "plugins-sdk"] {
        collect(&root.join(folder), &mut files);
    }
    files.sort();
    let mut list = String::from("[\n");
    for file in &files {
        // Folders are not named, as what is built inside them would start this over and over.
        println!("cargo::rerun-if-changed={}", file.display());
        let inside = file.strip_prefix(&root).expect("it was found in there");
        let _ = writeln!(list, "    ({inside:?}, include_bytes!({file:?})),");
    }
    list.push(']');
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says so"));
    fs::write(out.join("embedded.rs"), list).expect("OUT_DIR can be written");
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || (path.is_dir() && NO_SOURCES.contains(&&*name)) {
            continue;
        }
        match path.is_dir() {
            true => collect(&path, files),
            false => files.push(path),
        }
    }
}
