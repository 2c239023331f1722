//! The languages a plugin can be written in. A new one: its SDK and a `template` in `plugins-sdk/NAME/`, a file in
//! `author/build/`, a line here.

use std::path::Path;

use super::build::{BuildError, Made, Project, c, go, js, python, rust};

/// All of them, in the order in which an existing project is looked at.
pub const LANGUAGES: &[Language] = &[rust::LANGUAGE, go::LANGUAGE, js::LANGUAGE, python::LANGUAGE, c::LANGUAGE];

/// One language.
pub struct Language {
    /// The name on the command line, which is the folder in `plugins-sdk/`.
    pub name: &'static str,
    /// Whether a folder holds a project of it.
    pub is_in: fn(&Path) -> bool,
    /// Makes the component of a project, anywhere, and says where it is.
    pub build: fn(&Project) -> Result<Made, BuildError>,
}

/// The language of that name.
pub fn find(name: &str) -> Option<&'static Language> {
    LANGUAGES.iter().find(|language| language.name == name)
}

/// The names, for people.
pub fn names() -> Vec<&'static str> {
    LANGUAGES.iter().map(|language| language.name).collect()
}
