//! Configuration: the document a user writes, read from files and checked as a whole.
//! Knows no runtime types; `snapshot` turns a document into those.

mod check;
pub mod document;
mod holes;
mod made;
mod marks;
mod misfit;
mod place;
mod plugin_config;
mod problem;
mod reading;
mod schema;
mod source;
mod stock;
pub mod text;
pub mod units;
mod yaml;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

pub use check::declared::{Declared, Parts, read_item};
pub(crate) use check::rules;
pub use document::Document;
pub use made::{Change, Item, Kind, Made, tag};
pub use place::{Finding, KeyPath, Segment, Spot};
pub use plugin_config::{ConfigSchema, SchemaError};
pub use problem::{Code, Problem, Problems};
pub use reading::read;
pub use schema::schema;
pub use source::{RouteArg, Source, Sources};
pub use stock::Stock;

/// A document that passed every check that needs no plugin.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What to serve.
    pub document: Document,
    /// Where it came from, to say the line of a problem that is found later.
    pub sources: Sources,
    /// What is accepted but has no effect.
    pub warnings: Problems,
}

/// What a check found, and what it left to be checked further.
#[derive(Debug)]
pub struct Reviewed {
    /// The healthy part, for checks that need plugins; the whole document if there is no problem. None if nothing
    /// could be read.
    pub loaded: Option<Loaded>,
    /// Everything that is wrong with the document.
    pub problems: Problems,
}

/// Reads and checks a file, or every `*.yaml` and `*.yml` of a folder as one document.
///
/// `stock` is what needs no entry in the document.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub fn load(path: &Path, stock: &Stock) -> Result<Loaded, Problems> {
    review(path, stock).whole()
}

/// Checks texts that came from somewhere other than a file, as `load` does.
///
/// # Errors
/// Everything that is wrong with them, at once.
pub fn load_sources(sources: Sources, stock: &Stock) -> Result<Loaded, Problems> {
    check::review(sources, &Arc::default(), stock).whole()
}

/// Reads and checks as `load` does, and hands on what is healthy even if not all is.
pub fn review(path: &Path, stock: &Stock) -> Reviewed {
    match source::read_path(path) {
        Ok(sources) => check::review(sources, &Arc::default(), stock),
        Err(problems) => Reviewed { loaded: None, problems },
    }
}

impl Reviewed {
    /// The document, if it is healthy as a whole.
    fn whole(self) -> Result<Loaded, Problems> {
        match self.loaded {
            Some(loaded) if self.problems.is_empty() => Ok(loaded),
            _ => Err(self.problems),
        }
    }
}

impl Document {
    /// Adds a listener on 127.0.0.1:8080 if there is none.
    pub fn ensure_listener(&mut self) {
        if self.listeners.is_empty() {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
            self.listeners.push(document::Listener::new("default", address));
        }
    }
}
