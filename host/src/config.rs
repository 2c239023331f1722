//! Configuration: the document a user writes, read from files and checked as a whole.
//! Knows no runtime types; `snapshot` turns a document into those.

mod check;
pub mod document;
mod marks;
mod place;
mod problem;
mod schema;
mod source;
pub mod text;
pub mod units;
mod yaml;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

pub use document::Document;
pub use place::{Finding, KeyPath, Segment, Spot};
pub use problem::{Code, Problem, Problems};
pub use schema::schema;
pub use source::{RouteArg, Source, Sources};

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

/// Reads and checks a file, or every `*.yaml` and `*.yml` of a folder as one document.
///
/// `built_ins` are the names of the plugins that need no entry in the document.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub fn load(path: &Path, built_ins: &[&str]) -> Result<Loaded, Problems> {
    check::check(source::read_path(path)?, built_ins)
}

/// Checks texts that came from somewhere other than a file, as `load` does.
///
/// # Errors
/// Everything that is wrong with them, at once.
pub fn load_sources(sources: Sources, built_ins: &[&str]) -> Result<Loaded, Problems> {
    check::check(sources, built_ins)
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
