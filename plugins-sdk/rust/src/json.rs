//! Places inside a JSON document: `user.address.0.city`, or a JSON pointer (RFC 6901) `/user/address/0/city`.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::Deserialize;
use serde_json::{Map, Value};

/// The place of a value in a JSON document, parsed once.
///
/// Text that starts with `/` is a JSON pointer, for keys that contain dots; any other text is split at its dots.
/// A number is an index where it meets an array and a key where it meets an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Path(Vec<String>);

/// Why a text is no path, or a value cannot be put there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// There is nothing between two dots, or no text at all.
    #[error("a path has no empty steps")]
    Empty,
    /// `~` stands only before `0` or `1` in a pointer.
    #[error("~ stands only before 0 or 1 in a JSON pointer")]
    Escape,
    /// The way leads through a string, number or the like, or past the end of an array.
    #[error("the path leads through a value that has no members")]
    Blocked,
}

impl Path {
    /// Parses a path.
    ///
    /// # Errors
    /// [`PathError::Empty`] or [`PathError::Escape`].
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if let Some(pointer) = text.strip_prefix('/') {
            return Ok(Self(pointer.split('/').map(unescape).collect::<Result<_, _>>()?));
        }
        let steps: Vec<_> = text.split('.').map(String::from).collect();
        if steps.iter().any(String::is_empty) {
            return Err(PathError::Empty);
        }
        Ok(Self(steps))
    }

    /// The steps from the root.
    #[must_use]
    pub fn steps(&self) -> &[String] {
        &self.0
    }

    /// The value at this place.
    #[must_use]
    pub fn get<'a>(&self, root: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(root, |value, step| match value {
            Value::Object(members) => members.get(step),
            Value::Array(items) => items.get(index(step)?),
            _ => None,
        })
    }

    /// Takes the value at this place out of the document. Later items of an array move up.
    pub fn remove(&self, root: &mut Value) -> Option<Value> {
        let (last, parents) = self.0.split_last()?;
        let parent = parents.iter().try_fold(root, |value, step| child(value, step))?;
        match parent {
            Value::Object(members) => members.remove(last),
            Value::Array(items) => index(last).filter(|&at| at < items.len()).map(|at| items.remove(at)),
            _ => None,
        }
    }

    /// Gives the member at this place another name, over what has that name. Says whether there was one.
    pub fn rename(&self, root: &mut Value, name: &str) -> bool {
        let Some((last, parents)) = self.0.split_last() else { return false };
        let parent = parents.iter().try_fold(root, |value, step| child(value, step));
        let Some(Value::Object(members)) = parent else { return false };
        let Some(value) = members.remove(last) else { return false };
        members.insert(name.to_string(), value);
        true
    }

    /// Puts a value at this place, over what is there. Missing objects on the way are made; an array takes an
    /// index it has, or one past its end (`-` in a pointer) to append.
    ///
    /// # Errors
    /// [`PathError::Blocked`]; what stood in the way is as it was.
    pub fn set(&self, root: &mut Value, value: Value) -> Result<(), PathError> {
        let mut place = root;
        for step in &self.0 {
            place = slot(place, step).ok_or(PathError::Blocked)?;
        }
        *place = value;
        Ok(())
    }
}

impl TryFrom<String> for Path {
    type Error = PathError;

    fn try_from(text: String) -> Result<Self, PathError> {
        Self::parse(&text)
    }
}

fn child<'a>(value: &'a mut Value, step: &str) -> Option<&'a mut Value> {
    match value {
        Value::Object(members) => members.get_mut(step),
        Value::Array(items) => items.get_mut(index(step)?),
        _ => None,
    }
}

/// The member of that name, made if it is not there.
fn slot<'a>(value: &'a mut Value, step: &str) -> Option<&'a mut Value> {
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(members) => Some(members.entry(step.to_string()).or_insert(Value::Null)),
        Value::Array(items) => {
            let at = if step == "-" { items.len() } else { index(step)? };
            if at == items.len() {
                items.push(Value::Null);
            }
            items.get_mut(at)
        }
        _ => None,
    }
}

/// RFC 6901 §4: digits without a leading zero.
fn index(step: &str) -> Option<usize> {
    let canonical = step == "0" || !step.starts_with('0');
    (canonical && step.bytes().all(|byte| byte.is_ascii_digit())).then(|| step.parse().ok())?
}

fn unescape(step: &str) -> Result<String, PathError> {
    let mut text = String::with_capacity(step.len());
    let mut chars = step.chars();
    while let Some(char) = chars.next() {
        text.push(match (char, if char == '~' { chars.next() } else { None }) {
            ('~', Some('0')) => '~',
            ('~', Some('1')) => '/',
            ('~', _) => return Err(PathError::Escape),
            (other, _) => other,
        });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check_get(path: &str, expected: Option<Value>) {
        let document = json!({"a": {"b": [1, {"c": 2}]}, "d.e": 3, "x/y": 4, "m~n": 5, "": 6, "7": 8});
        let path = Path::parse(path).unwrap();
        assert_eq!(path.get(&document), expected.as_ref(), "{path:?}");
    }

    #[test]
    fn a_path_finds_its_value() {
        check_get("a.b.0", Some(json!(1)));
        check_get("a.b.1.c", Some(json!(2)));
        check_get("/a/b/1/c", Some(json!(2)));
        check_get("/d.e", Some(json!(3)));
        check_get("/x~1y", Some(json!(4)));
        check_get("/m~0n", Some(json!(5)));
        check_get("/", Some(json!(6)));
        check_get("7", Some(json!(8)));
        check_get("a.b.2", None);
        check_get("a.b.00", None);
        check_get("a.b.-1", None);
        check_get("a.b.0.z", None);
    }

    #[track_caller]
    fn check_set(path: &str, expected: Result<Value, PathError>) {
        let before = json!({"a": {"n": 1}, "l": [1], "z": null});
        let mut document = before.clone();
        let result = Path::parse(path).unwrap().set(&mut document, json!("v")).map(|()| document);
        assert_eq!(result, expected, "{path}");
    }

    #[test]
    fn setting_makes_what_is_missing_and_stops_at_what_is_in_the_way() {
        check_set("a.n", Ok(json!({"a": {"n": "v"}, "l": [1], "z": null})));
        check_set("a.m.k", Ok(json!({"a": {"n": 1, "m": {"k": "v"}}, "l": [1], "z": null})));
        check_set("z.k", Ok(json!({"a": {"n": 1}, "l": [1], "z": {"k": "v"}})));
        check_set("l.0", Ok(json!({"a": {"n": 1}, "l": ["v"], "z": null})));
        check_set("l.1", Ok(json!({"a": {"n": 1}, "l": [1, "v"], "z": null})));
        check_set("/l/-", Ok(json!({"a": {"n": 1}, "l": [1, "v"], "z": null})));
        check_set("l.2", Err(PathError::Blocked));
        check_set("a.n.x", Err(PathError::Blocked));
    }

    #[test]
    fn removing_takes_the_value_out() {
        let mut document = json!({"a": {"b": [1, 2, 3]}});
        assert_eq!(Path::parse("a.b.1").unwrap().remove(&mut document), Some(json!(2)), "the middle item");
        assert_eq!(document, json!({"a": {"b": [1, 3]}}), "the others moved up");
        assert_eq!(Path::parse("a.x").unwrap().remove(&mut document), None, "nothing is there");
    }

    #[test]
    fn renaming_keeps_the_value_and_its_parent() {
        let mut document = json!({"a": {"b": 1}, "l": [1]});
        assert!(Path::parse("a.b").unwrap().rename(&mut document, "c"), "the member is there");
        assert_eq!(document, json!({"a": {"c": 1}, "l": [1]}), "it has the new name");
        assert!(!Path::parse("l.0").unwrap().rename(&mut document, "c"), "an item has no name");
        assert!(!Path::parse("a.b").unwrap().rename(&mut document, "c"), "nothing is there any more");
    }

    #[test]
    fn a_bad_path_is_refused() {
        assert_eq!(Path::parse(""), Err(PathError::Empty), "no step at all");
        assert_eq!(Path::parse("a..b"), Err(PathError::Empty), "an empty step");
        assert_eq!(Path::parse("/a~2"), Err(PathError::Escape), "an unknown escape");
        assert_eq!(Path::parse("/a~"), Err(PathError::Escape), "an unfinished escape");
    }
}
