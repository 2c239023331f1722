//! Copies of what was pulled: components as files named by their digests, and beside them a note for each reference of
//! what it stood for when it last served. Everything is written whole, and believed only if it is what its name says.

use std::collections::HashSet;
use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::config::text::Sha256;
use crate::plugin::compile::Sha256Digest;
use crate::rollout::modules;

use super::{Artifact, Copied, Pulled};

/// Notes of references that nobody uses any more are kept up to this many, for configurations that are rolled back.
const MOST_UNUSED: usize = 20;

/// A folder of copies.
pub struct Kept {
    folder: PathBuf,
}

/// What a reference stood for.
#[derive(Serialize, Deserialize)]
struct Note {
    reference: String,
    manifest: String,
    component: Sha256,
    #[serde(default)]
    signature: Option<String>,
}

impl Kept {
    /// The folder of that name in the data folder, or in one for caches. It is made when something is kept.
    pub fn within(folder: &Path) -> Self {
        Self { folder: folder.join("registry") }
    }

    /// What a reference stood for when it last served.
    pub(super) fn remembered(&self, artifact: &Artifact) -> Option<Pulled> {
        let note: Note = serde_json::from_slice(&fs::read(self.note_of(&artifact.reference)).ok()?).ok()?;
        let is_it = note.reference == artifact.reference && artifact.digest().is_none_or(|digest| digest == note.manifest);
        let component = Sha256Digest(note.component.0);
        let copy = Copied::Disk(self.component(component));
        is_it.then_some(Pulled { manifest: note.manifest, component, copy, signature: note.signature })
    }

    /// Remembers what a reference stands for.
    pub(super) fn note(&self, reference: &str, pulled: &Pulled) {
        let Pulled { manifest, component, signature, .. } = pulled.clone();
        let note = Note { reference: reference.into(), manifest, component: component.into(), signature };
        let text = serde_json::to_vec(&note).expect("a note is plain data");
        if let Err(error) = modules::write_whole(&self.folder, &self.note_of(reference), &text) {
            tracing::warn!(reference, %error, "what was pulled is not remembered: a start without the registry will not have it");
        }
    }

    /// Keeps a component, and says where; None if it cannot.
    pub(super) fn write(&self, digest: Sha256Digest, bytes: &[u8]) -> Option<PathBuf> {
        let written = modules::write_to(&self.folder, digest, bytes);
        let warn = |error: &io::Error| tracing::warn!(folder = %self.folder.display(), %error, "a component is not kept on disk");
        written.inspect_err(warn).ok().map(|()| self.component(digest))
    }

    /// Removes what neither these references nor the latest others need.
    pub(super) fn tidy(&self, used: &[String]) {
        let used: HashSet<PathBuf> = used.iter().map(|reference| self.note_of(reference)).collect();
        let mut notes: Vec<(SystemTime, PathBuf)> = self.files("json").filter_map(|entry| Some((written(&entry)?, entry.path()))).collect();
        notes.sort_unstable_by(|one, two| two.cmp(one));
        let (used, unused): (Vec<_>, Vec<_>) = notes.into_iter().map(|(_, path)| path).partition(|path| used.contains(path));
        let (kept, old) = unused.split_at(unused.len().min(MOST_UNUSED));
        old.iter().for_each(|path| remove(path));
        let needed: HashSet<String> = used.iter().chain(kept).filter_map(|path| component_of(path)).collect();
        let is_needed = |path: &Path| path.file_stem().and_then(|stem| stem.to_str()).is_some_and(|stem| needed.contains(stem));
        // One that was pulled a moment ago has no note yet.
        let is_fresh = |entry: &DirEntry| written(entry).and_then(|time| time.elapsed().ok()).is_none_or(|age| age.as_secs() < 3600);
        self.files("wasm").filter(|entry| !is_needed(&entry.path()) && !is_fresh(entry)).for_each(|entry| remove(&entry.path()));
    }

    fn files(&self, extension: &'static str) -> impl Iterator<Item = DirEntry> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        entries.filter(move |entry| entry.path().extension().is_some_and(|found| found == extension))
    }

    fn component(&self, digest: Sha256Digest) -> PathBuf {
        self.folder.join(modules::name(digest))
    }

    fn note_of(&self, reference: &str) -> PathBuf {
        self.folder.join(format!("{}.json", Sha256Digest::of(reference.as_bytes())))
    }
}

/// A component, if it is there and whole.
pub(super) fn read(path: &Path, digest: Sha256Digest) -> Option<Vec<u8>> {
    fs::read(path).ok().filter(|bytes| Sha256Digest::of(bytes) == digest)
}

fn written(entry: &DirEntry) -> Option<SystemTime> {
    entry.metadata().ok()?.modified().ok()
}

fn component_of(note: &Path) -> Option<String> {
    let note: Note = serde_json::from_slice(&fs::read(note).ok()?).ok()?;
    Some(note.component.to_string())
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::warn!(%error, path = %path.display(), "an old copy is not removed");
    }
}
