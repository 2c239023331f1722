//! Go: `go build` for WASI preview 1 as a library, then the component of what it made.

use std::fs;
use std::path::Path;

use super::{BuildError, Made, Project, Tool, module, read};
use crate::author::language::Language;

/// Go, by its module file.
pub const LANGUAGE: Language = Language { name: "go", is_in: |folder| folder.join("go.mod").is_file(), build };

const INSTALL: &str = "apt-get install golang-go   (1.25 or later)";
/// The SDK's memory before Go's own is ready comes from the runtime, by a name that the linker otherwise keeps to it.
const LINK: &str = "-checklinkname=0";

fn build(project: &Project) -> Result<Made, BuildError> {
    let folder = fs::canonicalize(&project.folder).map_err(|error| BuildError::Io(project.folder.clone(), error))?;
    let made = module::place(&folder)?.named(name(&folder)?);
    let flags = if project.release { format!("{LINK} -s -w") } else { LINK.to_owned() };
    let go = Tool::new("go", INSTALL, &folder).env("GOOS", "wasip1").env("GOARCH", "wasm");
    let go = go.args(["build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-ldflags"]).arg(flags).arg("-o").arg(&made.module);
    go.arg(".").run()?;
    made.componentize()
}

/// The last part of the module's path.
fn name(folder: &Path) -> Result<String, BuildError> {
    let file = folder.join("go.mod");
    let text = read(&file)?;
    let text = String::from_utf8_lossy(&text);
    let path = text.lines().find_map(|line| line.strip_prefix("module "));
    let path = path.ok_or_else(|| BuildError::Project(format!("{} names no module", file.display())))?;
    Ok(path.trim().rsplit('/').next().unwrap_or_default().to_owned())
}
