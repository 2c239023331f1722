//! The check of a document: text, shape, meaning. It reports everything at once, so a broken item hides no other.

mod clients;
pub(super) mod declared;
mod draft;
mod gateway;
mod healthy;
mod identity;
mod in_force;
mod names;
mod plugins;
mod routes;
pub(crate) mod rules;
mod shape;
#[cfg(test)]
mod tests;
mod traffic;
mod upstreams;

use std::sync::Arc;

use draft::Draft;
use names::Names;

use super::holes::Holes;
use super::made::Made;
use super::place::Finding;
use super::problem::{Problem, Problems};
use super::source::Sources;
use super::stock::Stock;
use super::yaml::{self, Parsed};
use super::{Loaded, Reviewed};

/// What a check has found so far.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Finding>);

/// Reads and checks `sources` together with what was made. `stock` is what needs no entry.
pub(super) fn review(sources: Sources, made: &Arc<Made>, stock: &Stock) -> Reviewed {
    match Draft::read_texts(sources.files.iter().map(|source| source.text.as_str())) {
        Some(draft) => review_draft(draft, sources, made, stock),
        None => review_broken(sources, made, stock),
    }
}

/// The short way, for documents whose every item can be read: no tree of the whole is ever made.
fn review_draft(mut draft: Draft, mut sources: Sources, made: &Arc<Made>, stock: &Stock) -> Reviewed {
    let shadowed = declared::add_made(&mut draft, made);
    sources.made = Arc::clone(made);
    let mut findings = Findings::default();
    shape::review_singles(&draft, &mut findings);
    findings.0.extend(review_meaning(&draft, stock, true, &Holes::default()));
    let mut reviewed = conclude(draft, findings, Holes::default(), Vec::new(), sources);
    if let Some(loaded) = reviewed.loaded.as_mut().filter(|_| !shadowed.is_empty()) {
        loaded.warnings = Problems::new(std::mem::take(&mut loaded.warnings).into_iter().chain(shadowed).collect());
    }
    reviewed
}

/// The long way: what is broken is found with the schema and cut out, so that the rest can be reviewed.
fn review_broken(mut sources: Sources, made: &Arc<Made>, stock: &Stock) -> Reviewed {
    sources.made = Arc::clone(made);
    let mut parsed: Vec<Parsed> = sources.files.iter().map(|source| yaml::read(&source.text)).collect();
    parsed.iter_mut().filter_map(|file| file.value.as_mut()).for_each(drop_empty_sections);
    let mut draft = read(&parsed);
    let mut findings = Findings::default();
    let holes = shape::review(&draft, &mut parsed, &mut findings);
    // Names are known as a whole only if nothing hides some: a file that breaks off, a section that is none.
    let whole = draft.unfit.is_empty() && parsed.iter().all(|file| file.value.is_some());
    if !holes.is_empty() {
        draft = read(&parsed);
    }
    declared::add_made(&mut draft, made);
    findings.0.extend(review_meaning(&draft, stock, whole, &holes));
    let mistakes = mistakes(&sources, parsed);
    conclude(draft, findings, holes, mistakes, sources)
}

/// Makes a document of what is healthy, and problems with lines of what was found.
fn conclude(mut draft: Draft, findings: Findings, mut holes: Holes, mut problems: Vec<Problem>, mut sources: Sources) -> Reviewed {
    let good = problems.is_empty() && findings.0.is_empty();
    let warnings = if good { in_force::review(&draft) } else { Vec::new() };
    if !good {
        healthy::keep(&mut draft, &findings, &mut holes);
    }
    problems.extend(sources.locate(findings.0));
    let warnings = Problems::new(sources.locate(warnings));
    let (document, items) = draft.into_document();
    (sources.items, sources.holes) = (items, holes);
    Reviewed { loaded: Some(Loaded { document, sources, warnings }), problems: Problems::new(problems) }
}

fn read(parsed: &[Parsed]) -> Draft {
    Draft::read(parsed.iter().map(|file| file.value.as_ref()))
}

// What is found in the rest of a document is shown where it is in the whole, unless what was cut out explains it.
fn review_meaning(draft: &Draft, stock: &Stock, whole: bool, holes: &Holes) -> Vec<Finding> {
    let mut findings = Findings::default();
    let names = Names::collect(draft, stock, whole, &mut findings);
    gateway::review(draft, &mut findings);
    upstreams::review(draft, &names, &mut findings);
    identity::review(draft, &mut findings);
    clients::review(draft, &mut findings);
    plugins::review(draft, &names, &mut findings);
    plugins::review_signatures(draft, &mut findings);
    routes::review(draft, &names, &mut findings);
    if holes.is_empty() {
        return findings.0;
    }
    let restored = findings.0.into_iter().map(|finding| finding.restore(holes));
    restored.filter(|finding| !holes.explain(finding)).collect()
}

// `routes:` with nothing after it is an empty section, not a wrong one.
fn drop_empty_sections(value: &mut serde_json::Value) {
    if value.is_null() {
        *value = serde_json::Value::Object(serde_json::Map::new());
    }
    if let Some(sections) = value.as_object_mut() {
        sections.retain(|name, section| !(section.is_null() && draft::is_section(name)));
    }
}

fn mistakes(sources: &Sources, parsed: Vec<Parsed>) -> Vec<Problem> {
    let files = sources.files.iter().zip(parsed);
    let problems = files.flat_map(|(source, file)| {
        let lines: Vec<&str> = if file.mistakes.is_empty() { Vec::new() } else { source.text.lines().collect() };
        file.mistakes.into_iter().map(move |mistake| {
            let mut problem = Problem::with_file(&source.name, mistake.code, mistake.got, mistake.want);
            problem.set_position(mistake.line, mistake.column, &lines);
            problem
        })
    });
    problems.collect()
}

// === impl Findings ===

impl Findings {
    pub(super) fn add(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    /// The nearest of `candidates` as a hint; none after many findings, for it takes time.
    pub(super) fn suggest<'a>(&self, word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
        const ENOUGH: usize = 100;
        if self.0.len() > ENOUGH {
            return None;
        }
        names::nearest(word, candidates).map(|name| format!("did you mean {name}?"))
    }

    /// All of them, in the order they were made.
    pub(super) fn into_list(self) -> Vec<Finding> {
        self.0
    }

    fn iter(&self) -> std::slice::Iter<'_, Finding> {
        self.0.iter()
    }
}
