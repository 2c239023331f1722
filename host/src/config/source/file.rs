//! Documents from disk: one file, or every `*.yaml` and `*.yml` of a folder in the order of their names.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Source, Sources};
use crate::config::problem::{Code, Problem, Problems};

/// The texts at `path`.
pub(crate) fn read_path(path: &Path) -> Result<Sources, Problems> {
    if !path.is_dir() {
        let source = read_file(path).map_err(|error| Problems::new(vec![unreadable(path, &error)]))?;
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
            Err(error) => problems.push(unreadable(&name, &error)),
        }
    }
    if problems.is_empty() { Ok(Sources::new(files, path)) } else { Err(Problems::new(problems)) }
}

fn read_file(path: &Path) -> io::Result<Source> {
    let text = fs::read_to_string(path)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    // A folder of its own for each test, gone when the test ends.
    struct Folder(PathBuf);

    impl Folder {
        fn new(test: &str) -> Self {
            let path = std::env::temp_dir().join(format!("gatehouse-config-{test}-{}", std::process::id()));
            fs::create_dir_all(&path).expect("a folder");
            Folder(path)
        }

        fn write(&self, name: &str, content: impl AsRef<[u8]>) {
            fs::write(self.0.join(name), content).expect("a file");
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_folder_gives_its_yaml_files_in_the_order_of_their_names() {
        let folder = Folder::new("order");
        for name in ["b.yml", "a.yaml", ".hidden.yaml", "notes.txt", "a.yaml~"] {
            folder.write(name, name);
        }
        let sources = read_path(&folder.0).expect("readable files");
        let texts: Vec<&str> = sources.files.iter().map(|source| source.text.as_str()).collect();
        assert_eq!(texts, ["a.yaml", "b.yml"], "and no other files");
        assert_eq!(sources.folder, folder.0, "relative paths start in the folder");
    }

    #[test]
    fn a_file_has_its_byte_order_mark_removed() {
        let folder = Folder::new("mark");
        folder.write("a.yaml", "\u{feff}routes: []\n");
        let sources = read_path(&folder.0.join("a.yaml")).expect("a readable file");
        assert_eq!(sources.files[0].text, "routes: []\n", "columns count from the first letter");
        assert_eq!(sources.folder, folder.0, "relative paths start beside the file");
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let folder = Folder::new("unreadable");
        let empty = read_path(&folder.0).expect_err("an empty folder").to_string();
        assert!(empty.contains("want a *.yaml file in the folder"), "{empty}");
        let missing = read_path(&folder.0.join("nope.yaml")).expect_err("no file").to_string();
        assert!(missing.contains("nope.yaml: got No such file"), "{missing}");
        folder.write("a.yaml", [0xff, 0xfe]);
        folder.write("b.yaml", [0xff, 0xfe]);
        let binary = read_path(&folder.0).expect_err("no text");
        assert_eq!(binary.len(), 2, "each file is named: {binary}");
        assert!(binary.to_string().contains("bytes that are not UTF-8"), "{binary}");
    }
}
