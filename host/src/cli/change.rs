//! `gatehouse diff`, `apply` and `rollback`: what a running gateway's admin API made is to be what a file says, with a plan
//! first.

mod plan;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use http::Method;
use serde_json::{Map, Value};

use crate::admin::client::{Client, Content};
use crate::config::units::Period;
use crate::config::{Declared, Item, Kind, Made};

use super::remote::AdminArgs;
use super::stock;

/// The exit code of a difference, as that of `diff`.
const DIFFERENT: u8 = 1;
const FAILED: u8 = 2;

/// What to compare.
#[derive(Args)]
pub struct DiffArgs {
    /// A file, or a folder of *.yaml files, with routes, upstreams, clients and issuers
    path: PathBuf,
    #[command(flatten)]
    admin: AdminArgs,
}

/// What to apply.
#[derive(Args)]
pub struct ApplyArgs {
    /// A file, or a folder of *.yaml files, with routes, upstreams, clients and issuers: what else the API made is deleted
    path: PathBuf,
    /// Wait so long at most for all workers to have it in hand
    #[arg(long, value_name = "TIME", default_value = "5s")]
    wait: Period,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Where to go back to.
#[derive(Args)]
pub struct RollbackArgs {
    /// The revision: what the admin API made becomes what it was then
    revision: u64,
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Says what `apply` would change. Exit 0 if nothing, 1 if anything, 2 if that cannot be said.
pub fn diff(arguments: &DiffArgs) -> ExitCode {
    let plan = sections(&arguments.path).and_then(|wanted| try_out(&arguments.admin.client()?, wanted));
    match plan {
        Ok(outcome) => {
            println!("{}", plan::describe(&outcome));
            if plan::is_empty(&outcome) { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) }
        }
        Err(reason) => failed(&reason),
    }
}

/// Says what will change, and changes it, if that is still what would. Exit 0, or 2.
pub fn apply(arguments: &ApplyArgs) -> ExitCode {
    match try_apply(arguments) {
        Ok(said) => done(&said),
        Err(reason) => failed(&reason),
    }
}

fn try_apply(arguments: &ApplyArgs) -> Result<String, String> {
    let (client, wanted) = (arguments.admin.client()?, sections(&arguments.path)?);
    let planned = try_out(&client, wanted.clone())?;
    println!("{}", plan::describe(&planned));
    if plan::is_empty(&planned) {
        return Ok(String::new());
    }
    // What was shown is what is done: somebody else's change in between is a refusal.
    let seen = format!("\"r{}\"", planned["revision"]);
    let path = format!("/v1/config?wait={}", arguments.wait);
    let outcome = client.send(Method::PUT, &path, Content::JsonIf(wanted, seen)).map_err(|error| error.to_string())?;
    Ok(plan::applied(&outcome))
}

/// Goes back. Exit 0, or 2.
pub fn rollback(arguments: &RollbackArgs) -> ExitCode {
    let path = format!("/v1/revisions/{}/rollback?dry_run={}", arguments.revision, arguments.dry_run);
    let outcome =
        arguments.admin.client().and_then(|client| client.send(Method::POST, &path, Content::None).map_err(|error| error.to_string()));
    match outcome {
        Ok(outcome) if arguments.dry_run || plan::is_empty(&outcome) => done(&plan::describe(&outcome)),
        Ok(outcome) => done(&format!("{}\n{}", plan::describe(&outcome), plan::applied(&outcome))),
        Err(reason) => failed(&reason),
    }
}

fn try_out(client: &Client, wanted: Value) -> Result<Value, String> {
    client.send(Method::PUT, "/v1/config?dry_run=true", Content::Json(wanted)).map_err(|error| error.to_string())
}

/// The resources of the files, as the API takes them.
fn sections(path: &Path) -> Result<Value, String> {
    let declared = Declared::read(path, &Arc::default(), &stock()).map_err(|problems| problems.to_string())?;
    let made = declared.to_made().map_err(|problems| problems.to_string())?;
    Ok(Value::Object(Kind::ALL.into_iter().map(|kind| (kind.section().to_owned(), list(&made, kind))).collect::<Map<_, _>>()))
}

fn list(made: &Made, kind: Kind) -> Value {
    made.of(kind).values().map(Item::to_json).collect()
}

fn done(said: &str) -> ExitCode {
    if !said.is_empty() {
        println!("{said}");
    }
    ExitCode::SUCCESS
}

fn failed(reason: &str) -> ExitCode {
    eprintln!("gatehouse: {reason}");
    ExitCode::from(FAILED)
}
