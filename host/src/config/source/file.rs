//! Documents from disk: one file, or every `*.yaml` and `*.yml` of a folder in the order of their names.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Source, Sources};
use crate::config::problem::{Code, Problem, Problems};

/// The texts at `path`.
pub(crate) fn read_path(path: &Path) -> Result<Sources, Problems> {
    if !path.is_dir() {
        let source = read_file(path).map_err(|problem| Problems::new(vec![problem]))?;
        return Ok(Sources::new(vec![source], path.parent().unwrap_or(Path::new(""))));
    }
    let names = yaml_files(path).map_err(|error| Problems::new(vec![unreadable(path, &error)]))?;
    if names.is_empty() {
        let empty = Problem::with_file(path.display().to_string(), Code::Unreadable, "no file", "a *.yaml file in the folder");
        return Err(Problems::new(vec![empty]));
    }
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for name in names {
        match read_file(&name) {
            Ok(source) => files.push(source),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(Sources::new(files, path)) } else { Err(Problems::new(problems)) }
}

fn read_file(path: &Path) -> Result<Source, Problem> {
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    // A byte order mark would count as a column.
    let text = text.strip_prefix('\u{feff}').map(str::to_string).unwrap_or(text);
    Ok(Source::new(path.display().to_string(), text))
}

fn yaml_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if yaml && !hidden && path.is_file() {
            names.push(path);
        }
    }
    names.sort();
    Ok(names)
}

fn unreadable(path: &Path, error: &io::Error) -> Problem {
    let got = match error.kind() {
        io::ErrorKind::InvalidData => "bytes that are not UTF-8".to_string(),
        _ => error.to_string(),
    };
    Problem::with_file(path.display().to_string(), Code::Unreadable, got, "a YAML file or a folder of them")
}
