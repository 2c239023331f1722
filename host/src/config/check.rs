//! The check of a document: text, shape, meaning. It reports everything at once, so a broken item hides no other.

mod draft;
mod gateway;
mod identity;
mod in_force;
mod names;
mod plugins;
mod routes;
pub(super) mod rules;
mod shape;
#[cfg(test)]
mod tests;
mod upstreams;

use draft::Draft;
use names::Names;

use super::Loaded;
use super::place::Finding;
use super::problem::{Problem, Problems};
use super::source::Sources;
use super::yaml::{self, Parsed};

/// What a check has found so far.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Finding>);

/// Reads and checks `sources`. `built_ins` are the plugins that need no entry.
pub(super) fn check(mut sources: Sources, built_ins: &[&str]) -> Result<Loaded, Problems> {
    let mut parsed: Vec<Parsed> = sources.files.iter().map(|source| yaml::read(&source.text)).collect();
    parsed.iter_mut().filter_map(|file| file.value.as_mut()).for_each(drop_empty_sections);
    let draft = Draft::read(parsed.iter().map(|file| file.value.as_ref()));
    let mut findings = Findings::default();
    shape::review(&draft, &parsed, &mut findings);
    // A file that could not be read holds names that others refer to, so references are not judged without it.
    if parsed.iter().all(|file| file.value.is_some()) {
        review_meaning(&draft, built_ins, &mut findings);
    }
    let mut problems = mistakes(&sources, parsed);
    problems.extend(sources.locate(findings.0));
    if !problems.is_empty() {
        return Err(Problems::new(problems));
    }
    sources.sections = draft.count_sections(sources.files.len());
    let warnings = in_force::review(&draft);
    let document = draft.into_document();
    let warnings = Problems::new(sources.locate(warnings));
    Ok(Loaded { document, sources, warnings })
}

fn review_meaning(draft: &Draft, built_ins: &[&str], findings: &mut Findings) {
    let names = Names::collect(draft, built_ins, findings);
    gateway::review(draft, findings);
    upstreams::review(draft, findings);
    identity::review(draft, findings);
    plugins::review(draft, &names, findings);
    routes::review(draft, &names, findings);
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

    fn iter(&self) -> std::slice::Iter<'_, Finding> {
        self.0.iter()
    }
}
