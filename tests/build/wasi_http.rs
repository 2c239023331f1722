//! Builds the components of `wasi-http/`. Those that are other people's are examples in crates of theirs: they are taken
//! out of the crates as cargo downloaded them, byte for byte.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cargo;

/// Crates whose examples or definitions are used, with what is taken of each.
const TAKEN: [(&str, &[&str]); 3] = [
    ("wstd-0.6.8", &["examples"]),
    ("wasip2-1.0.4+wasi-0.2.12", &["examples"]),
    ("wasip3-0.10.0+wasi-0.3.2", &["examples", "wit", "wit/deps"]),
];

/// Builds all of them into a target folder.
pub fn build(tests: &Path, folder: &Path, target: &str) -> Result<(), String> {
    let manifest = tests.join("wasi-http/Cargo.toml");
    let known = metadata(&manifest)?;
    for (package, parts) in TAKEN {
        let source = source_of(&known, package).ok_or_else(|| format!("{package} is not among the dependencies"))?;
        for part in parts {
            copy(&source.join(part), &folder.join("unchanged").join(package).join(part)).map_err(|error| format!("{package}: {error}"))?;
        }
    }
    let mut cargo = cargo();
    cargo.args(["build", "--locked", "--release", "--examples", "--target", target, "--manifest-path"]).arg(&manifest);
    cargo.arg("--target-dir").arg(folder);
    match cargo.status().is_ok_and(|status| status.success()) {
        true => Ok(()),
        false => Err(format!("see above; if the target is missing: rustup target add {target}")),
    }
}

/// What cargo knows of the workspace, which downloads its crates.
fn metadata(manifest: &Path) -> Result<String, String> {
    let mut cargo = cargo();
    cargo.args(["metadata", "--locked", "--format-version", "1", "--manifest-path"]).arg(manifest);
    let output = cargo.output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// The folder of a crate, from the place of its manifest.
fn source_of(metadata: &str, package: &str) -> Option<PathBuf> {
    let end = metadata.find(&format!("/{package}/Cargo.toml\""))? + 1 + package.len();
    let start = metadata[..end].rfind('"')? + 1;
    Some(metadata[start..end].into())
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            continue;
        }
        let (path, bytes) = (to.join(entry.file_name()), fs::read(entry.path())?);
        // One that is there already keeps its time, so that nothing is built again for it.
        if fs::read(&path).ok().as_ref() != Some(&bytes) {
            fs::write(path, bytes)?;
        }
    }
    Ok(())
}
