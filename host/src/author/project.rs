//! A project from nothing: the language's template, filled in, and beside it what it builds with, since the SDK is in no
//! package registry. That lies as in the repository, so that paths from one part to another are the same.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::embedded;
use super::language::Language;

/// The folder in a project that holds `wit/` and the SDK. With a dot, since Go takes any other path for a module's name.
const VENDORED: &str = "./gatehouse";

/// Why there is no new project.
#[derive(Debug, Error)]
pub enum NewError {
    /// The name cannot be a plugin's and a package's in every language.
    #[error("{0:?} is no name for a plugin: want small letters, digits and single hyphens, a letter first, 50 at most")]
    Name(String),
    /// There is something already.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// `--sdk` points somewhere else.
    #[error("{} is no checkout of Gatehouse: it has no {}", .0.display(), .1)]
    NoCheckout(PathBuf, String),
    /// A file could not be written.
    #[error("{}: {}", .0.display(), .1)]
    Io(PathBuf, io::Error),
}

/// Writes a project into `folder`, whose last part is the plugin's name. With `sdk` it refers to that checkout instead of
/// holding the SDK itself. What was written, if not all could be, stays.
pub fn create(language: &Language, folder: &Path, sdk: Option<&Path>) -> Result<(), NewError> {
    let name = name_of(folder)?;
    if fs::symlink_metadata(folder).is_ok() {
        return Err(NewError::Exists(folder.to_owned()));
    }
    let root = format!("plugins-sdk/{}", language.name);
    let gatehouse = match sdk {
        Some(checkout) => checkout_at(checkout, &root)?,
        None => VENDORED.to_owned(),
    };
    let names = Names::of(&name, gatehouse);
    for (path, content) in embedded::below(&format!("{root}/template")) {
        write(&folder.join(names.place(path)), &names.fill(content))?;
    }
    match sdk {
        Some(_) => Ok(()),
        None => vendor(&folder.join(VENDORED), &root),
    }
}

fn name_of(folder: &Path) -> Result<String, NewError> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let letters = name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-');
    let shape = name.starts_with(|first: char| first.is_ascii_lowercase()) && !name.ends_with('-') && !name.contains("--");
    if letters && shape && name.len() <= 50 { Ok(name) } else { Err(NewError::Name(name)) }
}

fn checkout_at(path: &Path, sdk: &str) -> Result<String, NewError> {
    let checkout = fs::canonicalize(path).map_err(|error| NewError::Io(path.to_owned(), error))?;
    for part in ["wit/plugin.wit", sdk] {
        if !checkout.join(part).exists() {
            return Err(NewError::NoCheckout(checkout, part.to_owned()));
        }
    }
    Ok(checkout.display().to_string())
}

fn vendor(folder: &Path, sdk: &str) -> Result<(), NewError> {
    for part in ["wit", sdk] {
        for (path, content) in embedded::below(part).filter(|(path, _)| !path.starts_with("template/")) {
            write(&folder.join(part).join(path), content)?;
        }
    }
    Ok(())
}

fn write(path: &Path, content: &[u8]) -> Result<(), NewError> {
    let folder = path.parent().unwrap_or(path);
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(path, content));
    written.map_err(|error| NewError::Io(path.to_owned(), error))
}

/// What stands for the placeholders of a template.
struct Names([(&'static str, String); 4]);

impl Names {
    fn of(name: &str, gatehouse: String) -> Self {
        Self([
            ("{{name}}", name.to_owned()),
            ("{{ident}}", name.replace('-', "_")),
            ("{{Name}}", pascal(name)),
            ("{{gatehouse}}", gatehouse),
        ])
    }

    /// A template's `gitignore` has no dot, so that it does not rule the template's own folder.
    fn place(&self, path: &str) -> String {
        let path = self.replace(path);
        if path == "gitignore" { ".gitignore".into() } else { path }
    }

    fn fill<'a>(&self, content: &'a [u8]) -> Cow<'a, [u8]> {
        match std::str::from_utf8(content) {
            Ok(text) => self.replace(text).into_bytes().into(),
            Err(_) => content.into(),
        }
    }

    fn replace(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (placeholder, value)| text.replace(placeholder, value))
    }
}

fn pascal(name: &str) -> String {
    let capital = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    name.split('-').map(capital).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(folder: &str, name: Option<&str>) {
        assert_eq!(name_of(Path::new(folder)).ok().as_deref(), name, "{folder}");
    }

    #[test]
    fn a_name_is_one_in_every_language() {
        check("acme-header", Some("acme-header"));
        check("/a/b/c2", Some("c2"));
        for bad in ["", "..", "Acme", "2nd", "-a", "a-", "a--b", "a_b", "a b", "ä"] {
            check(bad, None);
        }
        check(&"a".repeat(51), None);
    }

    #[test]
    fn placeholders_are_filled_in_paths_and_text_and_nothing_else() {
        let names = Names::of("acme-header", "../checkout".into());
        assert_eq!(names.place("src/{{ident}}.rs"), "src/acme_header.rs");
        assert_eq!(names.place("gitignore"), ".gitignore");
        assert_eq!(&*names.fill(b"{{Name}} of {{name}}, {other} {{gatehouse}}/wit"), b"AcmeHeader of acme-header, {other} ../checkout/wit");
        assert_eq!(&*names.fill(b"\xff{{name}}"), b"\xff{{name}}", "what is not text is copied");
    }
}
