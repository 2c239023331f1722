//! Places in a document: `routes[2].chain[0].config.rate`, and lists of what was found there.
//! Findings know keys, not lines; `source` turns them into problems with a line and a column.

use std::fmt;

use super::holes::Holes;
use super::problem::Code;

/// A way into a document, owned: `routes[2].chain[0].config.rate`.
#[derive(Debug, Clone, PartialEq, Eq, Default, PartialOrd, Ord, Hash)]
pub struct KeyPath(Vec<Segment>);

/// The file of what came from no file: its items count among those that were made.
pub(super) const MADE: usize = usize::MAX;

/// One step of a `KeyPath`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// Into a map.
    Key(String),
    /// Into a list, from 0.
    Index(usize),
}

/// Something about one place in a document that its author should know.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub(super) spot: Spot,
    pub(super) on_key: bool,
    pub(super) code: Code,
    pub(super) got: String,
    pub(super) want: String,
    pub(super) hint: Option<String>,
}

/// Where a finding is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Spot {
    /// In the whole document: list items count across all its files.
    Document(KeyPath),
    /// In one file: list items count from its beginning.
    File(usize, KeyPath),
}

/// A way into one file that costs nothing until something is found there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    step: Step<'a>,
    parent: Option<&'a Place<'a>>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    File(usize),
    Key(&'a str),
    Index(usize),
}

// === impl KeyPath ===

impl KeyPath {
    /// This path and then a key of the map there.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.0.push(Segment::Key(key.into()));
        self
    }

    /// This path and then an item of the list there.
    #[must_use]
    pub fn index(mut self, index: usize) -> Self {
        self.0.push(Segment::Index(index));
        self
    }

    /// This path and then another one from there.
    #[must_use]
    pub fn join(mut self, further: &KeyPath) -> Self {
        self.0.extend_from_slice(&further.0);
        self
    }

    /// The steps in order.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// The path to what this place is in; nothing is around the document.
    pub(super) fn parent(&self) -> KeyPath {
        KeyPath(self.0[..self.0.len().saturating_sub(1)].to_vec())
    }

    pub(super) fn starts_with(&self, around: &KeyPath) -> bool {
        self.0.starts_with(&around.0)
    }

    /// The path to the item that a place is in: `routes[2]` for `routes[2].chain`, `drain` for `drain.deadline`.
    pub(super) fn item(&self) -> KeyPath {
        let length = if matches!(self.0.get(1), Some(Segment::Index(_))) { 2 } else { 1 };
        KeyPath(self.0.iter().take(length).cloned().collect())
    }
}

impl From<Vec<Segment>> for KeyPath {
    fn from(segments: Vec<Segment>) -> Self {
        KeyPath(segments)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) if !is_plain(key) => write!(f, "[{key:?}]")?,
                Segment::Key(key) if position == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}

fn is_plain(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

// === impl Finding ===

impl Finding {
    /// At `spot` stands `got` where `want` should.
    pub fn new(spot: impl Into<Spot>, code: Code, got: impl Into<String>, want: impl Into<String>) -> Self {
        Finding { spot: spot.into(), on_key: false, code, got: got.into(), want: want.into(), hint: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what to do about it, if anything is known.
    #[must_use]
    pub fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    /// The same, where it is in the text.
    pub(super) fn restore(mut self, holes: &Holes) -> Self {
        if let Spot::File(file, path) = self.spot {
            self.spot = Spot::File(file, holes.restore(file, path));
        }
        self
    }

    /// Points at the key instead of its value.
    #[must_use]
    pub fn on_key(mut self) -> Self {
        self.on_key = true;
        self
    }
}

// === impl Spot ===

impl Spot {
    /// A place further in.
    pub(super) fn join(&self, further: &KeyPath) -> Spot {
        match self {
            Spot::Document(path) => Spot::Document(path.clone().join(further)),
            Spot::File(file, path) => Spot::File(*file, path.clone().join(further)),
        }
    }

    /// The item it is in.
    pub(super) fn item(&self) -> Spot {
        match self {
            Spot::Document(path) => Spot::Document(path.item()),
            Spot::File(file, path) => Spot::File(*file, path.item()),
        }
    }
}

impl From<KeyPath> for Spot {
    fn from(path: KeyPath) -> Self {
        Spot::Document(path)
    }
}

impl From<&Place<'_>> for Spot {
    fn from(place: &Place<'_>) -> Self {
        Spot::File(place.file(), place.path())
    }
}

// === impl Place ===

impl<'a> Place<'a> {
    pub(crate) fn root(file: usize) -> Self {
        Place { step: Step::File(file), parent: None }
    }

    pub(crate) fn key(&'a self, key: &'a str) -> Place<'a> {
        Place { step: Step::Key(key), parent: Some(self) }
    }

    pub(crate) fn index(&'a self, index: usize) -> Place<'a> {
        Place { step: Step::Index(index), parent: Some(self) }
    }

    pub(crate) fn path(&self) -> KeyPath {
        let path = self.parent.map(Place::path).unwrap_or_default();
        match self.step {
            Step::File(_) => path,
            Step::Key(key) => path.key(key),
            Step::Index(index) => path.index(index),
        }
    }

    fn file(&self) -> usize {
        match (self.step, self.parent) {
            (Step::File(file), _) => file,
            (_, Some(parent)) => parent.file(),
            (_, None) => unreachable!("every place begins at a file"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_print_as_people_write_them() {
        let root = Place::root(0);
        let (routes, chain) = (root.key("routes"), "chain");
        let route = routes.index(2);
        let steps = route.key(chain);
        let step = steps.index(0);
        assert_eq!(step.path().key("config").key("rate").to_string(), "routes[2].chain[0].config.rate", "plain keys");
        assert_eq!(KeyPath::default().key("a.b").key("c").to_string(), r#"["a.b"].c"#, "a key with a dot is quoted");
    }
}
