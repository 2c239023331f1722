//! Problems: what is wrong with a document, where, what would be right, and how that is printed.

use std::collections::BTreeSet;
use std::fmt::{self, Display};

use serde::Serialize;

/// One thing that is wrong with a document, or worth a warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file as it was named on the command line; empty if the document came from no file.
    pub file: String,
    /// The line, from 1; 0 if the document came from no file.
    pub line: usize,
    /// The column in characters, from 1; 0 if the document came from no file.
    pub column: usize,
    /// The way to it: `routes[2].chain[0].config.rate`.
    pub path: String,
    /// The kind of problem.
    pub code: Code,
    /// What stands there.
    pub got: String,
    /// What should.
    pub want: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The line of the file, for printing.
    #[serde(skip)]
    pub(super) text: String,
}

/// Kinds of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The file cannot be read.
    Unreadable,
    /// Not YAML, or YAML that a document may not use.
    Syntax,
    /// A key twice in one map.
    DuplicateKey,
    /// A key that means nothing here.
    UnknownKey,
    /// Something required is not there.
    Missing,
    /// A text where a list belongs, and so on.
    Type,
    /// The right type, but not an allowed value.
    Value,
    /// A name that nothing has.
    Reference,
    /// A name that something else already has.
    DuplicateName,
    /// Two settings that exclude each other.
    Conflict,
    /// Refused by the plugin it was meant for.
    Plugin,
    /// A warning: accepted, but without an effect.
    NoEffect,
    /// A warning: accepted, but safer otherwise.
    Risk,
}

/// Everything that is wrong with a document, in the order of its files and lines.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Problems(Vec<Problem>);

// A generated document can be wrong in a hundred thousand places; nobody reads that many.
const PRINTED: usize = 100;

// === impl Problem ===

impl Problem {
    /// A problem with a file as a whole.
    pub(super) fn with_file(file: impl Into<String>, code: Code, got: impl Into<String>, want: impl Into<String>) -> Self {
        Problem {
            file: file.into(),
            line: 0,
            column: 0,
            path: String::new(),
            code,
            got: got.into(),
            want: want.into(),
            hint: None,
            text: String::new(),
        }
    }

    /// Puts it at a line and a column of its file.
    pub(super) fn set_position(&mut self, line: usize, column: usize, lines: &[&str]) {
        self.line = line;
        self.column = column;
        self.text = lines.get(line.saturating_sub(1)).copied().unwrap_or_default().into();
    }

    // Something known at the place, or inside of it. A plugin that refuses its configuration has its own reason,
    // whatever else is wrong inside.
    fn is_known(&self, known: &BTreeSet<(&str, &str)>) -> bool {
        let file = self.file.as_str();
        let inside = |start: String| {
            let mut after = known.range((file, start.as_str())..);
            after.next().is_some_and(|(in_file, path)| *in_file == file && path.starts_with(&start))
        };
        let around = || inside(format!("{}.", self.path)) || inside(format!("{}[", self.path));
        known.contains(&(file, self.path.as_str())) || self.code != Code::Plugin && around()
    }

    fn write_place(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}:", self.file)?;
        }
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        if !self.file.is_empty() {
            f.write_str(" ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        Ok(())
    }

    fn write_line(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, column) = window(&self.text, self.column);
        let number = self.line.to_string();
        // Tabs stay tabs, so that the caret stands where the terminal shows the character.
        let padding: String = text.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        write!(f, "\n  {number} | {text}\n  {:width$} | {padding}^", "", width = number.len())
    }
}

impl Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_place(f)?;
        write!(f, "got {}, want {}", self.got, self.want)?;
        if let Some(hint) = &self.hint {
            write!(f, " (hint: {hint})")?;
        }
        if self.column > 0 && !self.text.is_empty() {
            self.write_line(f)?;
        }
        Ok(())
    }
}

// A document on one long line is shown around the column only.
fn window(text: &str, column: usize) -> (String, usize) {
    const BEFORE: usize = 60;
    const WIDTH: usize = 120;
    let start = if text.chars().count() > WIDTH { column.saturating_sub(BEFORE) } else { 0 };
    (text.chars().skip(start).take(WIDTH).collect(), column - start)
}

// === impl Problems ===

impl Problems {
    /// Puts them in the order of files and lines.
    pub fn new(mut list: Vec<Problem>) -> Self {
        list.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        Problems(list)
    }

    /// With what a later check found, save what an earlier one has seen at the same place already.
    #[must_use]
    pub fn and_later(self, later: Vec<Problem>) -> Self {
        let known: BTreeSet<(&str, &str)> = self.0.iter().map(|problem| (problem.file.as_str(), problem.path.as_str())).collect();
        let new: Vec<Problem> = later.into_iter().filter(|problem| !problem.is_known(&known)).collect();
        Problems::new(self.0.into_iter().chain(new).collect())
    }

    /// One by one.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, problem) in self.0.iter().take(PRINTED).enumerate() {
            let separator = if position == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        match self.0.len().saturating_sub(PRINTED) {
            0 => Ok(()),
            rest => write!(f, "\nand {rest} more"),
        }
    }
}

impl std::error::Error for Problems {}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str, column: usize) -> Problem {
        Problem {
            file: "a.yaml".into(),
            line: 12,
            column,
            path: "routes[2].chain[0].config.rate".into(),
            code: Code::Value,
            got: "0".into(),
            want: "> 0".into(),
            hint: Some("leave it out".into()),
            text: text.into(),
        }
    }

    #[test]
    fn a_problem_prints_its_place_its_line_and_a_caret() {
        let printed = problem("\tconfig: {rate: 0}", 17).to_string();
        let expected = "a.yaml:12:17: routes[2].chain[0].config.rate: got 0, want > 0 (hint: leave it out)\n  \
                        12 | \tconfig: {rate: 0}\n     | \t               ^";
        assert_eq!(printed, expected, "the caret stands under the 0");
    }

    #[test]
    fn a_long_line_is_cut_around_the_caret() {
        let text = format!("{}X{}", "-".repeat(999), "-".repeat(999));
        let printed = problem(&text, 1000).to_string();
        let lines: Vec<_> = printed.lines().collect();
        let caret = lines[2].find('^').expect("a caret");
        assert_eq!(lines[1].as_bytes()[caret], b'X', "the caret stands under the X");
        assert!(lines[1].len() < 140, "the line is cut");
    }

    #[test]
    fn what_was_seen_already_is_not_said_again() {
        let at = |path: &str, code| Problem { path: path.into(), code, ..problem("", 1) };
        let known =
            Problems::new(vec![at("routes[0].match[0].path", Code::Value), at("routes[1].chain[0].config.issuer", Code::Reference)]);
        let later = [
            ("routes[0].match[0].path", Code::Value),
            ("routes[0].match", Code::Value),
            ("routes[0].match[0].path.exact", Code::Value),
            ("routes[0].ma", Code::Value),
            ("routes[1].chain[0].config", Code::Plugin),
        ];
        let all = known.and_later(later.iter().map(|(path, code)| at(path, *code)).collect());
        let paths: Vec<&str> = all.iter().map(|problem| problem.path.as_str()).skip(2).collect();
        assert_eq!(paths, ["routes[0].match[0].path.exact", "routes[0].ma", "routes[1].chain[0].config"], "what is new");
    }

    #[test]
    fn only_the_first_hundred_are_printed() {
        let problems = Problems::new(vec![problem("", 1); 102]);
        assert!(problems.to_string().ends_with("\nand 2 more"), "the rest is counted");
    }
}
