//! The store: what the gateway has to remember beside the files of its configuration, in one crash-safe database in the
//! data folder. Values are JSON in tables named by their [`Record`]; what they mean is told where they are used.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{Database, DatabaseError, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

pub mod audit;
pub mod last_good;
pub mod resources;
pub mod revisions;

/// The database's file in the data folder.
const FILE: &str = "gatehouse.redb";
/// What the database may keep in memory; the rest is read when it is asked for.
const CACHE: usize = 8 << 20;

/// The database. Every call blocks on the disk: not for a thread that serves requests.
pub struct Store {
    database: Database,
    folder: PathBuf,
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
pub struct Writing(WriteTransaction);

/// A number as a key, in the order of numbers.
pub fn number(number: u64) -> String {
    format!("{number:020}")
}

// === impl Store ===

impl Store {
    /// Opens the store in a folder, both made if they are not there. What a crash left half-written is undone.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        make_private(folder).map_err(|cause| StoreError::Folder { path: folder.to_owned(), cause })?;
        let path = folder.join(FILE);
        let file = private_file(&path, false).map_err(|cause| StoreError::Folder { path: path.clone(), cause })?;
        let opened = FileBackend::new(file).and_then(|file| Database::builder().set_cache_size(CACHE).create_with_backend(file));
        match opened {
            Ok(database) => Ok(Self { database, folder: folder.to_owned() }),
            Err(DatabaseError::DatabaseAlreadyOpen) => Err(StoreError::InUse { path }),
            Err(cause) => Err(StoreError::Open { path, cause: Box::new(cause) }),
        }
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
        let writing = Writing(self.database.begin_write().map_err(StoreError::from)?);
        let done = changes(&writing)?;
        writing.0.commit().map_err(StoreError::from)?;
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
        let table = self.0.open_table(definition::<R>())?;
        let value = table.get(key)?;
        value.map(|value| parse(value.value())).transpose()
    }

    /// The last key with its value.
    pub fn last<R: Record>(&self) -> Result<Option<(String, R)>, StoreError> {
        let table = self.0.open_table(definition::<R>())?;
        let last = table.last()?;
        last.map(|(key, value)| Ok((key.value().to_owned(), parse(value.value())?))).transpose()
    }

    /// Puts a value, in place of any before it.
    pub fn put<R: Record>(&self, key: &str, value: &R) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(value).map_err(|cause| StoreError::Unreadable { table: R::TABLE, cause })?;
        self.0.open_table(definition::<R>())?.insert(key, bytes.as_slice())?;
        Ok(())
    }

    /// Takes a value away. Whether there was one.
    pub fn delete<R: Record>(&self, key: &str) -> Result<bool, StoreError> {
        let mut table = self.0.open_table(definition::<R>())?;
        let gone = table.remove(key)?;
        Ok(gone.is_some())
    }

    /// Takes away the first values of a table until no more than so many are left.
    pub fn keep_last<R: Record>(&self, most: u64) -> Result<(), StoreError> {
        use redb::ReadableTableMetadata;
        let mut table = self.0.open_table(definition::<R>())?;
        while table.len()? > most {
            table.pop_first()?;
        }
        Ok(())
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
