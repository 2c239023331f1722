//! `gatehouse plugin inspect`: what a component is, as JSON.

use std::path::PathBuf;

use clap::Args;

use crate::author::inspect;
use crate::cli::check;

/// What to look at.
#[derive(Args)]
pub struct InspectArgs {
    /// The component
    file: PathBuf,
    /// The configuration to ask it with, JSON
    #[arg(long, value_name = "JSON", default_value = "{}")]
    config: String,
}

/// Does it.
pub fn run(arguments: &InspectArgs) -> Result<String, String> {
    let bytes = super::read(&arguments.file)?;
    let builder = check::builder(None).map_err(|_| "this machine cannot run plugins")?;
    let found = inspect::inspect(&builder.loader, &bytes, &arguments.config).map_err(|error| error.to_string())?;
    Ok(serde_json::to_string_pretty(&found).unwrap_or_default())
}
