//! From where a configuration is to what can be served: read, checked with what the admin API made, built. Blocks, and
//! so has a thread of its own; what came of it is swapped in by the gateway.

use std::path::PathBuf;
use std::sync::Arc;

use super::registries::Cause;
use super::{ConfigSource, memory};
use crate::config::document::Document;
use crate::config::text::Sha256;
use crate::config::{Declared, Loaded, Made, Problems, Sources, Stock};
use crate::snapshot::{Builder, Snapshot};
use crate::watch::Files;

/// Texts up to this size are kept as they were read.
const SMALL: usize = 256 << 10;

/// What a configuration comes to.
pub struct Prepared {
    /// What serves it.
    pub snapshot: Snapshot,
    /// What is left of the document: see [`kept`].
    pub document: Document,
    /// The files it depends on; None where there are none.
    pub files: Option<Files>,
    /// What was read, where it is asked for again and is small; what is large is read again when that happens.
    pub declared: Option<Arc<Declared>>,
    /// The texts that were read, where they are remembered.
    pub texts: Option<Sources>,
    /// The components in files.
    pub components: Vec<PathBuf>,
    /// A digest of what was read.
    pub digest: Sha256,
}

/// Which count a refusal goes into, and what was wrong.
pub type Refusal = (&'static str, Problems);

/// What is built from: the files' part and the API's.
pub struct Parts<'a> {
    /// Where the files are.
    pub config: &'a ConfigSource,
    /// What was made beside them.
    pub made: &'a Arc<Made>,
    /// Whether what is read is asked for again.
    pub keep: bool,
    /// What it is for.
    pub cause: Cause,
}

impl Parts<'_> {
    /// Reads, checks and builds, or says what is wrong and which reason counts it.
    pub fn prepare(&self, builder: &Builder, previous: Option<&Snapshot>, revision: u64) -> Result<Prepared, Refusal> {
        let declared = self.config.read(self.made, &builder.stock()).map_err(|problems| ("invalid", problems))?;
        self.build(declared, builder, previous, revision)
    }

    /// The same, of what was read already.
    pub fn build(&self, declared: Declared, builder: &Builder, previous: Option<&Snapshot>, revision: u64) -> Result<Prepared, Refusal> {
        let digest = declared.digest();
        let (declared, loaded) = match self.keep && declared.size() <= SMALL {
            false => (None, declared.into_loaded(self.made, &builder.stock())),
            true => {
                let declared = Arc::new(declared);
                let loaded = declared.with(self.made, &builder.stock());
                (Some(declared), loaded)
            }
        };
        let mut loaded = loaded.map_err(|problems| ("invalid", problems))?;
        loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        self.cause.begin(&builder.registries);
        let built = snapshot(&loaded, builder, previous, revision);
        let snapshot = built.or_else(|refusal| {
            self.cause.withdraw(builder, refusal)?;
            snapshot(&loaded, builder, previous, revision)
        })?;
        let files = self.config.files(&loaded);
        let components = components(&loaded);
        let texts = self.keep.then(|| std::mem::take(&mut loaded.sources));
        let prepared = Prepared { snapshot, files, document: kept(loaded), declared, texts, components, digest };
        memory::give_back();
        Ok(prepared)
    }
}

/// Builds what was checked.
pub fn snapshot(loaded: &Loaded, builder: &Builder, previous: Option<&Snapshot>, revision: u64) -> Result<Snapshot, Refusal> {
    let built = builder.build(loaded, previous, revision);
    built.map_err(|findings| ("plugin", Problems::new(loaded.sources.locate(findings))))
}

fn components(loaded: &Loaded) -> Vec<PathBuf> {
    let files = loaded.document.plugins.iter().filter_map(|plugin| plugin.source.as_ref()?.file.as_ref());
    // As the fallback will look for them, wherever its process starts.
    let here = std::env::current_dir().unwrap_or_default();
    files.map(|file| here.join(loaded.sources.folder()).join(file)).collect()
}

/// The part of a document that is compared with the next one. The rest, with the texts it came from, would be as large
/// as the snapshot that was made of it.
pub fn kept(loaded: Loaded) -> Document {
    let Document { listeners, admin, access_log, .. } = loaded.document;
    Document { listeners, admin, access_log, ..Document::default() }
}

impl ConfigSource {
    /// What it declares.
    pub(super) fn read(&self, made: &Arc<Made>, stock: &Stock) -> Result<Declared, Problems> {
        match self {
            ConfigSource::Path(path) => Declared::read(path, made, stock),
            ConfigSource::Arguments { routes, listen } => Ok(Declared::of_document(&Document::from_routes(routes, *listen))),
        }
    }

    fn files(&self, loaded: &Loaded) -> Option<Files> {
        match self {
            ConfigSource::Path(path) => Some(Files::of(path, loaded)),
            ConfigSource::Arguments { .. } => None,
        }
    }

    /// Its name, for the last good one to be told from another's.
    pub(super) fn name(&self) -> String {
        match self {
            ConfigSource::Path(path) => std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string(),
            ConfigSource::Arguments { .. } => String::new(),
        }
    }
}
