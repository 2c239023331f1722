//! Places inside a JSON document: `user.address.0.city`, `items[*].price`, or a JSON pointer (RFC 6901)
//! `/user/address/0/city`.

use alloc::string::String;
use alloc::vec::Vec;

use serde::Deserialize;

/// The place of a value in a JSON document, parsed once.
///
/// Text that starts with `/` is a JSON pointer, for keys that contain dots; any other text is split at its dots.
/// A number, in brackets or not, is an index where it meets an array and a key where it meets an object. `*`, in
/// brackets or not, is each item of an array or each member of an object; in a pointer it is a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Path(Vec<Step>);

/// One step down.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// To the member of this name, or the item of this index.
    To(String),
    /// To each member or item.
    Each,
}

/// Why a text is no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// There is nothing between two dots, or no text at all.
    #[error("a path has no empty steps")]
    Empty,
    /// `~` stands only before `0` or `1` in a pointer.
    #[error("~ stands only before 0 or 1 in a JSON pointer")]
    Escape,
    /// A bracket is not closed, or what is in it is neither an index nor `*`.
    #[error("brackets hold an index or *, and a dot or the end comes after them")]
    Bracket,
}

impl Path {
    /// Parses a path.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if let Some(pointer) = text.strip_prefix('/') {
            return pointer.split('/').map(|step| unescape(step).map(Step::To)).collect::<Result<_, _>>().map(Self);
        }
        let mut steps = Vec::new();
        for piece in text.split('.') {
            dotted(piece, &mut steps)?;
        }
        Ok(Self(steps))
    }

    /// The member of the root that has this name, whatever is in the name.
    #[must_use]
    pub fn member(name: &str) -> Self {
        Self([Step::To(name.into())].into())
    }

    /// The name of a member of the root, if the path leads to one or through one.
    #[must_use]
    pub fn root_member(&self) -> Option<&str> {
        match self.0.first() {
            Some(Step::To(name)) => Some(name),
            _ => None,
        }
    }

    /// Whether it is one step long.
    #[must_use]
    pub fn is_shallow(&self) -> bool {
        self.0.len() == 1
    }

    /// Whether it may lead to several places.
    #[must_use]
    pub fn has_wildcard(&self) -> bool {
        self.0.contains(&Step::Each)
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }
}

impl TryFrom<String> for Path {
    type Error = PathError;

    fn try_from(text: String) -> Result<Self, PathError> {
        Self::parse(&text)
    }
}

/// A name, an index or `*`, with any number of brackets after it.
fn dotted(piece: &str, steps: &mut Vec<Step>) -> Result<(), PathError> {
    let (name, mut brackets) = piece.split_at(piece.find('[').unwrap_or(piece.len()));
    match name {
        "*" => steps.push(Step::Each),
        // Only at the front can brackets follow nothing: the root is an array then.
        "" if brackets.is_empty() || !steps.is_empty() => return Err(PathError::Empty),
        "" => {}
        name => steps.push(Step::To(name.into())),
    }
    while !brackets.is_empty() {
        let inner = brackets.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let (inside, rest) = inner.ok_or(PathError::Bracket)?;
        match inside {
            "*" => steps.push(Step::Each),
            number if index(number).is_some() => steps.push(Step::To(number.into())),
            _ => return Err(PathError::Bracket),
        }
        brackets = rest;
    }
    Ok(())
}

/// RFC 6901 §4: digits without a leading zero.
pub(super) fn index(step: &str) -> Option<usize> {
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
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&[&str], PathError>) {
        let steps = Path::parse(text).map(|path| path.0);
        let step = |step: &&str| if *step == "EACH" { Step::Each } else { Step::To((*step).into()) };
        assert_eq!(steps, expected.map(|steps| steps.iter().map(step).collect()), "{text:?}");
    }

    #[test]
    fn dots_and_brackets_lead_down() {
        check("a", Ok(&["a"]));
        check("a.b.0", Ok(&["a", "b", "0"]));
        check("a[0].b[1][2]", Ok(&["a", "0", "b", "1", "2"]));
        check("items[*].id", Ok(&["items", "EACH", "id"]));
        check("items.*.id", Ok(&["items", "EACH", "id"]));
        check("[*].id", Ok(&["EACH", "id"]));
        check("[0]", Ok(&["0"]));
        check("a b.c-d", Ok(&["a b", "c-d"]));
    }

    #[test]
    fn a_pointer_takes_keys_as_they_are() {
        check("/a/b.c/*/[0]", Ok(&["a", "b.c", "*", "[0]"]));
        check("/x~1y/m~0n", Ok(&["x/y", "m~n"]));
        check("/", Ok(&[""]));
    }

    #[test]
    fn a_bad_path_is_refused() {
        check("", Err(PathError::Empty));
        check("a..b", Err(PathError::Empty));
        check("a.", Err(PathError::Empty));
        check("a.[0]", Err(PathError::Empty));
        check("/a~2", Err(PathError::Escape));
        check("/a~", Err(PathError::Escape));
        check("a[", Err(PathError::Bracket));
        check("a[0", Err(PathError::Bracket));
        check("a[x]", Err(PathError::Bracket));
        check("a[]", Err(PathError::Bracket));
        check("a[01]", Err(PathError::Bracket));
        check("a[0]b", Err(PathError::Bracket));
    }
}
