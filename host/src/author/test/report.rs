//! What came of cases, for people.

use std::fmt::Write as _;
use std::time::Duration;

use crate::plugin::meter::Cost;

use super::capture::Line;
use super::cases::Case;

/// What came of all cases.
pub struct Report {
    /// In their order.
    pub outcomes: Vec<Outcome>,
}

/// What came of one.
#[derive(Default)]
pub struct Outcome {
    /// Its name.
    pub name: String,
    /// What is not as expected; none if it passed.
    pub differences: Vec<String>,
    /// What each call of the plugin cost.
    pub costs: Vec<Cost>,
    /// How long it took, the making of instances included.
    pub took: Duration,
    /// What was logged.
    pub notes: Vec<Line>,
}

impl Outcome {
    /// A case that failed.
    pub fn failed(differences: Vec<String>) -> Self {
        Self { differences, ..Self::default() }
    }

    /// A case whose plugin was not taken, which may be what was expected.
    pub fn refused(case: &Case, refusals: Vec<String>) -> Self {
        let said = refusals.join("\n           ");
        match &case.expect.refused {
            Some(part) if said.contains(part.as_str()) => Self::default(),
            Some(part) => Self::failed(vec![format!("refused\n    - want {part:?}\n    + got  {said}")]),
            None => Self::failed(vec![format!("the plugin is refused\n    + got  {said}")]),
        }
    }

    /// Whether it came as expected.
    pub fn passed(&self) -> bool {
        self.differences.is_empty()
    }
}

impl Report {
    /// Whether all came as expected.
    pub fn passed(&self) -> bool {
        self.outcomes.iter().all(Outcome::passed)
    }

    /// One line for each case, more for those that failed, and one for all.
    pub fn text(&self) -> String {
        let mut text = String::new();
        self.outcomes.iter().for_each(|outcome| write_outcome(&mut text, outcome));
        let failed = self.outcomes.iter().filter(|outcome| !outcome.passed()).count();
        let _ = write!(text, "{} passed, {failed} failed", self.outcomes.len() - failed);
        text
    }
}

fn write_outcome(text: &mut String, outcome: &Outcome) {
    let mark = if outcome.passed() { "ok    " } else { "FAILED" };
    let _ = writeln!(text, "{mark} {}{}", outcome.name, costs(&outcome.costs));
    for difference in &outcome.differences {
        let _ = writeln!(text, "  {difference}");
    }
    // A fault is told among the differences.
    let notes = outcome.notes.iter().filter(|line| line.is_plugins || !line.text.starts_with("plugin "));
    for line in notes.filter(|_| !outcome.passed()) {
        let _ = writeln!(text, "  {}: {}", line.level, line.text);
    }
}

fn costs(costs: &[Cost]) -> String {
    let Some(memory) = costs.iter().map(|cost| cost.memory).max() else { return String::new() };
    let cpu: Duration = costs.iter().map(|cost| cost.cpu).sum();
    let (calls, host_calls) = (costs.len(), costs.iter().map(|cost| cost.host_calls).sum::<u32>());
    let plural = |number: u32| if number == 1 { "" } else { "s" };
    format!(
        "  ({calls} call{}, {:.1} us CPU, {} KiB memory, {host_calls} host call{})",
        plural(u32::try_from(calls).unwrap_or(u32::MAX)),
        cpu.as_secs_f64() * 1e6,
        memory.div_ceil(1024),
        plural(host_calls),
    )
}
