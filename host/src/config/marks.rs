//! Where each key and value of a YAML text begins. Built only when there is a problem to show.

use saphyr_parser::{Event, Marker, Parser};

use super::place::Segment;

/// A line and a column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// The positions of one text.
#[derive(Debug)]
pub(crate) struct Marks(Mark);

#[derive(Debug)]
struct Mark {
    at: Position,
    inside: Inside,
}

#[derive(Debug)]
enum Inside {
    Nothing,
    List(Vec<Mark>),
    Map { entries: Vec<Entry>, key: Option<(String, Position)> },
}

#[derive(Debug)]
struct Entry {
    key: String,
    key_at: Position,
    mark: Mark,
}

// === impl Marks ===

impl Marks {
    /// The positions in `text`, up to its first mistake.
    pub(crate) fn read(text: &str) -> Self {
        let mut open: Vec<Mark> = Vec::new();
        let mut root = None;
        for (event, span) in Parser::new_from_str(text).map_while(Result::ok) {
            let at = Position::from(span.start);
            let done = match event {
                Event::SequenceStart(..) => open_mark(&mut open, at, Inside::List(Vec::new())),
                Event::MappingStart(..) => open_mark(&mut open, at, Inside::Map { entries: Vec::new(), key: None }),
                Event::SequenceEnd | Event::MappingEnd => open.pop(),
                Event::Scalar(text, ..) => set_key(&mut open, at, || text.into_owned()),
                // What an alias stands for is elsewhere; places inside it are shown at the alias.
                Event::Alias(_) => set_key(&mut open, at, String::new),
                _ => None,
            };
            match (done, open.last_mut()) {
                (Some(mark), Some(parent)) => parent.adopt(mark),
                (Some(mark), None) => root = Some(mark),
                (None, _) => {}
            }
        }
        let start = Position { line: 1, column: 1 };
        Marks(root.unwrap_or(Mark { at: start, inside: Inside::Nothing }))
    }

    /// Where the value at `path` begins, or its key; the nearest place around it if it is not there.
    pub(crate) fn find(&self, path: &[Segment], on_key: bool) -> Position {
        let mut mark = &self.0;
        let mut at = mark.at;
        for segment in path {
            match (segment, &mark.inside) {
                (Segment::Index(index), Inside::List(items)) if *index < items.len() => {
                    mark = &items[*index];
                    at = mark.at;
                }
                (Segment::Key(key), Inside::Map { entries, .. }) => {
                    let Some(entry) = entries.iter().find(|entry| entry.key == *key) else { break };
                    mark = &entry.mark;
                    at = if on_key { entry.key_at } else { mark.at };
                }
                _ => break,
            }
        }
        at
    }
}

impl Mark {
    fn adopt(&mut self, mark: Mark) {
        match &mut self.inside {
            Inside::Nothing => {}
            Inside::List(items) => items.push(mark),
            Inside::Map { entries, key } => {
                if let Some((key, key_at)) = key.take() {
                    entries.push(Entry { key, key_at, mark });
                }
            }
        }
    }
}

impl From<Marker> for Position {
    fn from(marker: Marker) -> Self {
        Position { line: marker.line(), column: marker.col() + 1 }
    }
}

fn open_mark(open: &mut Vec<Mark>, at: Position, inside: Inside) -> Option<Mark> {
    open.push(Mark { at, inside });
    None
}

// A scalar is the next key of the map it stands in, or else a value of its own.
fn set_key(open: &mut [Mark], at: Position, text: impl FnOnce() -> String) -> Option<Mark> {
    if let Some(Mark { inside: Inside::Map { key: key @ None, .. }, .. }) = open.last_mut() {
        *key = Some((text(), at));
        return None;
    }
    Some(Mark { at, inside: Inside::Nothing })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::place::KeyPath;

    const TEXT: &str = "\
routes:
  - name: a
    chain: [{plugin: jwt, config: {rate: 0}}]
  - &b
    name: b
    upstream:
  - *b
";

    #[track_caller]
    fn check(path: KeyPath, on_key: bool, line: usize, column: usize) {
        let found = Marks::read(TEXT).find(path.segments(), on_key);
        assert_eq!(found, Position { line, column }, "the place of {path}");
    }

    #[test]
    fn keys_and_values_are_found_where_they_stand() {
        let route = |index| KeyPath::default().key("routes").index(index);
        check(KeyPath::default(), false, 1, 1);
        check(route(0), false, 2, 5);
        check(route(0).key("name"), false, 2, 11);
        check(route(0).key("name"), true, 2, 5);
        check(route(0).key("chain").index(0).key("config").key("rate"), false, 3, 42);
        check(route(1).key("name"), false, 5, 11);
    }

    #[test]
    fn a_missing_place_is_shown_at_what_is_around_it() {
        let route = |index| KeyPath::default().key("routes").index(index);
        check(route(0).key("upstream"), false, 2, 5);
        check(route(2).key("name"), false, 7, 5);
        check(route(9), false, 2, 3);
    }
}
