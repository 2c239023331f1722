//! The world of `wit/` as Rust types. Generated; nothing here by hand but the options.

wit_bindgen::generate!({ path: "../../../wit", world: "plugin", generate_all });

pub use gatehouse::plugin::types::*;

export!(Hostile with_types_in self);

use super::Hostile;
