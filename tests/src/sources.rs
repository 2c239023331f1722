//! The gateway's own sources, for tests of what they may not name.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::files::repository;

/// One source file.
pub struct Source {
    /// Its path below `host/src`.
    pub path: PathBuf,
    /// Its text, without comments.
    pub code: String,
}

/// All Rust files below `host/src`.
///
/// # Panics
/// When they cannot be read.
#[must_use]
pub fn host() -> Vec<Source> {
    let root = repository().join("host/src");
    let mut sources = Vec::new();
    collect(&root, &root, &mut sources);
    assert!(!sources.is_empty(), "the gateway has sources in {}", root.display());
    sources
}

impl Source {
    /// Whether the code names a crate or module: the word with a `::`, `;` or `,` to follow, or after `use`.
    #[must_use]
    pub fn names(&self, word: &str) -> bool {
        self.lines_naming(word).next().is_some()
    }

    /// The lines that name it.
    pub fn lines_naming<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a str> {
        self.code.lines().filter(move |line| names(line, word))
    }

    /// Whether the file is this module, or inside it: `plugin` is `plugin.rs` and all of `plugin/`.
    #[must_use]
    pub fn is_in(&self, module: &str) -> bool {
        self.path == Path::new(module).with_extension("rs") || self.path.starts_with(module)
    }
}

/// A word that is a path's first part: `wasmtime::…` or `use wasmtime;`, not `fast_wasmtime::…`.
fn names(line: &str, word: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    line.match_indices(word).any(|(index, _)| {
        let (before, after) = (&line[..index], &line[index + word.len()..]);
        let is_whole = !before.ends_with(is_part) && !after.starts_with(is_part);
        is_whole && (after.starts_with("::") || before.trim_end().ends_with("use"))
    })
}

fn collect(root: &Path, folder: &Path, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("the sources can be listed") {
        let path = entry.expect("the sources can be listed").path();
        if path.is_dir() {
            collect(root, &path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("the sources can be read");
            let path = path.strip_prefix(root).expect("the file is below the root").to_owned();
            sources.push(Source { path, code: without_comments(&text) });
        }
    }
}

fn without_comments(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_as_a_path_and_not_in_words() {
        #[track_caller]
        fn check(line: &str, expected: bool) {
            assert_eq!(names(line, "hyper"), expected, "{line}");
        }
        check("use hyper::body::Incoming;", true);
        check("fn f(body: hyper::body::Incoming)", true);
        check("use hyper;", true);
        check("let hyperbole = 1;", false);
        check("use hyper_util::rt::TokioIo;", false);
        check("let x = \"hyper is a library\";", false);
    }
}
