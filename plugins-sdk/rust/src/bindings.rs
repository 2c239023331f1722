//! The contract's raw types and imports, generated from `wit/`. Seen by this crate alone.

wit_bindgen::generate!({
    path: "../../wit",
    world: "plugin",
});

pub(crate) use gatehouse::plugin::*;
