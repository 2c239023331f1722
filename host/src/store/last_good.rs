//! The texts of the files that were last applied, and copies of the components they name, beside the database: what a
//! start falls back to when the files themselves cannot be used. Secrets and certificates are not copied.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256 as Hash};

use crate::config::text::Sha256;
use crate::config::{Source, Sources};

use super::{Store, private_file};

const FILE: &str = "last-good.json";
/// The folder of the copies, each named for its digest.
const COPIES: &str = "last-good";

/// What was applied once.
pub struct LastGood {
    /// The configuration that it is of.
    pub config: String,
    /// The texts, with the copies standing in for components.
    pub sources: Sources,
}

#[derive(Deserialize)]
struct Read {
    config: String,
    folder: PathBuf,
    files: Vec<Source>,
    components: Vec<Component>,
}

/// The same, to write it without a copy.
#[derive(Serialize)]
struct Written<'a> {
    config: &'a str,
    folder: &'a Path,
    files: &'a [Source],
    components: &'a [Component],
}

/// A component as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Component {
    path: PathBuf,
    sha256: Sha256,
    length: u64,
    modified: SystemTime,
}

impl Store {
    /// Keeps these texts and components, in one step, in place of those before.
    pub fn keep_last_good(&self, config: &str, sources: &Sources, components: &[PathBuf]) -> io::Result<()> {
        let components = components.iter().map(|path| self.copy(path)).collect::<io::Result<Vec<_>>>()?;
        // Where they came from stays true wherever the next process starts.
        let folder = std::env::current_dir()?.join(sources.folder());
        let written = Written { config, folder: &folder, files: sources.files(), components: &components };
        write_in_one_step(&self.folder().join(FILE), |file| Ok(serde_json::to_writer(file, &written)?))?;
        self.drop_copies_beside(&components)
    }

    /// Whether what was kept is of these components, as they are now.
    pub fn has_last_good(&self, components: &[PathBuf]) -> bool {
        let path = self.folder().join(FILE);
        if components.is_empty() {
            return path.exists();
        }
        let Ok(Some(kept)) = self.read_last_good() else { return false };
        let is_same = |component: &Component, path: &PathBuf| {
            let now = fs::metadata(path).and_then(|now| Ok((now.len(), now.modified()?)));
            component.path == *path && now.is_ok_and(|now| now == (component.length, component.modified)) && self.place(component).exists()
        };
        kept.components.len() == components.len() && kept.components.iter().zip(components).all(|(kept, path)| is_same(kept, path))
    }

    /// What was kept, if anything was.
    pub fn last_good(&self) -> io::Result<Option<LastGood>> {
        let Some(Read { config, folder, files, components }) = self.read_last_good()? else { return Ok(None) };
        let mut sources = Sources::new(files, folder);
        components.iter().for_each(|component| sources.stand_in(component.path.clone(), self.place(component)));
        Ok(Some(LastGood { config, sources }))
    }

    fn read_last_good(&self) -> io::Result<Option<Read>> {
        let file = match File::open(self.folder().join(FILE)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(serde_json::from_reader(BufReader::new(file))?))
    }

    fn copy(&self, path: &Path) -> io::Result<Component> {
        let (metadata, bytes) = (fs::metadata(path)?, fs::read(path)?);
        let sha256 = Sha256(Hash::digest(&bytes).into());
        let component = Component { path: path.to_owned(), sha256, length: metadata.len(), modified: metadata.modified()? };
        let place = self.place(&component);
        if !place.exists() {
            fs::create_dir_all(self.folder().join(COPIES))?;
            write_in_one_step(&place, |file| file.write_all(&bytes))?;
        }
        Ok(component)
    }

    fn place(&self, component: &Component) -> PathBuf {
        self.folder().join(COPIES).join(name(component))
    }

    fn drop_copies_beside(&self, components: &[Component]) -> io::Result<()> {
        let wanted: BTreeSet<OsString> = components.iter().map(|component| name(component).into()).collect();
        let there = match fs::read_dir(self.folder().join(COPIES)) {
            Ok(there) => there,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        there.flatten().filter(|entry| !wanted.contains(&entry.file_name())).try_for_each(|entry| fs::remove_file(entry.path()))
    }
}

fn name(component: &Component) -> String {
    format!("{}.wasm", component.sha256)
}

/// A file that is there whole or not at all, whenever the machine stops.
fn write_in_one_step(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = BufWriter::new(private_file(&fresh, true)?);
    write(&mut file)?;
    file.flush()?;
    file.get_ref().sync_all()?;
    fs::rename(&fresh, path)?;
    // The new name has to be on the disk, too.
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
