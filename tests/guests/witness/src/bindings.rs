//! The world of `wit/` as Rust types. Generated; nothing here by hand but the options.
#![expect(clippy::undocumented_unsafe_blocks, reason = "generated code")]

wit_bindgen::generate!({ path: "../../../wit", world: "plugin", generate_all });

pub use gatehouse::plugin::types::*;

export!(Witness with_types_in self);

use super::Witness;
