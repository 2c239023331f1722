//! Holes: what was cut out of a document so that the rest of it could be read, and the way from a place in the rest
//! back to the place in the text.

use std::collections::BTreeSet;

use super::place::{Finding, KeyPath, Segment, Spot};
use super::problem::Code;

/// Places in files whose values are left out.
#[derive(Debug, Clone, Default)]
pub(super) struct Holes(BTreeSet<(usize, KeyPath)>);

impl Holes {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Leaves out a place of the text.
    pub(super) fn add(&mut self, file: usize, path: KeyPath) {
        self.0.insert((file, path));
    }

    /// Where a place of the rest is in the text: the items of a list move up where one before them is cut out.
    pub(super) fn restore(&self, file: usize, path: KeyPath) -> KeyPath {
        if self.is_empty() {
            return path;
        }
        let restore = |text: KeyPath, segment: &Segment| match segment {
            Segment::Key(key) => text.key(key),
            Segment::Index(index) => {
                let index = self.restore_index(file, &text, *index);
                text.index(index)
            }
        };
        path.segments().iter().fold(KeyPath::default(), restore)
    }

    fn restore_index(&self, file: usize, list: &KeyPath, index: usize) -> usize {
        let start = (file, list.clone().index(0));
        let inside = self.0.range(start..).take_while(|(in_file, path)| *in_file == file && path.starts_with(list));
        let cut = inside.filter_map(|(_, path)| match &path.segments()[list.segments().len()..] {
            [Segment::Index(cut)] => Some(*cut),
            _ => None,
        });
        cut.fold(index, |index, cut| index + usize::from(cut <= index))
    }

    /// Whether something is found only because of what was cut out: at a place around a hole, or as missing beside
    /// one, where it may have been meant.
    pub(super) fn explain(&self, finding: &Finding) -> bool {
        let Spot::File(file, path) = &finding.spot else { return false };
        let (missing, beside) = (finding.code == Code::Missing, path.parent());
        let around = if missing { &beside } else { path };
        let near = self.0.range((*file, around.clone())..).take_while(|(in_file, hole)| in_file == file && hole.starts_with(around));
        near.into_iter().any(|(_, hole)| hole.starts_with(path) || missing && hole.parent() == beside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(keys: &[&str]) -> KeyPath {
        let segment = |key: &&str| key.parse().map_or_else(|_| Segment::Key((*key).to_owned()), Segment::Index);
        keys.iter().map(segment).collect::<Vec<_>>().into()
    }

    fn holes() -> Holes {
        let mut holes = Holes::default();
        holes.add(0, path(&["routes", "2", "chain", "0"]));
        holes.add(0, path(&["routes", "2", "chain", "2"]));
        holes.add(0, path(&["routes", "2", "chain", "3", "nam"]));
        holes
    }

    #[track_caller]
    fn check(rest: &[&str], text: &[&str]) {
        assert_eq!(holes().restore(0, path(rest)), path(text), "{rest:?}");
    }

    #[test]
    fn items_of_a_list_find_their_way_back() {
        check(&["routes", "2", "chain", "0", "config"], &["routes", "2", "chain", "1", "config"]);
        check(&["routes", "2", "chain", "1"], &["routes", "2", "chain", "3"]);
        check(&["routes", "2", "chain", "2"], &["routes", "2", "chain", "4"]);
        check(&["routes", "1", "chain", "0"], &["routes", "1", "chain", "0"]);
        check(&["routes", "2", "hosts", "0"], &["routes", "2", "hosts", "0"]);
        assert_eq!(holes().restore(1, path(&["routes", "2", "chain", "0"])), path(&["routes", "2", "chain", "0"]), "another file");
    }

    #[track_caller]
    fn explained(keys: &[&str], code: Code, expected: bool) {
        let finding = Finding::new(Spot::File(0, path(keys)), code, "this", "that");
        assert_eq!(holes().explain(&finding), expected, "{keys:?} {code:?}");
    }

    #[test]
    fn what_is_found_around_a_hole_is_explained_by_it() {
        explained(&["routes", "2", "chain"], Code::Value, true);
        explained(&["routes", "2"], Code::Value, true);
        explained(&["routes", "2", "chain", "1"], Code::Value, false);
        explained(&["routes", "2", "chain", "3", "name"], Code::Value, false);
        explained(&["routes", "2", "chain", "3", "name"], Code::Missing, true);
        explained(&["routes", "2", "upstream"], Code::Missing, false);
        explained(&["routes", "1", "chain"], Code::Missing, false);
    }
}
