//! `gatehouse plugin bench`: what a component costs, and whether more than another build of it.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use crate::author::bench::{self, Load};
use crate::author::test::Plan;
use crate::cli::check;
use crate::config::units::Period;

/// What to measure.
#[derive(Args)]
pub struct BenchArgs {
    /// The component
    file: PathBuf,
    /// Another build of it to compare with
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// The configuration, JSON [that of the case]
    #[arg(long, value_name = "JSON")]
    config: Option<String>,
    /// The file with the cases, one of which is sent [tests.yaml beside the component or one folder up]
    #[arg(long, value_name = "FILE")]
    cases: Option<PathBuf>,
    /// Part of the name of the case to send [the first]
    #[arg(long, value_name = "TEXT")]
    case: Option<String>,
    /// How long to call
    #[arg(long, value_name = "TIME", default_value = "2s")]
    time: Period,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Does it.
pub fn run(arguments: &BenchArgs) -> Result<String, String> {
    let config = arguments.config.as_deref().map(serde_json::from_str::<Value>).transpose();
    let config = config.map_err(|error| format!("--config: {error}"))?;
    let load = Load { case: arguments.case.clone(), config, time: arguments.time.into() };
    let builder = check::builder(None).map_err(|_| "this machine cannot run plugins")?;
    let measure = |file: &Path, place| {
        let plan = plan(arguments, file)?;
        bench::run(&plan, &load, &builder, place).map_err(|error| format!("{}: {error}", file.display()))
    };
    let new = measure(&arguments.file, 0)?;
    let old = arguments.against.as_deref().map(|file| measure(file, 1)).transpose()?;
    Ok(match arguments.json {
        true => serde_json::to_string_pretty(&json!({"this": new, "against": old})).unwrap_or_default(),
        false => bench::table(&new, old.as_ref()),
    })
}

/// Both builds are sent the same: the cases are those of the first.
fn plan(arguments: &BenchArgs, file: &Path) -> Result<Plan, String> {
    let component = file.canonicalize().map_err(|error| format!("{}: {error}", file.display()))?;
    let beside = arguments.file.parent().unwrap_or(Path::new(""));
    let near = [beside.join("tests.yaml"), beside.join("../tests.yaml")].into_iter().find(|file| file.is_file());
    let cases = arguments.cases.clone().or(near).unwrap_or_else(|| PathBuf::from("tests.yaml"));
    Ok(Plan { plugin: "bench".into(), component, cases, only: None })
}
