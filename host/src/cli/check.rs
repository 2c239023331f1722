//! `gatehouse check PATH`: every problem of a document at once.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use crate::config::{self, Code, Finding, KeyPath, Loaded, Problems, Reviewed, Stock};
use crate::identity::credentials::TokenSources;
use crate::limit::Table;
use crate::plugin::Loader;
use crate::plugin::compile::{Allowance, Children, Workshop};
use crate::registry::{Kept, Registries};
use crate::rollout::Rollouts;
use crate::snapshot::Builder;
use crate::telemetry::Metrics;
use crate::upstream::Endpoints;
use crate::upstream::discovery::Discovery;

/// The exit code for a configuration error (`EX_CONFIG` of sysexits.h).
pub const BAD_CONFIG: u8 = 78;

/// Checks the document at `path` and prints what was found. `extra` adds what only plugins know of the healthy part.
pub fn run(path: &Path, stock: &Stock, extra: impl Fn(&Loaded) -> Vec<Finding>) -> ExitCode {
    match check(path, stock, extra) {
        Ok(loaded) => {
            loaded.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
            println!("{}: {}", path.display(), summary(&loaded));
            ExitCode::SUCCESS
        }
        Err(problems) => {
            eprintln!("{problems}");
            eprintln!("{}: {}", path.display(), count(problems.len(), "problem"));
            ExitCode::from(BAD_CONFIG)
        }
    }
}

fn check(path: &Path, stock: &Stock, extra: impl Fn(&Loaded) -> Vec<Finding>) -> Result<Loaded, Problems> {
    let Reviewed { loaded, problems } = config::review(path, stock);
    let Some(loaded) = loaded else { return Err(problems) };
    let problems = problems.and_later(loaded.sources.locate(extra(&loaded)));
    if problems.is_empty() { Ok(loaded) } else { Err(problems) }
}

fn summary(loaded: &Loaded) -> String {
    let document = &loaded.document;
    let parts = [
        count(document.routes.len(), "route"),
        count(document.upstreams.len(), "upstream"),
        count(document.plugins.len(), "plugin"),
        count(document.clients.len(), "client"),
        count(loaded.warnings.len(), "warning"),
    ];
    format!("good ({})", parts.join(", "))
}

fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// What the plugins of a document say: whether they load, and whether they take their configurations.
pub fn plugins(loaded: &Loaded) -> Vec<Finding> {
    match builder(None) {
        Ok(builder) => builder.review(loaded),
        Err(finding) => vec![finding],
    }
}

/// A builder that serves nothing: it loads plugins and asks them. From registries it has what is kept in this folder.
pub fn builder(data: Option<&Path>) -> Result<Builder, Finding> {
    let metrics = Metrics::new();
    let workshop = Workshop::Children(Children::new(Allowance::default()));
    let loader = Loader::start(super::run::user_cache().as_deref(), workshop, metrics.clone())
        .map_err(|error| Finding::new(KeyPath::default(), Code::Plugin, "this machine", format!("one that can run plugins: {error}")))?;
    let (endpoints, tokens, buckets) = (Arc::<Endpoints>::default(), TokenSources::default(), Arc::new(Table::new(1)));
    let folder = data.map(Path::to_owned).or_else(super::run::user_cache);
    let registries = Arc::new(Registries::offline(folder.as_deref().map(Kept::within)));
    let (rollouts, discovery) = (Arc::<Rollouts>::default(), Discovery::default());
    Ok(Builder { loader, rollouts, registries, endpoints, discovery, tokens, metrics, buckets })
}
