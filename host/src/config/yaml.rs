//! YAML text to a JSON value, with bounds: depth, aliases, duplicate keys, one document.
//! Positions of good values are not kept; `marks` finds them again when a problem needs one.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

use super::problem::Code;

/// Lists and maps inside each other.
const MAX_DEPTH: usize = 64;
/// Values that aliases may add; a few lines of aliases of aliases can otherwise fill any memory.
const MAX_ALIASED: usize = 200_000;

/// What a text says, as far as it could be read.
#[derive(Debug)]
pub(crate) struct Parsed {
    /// Null for an empty text; nothing if the text broke off at a mistake.
    pub(crate) value: Option<Value>,
    pub(crate) mistakes: Vec<Mistake>,
}

/// Something that is wrong with the text itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mistake {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) code: Code,
    pub(crate) got: String,
    pub(crate) want: String,
}

/// Takes an item of a list that is a section of the document: the section, the place in its list, the item.
pub(crate) type TakeItem<'a> = &'a mut dyn FnMut(&str, usize, Value);

struct Builder<'a> {
    open: Vec<Frame>,
    take_item: Option<TakeItem<'a>>,
    /// Items of the open section that were taken.
    taken: usize,
    anchors: HashMap<usize, Value>,
    aliased: usize,
    root: Option<Value>,
    documents: usize,
    mistakes: Vec<Mistake>,
}

struct Frame {
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Value>),
    Map { entries: Map<String, Value>, key: Option<Key>, merged: Vec<Value> },
}

enum Key {
    Name(String, Marker),
    // `<<`, which copies the entries of an aliased map.
    Merge,
}

/// Reads one YAML document.
pub(crate) fn read(text: &str) -> Parsed {
    Builder::new(None).read(text)
}

/// Reads one YAML document and hands on each item of its sections as soon as it is whole: a document of many items is
/// then never in memory as a tree. The sections of the value that is left are without the items that were taken.
pub(crate) fn read_items(text: &str, take_item: TakeItem<'_>) -> Parsed {
    Builder::new(Some(take_item)).read(text)
}

// === impl Builder ===

impl<'a> Builder<'a> {
    fn new(take_item: Option<TakeItem<'a>>) -> Self {
        Builder {
            open: Vec::new(),
            take_item,
            taken: 0,
            anchors: HashMap::new(),
            aliased: 0,
            root: None,
            documents: 0,
            mistakes: Vec::new(),
        }
    }

    fn read(mut self, text: &str) -> Parsed {
        let whole = Parser::new_from_str(text).try_for_each(|event| {
            let (event, span) = event
                .map_err(|error| Mistake::new(*error.marker(), Code::Syntax, format!("a mistake in the YAML: {}", error.info()), "YAML"))?;
            self.take(event, span.start)
        });
        if let Err(mistake) = whole {
            self.mistakes.push(mistake);
            return Parsed { value: None, mistakes: self.mistakes };
        }
        Parsed { value: Some(self.root.unwrap_or(Value::Null)), mistakes: self.mistakes }
    }

    fn take(&mut self, event: Event<'_>, at: Marker) -> Result<(), Mistake> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => self.start_document(at),
            Event::Scalar(text, style, anchor, tag) => self.scalar(text, style, anchor, tag.as_deref(), at),
            Event::Alias(anchor) => self.alias(anchor, at),
            Event::SequenceStart(anchor, _) => self.start(anchor, Content::List(Vec::new()), at),
            Event::MappingStart(anchor, _) => self.start(anchor, Content::empty_map(), at),
            Event::SequenceEnd | Event::MappingEnd => self.end(at),
        }
    }

    fn start_document(&mut self, at: Marker) -> Result<(), Mistake> {
        self.documents += 1;
        if self.documents > 1 {
            return Err(Mistake::new(at, Code::Syntax, "a second YAML document", "one document in a file"));
        }
        Ok(())
    }

    fn start(&mut self, anchor: usize, content: Content, at: Marker) -> Result<(), Mistake> {
        if self.awaits_key() {
            return Err(Mistake::new(at, Code::Syntax, "a list or a map as a key", "a key that is a text"));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(at));
        }
        self.open.push(Frame { anchor, content });
        if self.open.len() == 2 {
            self.taken = 0;
        }
        Ok(())
    }

    fn end(&mut self, at: Marker) -> Result<(), Mistake> {
        let frame = self.open.pop().expect("the parser ends only what it has started");
        let value = frame.content.close();
        self.remember(frame.anchor, &value);
        self.place(value, at)
    }

    fn scalar(&mut self, text: Cow<'_, str>, style: ScalarStyle, anchor: usize, tag: Option<&Tag>, at: Marker) -> Result<(), Mistake> {
        if self.awaits_key() {
            self.remember(anchor, &Value::String(text.to_string()));
            let merges = style == ScalarStyle::Plain && text == "<<";
            self.set_key(if merges { Key::Merge } else { Key::Name(text.into_owned(), at) });
            return Ok(());
        }
        let value = match tag {
            None if style == ScalarStyle::Plain => plain(text),
            None => Value::String(text.into_owned()),
            Some(tag) => tagged(text, tag, at)?,
        };
        self.remember(anchor, &value);
        self.place(value, at)
    }

    fn alias(&mut self, anchor: usize, at: Marker) -> Result<(), Mistake> {
        let Some(value) = self.anchors.get(&anchor) else {
            return Err(Mistake::new(at, Code::Syntax, "an alias inside its own anchor", "an alias of something complete"));
        };
        let (count, depth) = weigh(value);
        self.aliased += count;
        if self.aliased > MAX_ALIASED {
            let got = format!("aliases that stand for more than {MAX_ALIASED} values");
            return Err(Mistake::new(at, Code::Syntax, got, "fewer aliases of aliases"));
        }
        if self.open.len() + depth > MAX_DEPTH {
            return Err(too_deep(at));
        }
        let value = value.clone();
        if !self.awaits_key() {
            return self.place(value, at);
        }
        match value {
            Value::String(name) => self.set_key(Key::Name(name, at)),
            _ => return Err(Mistake::new(at, Code::Syntax, "an alias of no text as a key", "a key that is a text")),
        }
        Ok(())
    }

    fn place(&mut self, value: Value, at: Marker) -> Result<(), Mistake> {
        let Some(value) = self.hand_on(value) else { return Ok(()) };
        match self.open.last_mut().map(|frame| &mut frame.content) {
            None => self.root = Some(value),
            Some(Content::List(items)) => items.push(value),
            Some(Content::Map { entries, key, merged }) => match key.take().expect("a value follows its key") {
                Key::Name(name, key_at) => match entries.entry(name) {
                    Entry::Vacant(entry) => drop(entry.insert(value)),
                    Entry::Occupied(entry) => self.mistakes.push(second_key(entry.key(), key_at)),
                },
                Key::Merge => merge_sources(value, merged, at)?,
            },
        }
        Ok(())
    }

    /// The value, unless it is an item that somebody takes. A list that an alias may stand for later stays whole.
    fn hand_on(&mut self, value: Value) -> Option<Value> {
        let Some(take_item) = &mut self.take_item else { return Some(value) };
        let [Frame { content: Content::Map { key: Some(Key::Name(section, _)), .. }, .. }, list] = self.open.as_slice() else {
            return Some(value);
        };
        match list {
            Frame { anchor: 0, content: Content::List(_) } => take_item(section, self.taken, value),
            _ => return Some(value),
        }
        self.taken += 1;
        None
    }

    fn awaits_key(&self) -> bool {
        matches!(self.open.last(), Some(Frame { content: Content::Map { key: None, .. }, .. }))
    }

    fn set_key(&mut self, name: Key) {
        if let Some(Frame { content: Content::Map { key, .. }, .. }) = self.open.last_mut() {
            *key = Some(name);
        }
    }

    fn remember(&mut self, anchor: usize, value: &Value) {
        // The parser numbers anchors from 1; 0 stands for none.
        if anchor > 0 {
            self.anchors.insert(anchor, value.clone());
        }
    }
}

impl Content {
    fn empty_map() -> Self {
        Content::Map { entries: Map::new(), key: None, merged: Vec::new() }
    }

    fn close(self) -> Value {
        match self {
            Content::List(items) => Value::Array(items),
            Content::Map { mut entries, merged, .. } => {
                let copies = merged.into_iter().filter_map(|source| match source {
                    Value::Object(map) => Some(map),
                    _ => None,
                });
                for (name, value) in copies.flatten() {
                    entries.entry(name).or_insert(value);
                }
                Value::Object(entries)
            }
        }
    }
}

impl Mistake {
    fn new(at: Marker, code: Code, got: impl Into<String>, want: impl Into<String>) -> Self {
        Mistake { line: at.line(), column: at.col() + 1, code, got: got.into(), want: want.into() }
    }
}

fn merge_sources(value: Value, merged: &mut Vec<Value>, at: Marker) -> Result<(), Mistake> {
    let sources = match value {
        Value::Array(items) => items,
        one => vec![one],
    };
    if !sources.iter().all(Value::is_object) {
        return Err(Mistake::new(at, Code::Syntax, "something other than a map after <<", "an alias of a map"));
    }
    merged.extend(sources);
    Ok(())
}

fn second_key(name: &str, at: Marker) -> Mistake {
    Mistake::new(at, Code::DuplicateKey, format!("a second {name:?}"), "each key once in a map")
}

fn too_deep(at: Marker) -> Mistake {
    Mistake::new(at, Code::Syntax, format!("more than {MAX_DEPTH} levels"), "lists and maps that are nested less")
}

// The number of values in it, long texts counted as several, and the levels of nesting.
fn weigh(value: &Value) -> (usize, usize) {
    let children: Vec<(usize, usize)> = match value {
        Value::Array(items) => items.iter().map(weigh).collect(),
        Value::Object(map) => map.values().map(weigh).collect(),
        Value::String(text) => return (1 + text.len() / 64, 0),
        Value::Null | Value::Bool(_) | Value::Number(_) => return (1, 0),
    };
    let count = children.iter().map(|(count, _)| count).sum::<usize>();
    let depth = children.iter().map(|(_, depth)| *depth).max().unwrap_or(0);
    (1 + count, 1 + depth)
}

fn tagged(text: Cow<'_, str>, tag: &Tag, at: Marker) -> Result<Value, Mistake> {
    match (tag.is_yaml_core_schema(), tag.suffix.as_str()) {
        (true, "str") => Ok(Value::String(text.into_owned())),
        (true, "null" | "bool" | "int" | "float") => Ok(plain(text)),
        _ => Err(Mistake::new(at, Code::Syntax, format!("the tag {tag}"), "a value without a tag")),
    }
}

// A scalar without quotes, by the core schema of YAML 1.2: `yes` and `off` are texts.
fn plain(text: Cow<'_, str>) -> Value {
    match text.as_ref() {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        other => match number(other) {
            Some(number) => Value::Number(number),
            None => Value::String(text.into_owned()),
        },
    }
}

fn number(text: &str) -> Option<Number> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return u64::from_str_radix(octal, 8).ok().map(Number::from);
    }
    if let Some(hexadecimal) = text.strip_prefix("0x") {
        return u64::from_str_radix(hexadecimal, 16).ok().map(Number::from);
    }
    let text = text.strip_prefix('+').unwrap_or(text);
    if let Ok(number) = text.parse::<u64>() {
        return Some(number.into());
    }
    if let Ok(number) = text.parse::<i64>() {
        return Some(number.into());
    }
    // Rust also reads `1_0`-free forms such as `1.` and `.5`, which are the forms of YAML, and nothing more.
    let float = digits.chars().all(|c| c.is_ascii_digit() || ".eE+-".contains(c));
    if float { text.parse().ok().and_then(Number::from_f64) } else { None }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn reads(text: &str, expected: Value) {
        let parsed = read(text);
        assert_eq!(parsed.mistakes, [], "{text:?} has no mistakes");
        assert_eq!(parsed.value, Some(expected), "what {text:?} says");
    }

    #[track_caller]
    fn refuses(text: &str, line: usize, column: usize, got: &str) {
        let parsed = read(text);
        let mistake = parsed.mistakes.first().expect("a mistake");
        assert_eq!((mistake.line, mistake.column), (line, column), "where {text:?} is wrong: {mistake:?}");
        assert!(mistake.got.contains(got), "{got:?} should be in {:?}", mistake.got);
    }

    #[test]
    fn plain_values_follow_the_core_schema() {
        reads("[1, -2, 0x1f, 0o17, 1.5, 1e3, .5]", json!([1, -2, 31, 15, 1.5, 1000.0, 0.5]));
        reads("[true, false, ~, null, '', yes, off, 10ms, 1.2.3.4, -x, +x]", {
            json!([true, false, null, null, "", "yes", "off", "10ms", "1.2.3.4", "-x", "+x"])
        });
        reads(r#"["1", '2', !!str 3, !!int "4"]"#, json!(["1", "2", "3", 4]));
        reads("18446744073709551615", json!(u64::MAX));
        reads("", Value::Null);
    }

    #[test]
    fn anchors_aliases_and_merge_keys_work() {
        reads("a: &x {b: 1}\nc: *x\nd: {<<: *x, b: 2, e: 3}\nf: {<<: [*x, {g: 4}]}", {
            json!({"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 2, "e": 3}, "f": {"b": 1, "g": 4}})
        });
        reads("? &k name\n: 1\nb: {*k : 2}", json!({"name": 1, "b": {"name": 2}}));
    }

    #[test]
    fn mistakes_of_the_text_have_a_line_and_a_column() {
        refuses("a: 1\nb: 2\na: 3\n", 3, 1, "a second \"a\"");
        refuses("a: [1, 2\n", 2, 1, "mistake in the YAML");
        refuses("a: 1\n---\nb: 2\n", 2, 1, "a second YAML document");
        refuses("a: *nope\n", 1, 4, "mistake in the YAML");
        refuses("a: &x [*x]\n", 1, 8, "an alias inside its own anchor");
        refuses("a: !env HOME\n", 1, 4, "the tag !env");
        refuses("[a]: 1\n", 1, 1, "a list or a map as a key");
        refuses("a: {<<: 1}\n", 1, 9, "something other than a map after <<");
    }

    #[test]
    fn items_of_sections_are_handed_on_and_nothing_else_is() {
        let text = "a: [1, {b: [2]}]\nc: &c [3]\nd: *c\ne: {f: [4]}\ng: &g\nh:\n  - &i [5]\n  - *i\n";
        let mut items = Vec::new();
        let parsed = read_items(text, &mut |section, place, item| items.push((section.to_owned(), place, item)));
        let expected = [("a", 0, json!(1)), ("a", 1, json!({"b": [2]})), ("h", 0, json!([5])), ("h", 1, json!([5]))];
        assert_eq!(items, expected.map(|(section, place, item)| (section.to_owned(), place, item)), "in order");
        let rest = json!({"a": [], "c": [3], "d": [3], "e": {"f": [4]}, "g": null, "h": []});
        assert_eq!((parsed.value, parsed.mistakes), (Some(rest), vec![]), "the rest is left");
    }

    #[test]
    fn a_duplicate_key_does_not_hide_the_rest() {
        let parsed = read("a: 1\na: 2\nb: 3\nb: 4\n");
        assert_eq!(parsed.mistakes.len(), 2, "both are reported");
        assert_eq!(parsed.value, Some(json!({"a": 1, "b": 3})), "the first of each is kept");
    }

    #[test]
    fn bombs_of_aliases_and_of_nesting_are_refused_quickly() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for level in 1..30 {
            let last = level - 1;
            bomb.push_str(&format!("a{level}: &a{level} [*a{last}, *a{last}, *a{last}, *a{last}, *a{last}, *a{last}]\n"));
        }
        let parsed = read(&bomb);
        assert!(parsed.mistakes[0].got.contains("aliases that stand for more than"), "{:?}", parsed.mistakes);
        let deep = read(&"[".repeat(65));
        assert!(deep.mistakes[0].got.contains("more than 64 levels"), "{:?}", deep.mistakes);
        let deeper = read(&"[".repeat(1_000_000));
        assert!(deeper.mistakes[0].got.contains("recursion limit"), "{:?}", deeper.mistakes);
        let blocks = read(&"- ".repeat(1_000));
        assert!(blocks.mistakes[0].got.contains("more than 64 levels"), "{:?}", blocks.mistakes);
        let mut ladder = String::from("a0: &a0 [x]\n");
        for level in 1..100 {
            ladder.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
        }
        assert!(read(&ladder).mistakes[0].got.contains("more than 64 levels"), "aliases nest too");
    }
}
