//! The world of `wit/` as Rust types. Generated; nothing here by hand but the options.

wit_bindgen::generate!({ path: "../../../wit", world: "plugin", generate_all });

pub use gatehouse::plugin::{kv, types::*};

export!(Version with_types_in self);

use super::Version;
