//! The components of versions, as files named by their digests beside the store. Written whole and never changed; read
//! back only if they still are what their name says.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::plugin::compile::Sha256Digest;
use crate::store::Store;

use super::RolloutError;
use super::record::Record;

/// The folder in the data folder.
const FOLDER: &str = "modules";

/// Keeps a component. Durable once this returns.
pub fn write(store: &Store, digest: Sha256Digest, bytes: &[u8]) -> Result<(), RolloutError> {
    write_to(&folder(store), digest, bytes).map_err(|cause| RolloutError::Module { digest: digest.to_string(), cause })
}

/// The component of a digest.
pub fn read(store: &Store, digest: Sha256Digest) -> Result<Vec<u8>, RolloutError> {
    read_from(&folder(store), digest).map_err(|cause| RolloutError::Module { digest: digest.to_string(), cause })
}

/// Removes a component that no version has any more.
pub fn remove(store: Option<&Arc<Store>>, digest: Sha256Digest) {
    let Some(path) = store.map(|store| folder(store).join(name(digest))) else { return };
    if let Err(error) = fs::remove_file(&path) {
        tracing::warn!(%error, path = %path.display(), "component that no version needs is not removed");
    }
}

/// Removes what no record points at: old versions, and what a crash left half-written.
pub fn tidy<'a>(store: &Store, records: impl Iterator<Item = &'a Record>) {
    let kept: HashSet<String> = records.flat_map(|record| &record.versions).map(|version| name(Sha256Digest(version.sha256.0))).collect();
    let Ok(entries) = fs::read_dir(folder(store)) else { return };
    for entry in entries.flatten().filter(|entry| !entry.file_name().to_str().is_some_and(|name| kept.contains(name))) {
        if let Err(error) = fs::remove_file(entry.path()) {
            tracing::warn!(%error, path = %entry.path().display(), "component that no version needs is not removed");
        }
    }
}

fn folder(store: &Store) -> PathBuf {
    store.folder().join(FOLDER)
}

/// The file that a component is.
pub(crate) fn name(digest: Sha256Digest) -> String {
    format!("{digest}.wasm")
}

/// Keeps a component in a folder. Durable once this returns.
pub(crate) fn write_to(folder: &Path, digest: Sha256Digest, bytes: &[u8]) -> io::Result<()> {
    match read_from(folder, digest) {
        Ok(_) => Ok(()),
        Err(_) => write_whole(folder, &folder.join(name(digest)), bytes),
    }
}

/// Writes a file of a folder whole, or not at all. Durable once this returns.
pub(crate) fn write_whole(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let temporary = path.with_extension(format!("{:08x}.tmp", fastrand::u32(..)));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    // The name has to be durable, too.
    File::open(folder)?.sync_all()
}

fn read_from(folder: &Path, digest: Sha256Digest) -> io::Result<Vec<u8>> {
    let bytes = fs::read(folder.join(name(digest)))?;
    match Sha256Digest::of(&bytes) == digest {
        true => Ok(bytes),
        false => Err(io::Error::new(io::ErrorKind::InvalidData, "it is not what its name says")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_that_was_altered_is_not_read_and_is_written_anew() {
        let folder = std::env::temp_dir().join(format!("gatehouse-modules-{}", std::process::id()));
        let digest = Sha256Digest::of(b"component");
        write_to(&folder, digest, b"component").expect("room");
        assert_eq!(read_from(&folder, digest).expect("it is there"), b"component");
        fs::write(folder.join(name(digest)), b"altered").expect("ours");
        assert!(read_from(&folder, digest).is_err(), "not what its name says");
        write_to(&folder, digest, b"component").expect("room");
        assert_eq!(read_from(&folder, digest).expect("it is there again"), b"component");
        fs::remove_dir_all(&folder).expect("ours");
    }
}
