//! Edits of a JSON body, in this order: remove, rename, move, set. What an edit does not find it leaves.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use gatehouse_plugin::json::{Document, Path, RawValue};
use gatehouse_plugin::{Needs, Request};

use crate::value::Filling;

/// What to do to a JSON body.
pub struct JsonEdits {
    /// Values to remove.
    pub remove: Vec<Path>,
    /// Members to give another name, beside their siblings.
    pub rename: Vec<(Path, String)>,
    /// Values to put somewhere else.
    pub moves: Vec<(Path, Path)>,
    /// Values to put in. Where one is missing the member is removed: a client's own must not pass for it.
    pub set: Vec<(Path, Filling)>,
}

/// The values to put in, in the order of `JsonEdits::set`.
pub type Values<'a> = [Option<Cow<'a, RawValue>>];

/// Headers that describe the bytes of the body as they were.
pub const STALE: &[&str] = &["etag", "content-md5", "digest", "content-digest", "repr-digest", "accept-ranges"];

impl JsonEdits {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.rename.is_empty() && self.moves.is_empty() && self.set.is_empty()
    }

    /// What a request must show for the values to put in.
    pub fn needs(&self, needs: Needs) -> Needs {
        self.set.iter().fold(needs, |needs, (_, filling)| filling.needs(needs))
    }

    /// The values to put in for this request.
    pub fn values(&self, request: &Request) -> Vec<Option<Cow<'_, RawValue>>> {
        self.set.iter().map(|(_, filling)| filling.render(request)).collect()
    }

    /// The body, edited. None if it is no JSON, or something in it stands where a value has to go.
    pub fn applied(&self, body: &[u8], values: &Values<'_>) -> Option<String> {
        let mut document = Document::parse(body).ok()?;
        self.remove.iter().for_each(|path| document.remove(path));
        self.rename.iter().for_each(|(path, name)| document.rename(path, name));
        for (from, to) in &self.moves {
            if let Some(value) = document.take(from) {
                document.set(to, &value).ok()?;
            }
        }
        for ((path, _), value) in self.set.iter().zip(values) {
            match value {
                Some(value) => document.set(path, &Document::from(&**value)).ok()?,
                None => document.remove(path),
            }
        }
        // A little more than it was is the common case.
        Some(document.to_text(body.len() + body.len() / 8 + 64))
    }
}
