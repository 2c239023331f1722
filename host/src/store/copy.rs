//! A copy of what the store holds, beside it, in case its file breaks: what the admin API made, versions of plugins, tokens.
//! The history of changes is not in it.
//!
//! The copy is what the store holds, or it is not there: it is removed before a change is made, so that nothing that was
//! revoked comes back with it, and written anew when nothing has changed for a moment. Its last line is its digest.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use redb::{Database, ReadableTable, TableDefinition, TableError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256 as Hash};

use super::audit::Entry;
use super::revisions::Revision;
use super::{Reading, Record, Store, StoreError, private_file};
use crate::config::text::{Sha256, Timestamp};

const FILE: &str = "gatehouse.copy";
/// The tables whose values are copied.
const TABLES: [&str; 6] = ["routes", "upstreams", "clients", "issuers", "plugins", "admin-tokens"];
/// The tables of which the last value is: what comes next goes on from there.
const LAST: [&str; 2] = [Revision::TABLE, Entry::TABLE];
/// How long nothing has to change before a copy is made, and how much longer for each MiB that the store has.
const QUIET: Duration = Duration::from_secs(2);
const QUIET_MIB: Duration = Duration::from_secs(1);

/// What is known of the copy on disk.
pub(super) struct Copies(Mutex<State>);

struct State {
    is_there: bool,
    /// Moves before and after each change, so that a copy in the making shows to be of no use.
    moves: u64,
    changed: Instant,
}

/// The first line.
#[derive(Serialize, Deserialize)]
struct Head {
    copy_of: String,
    at: Timestamp,
}

/// The last line.
#[derive(Serialize, Deserialize)]
struct Seal {
    sha256: Sha256,
}

type Line = (String, String, Value);

/// Whether values of a table are copied.
pub(super) fn has(table: &str) -> bool {
    TABLES.contains(&table) || table == Revision::TABLE
}

/// The copy in a folder, if there is one.
pub(super) fn find(folder: &Path) -> Option<PathBuf> {
    Some(folder.join(FILE)).filter(|path| path.exists())
}

// === impl Copies ===

impl Copies {
    pub(super) fn of(folder: &Path) -> Self {
        Self(Mutex::new(State { is_there: find(folder).is_some(), moves: 0, changed: Instant::now() }))
    }

    /// Before a change: the copy goes, and stays away whatever happens.
    pub(super) fn withdraw(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.moves += 1;
        if state.is_there {
            fs::remove_file(folder.join(FILE))
                .or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
            File::open(folder)?.sync_all()?;
            state.is_there = false;
        }
        Ok(())
    }

    /// After a change.
    pub(super) fn changed(&self) {
        let mut state = self.0.lock();
        state.moves += 1;
        state.changed = Instant::now();
    }

    /// Whether one is missing, and nothing has changed for so long.
    fn is_due(&self, quiet: Duration) -> bool {
        let state = self.0.lock();
        !state.is_there && state.changed.elapsed() >= quiet
    }

    fn moves(&self) -> u64 {
        self.0.lock().moves
    }

    /// Puts a new copy in place, unless something has changed since it was begun.
    fn put(&self, fresh: &Path, folder: &Path, moves: u64) -> io::Result<()> {
        let mut state = self.0.lock();
        if state.moves != moves {
            return fs::remove_file(fresh);
        }
        fs::rename(fresh, folder.join(FILE))?;
        state.is_there = true;
        File::open(folder)?.sync_all()
    }
}

impl Store {
    /// Makes the copy if there is none and nothing has changed for a moment. Blocks.
    pub fn tidy_copy(&self) {
        let size = fs::metadata(self.folder().join(super::FILE)).map_or(0, |metadata| metadata.len());
        let mib = u32::try_from(size >> 20).unwrap_or(u32::MAX);
        if self.copies.is_due(QUIET + QUIET_MIB.saturating_mul(mib)) {
            self.make_copy();
        }
    }

    /// Makes the copy now, if there is none. Blocks.
    pub fn make_copy(&self) {
        if !self.copies.is_due(Duration::ZERO) {
            return;
        }
        let moves = self.copies.moves();
        let fresh = self.folder().join(FILE).with_extension("copy.new");
        let copied = self.read().and_then(|reading| {
            let written = write(&reading, &fresh)?;
            written.and_then(|()| self.copies.put(&fresh, self.folder(), moves)).map_err(|cause| StoreError::Folder { path: fresh, cause })
        });
        if let Err(error) = copied {
            tracing::warn!(%error, "there is no copy of the store at the moment");
        }
    }
}

fn write(reading: &Reading, path: &Path) -> Result<io::Result<()>, StoreError> {
    let mut out = match private_file(path, true) {
        Ok(file) => Sealed { file: BufWriter::new(file), hash: Hash::new() },
        Err(error) => return Ok(Err(error)),
    };
    let mut written = out.line(&Head { copy_of: "what the store of a gateway holds".into(), at: Timestamp::now() });
    for table in TABLES.into_iter().chain(LAST) {
        let most = if LAST.contains(&table) { 1 } else { usize::MAX };
        each(reading, table, most, |key, value| {
            if written.is_ok() {
                written = out.value(table, key, value);
            }
        })?;
    }
    Ok(written.and_then(|()| out.end()))
}

/// Goes through the last values of a table, so many at most.
fn each(reading: &Reading, table: &'static str, most: usize, mut with: impl FnMut(&str, &[u8])) -> Result<(), StoreError> {
    let definition = TableDefinition::<&'static str, &'static [u8]>::new(table);
    let table = match reading.0.open_table(definition) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for entry in table.iter()?.rev().take(most) {
        let (key, value) = entry?;
        with(key.value(), value.value());
    }
    Ok(())
}

/// A file in the making, and the digest of what was written so far.
struct Sealed {
    file: BufWriter<File>,
    hash: Hash,
}

impl Sealed {
    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.hash.update(&text);
        self.file.write_all(&text)
    }

    fn value(&mut self, table: &str, key: &str, value: &[u8]) -> io::Result<()> {
        self.line(&(table, key, serde_json::from_slice::<Value>(value)?))
    }

    fn end(mut self) -> io::Result<()> {
        let seal = Seal { sha256: Sha256(self.hash.clone().finalize().into()) };
        self.line(&seal)?;
        self.file.flush()?;
        self.file.get_ref().sync_all()
    }
}

/// Whether a copy is whole and as it was written. When it was made.
pub(super) fn check(path: &Path) -> Result<Timestamp, String> {
    let mut lines = BufReader::new(File::open(path).map_err(|error| error.to_string())?);
    let (mut hash, mut line, mut head, mut seal) = (Hash::new(), Vec::new(), None, None);
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line).map_err(|error| error.to_string())? == 0 {
            break;
        }
        seal = serde_json::from_slice::<Seal>(&line).ok().filter(|seal| seal.sha256.0[..] == hash.clone().finalize()[..]);
        head = head.or_else(|| serde_json::from_slice::<Head>(&line).ok());
        hash.update(&line);
    }
    let copied = head.ok_or("it is no copy of a store")?.at;
    seal.map(|_| copied).ok_or_else(|| "it is not whole".to_owned())
}

/// Reads a copy that was checked into an empty database.
pub(super) fn read_into(path: &Path, database: &Database) -> Result<(), StoreError> {
    let unreadable = |cause: io::Error| StoreError::Folder { path: path.to_owned(), cause };
    let writing = database.begin_write()?;
    for line in BufReader::new(File::open(path).map_err(unreadable)?).lines() {
        // The first line and the last one are no values.
        let Ok((table, key, value)) = serde_json::from_str::<Line>(&line.map_err(unreadable)?) else { continue };
        let bytes = serde_json::to_vec(&value).map_err(|error| unreadable(error.into()))?;
        writing.open_table(TableDefinition::<&str, &[u8]>::new(&table))?.insert(key.as_str(), bytes.as_slice())?;
    }
    writing.commit()?;
    Ok(())
}
