//! How the database's file is opened: made where there is none, checked through where there is one. A file that is broken
//! is set aside, and the copy of what it held takes its place; without a copy the gateway does not start.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use redb::backends::FileBackend;
use redb::{Database, DatabaseError, StorageError};

use super::{FILE, StoreError, copy, private_file};
use crate::config::text::Timestamp;

/// What the database may keep in memory; the rest is read when it is asked for.
const CACHE: usize = 8 << 20;
/// What a broken file is called, before a number.
const ASIDE: &str = "broken-";
/// What a file is called that is in the making.
const FRESH: &str = "new";

/// What stands in for a broken file.
#[derive(Debug, Clone)]
pub struct Restored {
    /// When the copy was made. Nothing was changed between then and the last start of the gateway.
    pub copied: Timestamp,
    /// Where the broken file is; None where it was gone.
    pub broken: Option<PathBuf>,
}

/// Opens the database of a folder.
pub(super) fn open(folder: &Path) -> Result<(Database, Option<Restored>), StoreError> {
    let path = folder.join(FILE);
    let broken = match path.exists() {
        true => match open_file(&path) {
            Ok(database) => {
                remove_unfinished(folder);
                return Ok((database, None));
            }
            Err(Unusable::Refused(error)) => return Err(error),
            Err(Unusable::Broken(cause)) => Some(set_aside(&path, &cause)?),
        },
        false => set_aside_before(folder),
    };
    match (copy::find(folder), broken) {
        (Some(copy), broken) => restore(folder, &copy, broken),
        (None, Some(broken)) => Err(StoreError::Lost { broken }),
        (None, None) => Ok((make(&path, |_| Ok(()))?, None)),
    }
}

/// Why a file is not opened.
enum Unusable {
    /// It is not what was written.
    Broken(String),
    /// Anything else: it may be good.
    Refused(StoreError),
}

fn open_file(path: &Path) -> Result<Database, Unusable> {
    let file = private_file(path, false).map_err(|cause| Unusable::Refused(StoreError::Folder { path: path.to_owned(), cause }))?;
    // A new database is never without content: it gets its name once it is whole.
    let is_empty = file.metadata().is_ok_and(|metadata| metadata.len() == 0);
    let backend = FileBackend::new(file).map_err(|error| unusable(path, error))?;
    if is_empty {
        return Err(Unusable::Broken("it is empty".into()));
    }
    // The library says that it does not panic where it checks everything. It is asked of bytes that can be anything.
    let opened = panic::catch_unwind(AssertUnwindSafe(|| {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE).set_check_integrity_on_open(true).create_with_backend(backend)
    }));
    opened.map_err(|_| Unusable::Broken("it makes no sense".into()))?.map_err(|error| unusable(path, error))
}

fn unusable(path: &Path, error: DatabaseError) -> Unusable {
    match error {
        DatabaseError::DatabaseAlreadyOpen => Unusable::Refused(StoreError::InUse { path: path.to_owned() }),
        DatabaseError::Storage(StorageError::Corrupted(cause)) => Unusable::Broken(cause),
        DatabaseError::Storage(StorageError::Io(cause)) if matches!(cause.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) => {
            Unusable::Broken(cause.to_string())
        }
        cause => Unusable::Refused(StoreError::Open { path: path.to_owned(), cause: Box::new(cause) }),
    }
}

/// Renames a broken file. Nothing of it is lost.
fn set_aside(path: &Path, cause: &str) -> Result<PathBuf, StoreError> {
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let names = (seconds..).map(|number| path.with_extension(format!("redb.{ASIDE}{number}")));
    let aside = names.into_iter().find(|name| !name.exists()).expect("numbers do not end");
    tracing::error!(path = %path.display(), cause, aside = %aside.display(), "the store is broken; it is set aside");
    fs::rename(path, &aside).map_err(|cause| StoreError::Folder { path: path.to_owned(), cause })?;
    Ok(aside)
}

/// The last file that an earlier start set aside.
fn set_aside_before(folder: &Path) -> Option<PathBuf> {
    files(folder, &format!("{FILE}.{ASIDE}")).into_iter().max()
}

fn restore(folder: &Path, copy: &Path, broken: Option<PathBuf>) -> Result<(Database, Option<Restored>), StoreError> {
    let unusable = |cause| StoreError::Copy { path: copy.to_owned(), broken: broken.clone(), cause };
    let copied = copy::check(copy).map_err(unusable)?;
    let database = make(&folder.join(FILE), |database| copy::read_into(copy, database))?;
    tracing::error!(copy = %copy.display(), "what the store held is restored from its copy; the history of it begins anew");
    Ok((database, Some(Restored { copied, broken })))
}

/// Makes a database and fills it. It has its name once it is whole.
fn make(path: &Path, fill: impl FnOnce(&Database) -> Result<(), StoreError>) -> Result<Database, StoreError> {
    let unusable = |cause| StoreError::Folder { path: path.to_owned(), cause };
    let fresh = path.with_extension(format!("redb.{}.{FRESH}", std::process::id()));
    let file = private_file(&fresh, true).map_err(unusable)?;
    let backend = FileBackend::new(file).map_err(|cause| StoreError::Open { path: fresh.clone(), cause: Box::new(cause) })?;
    let database = Database::builder().set_cache_size(CACHE).create_with_backend(backend);
    let database = database.map_err(|cause| StoreError::Open { path: fresh.clone(), cause: Box::new(cause) })?;
    fill(&database)?;
    name(&fresh, path).map_err(|cause| match cause.kind() {
        ErrorKind::AlreadyExists => StoreError::InUse { path: path.to_owned() },
        _ => unusable(cause),
    })?;
    Ok(database)
}

/// Gives a file its name, unless there is one of that name.
fn name(fresh: &Path, path: &Path) -> io::Result<()> {
    let linked = fs::hard_link(fresh, path);
    fs::remove_file(fresh)?;
    linked?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// What a crash left of databases in the making. Whoever has the database is the only one who could make one.
fn remove_unfinished(folder: &Path) {
    let unfinished = files(folder, &format!("{FILE}.")).into_iter().filter(|path| path.extension().is_some_and(|end| end == FRESH));
    unfinished.for_each(|path| drop(fs::remove_file(path)));
}

fn files(folder: &Path, start: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with(start))).map(|entry| entry.path()).collect()
}
