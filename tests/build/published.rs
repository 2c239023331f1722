//! Other people's programs, taken out of the crates that they were published in, byte for byte, and built.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cargo;

/// Builds the examples of a workspace into a target folder, with what is taken of crates among its dependencies beside them.
pub fn build(manifest: &Path, folder: &Path, target: &str, taken: &[(&str, &[&str])]) -> Result<(), String> {
    let known = metadata(manifest)?;
    for (package, parts) in taken {
        let source = source_of(&known, package).ok_or_else(|| format!("{package} is not among the dependencies"))?;
        for part in *parts {
            copy(&source.join(part), &folder.join("unchanged").join(package).join(part)).map_err(|error| format!("{package}: {error}"))?;
        }
    }
    let mut cargo = cargo();
    cargo.args(["build", "--locked", "--release", "--examples", "--target", target, "--manifest-path"]).arg(manifest);
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
