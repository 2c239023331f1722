//! Python: the SDK's `gatehouse_build`, in the project's virtual environment or in the one that is active.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::{BuildError, Made, Project, Tool};
use crate::author::language::Language;

/// Python, by the plugin's module.
pub const LANGUAGE: Language = Language { name: "python", is_in: |folder| folder.join(MODULE).is_file(), build };

const MODULE: &str = "plugin.py";
const PYTHON: &str = "apt-get install python3 python3-venv";

fn build(project: &Project) -> Result<Made, BuildError> {
    let folder = fs::canonicalize(&project.folder).map_err(|error| BuildError::Io(project.folder.clone(), error))?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let python = interpreter(&folder)?;
    let component = folder.join("target").join(format!("{name}.python.wasm"));
    let build = Tool::new(python, PYTHON, &folder).args(["-m", "gatehouse_build", MODULE, "--output"]);
    build.args([&component]).run()?;
    Ok(Made { name, component })
}

/// The interpreter that has what the SDK builds with.
fn interpreter(folder: &Path) -> Result<PathBuf, BuildError> {
    let active = env::var_os("VIRTUAL_ENV").map(PathBuf::from);
    let environments = [Some(folder.join(".venv")), active];
    let bin = environments.into_iter().flatten().map(|environment| environment.join("bin"));
    let found = bin.into_iter().find(|bin| bin.join("componentize-py").is_file());
    found.map(|bin| bin.join("python")).ok_or_else(|| BuildError::Missing {
        what: "a virtual environment with what the SDK builds with".into(),
        // pip reads paths in the file from where it runs.
        install: format!("cd {} && python3 -m venv .venv && .venv/bin/pip install -r requirements.txt", folder.display()),
    })
}
