//! What the toolchains of C and Go have in common: they make a core module, and the component is made of it here.

use std::fs;
use std::path::{Path, PathBuf};

use super::{BuildError, Made, read, write};
use crate::author::componentize::componentize;

/// Where a module is to be put, and its component after that.
pub struct Place {
    name: String,
    folder: PathBuf,
    /// The module.
    pub module: PathBuf,
}

/// Room for the module of a project, which is named as its folder. The folder is a whole path.
pub fn place(project: &Path) -> Result<Place, BuildError> {
    let name = project.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let folder = project.join("target/module");
    fs::create_dir_all(&folder).map_err(|error| BuildError::Io(folder.clone(), error))?;
    Ok(Place { module: folder.join(format!("{name}.wasm")), name, folder })
}

impl Place {
    /// The same for a project that says its own name.
    pub fn named(self, name: String) -> Self {
        Self { module: self.folder.join(format!("{name}.wasm")), name, folder: self.folder }
    }

    /// Makes the component of the module that is there now.
    pub fn componentize(self) -> Result<Made, BuildError> {
        let component = self.folder.join(format!("{}.component.wasm", self.name));
        write(&component, &componentize(&read(&self.module)?)?)?;
        Ok(Made { name: self.name, component })
    }
}
