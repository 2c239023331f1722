//! JavaScript and TypeScript: the SDK's `build.mjs`, on Node, from where the project's `package.json` has it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{BuildError, Made, Project, Tool};
use crate::author::language::Language;

/// JavaScript, by its manifest.
pub const LANGUAGE: Language = Language { name: "js", is_in: |folder| folder.join(MANIFEST).is_file(), build };

const MANIFEST: &str = "package.json";
const SDK: &str = "gatehouse-plugin";
const NODE: &str = "apt-get install nodejs npm";

fn build(project: &Project) -> Result<Made, BuildError> {
    let manifest = manifest(&project.folder)?;
    let name = manifest["name"].as_str().unwrap_or("plugin").to_owned();
    let sdk = sdk(&project.folder, &manifest)?;
    has_packages(&project.folder, &sdk)?;
    let component = Path::new("target").join(format!("{name}.js.wasm"));
    let node = Tool::new("node", NODE, &project.folder);
    node.args([sdk.join("build.mjs").as_os_str(), "--output".as_ref(), component.as_os_str()]).run()?;
    Ok(Made { name, component: project.folder.join(component) })
}

fn manifest(folder: &Path) -> Result<Value, BuildError> {
    let path = folder.join(MANIFEST);
    let text = fs::read(&path).map_err(|error| BuildError::Io(path.clone(), error))?;
    serde_json::from_slice(&text).map_err(|error| BuildError::Schema(path, error))
}

/// The SDK's folder: it is in no package registry, so it is always a folder.
fn sdk(folder: &Path, manifest: &Value) -> Result<PathBuf, BuildError> {
    let path = manifest["dependencies"][SDK].as_str().and_then(|version| version.strip_prefix("file:"));
    let path = path
        .map(|path| folder.join(path))
        .ok_or_else(|| BuildError::Project(format!("{MANIFEST} wants the dependency \"{SDK}\": \"file:…/plugins-sdk/js\"")))?;
    fs::canonicalize(&path).map_err(|error| BuildError::Io(path, error))
}

/// npm puts the SDK's own packages beside a project that holds the SDK, and beside nothing where it lies elsewhere.
fn has_packages(folder: &Path, sdk: &Path) -> Result<(), BuildError> {
    if sdk.ancestors().any(|above| above.join("node_modules/componentize-qjs").is_dir()) {
        return Ok(());
    }
    let project = fs::canonicalize(folder).map_err(|error| BuildError::Io(folder.to_owned(), error))?;
    let place = if sdk.starts_with(&project) { &project } else { sdk };
    Err(BuildError::Missing { what: "what the SDK builds with".into(), install: format!("npm install --prefix {}", place.display()) })
}
