//! The store: what the gateway has to remember beside the files of its configuration, in one crash-safe database in the
//! data folder. Values are JSON in tables named by their [`Record`]; what they mean is told where they are used.

use std::cell::Cell;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

pub mod audit;
mod copy;
pub mod keeping;
pub mod last_good;
mod opening;
pub mod registrations;
pub mod resources;
pub mod revisions;

pub use opening::Restored;

use copy::Copies;
use keeping::{Keeping, Kept};

/// The database's file in the data folder.
const FILE: &str = "gatehouse.redb";

/// The database. Every call blocks on the disk: not for a thread that serves requests.
pub struct Store {
    database: Database,
    folder: PathBuf,
    copies: Copies,
    keeping: Keeping,
    restored: Option<Restored>,
}

/// A kind of value with a table of its own. Keys are texts and ordered as such; numbers go in by [`number`].
pub trait Record: Serialize + DeserializeOwned {
    /// The table's name, fixed for ever.
    const TABLE: &'static str;
}

/// Why the store cannot be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The folder or its file cannot be made.
    #[error("{path}: {cause}")]
    Folder {
        /// The folder, or the file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Another process has it open.
    #[error("{path} is in use by another gateway; give each its own --data")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be opened.
    #[error("{path}: {cause}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the database said.
        cause: Box<DatabaseError>,
    },
    /// It broke, and there is no copy of what it held.
    #[error(
        "the store broke and is kept as {broken}, and there is no copy of it: put a backup in its place, or remove that file to begin \
         anew, without anything that the admin API made"
    )]
    Lost {
        /// The broken file.
        broken: PathBuf,
    },
    /// It broke, and so did the copy of what it held.
    #[error(
        "the store is gone or broken ({}), and its copy {path} cannot be used: {cause}; put backups in their place, or remove \
         them to begin anew, without anything that the admin API made",
        .broken.as_ref().map_or_else(|| "gone".into(), |broken| broken.display().to_string())
    )]
    Copy {
        /// The copy.
        path: PathBuf,
        /// The broken file.
        broken: Option<PathBuf>,
        /// What is wrong with the copy.
        cause: String,
    },
    /// It cannot be read or written.
    #[error("the store failed: {0}")]
    Database(Box<redb::Error>),
    /// A value is not what this version writes.
    #[error("the store holds something unreadable in {table}: {cause}")]
    Unreadable {
        /// The table.
        table: &'static str,
        /// What is wrong with it.
        cause: serde_json::Error,
    },
}

/// One state of the store, unmoved by what is written meanwhile.
pub struct Reading(ReadTransaction);

/// Changes that become durable together, or not at all.
pub struct Writing {
    transaction: WriteTransaction,
    /// How much of the history stays.
    kept: Kept,
    /// Whether anything changes of which there is a copy.
    changes_copied: Cell<bool>,
}

/// A number as a key, in the order of numbers.
pub fn number(number: u64) -> String {
    format!("{number:020}")
}

// === impl Store ===

impl Store {
    /// Opens the store in a folder, both made if they are not there. What a crash left half-written is undone; a file that
    /// is broken is set aside, and what it held comes from its copy.
    ///
    /// # Errors
    /// Where that cannot be: the store is never silently empty.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        make_private(folder).map_err(|cause| StoreError::Folder { path: folder.to_owned(), cause })?;
        let (database, restored) = opening::open(folder)?;
        let (copies, keeping) = (Copies::of(folder), Keeping::default());
        let store = Self { database, folder: folder.to_owned(), copies, keeping, restored };
        if let Some(restored) = &store.restored {
            let action = format!("restore the store from its copy of {}", restored.copied);
            store.write(|writing| {
                writing.anchor_audit()?;
                writing.audit("gatehouse", &action, None, None)
            })?;
        }
        Ok(store)
    }

    /// What the store was restored from at this start, if it was.
    pub fn restored(&self) -> Option<&Restored> {
        self.restored.as_ref()
    }

    /// How much of the history stays.
    pub fn keeping(&self) -> &Keeping {
        &self.keeping
    }

    /// Whether there is a store in this folder.
    pub fn exists(folder: &Path) -> bool {
        folder.join(FILE).exists()
    }

    /// Where it lies, for files that belong beside it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The state at this moment.
    pub fn read(&self) -> Result<Reading, StoreError> {
        Ok(Reading(self.database.begin_read()?))
    }

    /// Writes, all or nothing. Durable once this returns.
    pub fn write<T, E: From<StoreError>>(&self, changes: impl FnOnce(&Writing) -> Result<T, E>) -> Result<T, E> {
        let mut transaction = self.database.begin_write().map_err(StoreError::from)?;
        // Else a commit that broke would be taken for one that was never finished, and the one before would count again:
        // with it a key that was revoked.
        transaction.set_two_phase_commit(true);
        let writing = Writing { transaction, kept: self.keeping.now(), changes_copied: Cell::default() };
        let done = changes(&writing)?;
        let changes_copied = writing.changes_copied.get();
        if changes_copied {
            self.copies.withdraw(&self.folder).map_err(|cause| StoreError::Folder { path: self.folder.clone(), cause })?;
        }
        writing.transaction.commit().map_err(StoreError::from)?;
        if changes_copied {
            self.copies.changed();
        }
        Ok(done)
    }
}

/// Digests of tokens and keys lie there: nobody else's business.
fn make_private(folder: &Path) -> io::Result<()> {
    if fs::metadata(folder).is_ok_and(|metadata| metadata.is_dir()) {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// A file that nobody else may read, emptied if that is wanted.
fn private_file(path: &Path, empty: bool) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(empty).mode(0o600).open(path)
}

// === impl Reading ===

impl Reading {
    /// The value of a key.
    pub fn get<R: Record>(&self, key: &str) -> Result<Option<R>, StoreError> {
        let value = self.table::<R, _>(|table| table.get(key)?.map(|value| parse(value.value())).transpose())?;
        Ok(value.flatten())
    }

    /// The keys after one, or from the first, in order, with their values; so many at most.
    pub fn page<R: Record>(&self, after: Option<&str>, most: usize) -> Result<Vec<(String, R)>, StoreError> {
        use std::ops::Bound::{Excluded, Unbounded};
        let start = after.map_or(Unbounded, Excluded);
        let page = self.table::<R, _>(|table| table.range::<&str>((start, Unbounded))?.take(most).map(entry).collect())?;
        Ok(page.unwrap_or_default())
    }

    /// The keys before one, or from the last, backwards, with their values; so many at most.
    pub fn page_back<R: Record>(&self, before: Option<&str>, most: usize) -> Result<Vec<(String, R)>, StoreError> {
        use std::ops::Bound::{Excluded, Unbounded};
        let end = before.map_or(Unbounded, Excluded);
        let page = self.table::<R, _>(|table| table.range::<&str>((Unbounded, end))?.rev().take(most).map(entry).collect())?;
        Ok(page.unwrap_or_default())
    }

    /// All keys in order, with their values.
    pub fn all<R: Record>(&self) -> Result<Vec<(String, R)>, StoreError> {
        self.page(None, usize::MAX)
    }

    /// None where the table was never written to.
    fn table<R: Record, T>(
        &self,
        read: impl FnOnce(redb::ReadOnlyTable<&'static str, &'static [u8]>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        match self.0.open_table(definition::<R>()) {
            Ok(table) => read(table).map(Some),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

// === impl Writing ===

impl Writing {
    /// The value of a key, as it stands in these changes.
    pub fn get<R: Record>(&self, key: &str) -> Result<Option<R>, StoreError> {
        let table = self.transaction.open_table(definition::<R>())?;
        let value = table.get(key)?;
        value.map(|value| parse(value.value())).transpose()
    }

    /// The last key with its value.
    pub fn last<R: Record>(&self) -> Result<Option<(String, R)>, StoreError> {
        let table = self.transaction.open_table(definition::<R>())?;
        let last = table.last()?;
        last.map(|(key, value)| Ok((key.value().to_owned(), parse(value.value())?))).transpose()
    }

    /// Puts a value, in place of any before it.
    pub fn put<R: Record>(&self, key: &str, value: &R) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(value).map_err(|cause| StoreError::Unreadable { table: R::TABLE, cause })?;
        self.table::<R>()?.insert(key, bytes.as_slice())?;
        Ok(())
    }

    /// Takes a value away. Whether there was one.
    pub fn delete<R: Record>(&self, key: &str) -> Result<bool, StoreError> {
        let mut table = self.table::<R>()?;
        let gone = table.remove(key)?;
        Ok(gone.is_some())
    }

    /// Takes away the first values of a table until no more than so many are left. The last one that went.
    pub fn keep_last<R: Record>(&self, most: u64) -> Result<Option<R>, StoreError> {
        use redb::ReadableTableMetadata;
        let (mut table, mut gone) = (self.table::<R>()?, None);
        while table.len()? > most {
            gone = table.pop_first()?.map(|(_, value)| parse(value.value())).transpose()?;
        }
        Ok(gone)
    }

    /// Takes away the values of a table whose keys are before this one.
    pub fn drop_before<R: Record>(&self, key: &str) -> Result<(), StoreError> {
        self.table::<R>()?.retain_in::<&str, _>(..key, |_, _| false)?;
        Ok(())
    }

    /// The last values with their keys, from the last on; so many at most.
    pub fn page_back<R: Record>(&self, most: usize) -> Result<Vec<(String, R)>, StoreError> {
        let table = self.transaction.open_table(definition::<R>())?;
        let page = table.iter()?.rev().take(most).map(|entry| {
            let (key, value) = entry?;
            Ok((key.value().to_owned(), parse(value.value())?))
        });
        page.collect()
    }

    /// A table that is about to change.
    fn table<R: Record>(&self) -> Result<redb::Table<'_, &'static str, &'static [u8]>, StoreError> {
        self.changes_copied.set(self.changes_copied.get() || copy::has(R::TABLE));
        Ok(self.transaction.open_table(definition::<R>())?)
    }
}

fn definition<R: Record>() -> TableDefinition<'static, &'static str, &'static [u8]> {
    TableDefinition::new(R::TABLE)
}

type Guarded = (redb::AccessGuard<'static, &'static str>, redb::AccessGuard<'static, &'static [u8]>);

fn entry<R: Record>(entry: Result<Guarded, redb::StorageError>) -> Result<(String, R), StoreError> {
    let (key, value) = entry?;
    Ok((key.value().to_owned(), parse(value.value())?))
}

fn parse<R: Record>(bytes: &[u8]) -> Result<R, StoreError> {
    serde_json::from_slice(bytes).map_err(|cause| StoreError::Unreadable { table: R::TABLE, cause })
}

macro_rules! database_errors {
    ($($error:ty)*) => {$(
        impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                StoreError::Database(Box::new(error.into()))
            }
        }
    )*};
}

database_errors!(redb::TransactionError redb::TableError redb::StorageError redb::CommitError);

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Note(String);

    impl Record for Note {
        const TABLE: &'static str = "notes";
    }

    fn folder(test: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("gatehouse-store-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    fn keys(page: Vec<(String, Note)>) -> Vec<String> {
        page.into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn what_was_written_is_there_after_it_is_opened_anew() {
        let folder = folder("anew");
        let store = Store::open(&folder).expect("a store");
        store.write(|writing| writing.put("a", &Note("kept".into()))).expect("room");
        let refused = store.write(|writing| {
            writing.put("a", &Note("lost".into()))?;
            Err::<(), _>(StoreError::InUse { path: PathBuf::new() })
        });
        assert!(refused.is_err());
        assert!(matches!(Store::open(&folder), Err(StoreError::InUse { .. })), "one process at a time");
        drop(store);
        let store = Store::open(&folder).expect("the same store");
        assert_eq!(store.read().unwrap().get::<Note>("a").unwrap(), Some(Note("kept".into())), "and nothing of what was given up");
        let _ = fs::remove_dir_all(folder);
    }

    #[test]
    fn pages_go_on_where_the_last_one_ended() {
        let folder = folder("pages");
        let store = Store::open(&folder).expect("a store");
        assert_eq!(store.read().unwrap().page::<Note>(None, 9).unwrap(), [], "nothing was written yet");
        let write = |numbers: std::ops::Range<u64>| {
            store.write(|writing| numbers.clone().try_for_each(|one| writing.put(&number(one), &Note(one.to_string()))))
        };
        write(8..12).expect("room");
        let reading = store.read().unwrap();
        assert_eq!(keys(reading.page(None, 2).unwrap()), [number(8), number(9)]);
        assert_eq!(keys(reading.page(Some(&number(9)), 9).unwrap()), [number(10), number(11)], "ten comes after nine");
        assert_eq!(keys(reading.page_back(Some(&number(10)), 1).unwrap()), [number(9)]);
        store.write(|writing| writing.keep_last::<Note>(1)).expect("room");
        assert_eq!(keys(store.read().unwrap().all().unwrap()), [number(11)]);
        assert_eq!(keys(reading.all().unwrap()).len(), 4, "a reading stays as it was");
        let _ = fs::remove_dir_all(folder);
    }
}
