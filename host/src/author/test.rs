//! `gatehouse plugin test`: cases from a file, played through a component in the gateway's own code: the chain, the pool,
//! the verdict's checks, the capabilities. Only the network is played.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use thiserror::Error;

use crate::config::{self, Finding, Problems, Source};
use crate::snapshot::Builder;

use cases::{Case, Cases};
use world::World;

pub mod bodies;
pub mod capture;
pub mod cases;
pub mod compare;
pub mod play;
pub mod report;
pub mod upstreams;
pub mod world;

pub use report::{Outcome, Report};

/// Why no case was played.
#[derive(Debug, Error)]
pub enum TestError {
    /// A file could not be read.
    #[error("{}: {}", .0.display(), .1)]
    Read(PathBuf, std::io::Error),
    /// The cases are not what cases look like.
    #[error("{0}")]
    Cases(Problems),
    /// There is none to play.
    #[error("{} has no case{}", .0.display(), if *.1 { " of such a name" } else { "" })]
    NoCase(PathBuf, bool),
    /// This machine runs no plugins.
    #[error("this machine cannot run plugins: {0:?}")]
    Machine(Finding),
}

/// What to play.
pub struct Plan {
    /// The plugin's name.
    pub plugin: String,
    /// Its component.
    pub component: PathBuf,
    /// The file with the cases.
    pub cases: PathBuf,
    /// Only cases whose names hold this.
    pub only: Option<String>,
}

/// Plays the cases one after the other. Blocks, and must not be called from within an async runtime.
pub fn run(plan: &Plan, builder: &Builder) -> Result<Report, TestError> {
    let cases = read(&plan.cases)?;
    let wanted: Vec<&Case> = cases.cases.iter().filter(|case| plan.only.as_ref().is_none_or(|only| case.name.contains(only))).collect();
    if wanted.is_empty() {
        return Err(TestError::NoCase(plan.cases.clone(), plan.only.is_some()));
    }
    let outcomes = wanted.iter().enumerate().map(|(place, case)| one(plan, &cases, case, place, builder)).collect();
    Ok(Report { outcomes })
}

/// The cases of a file.
pub fn read(path: &Path) -> Result<Cases, TestError> {
    let text = std::fs::read_to_string(path).map_err(|error| TestError::Read(path.to_owned(), error))?;
    config::read(Source::new(path.display().to_string(), text)).map_err(TestError::Cases)
}

/// Plays a case in a world of its own: no case sees what another left in `kv`, in buckets or in an instance's memory.
fn one(plan: &Plan, cases: &Cases, case: &Case, place: usize, builder: &Builder) -> Outcome {
    let began = Instant::now();
    let (logged, mut outcome) = capture::during(|| match World::make(plan, cases, case, place, builder) {
        Err(refusals) => Outcome::refused(case, refusals),
        Ok(world) => play::all(&Rc::new(world), case),
    });
    outcome.name.clone_from(&case.name);
    outcome.took = began.elapsed();
    outcome.notes = logged;
    outcome
}
