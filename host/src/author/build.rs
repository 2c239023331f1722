//! From a project to its component: the language's own toolchain, driven, and what it left out added. One file for each
//! language; each says what is missing and how to install it.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use thiserror::Error;

use crate::plugin::compile::Sha256Digest;
use crate::plugin::inspect::{self, Malformed};
use crate::plugin::section;

use super::componentize::ComponentizeError;
use super::language::{self, LANGUAGES, Language};

pub mod c;
pub mod go;
pub mod js;
pub mod python;
pub mod rust;

mod module;

/// The file in a project with the JSON Schema of the plugin's configuration.
const SCHEMA: &str = "config.schema.json";

/// A folder with a plugin's source.
pub struct Project {
    /// The folder.
    pub folder: PathBuf,
    /// Whether to build what serves, small and fast, or what tells file and line.
    pub release: bool,
}

/// What a language's toolchain made.
pub struct Made {
    /// The plugin's name, as the project says it.
    pub name: String,
    /// Where the toolchain put the component.
    pub component: PathBuf,
}

/// A component that is ready.
pub struct Built {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: usize,
    /// Its digest.
    pub sha256: Sha256Digest,
    /// Whether it carries a schema of its configuration.
    pub has_schema: bool,
}

/// Why there is no component.
#[derive(Debug, Error)]
pub enum BuildError {
    /// No language finds its files here.
    #[error("{} holds no project in {}", .0.display(), language::names().join(", "))]
    NoProject(PathBuf),
    /// A part of the toolchain is not here.
    #[error("{what} is missing; install it with\n  {install}")]
    Missing {
        /// What it is.
        what: String,
        /// The command that installs it.
        install: String,
    },
    /// The toolchain said no, and said why before.
    #[error("`{command}` failed ({status})")]
    Failed {
        /// What was run.
        command: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// The project is not one that makes a plugin.
    #[error("{0}")]
    Project(String),
    /// A file could not be read or written.
    #[error("{}: {}", .0.display(), .1)]
    Io(PathBuf, io::Error),
    /// The schema is no JSON.
    #[error("{}:{}:{}: {}", .0.display(), .1.line(), .1.column(), .1)]
    Schema(PathBuf, serde_json::Error),
    /// The toolchain made something that is no plugin.
    #[error(transparent)]
    Componentize(#[from] ComponentizeError),
    /// The gateway would not take what came out.
    #[error("what was built is {0}")]
    Malformed(#[from] Malformed),
}

/// Builds the project in its language, into `out`, or else `target/NAME.wasm` of the project. Blocks.
pub fn build(project: &Project, out: Option<&Path>) -> Result<Built, BuildError> {
    let language = language_of(&project.folder)?;
    let made = (language.build)(project)?;
    let component = read(&made.component)?;
    let schema = schema(&project.folder)?;
    let component = match &schema {
        Some(schema) => section::with(&component, section::CONFIG_SCHEMA, schema),
        None => component,
    };
    inspect::inspect(&component)?;
    let path = out.map_or_else(|| project.folder.join("target").join(format!("{}.wasm", made.name)), Path::to_owned);
    write(&path, &component)?;
    Ok(Built { path, size: component.len(), sha256: Sha256Digest::of(&component), has_schema: schema.is_some() })
}

/// The language that a project is in.
pub fn language_of(folder: &Path) -> Result<&'static Language, BuildError> {
    LANGUAGES.iter().find(|language| (language.is_in)(folder)).ok_or_else(|| BuildError::NoProject(folder.to_owned()))
}

fn schema(folder: &Path) -> Result<Option<Vec<u8>>, BuildError> {
    let path = folder.join(SCHEMA);
    if !path.exists() {
        return Ok(None);
    }
    let text = read(&path)?;
    match serde_json::from_slice::<serde_json::Value>(&text) {
        Ok(_) => Ok(Some(text)),
        Err(error) => Err(BuildError::Schema(path, error)),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, BuildError> {
    fs::read(path).map_err(|error| BuildError::Io(path.to_owned(), error))
}

fn write(path: &Path, content: &[u8]) -> Result<(), BuildError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(path, content));
    written.map_err(|error| BuildError::Io(path.to_owned(), error))
}

/// A program of a toolchain, about to be run in a project's folder. What it says goes to the author.
pub struct Tool {
    command: Command,
    install: &'static str,
}

impl Tool {
    /// `install` is the command that installs it where it is missing.
    pub fn new(program: impl AsRef<OsStr>, install: &'static str, folder: &Path) -> Self {
        let mut command = Command::new(program);
        command.current_dir(folder).stdin(Stdio::null());
        Self { command, install }
    }

    /// With arguments.
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    /// With one more argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// With a variable of the environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it, its output to the standard error.
    pub fn run(mut self) -> Result<(), BuildError> {
        self.command.stdout(io::stderr());
        self.output().map(drop)
    }

    /// Runs it, and gives back what it writes to the standard output.
    pub fn output(mut self) -> Result<String, BuildError> {
        let output = self.command.stderr(Stdio::inherit()).output().map_err(|error| self.not_run(error))?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(BuildError::Failed { command: self.text(), status: output.status }),
        }
    }

    fn not_run(&self, error: io::Error) -> BuildError {
        match error.kind() {
            io::ErrorKind::NotFound => BuildError::Missing { what: self.program(), install: self.install.to_owned() },
            _ => BuildError::Io(PathBuf::from(self.program()), error),
        }
    }

    fn program(&self) -> String {
        self.command.get_program().to_string_lossy().into_owned()
    }

    fn text(&self) -> String {
        let arguments = self.command.get_args().map(OsStr::to_string_lossy);
        std::iter::once(self.program().into()).chain(arguments).collect::<Vec<_>>().join(" ")
    }
}
