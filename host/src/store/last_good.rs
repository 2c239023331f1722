//! The texts of the files that were last applied, beside the database: what a start falls back to when the files
//! themselves cannot be used.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::{Source, Sources};

use super::{Store, private_file};

const FILE: &str = "last-good.json";

/// Texts that were applied once.
pub struct LastGood {
    /// The configuration that they are of.
    pub config: String,
    /// The texts.
    pub sources: Sources,
}

#[derive(Deserialize)]
struct Read {
    config: String,
    folder: PathBuf,
    files: Vec<Source>,
}

/// The same, to write it without a copy.
#[derive(Serialize)]
struct Written<'a> {
    config: &'a str,
    folder: &'a std::path::Path,
    files: &'a [Source],
}

impl Store {
    /// Keeps these texts, in one step, in place of those before.
    pub fn keep_last_good(&self, config: &str, sources: &Sources) -> io::Result<()> {
        let (path, fresh) = (self.folder().join(FILE), self.folder().join(format!("{FILE}.new")));
        // Where they came from stays true wherever the next process starts.
        let folder = std::env::current_dir()?.join(sources.folder());
        let mut file = BufWriter::new(private_file(&fresh, true)?);
        serde_json::to_writer(&mut file, &Written { config, folder: &folder, files: sources.files() })?;
        file.flush()?;
        file.get_ref().sync_all()?;
        fs::rename(&fresh, &path)?;
        // The new name has to be on the disk, too.
        File::open(self.folder())?.sync_all()
    }

    /// Whether there are any texts.
    pub fn has_last_good(&self) -> bool {
        self.folder().join(FILE).exists()
    }

    /// The texts that were kept, if there are any.
    pub fn last_good(&self) -> io::Result<Option<LastGood>> {
        let file = match File::open(self.folder().join(FILE)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let Read { config, folder, files } = serde_json::from_reader(BufReader::new(file))?;
        Ok(Some(LastGood { config, sources: Sources::new(files, folder) }))
    }
}
