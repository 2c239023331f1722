//! `gatehouse plugin new`: a project from nothing.

use std::path::PathBuf;

use clap::Args;

use crate::author::language::{self, Language};
use crate::author::project;

/// What project to write.
#[derive(Args)]
pub struct NewArgs {
    /// The plugin's name, and the folder to make; a path to it works too
    name: PathBuf,
    /// The language it is to be in
    #[arg(long, value_name = "LANGUAGE", value_parser = language)]
    lang: &'static Language,
    /// Refer to a checkout of Gatehouse instead of copying the SDK into the project
    #[arg(long, value_name = "FOLDER")]
    sdk: Option<PathBuf>,
}

fn language(name: &str) -> Result<&'static Language, String> {
    language::find(name).ok_or_else(|| format!("want one of {}", language::names().join(", ")))
}

/// Does it.
pub fn run(arguments: &NewArgs) -> Result<String, String> {
    let (folder, sdk) = (&arguments.name, arguments.sdk.as_deref());
    project::create(arguments.lang, folder, sdk).map_err(|error| error.to_string())?;
    let folder = folder.display();
    Ok(format!("{folder} is a plugin in {}:\n  cd {folder}\n  gatehouse plugin build\n  gatehouse plugin test", arguments.lang.name))
}
