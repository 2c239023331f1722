//! Noticing that a file of the configuration changed: events in its folders, kept to the names that matter, and a burst
//! of them taken as one. What the files are is in `files`, and which names they go through in `places`.

mod files;
mod places;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use places::Places;

pub use files::{Files, Fingerprint};

/// Editors and copies make several changes of one; this long of quiet makes it one.
const QUIET: Duration = Duration::from_millis(200);
/// A file that is written all the time is looked at this often all the same.
const PATIENCE: Duration = Duration::from_secs(1);

/// Watches the folders of some files for events at the files.
pub struct Watch {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    files: Option<Files>,
    places: Arc<Mutex<Places>>,
    touched: Arc<Notify>,
}

impl Watch {
    /// Watches nothing yet. Where the system offers no watching, SIGHUP remains.
    pub fn start() -> Self {
        let (places, touched) = (Arc::new(Mutex::new(Places::default())), Arc::new(Notify::new()));
        let (wanted, touch) = (Arc::clone(&places), Arc::clone(&touched));
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| wanted.lock().concern(&event)) {
                touch.notify_one();
            }
        });
        let watcher = watcher.inspect_err(|error| tracing::warn!(%error, "files are not watched; SIGHUP reloads")).ok();
        Self { watcher, watched: BTreeSet::new(), files: None, places, touched }
    }

    /// Watches these files and no others.
    pub fn set(&mut self, files: &Files) {
        self.files = Some(files.clone());
        self.follow();
    }

    /// Resolves some time after one of the files changed: once they are quiet, or have not been for long.
    pub async fn changed(&mut self) {
        self.touched.notified().await;
        let latest = Instant::now() + PATIENCE;
        while timeout_at(latest.min(Instant::now() + QUIET), self.touched.notified()).await.is_ok() && Instant::now() < latest {}
        self.follow();
    }

    /// Watches where the links lead now. Folders that are watched already are watched anew, since one that was
    /// replaced by another of its name is no longer.
    fn follow(&mut self) {
        let (Some(watcher), Some(files)) = (&mut self.watcher, &self.files) else { return };
        let places = Places::of(files);
        let folders = places.folders();
        *self.places.lock() = places;
        for gone in self.watched.difference(&folders) {
            let _ = watcher.unwatch(gone);
        }
        for folder in &folders {
            if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                tracing::warn!(%error, folder = %folder.display(), "folder is not watched; SIGHUP reloads");
            }
        }
        self.watched = folders;
    }
}

#[cfg(test)]
mod tests;
