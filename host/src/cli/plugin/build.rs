//! `gatehouse plugin build`: the component of a project.

use std::path::PathBuf;

use clap::Args;

use crate::author::build::{self, Project};

/// What to build, and how.
#[derive(Args)]
pub struct BuildArgs {
    /// The project's folder
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// What serves: small and fast, and no file and line in traps
    #[arg(long)]
    release: bool,
    /// Where to put the component [target/NAME.wasm in the project]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Does it.
pub fn run(arguments: &BuildArgs) -> Result<String, String> {
    let project = Project { folder: arguments.folder.clone(), release: arguments.release };
    let built = build::build(&project, arguments.out.as_deref()).map_err(|error| error.to_string())?;
    let schema = if built.has_schema { ", with the schema of its configuration" } else { "" };
    Ok(format!("{}\n{} bytes{schema}\nsha256 {}", built.path.display(), built.size, built.sha256))
}
