//! Edits of a JSON body, in this order: remove, rename, move, set. What an edit does not find it leaves.

use alloc::string::String;
use alloc::vec::Vec;

use gatehouse_plugin::json::Path;
use serde_json::Value;

/// What to do to a JSON body.
pub struct JsonEdits {
    /// Values to remove.
    pub remove: Vec<Path>,
    /// Members to give another name, beside their siblings.
    pub rename: Vec<(Path, String)>,
    /// Values to put somewhere else.
    pub moves: Vec<(Path, Path)>,
    /// Values to put in.
    pub set: Vec<(Path, Value)>,
}

/// Headers that describe the bytes of the body as they were.
pub const STALE: &[&str] = &["etag", "content-md5", "digest", "content-digest", "repr-digest"];

impl JsonEdits {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.rename.is_empty() && self.moves.is_empty() && self.set.is_empty()
    }

    /// The body, edited. None if it is no JSON, or something in it stands where a value has to go.
    pub fn applied(&self, body: &[u8]) -> Option<Vec<u8>> {
        let mut document: Value = serde_json::from_slice(body).ok()?;
        for path in &self.remove {
            path.remove(&mut document);
        }
        for (path, name) in &self.rename {
            path.rename(&mut document, name);
        }
        for (from, to) in &self.moves {
            if let Some(value) = from.remove(&mut document) {
                to.set(&mut document, value).ok()?;
            }
        }
        for (path, value) in &self.set {
            path.set(&mut document, value.clone()).ok()?;
        }
        serde_json::to_vec(&document).ok()
    }
}
