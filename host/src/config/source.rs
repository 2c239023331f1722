//! The texts a document came from, and the way from a place in the document back to a line.

mod args;
mod file;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::holes::Holes;
use super::made::{Kind, Made};
use super::marks::Marks;
use super::place::{Finding, KeyPath, MADE, Segment, Spot};
use super::problem::Problem;

pub use args::RouteArg;
pub(super) use file::read_path;

/// One text and the name it is known by.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Source {
    pub(super) name: String,
    pub(super) text: String,
}

/// The texts of one document.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    pub(super) files: Vec<Source>,
    /// What relative paths in the document start from.
    pub(super) folder: PathBuf,
    /// The file of each item in a section of the document, and its place in that file.
    pub(super) items: BTreeMap<&'static str, Vec<(usize, usize)>>,
    /// What the files have and the document has not.
    pub(super) holes: Holes,
    /// What came from no file.
    pub(super) made: Arc<Made>,
    /// Files that others stand in for.
    stand_ins: BTreeMap<PathBuf, PathBuf>,
}

/// One text made ready to look places up in.
struct Map<'a> {
    marks: Marks,
    lines: Vec<&'a str>,
}

impl<'a> Map<'a> {
    fn read(text: &'a str) -> Self {
        Map { marks: Marks::read(text), lines: text.lines().collect() }
    }
}

// === impl Source ===

impl Source {
    /// A text under the name that problems show.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Source { name: name.into(), text: text.into() }
    }

    /// What it says.
    pub fn text(&self) -> &str {
        &self.text
    }
}

// === impl Sources ===

impl Sources {
    /// Texts whose relative paths start from `folder`.
    pub fn new(files: Vec<Source>, folder: impl Into<PathBuf>) -> Self {
        Sources { files, folder: folder.into(), ..Sources::default() }
    }

    /// The texts.
    pub fn files(&self) -> &[Source] {
        &self.files
    }

    /// What relative paths start from.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a path of the document leads, relative to the folder the document is in.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        let place = self.folder.join(path);
        self.stand_ins.get(&place).cloned().unwrap_or(place)
    }

    /// Lets another file stand in for that at a place.
    pub fn stand_in(&mut self, place: PathBuf, by: PathBuf) {
        self.stand_ins.insert(place, by);
    }

    /// Findings with their lines and columns. Reads each text once more, so hand in all of them together.
    pub fn locate(&self, findings: Vec<Finding>) -> Vec<Problem> {
        let mut maps: Vec<Option<Map<'_>>> = self.files.iter().map(|_| None).collect();
        findings.into_iter().map(|finding| self.locate_one(finding, &mut maps)).collect()
    }

    fn locate_one<'a>(&'a self, finding: Finding, maps: &mut [Option<Map<'a>>]) -> Problem {
        let (file, path) = match finding.spot {
            Spot::File(file, path) => (Some(file), path),
            Spot::Document(path) => self.in_file(path),
        };
        let path = if file == Some(MADE) { self.by_name(path) } else { path };
        let mut problem = Problem::with_file("", finding.code, finding.got, finding.want);
        problem.path = path.to_string();
        problem.hint = finding.hint;
        let Some((source, map)) = file.and_then(|file| Some((self.files.get(file)?, maps.get_mut(file)?))) else {
            return problem;
        };
        let map = map.get_or_insert_with(|| Map::read(&source.text));
        let position = map.marks.find(path.segments(), finding.on_key);
        problem.file.clone_from(&source.name);
        problem.set_position(position.line, position.column, &map.lines);
        problem
    }

    // What was made is known by its names: nobody can count it.
    fn by_name(&self, path: KeyPath) -> KeyPath {
        let mut segments = path.segments().to_vec();
        if let [Segment::Key(section), Segment::Index(index), ..] = &*segments
            && let Some(name) = Kind::of_section(section).and_then(|kind| self.made.of(kind).keys().nth(*index))
        {
            segments[1] = Segment::Key(name.clone());
        }
        segments.into()
    }

    // Items count across all files in the document, and from its beginning in each file.
    fn in_file(&self, path: KeyPath) -> (Option<usize>, KeyPath) {
        let Some(Segment::Key(section)) = path.segments().first() else {
            return (None, path);
        };
        let Some(items) = self.items.get(section.as_str()) else {
            return (None, path);
        };
        let Some(Segment::Index(index)) = path.segments().get(1) else {
            return (items.first().map(|(file, _)| *file), path);
        };
        let Some((file, index)) = items.get(*index) else {
            return (None, path);
        };
        let mut segments = path.segments().to_vec();
        segments[1] = Segment::Index(*index);
        (Some(*file), self.holes.restore(*file, segments.into()))
    }
}
