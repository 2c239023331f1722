//! JSON that is edited in place: where in it ([`Path`]), and the text under edit ([`Document`]).

mod document;
mod path;

pub use document::{Blocked, Document};
pub use path::{Path, PathError};
/// A JSON value as it was written, checked and not taken apart. What a configuration's value is kept as.
pub use serde_json::value::RawValue;
