//! Remembering what was applied: its revision, and the texts of its files. What fails here is told in the log and does
//! not keep files from being served; only what the admin API was told is acknowledged after it is on the disk.

use std::path::PathBuf;
use std::sync::Arc;

use super::prepare::Prepared;
use super::resources::Resources;
use crate::cli::stock;
use crate::config::text::{Sha256, Timestamp};
use crate::config::{Declared, Sources};
use crate::store::StoreError;
use crate::store::revisions::{Differences, FileDifferences, Revision};

/// The largest texts whose changes are told part by part.
const COMPARED: usize = 4 << 20;
/// Who changed the configuration when its files did.
const FILES: &str = "files";

/// The revision of a process that starts with these files: the last one, unless they changed meanwhile.
pub fn next_number(last: Option<&Revision>, files: Sha256) -> u64 {
    match last {
        None => 1,
        Some(last) if last.files == files => last.number,
        Some(last) => last.number + 1,
    }
}

/// Remembers what files declare, now that it is applied as a revision. Blocks.
pub fn applied(resources: &Resources, config: &str, prepared: &mut Prepared, last: Option<&Revision>) {
    resources.store.keeping().set(prepared.document.admin.as_ref().map(|admin| admin.keep).unwrap_or_default());
    let Some(texts) = prepared.texts.take() else { return };
    let is_new = last.is_none_or(|last| last.number != prepared.snapshot.revision);
    // Before they take the place of those that were there.
    let changed = if is_new { file_changes(resources, &texts, prepared) } else { Default::default() };
    let known = last.is_some_and(|last| last.files == prepared.digest);
    let kept = known && resources.store.has_last_good(&prepared.components) || keep(resources, config, &texts, &prepared.components);
    match &prepared.declared {
        None if !kept => resources.applied(Declared::of_sources(texts, &resources.made(), &stock()).map(Arc::new).ok().as_ref()),
        declared => resources.applied(declared.as_ref()),
    }
    if is_new {
        let action = match last {
            None => "start",
            Some(_) if known => "reload",
            Some(_) => "change",
        };
        add_revision(resources, prepared, action, changed)
            .unwrap_or_else(|error| tracing::error!(%error, "the revision is not remembered"));
    }
}

/// The same, where another revision served until now. Blocks.
pub fn replaced(resources: &Resources, config: &str, prepared: &mut Prepared) {
    match resources.store.read().and_then(|reading| reading.last_revision()) {
        Ok(last) => applied(resources, config, prepared, last.as_ref()),
        Err(error) => tracing::error!(%error, "the revision is not remembered"),
    }
}

fn keep(resources: &Resources, config: &str, sources: &Sources, components: &[PathBuf]) -> bool {
    // What came from the command line comes from there again.
    if sources.files().is_empty() {
        return false;
    }
    let kept = resources.store.keep_last_good(config, sources, components);
    kept.inspect_err(|error| tracing::error!(%error, "the configuration is not remembered as the last good one")).is_ok()
}

/// What is declared otherwise than it was when files were last applied, and how much that is.
fn file_changes(resources: &Resources, texts: &Sources, prepared: &Prepared) -> (FileDifferences, usize) {
    let size: usize = texts.files().iter().map(|source| source.text().len()).sum();
    if size > COMPARED {
        return Default::default();
    }
    let before = resources.declared().map(|declared| declared.parts()).unwrap_or_default();
    let after = match &prepared.declared {
        Some(declared) => declared.parts(),
        None => Declared::of_sources(texts.clone(), &resources.made(), &stock()).map(|declared| declared.parts()).unwrap_or_default(),
    };
    FileDifferences::between(before, after)
}

fn add_revision(
    resources: &Resources,
    prepared: &Prepared,
    action: &str,
    (differences, file_changes): (FileDifferences, usize),
) -> Result<(), StoreError> {
    let revision = Revision {
        number: prepared.snapshot.revision,
        at: Timestamp::now(),
        by: FILES.into(),
        action: action.into(),
        files: prepared.digest,
        changes: 0,
        file_changes,
        size: 0,
    };
    resources.store.write(|writing| writing.add_revision(revision, &Differences::default(), &differences))
}
