//! A JSON text under edit. It is read once to check it and then opened only along the paths of the edits: what no edit
//! touches is copied as it was written, with its order, its digits and its spacing. That makes an edit of a large
//! body about as fast as a look at each of its bytes.

use alloc::borrow::Cow;
use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Path;
use super::path::{Step, index};

/// A JSON document under edit. Values borrow from the texts they came from.
#[derive(Clone, Debug)]
pub struct Document<'a>(Node<'a>);

/// The way to a value leads through a string, number or the like, or past the end of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path leads through a value that has no members")]
pub struct Blocked;

#[derive(Clone, Debug)]
enum Node<'a> {
    /// As it was written.
    Raw(&'a RawValue),
    /// Opened. A name that was written twice is here twice.
    Object(Vec<(Key<'a>, Node<'a>)>),
    /// Opened.
    Array(Vec<Node<'a>>),
}

#[derive(Clone, Copy, Debug)]
enum Key<'a> {
    /// As it was written, in quotes.
    Raw(&'a RawValue),
    /// A plain name.
    Name(&'a str),
}

/// The members of an object in their order.
struct Members<'a>(Vec<(Key<'a>, Node<'a>)>);

// === impl Document ===

impl<'a> Document<'a> {
    /// Reads a text, the whole of which must be JSON in UTF-8.
    ///
    /// # Errors
    /// Where it is none.
    pub fn parse(text: &'a [u8]) -> crate::Result<Self> {
        let text = core::str::from_utf8(text)?;
        Ok(Self(Node::Raw(serde_json::from_str(text)?)))
    }

    /// `{}`.
    #[must_use]
    pub fn object() -> Self {
        Self(Node::Object(Vec::new()))
    }

    /// Whether it is an object.
    #[must_use]
    pub fn is_object(&self) -> bool {
        match &self.0 {
            Node::Raw(raw) => raw.get().starts_with('{'),
            Node::Object(_) => true,
            Node::Array(_) => false,
        }
    }

    /// Removes every value at this place. Later items of an array move up.
    pub fn remove(&mut self, path: &Path) {
        let Some((last, parents)) = path.steps().split_last() else { return };
        self.0.visit(parents, &mut |parent| parent.remove(last));
    }

    /// Takes the value at this place out: the last of several, as most readers of a doubled name do.
    pub fn take(&mut self, path: &Path) -> Option<Self> {
        let (last, parents) = path.steps().split_last()?;
        let mut taken = None;
        self.0.visit(parents, &mut |parent| taken = parent.take(last).or(taken.take()));
        taken.map(Self)
    }

    /// Gives every member at this place another name, where it stands and over what has that name. Items of an array
    /// have none and stay.
    pub fn rename(&mut self, path: &Path, name: &'a str) {
        let Some((Step::To(last), parents)) = path.steps().split_last() else { return };
        self.0.visit(parents, &mut |parent| parent.rename(last, name));
    }

    /// Puts a value at every place of this path, over what is there. Missing objects on the way are made, also where
    /// a null is; an array takes an index it has, or one past its end (`-` in a pointer) to append. Where the path
    /// says each, only what exists is entered.
    ///
    /// # Errors
    /// [`Blocked`]; the document is of no more use then.
    pub fn set(&mut self, path: &'a Path, value: &Self) -> Result<(), Blocked> {
        self.0.put(path.steps(), &value.0)
    }

    /// Keeps what is at these places, with the objects and arrays around it, and removes the rest.
    pub fn keep(&mut self, paths: &[Path]) {
        let paths: Vec<_> = paths.iter().map(Path::steps).collect();
        self.0.keep(&paths);
    }

    /// Adds a member behind the others.
    pub fn insert(&mut self, name: &'a str, value: Self) {
        if let Some(members) = self.0.members() {
            members.push((Key::Name(name), value.0));
        }
    }

    /// Adds the members of another object whose names are not taken.
    pub fn absorb(&mut self, mut other: Self) {
        let (Some(members), Some(others)) = (self.0.members(), other.0.members()) else { return };
        let taken: BTreeSet<_> = members.iter().map(|(key, _)| key.name()).collect();
        let fresh = others.drain(..).filter(|(key, _)| !taken.contains(&key.name()));
        let fresh: Vec<_> = fresh.collect();
        members.extend(fresh);
    }

    /// The text. A guess at its length saves copies.
    #[must_use]
    pub fn to_text(&self, capacity: usize) -> String {
        let mut text = String::with_capacity(capacity);
        self.0.write(&mut text);
        text
    }
}

impl<'a> From<&'a RawValue> for Document<'a> {
    fn from(raw: &'a RawValue) -> Self {
        Self(Node::Raw(raw))
    }
}

// === impl Node ===

impl<'a> Node<'a> {
    /// Opens it, if there is anything in it.
    fn open(&mut self) {
        let Self::Raw(raw) = self else { return };
        // What is in a checked value is well-formed, so nothing is lost here.
        let opened = match raw.get().as_bytes().first() {
            Some(b'{') => serde_json::from_str(raw.get()).map(|Members(members)| Self::Object(members)),
            Some(b'[') => {
                let items = serde_json::from_str::<Vec<&RawValue>>(raw.get());
                items.map(|items| Self::Array(items.into_iter().map(Self::Raw).collect()))
            }
            _ => return,
        };
        if let Ok(opened) = opened {
            *self = opened;
        }
    }

    fn members(&mut self) -> Option<&mut Vec<(Key<'a>, Self)>> {
        self.open();
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// Calls `act` with the value at every place that the steps lead to.
    fn visit(&mut self, steps: &[Step], act: &mut dyn FnMut(&mut Self)) {
        let Some((step, rest)) = steps.split_first() else { return act(self) };
        self.open();
        match (self, step) {
            (Self::Object(members), Step::To(name)) => {
                members.iter_mut().filter(|(key, _)| key.is(name)).for_each(|(_, value)| value.visit(rest, act));
            }
            (Self::Object(members), Step::Each) => members.iter_mut().for_each(|(_, value)| value.visit(rest, act)),
            (Self::Array(items), Step::To(at)) => {
                if let Some(item) = index(at).and_then(|at| items.get_mut(at)) {
                    item.visit(rest, act);
                }
            }
            (Self::Array(items), Step::Each) => items.iter_mut().for_each(|item| item.visit(rest, act)),
            (Self::Raw(_), _) => {}
        }
    }

    fn remove(&mut self, step: &Step) {
        self.open();
        match (self, step) {
            (Self::Object(members), Step::To(name)) => members.retain(|(key, _)| !key.is(name)),
            (Self::Object(members), Step::Each) => members.clear(),
            (Self::Array(items), Step::To(at)) => {
                if let Some(at) = index(at).filter(|&at| at < items.len()) {
                    items.remove(at);
                }
            }
            (Self::Array(items), Step::Each) => items.clear(),
            (Self::Raw(_), _) => {}
        }
    }

    fn take(&mut self, step: &Step) -> Option<Self> {
        self.open();
        let taken = match (&mut *self, step) {
            (Self::Object(members), Step::To(name)) => members.iter().rev().find(|(key, _)| key.is(name)).map(|(_, value)| value.clone()),
            (Self::Array(items), Step::To(at)) => index(at).and_then(|at| items.get(at)).cloned(),
            _ => None,
        };
        self.remove(step);
        taken
    }

    fn rename(&mut self, from: &str, to: &'a str) {
        let Some(members) = self.members() else { return };
        if from == to || !members.iter().any(|(key, _)| key.is(from)) {
            return;
        }
        members.retain(|(key, _)| !key.is(to));
        members.iter_mut().filter(|(key, _)| key.is(from)).for_each(|(key, _)| *key = Key::Name(to));
    }

    fn put(&mut self, steps: &'a [Step], value: &Self) -> Result<(), Blocked> {
        let Some((step, rest)) = steps.split_first() else {
            *self = value.clone();
            return Ok(());
        };
        self.open();
        if self.is_null() && !steps.contains(&Step::Each) {
            *self = Self::Object(Vec::new());
        }
        match (self, step) {
            (Self::Object(members), Step::To(name)) => put_member(members, name, rest, value),
            (Self::Object(members), Step::Each) => members.iter_mut().try_for_each(|(_, member)| member.put(rest, value)),
            (Self::Array(items), Step::To(at)) => put_item(items, at, rest, value),
            (Self::Array(items), Step::Each) => items.iter_mut().try_for_each(|item| item.put(rest, value)),
            // The path says each, and there is none.
            (raw, _) if raw.is_null() => Ok(()),
            (Self::Raw(_), _) => Err(Blocked),
        }
    }

    /// Says whether anything of it was asked for.
    fn keep(&mut self, paths: &[&[Step]]) -> bool {
        if paths.iter().any(|path| path.is_empty()) {
            return true;
        }
        self.open();
        match self {
            Self::Object(members) => {
                members.retain_mut(|(key, value)| {
                    let rest = tails(paths, |name| key.is(name));
                    !rest.is_empty() && value.keep(&rest)
                });
                true
            }
            Self::Array(items) => {
                let mut place = 0..;
                items.retain_mut(|item| {
                    let at = place.next();
                    let rest = tails(paths, |name| index(name) == at);
                    !rest.is_empty() && item.keep(&rest)
                });
                true
            }
            Self::Raw(_) => false,
        }
    }

    fn is_null(&self) -> bool {
        matches!(self, Self::Raw(raw) if raw.get() == "null")
    }

    fn write(&self, text: &mut String) {
        match self {
            Self::Raw(raw) => text.push_str(raw.get()),
            Self::Object(members) => {
                text.push('{');
                for (at, (key, value)) in members.iter().enumerate() {
                    text.push_str(if at == 0 { "" } else { "," });
                    key.write(text);
                    text.push(':');
                    value.write(text);
                }
                text.push('}');
            }
            Self::Array(items) => {
                text.push('[');
                for (at, item) in items.iter().enumerate() {
                    text.push_str(if at == 0 { "" } else { "," });
                    item.write(text);
                }
                text.push(']');
            }
        }
    }
}

/// Puts a value into the first member of that name, or a new one at the end. Others of that name go.
fn put_member<'a>(members: &mut Vec<(Key<'a>, Node<'a>)>, name: &'a str, rest: &'a [Step], value: &Node<'a>) -> Result<(), Blocked> {
    let Some(at) = members.iter().position(|(key, _)| key.is(name)) else {
        if rest.contains(&Step::Each) {
            return Ok(());
        }
        let mut made = Node::Object(Vec::new());
        made.put(rest, value)?;
        members.push((Key::Name(name), made));
        return Ok(());
    };
    let mut place = 0..;
    members.retain(|(key, _)| place.next() <= Some(at) || !key.is(name));
    members[at].1.put(rest, value)
}

fn put_item<'a>(items: &mut Vec<Node<'a>>, at: &'a str, rest: &'a [Step], value: &Node<'a>) -> Result<(), Blocked> {
    let at = if at == "-" { items.len() } else { index(at).ok_or(Blocked)? };
    if at == items.len() {
        items.push(Node::Object(Vec::new()));
    }
    items.get_mut(at).ok_or(Blocked)?.put(rest, value)
}

/// What is left of the paths that take a step which fits.
fn tails<'p>(paths: &[&'p [Step]], fits: impl Fn(&str) -> bool) -> Vec<&'p [Step]> {
    let tail = |path: &&'p [Step]| match path.split_first()? {
        (Step::Each, rest) => Some(rest),
        (Step::To(name), rest) => fits(name).then_some(rest),
    };
    paths.iter().filter_map(tail).collect()
}

// === impl Key ===

impl<'a> Key<'a> {
    fn name(&self) -> Cow<'a, str> {
        match self {
            Self::Name(name) => Cow::Borrowed(name),
            Self::Raw(raw) => match plain(raw) {
                Some(name) => Cow::Borrowed(name),
                // A lone surrogate is no text; such a name is only equal to its own spelling.
                None => serde_json::from_str(raw.get()).map_or(Cow::Borrowed(raw.get()), Cow::Owned),
            },
        }
    }

    fn is(&self, name: &str) -> bool {
        match self {
            Self::Name(own) => *own == name,
            Self::Raw(raw) => match plain(raw) {
                Some(own) => own == name,
                None => self.name() == name,
            },
        }
    }

    fn write(&self, text: &mut String) {
        match self {
            Self::Raw(raw) => text.push_str(raw.get()),
            Self::Name(name) => text.push_str(&serde_json::Value::from(*name).to_string()),
        }
    }
}

/// What is between the quotes, if it stands for itself.
fn plain(raw: &RawValue) -> Option<&str> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    (!inner.contains('\\')).then_some(inner)
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((key, value)) = map.next_entry()? {
                    members.push((Key::Raw(key), Node::Raw(value)));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

#[cfg(test)]
mod tests;
