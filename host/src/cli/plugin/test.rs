//! `gatehouse plugin test`: cases through a component, once or whenever something changes.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use clap::Args;
use notify::{RecursiveMode, Watcher};

use crate::author::build;
use crate::author::test::{self, Plan};
use crate::cli::check;
use crate::snapshot::Builder;

/// Exit codes: cases failed, or could not be played.
const FAILED: u8 = 1;
const UNPLAYED: u8 = 2;
/// How long no more changes have to come before cases are played again: a build writes in several steps.
const QUIET: Duration = Duration::from_millis(150);

/// What to test.
#[derive(Args)]
pub struct TestArgs {
    /// A project's folder, or a component
    #[arg(default_value = ".")]
    path: PathBuf,
    /// The file with the cases [tests.yaml in the project, or beside the component or one folder up]
    #[arg(long, value_name = "FILE")]
    cases: Option<PathBuf>,
    /// Only cases whose names hold this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Play them again whenever the component or the cases change
    #[arg(long)]
    watch: bool,
}

/// Plays the cases. Exit 0, 1 if any failed, 2 if they could not be played.
pub fn run(arguments: &TestArgs) -> ExitCode {
    let (plan, builder) = match plan(arguments).and_then(|plan| Ok((plan, builder()?))) {
        Ok(ready) => ready,
        Err(reason) => {
            eprintln!("gatehouse: {reason}");
            return ExitCode::from(UNPLAYED);
        }
    };
    match arguments.watch {
        true => watch(&plan, &builder),
        false => play(&plan, &builder),
    }
}

fn builder() -> Result<Builder, String> {
    check::builder(None).map_err(|_| "this machine cannot run plugins".into())
}

fn play(plan: &Plan, builder: &Builder) -> ExitCode {
    match test::run(plan, builder) {
        Ok(report) => {
            println!("{}", report.text());
            if report.passed() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
        }
        Err(error) => {
            eprintln!("gatehouse: {error}");
            ExitCode::from(UNPLAYED)
        }
    }
}

fn plan(arguments: &TestArgs) -> Result<Plan, String> {
    let component = match arguments.path.is_dir() {
        true => built(&arguments.path)?,
        false => arguments.path.clone(),
    };
    let component = component.canonicalize().map_err(|error| format!("{}: {error}", component.display()))?;
    let cases = arguments.cases.clone().map_or_else(|| cases_near(arguments, &component), Ok)?;
    let plugin = component.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Plan { plugin, component, cases, only: arguments.only.clone() })
}

/// What `gatehouse plugin build` left in a project.
fn built(folder: &Path) -> Result<PathBuf, String> {
    let target = folder.join("target");
    let files = std::fs::read_dir(&target).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    let mut components: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|extension| extension == "wasm")).collect();
    match (components.pop(), components.is_empty()) {
        (Some(component), true) => Ok(component),
        (Some(_), false) => Err(format!("{} holds several components; name one of them", target.display())),
        (None, _) => {
            build::language_of(folder).map_err(|error| error.to_string())?;
            Err(format!("{} holds no component; run `gatehouse plugin build` first", target.display()))
        }
    }
}

fn cases_near(arguments: &TestArgs, component: &Path) -> Result<PathBuf, String> {
    let beside = component.parent().unwrap_or(Path::new("."));
    let folders = match arguments.path.is_dir() {
        true => vec![arguments.path.as_path()],
        false => [Some(beside), beside.parent()].into_iter().flatten().collect(),
    };
    let found = folders.iter().map(|folder| folder.join("tests.yaml")).find(|file| file.is_file());
    found.ok_or_else(|| format!("no tests.yaml in {}; say --cases", folders[0].display()))
}

/// Plays the cases at once, and again after each change, until the process is ended.
fn watch(plan: &Plan, builder: &Builder) -> ExitCode {
    let (sender, changes) = mpsc::channel();
    let mut watcher = match notify::recommended_watcher(sender) {
        Ok(watcher) => watcher,
        Err(error) => return unwatched(&error),
    };
    // Folders, since a build puts another file in the place of the one before.
    let folders =
        [&plan.component, &plan.cases].map(|file| file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")));
    for folder in folders {
        if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
            return unwatched(&error);
        }
    }
    loop {
        play(plan, builder);
        println!("waiting for a change of {} or {}", plan.component.display(), plan.cases.display());
        if !changed(&changes, plan) {
            return ExitCode::SUCCESS;
        }
    }
}

fn unwatched(error: &notify::Error) -> ExitCode {
    eprintln!("gatehouse: {error}");
    ExitCode::from(UNPLAYED)
}

/// Waits for a change of one of the files and for the quiet after it. False once none can come any more.
fn changed(changes: &mpsc::Receiver<notify::Result<notify::Event>>, plan: &Plan) -> bool {
    let names = [plan.component.file_name(), plan.cases.file_name()];
    let matters = |event: &notify::Event| !event.kind.is_access() && event.paths.iter().any(|path| names.contains(&path.file_name()));
    loop {
        match changes.recv() {
            Ok(Ok(event)) if matters(&event) => break,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    while changes.recv_timeout(QUIET).is_ok() {}
    true
}
