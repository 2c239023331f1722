//! Rust: `cargo build` for `wasm32-wasip2`, whose linker makes a component of the library.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{BuildError, Made, Project, Tool};
use crate::author::language::Language;

/// Rust, by its manifest.
pub const LANGUAGE: Language = Language { name: "rust", is_in: |folder| folder.join("Cargo.toml").is_file(), build };

const TARGET: &str = "wasm32-wasip2";
const RUST: &str = "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh";

fn build(project: &Project) -> Result<Made, BuildError> {
    has_target(&project.folder)?;
    let profile = if project.release { "release" } else { "dev" };
    let cargo = Tool::new("cargo", RUST, &project.folder);
    let messages =
        cargo.args(["build", "--lib", "--target", TARGET, "--profile", profile, "--message-format", "json-render-diagnostics"]).output()?;
    let made = messages.lines().filter_map(|line| serde_json::from_str(line).ok()).filter_map(|message| component(&message)).next_back();
    made.ok_or_else(|| BuildError::Project("the library is no component: Cargo.toml wants `[lib]` with `crate-type = [\"cdylib\"]`".into()))
}

fn has_target(folder: &Path) -> Result<(), BuildError> {
    let libraries = Tool::new("rustc", RUST, folder).args(["--print", "target-libdir", "--target", TARGET]).output()?;
    match Path::new(libraries.trim()).is_dir() {
        true => Ok(()),
        false => Err(BuildError::Missing { what: format!("the Rust target {TARGET}"), install: format!("rustup target add {TARGET}") }),
    }
}

/// Dependencies come before the package itself, and are no components.
fn component(message: &Value) -> Option<Made> {
    let target = message.get("target")?;
    let files = message["filenames"].as_array()?.iter().filter_map(Value::as_str).map(PathBuf::from);
    let component = files.into_iter().find(|file| file.extension().is_some_and(|extension| extension == "wasm"))?;
    Some(Made { name: target["name"].as_str()?.replace('_', "-"), component })
}
