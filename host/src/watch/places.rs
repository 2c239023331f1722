//! The names in the file system that decide what some files hold: each file, and every link on the way to it.
//! An event at any other name, such as a log beside the configuration, is nobody's business.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::files::{Files, is_document};

/// Links that are followed for one file; the kernel follows as many.
const MAX_LINKS: usize = 40;

/// Names to be watched.
#[derive(Debug, Default)]
pub(super) struct Places {
    names: HashSet<PathBuf>,
    /// The folder of documents, in which any new one counts.
    documents: Option<PathBuf>,
}

impl Places {
    /// The names that these files go through, as the links lead now.
    pub(super) fn of(files: &Files) -> Self {
        let mut places = Self::default();
        if files.config.is_dir() {
            places.documents = Some(places.trace(&files.config));
        }
        for file in files.config_files().iter().chain(&files.others) {
            places.trace(file);
        }
        places
    }

    /// Folders rather than files: a file that is replaced by another of its name is a new one to the kernel.
    pub(super) fn folders(&self) -> BTreeSet<PathBuf> {
        let parents = self.names.iter().filter_map(|name| name.parent());
        parents.chain(self.documents.as_deref()).map(Path::to_owned).collect()
    }

    /// Whether an event may have changed what the files hold.
    pub(super) fn concern(&self, event: &notify::Event) -> bool {
        !event.kind.is_access() && (event.need_rescan() || event.paths.iter().any(|path| self.hold(path)))
    }

    fn hold(&self, path: &Path) -> bool {
        self.names.contains(path) || (self.documents.is_some() && path.parent() == self.documents.as_deref() && is_document(path))
    }

    /// Walks a path as the kernel does and keeps each link and the end. A config map of Kubernetes is a link to a file
    /// in `..data`, which is a link itself, and the one that is replaced.
    fn trace(&mut self, path: &Path) -> PathBuf {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let (mut here, mut links) = (PathBuf::new(), 0);
        let mut ahead: VecDeque<PathBuf> = parts(&path).collect();
        while let Some(part) = ahead.pop_front() {
            if part == Path::new("..") {
                here.pop();
                continue;
            }
            let next = here.join(part);
            match fs::read_link(&next) {
                Ok(target) if links < MAX_LINKS => {
                    links += 1;
                    self.names.insert(next);
                    parts(&target).rev().for_each(|part| ahead.push_front(part));
                }
                _ => here = next,
            }
        }
        self.names.insert(here.clone());
        here
    }
}

/// The steps of a path; joining the root to anything gives the root, so links to absolute paths need no care.
fn parts(path: &Path) -> impl DoubleEndedIterator<Item = PathBuf> {
    path.components().filter(|part| *part != Component::CurDir).map(|part| PathBuf::from(part.as_os_str()))
}
