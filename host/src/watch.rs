//! Files that a configuration is made of: noticing that one changed, and telling a change from a touch.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::config::{Loaded, document};

/// Editors and copies make several changes of one; this long of quiet makes it one.
const QUIET: Duration = Duration::from_millis(200);

/// What the files hold, taken together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

/// The files of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    config: PathBuf,
    others: BTreeSet<PathBuf>,
}

impl Files {
    /// The configuration itself, and what it points at: components, key sets, certificates.
    pub fn of(config: &Path, loaded: &Loaded) -> Self {
        let document = &loaded.document;
        let components = document.plugins.iter().filter_map(|plugin| plugin.source.as_ref()?.file.as_deref());
        let key_sets = document.issuers.iter().filter_map(|issuer| issuer.jwks.as_ref()?.file.as_deref());
        let secrets = document.issuers.iter().filter_map(|issuer| issuer.secret.as_ref()?.file.as_deref());
        let certificates = document.listeners.iter().filter_map(|listener| listener.tls.as_ref()).flat_map(certificate_files);
        let others = components.chain(key_sets).chain(secrets).chain(certificates);
        Self { config: config.to_owned(), others: others.map(|file| loaded.sources.resolve(file)).collect() }
    }

    /// Of a configuration that could not be read: at least a change of it is noticed.
    pub fn only(config: &Path) -> Self {
        Self { config: config.to_owned(), others: BTreeSet::new() }
    }

    /// Reads all of them. A file that cannot be read counts as such.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        for file in self.config_files().iter().chain(&self.others) {
            hash.update(file.as_os_str().as_encoded_bytes());
            match fs::read(file) {
                Ok(bytes) => hash.update(Sha256::digest(bytes)),
                Err(_) => hash.update(b"unreadable"),
            }
        }
        Fingerprint(hash.finalize().into())
    }

    fn config_files(&self) -> BTreeSet<PathBuf> {
        match fs::read_dir(&self.config) {
            Ok(entries) => entries.flatten().map(|entry| entry.path()).filter(|path| is_yaml(path)).collect(),
            Err(_) => BTreeSet::from([self.config.clone()]),
        }
    }

    /// Folders rather than files: a file that is replaced by another of its name is a new one to the kernel.
    fn folders(&self) -> BTreeSet<PathBuf> {
        let parent = |file: &Path| match file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        let mut folders: BTreeSet<_> = self.others.iter().map(|file| parent(file)).collect();
        folders.insert(if self.config.is_dir() { self.config.clone() } else { parent(&self.config) });
        folders
    }
}

fn certificate_files(tls: &document::Tls) -> impl Iterator<Item = &Path> {
    tls.certificates.iter().flat_map(|pair| [pair.cert.as_path(), pair.key.as_path()])
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// Watches the folders of some files.
pub struct Watch {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    touched: mpsc::UnboundedReceiver<()>,
}

impl Watch {
    /// Watches nothing yet. Where the system offers no watching, SIGHUP remains.
    pub fn start() -> Self {
        let (touch, touched) = mpsc::unbounded_channel();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                let _ = touch.send(());
            }
        });
        let watcher = watcher.inspect_err(|error| tracing::warn!(%error, "files are not watched; SIGHUP reloads")).ok();
        Self { watcher, watched: BTreeSet::new(), touched }
    }

    /// Watches these files and no others.
    pub fn set(&mut self, files: &Files) {
        let Some(watcher) = &mut self.watcher else { return };
        let wanted = files.folders();
        for gone in self.watched.difference(&wanted) {
            let _ = watcher.unwatch(gone);
        }
        for new in wanted.difference(&self.watched) {
            if let Err(error) = watcher.watch(new, RecursiveMode::NonRecursive) {
                tracing::warn!(%error, folder = %new.display(), "folder is not watched; SIGHUP reloads");
            }
        }
        self.watched = wanted;
    }

    /// Resolves some time after something in a watched folder changed, once it is quiet there.
    pub async fn changed(&mut self) {
        if self.touched.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        while let Ok(Some(())) = tokio::time::timeout(QUIET, self.touched.recv()).await {}
    }
}
