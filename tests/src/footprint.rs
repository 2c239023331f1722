//! What a gateway takes of its machine, to be compared with what it took before.

use std::{fs, os::unix::fs::MetadataExt, path::Path, time::Duration};

use crate::{Gateway, wire::soon};

/// Connections to upstreams and helper threads that may be idle at one moment and not at the other. What leaks with each
/// of a hundred changes is far more.
const IDLE: usize = 4;

/// What a gateway takes at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Resident memory, in bytes.
    pub rss: u64,
    /// Open files and sockets.
    pub files: usize,
    /// Threads.
    pub threads: usize,
    /// Files in its data folder.
    pub kept: usize,
}

impl Footprint {
    /// What this one takes now.
    #[must_use]
    pub fn of(gateway: &Gateway) -> Self {
        let count = |what: &str| fs::read_dir(format!("/proc/{}/{what}", gateway.pid())).map_or(0, Iterator::count);
        Self { rss: gateway.rss(), files: count("fd"), threads: count("task"), kept: files_in(&gateway.folder().join("data")).len() }
    }

    /// Waits until no more files are open, threads run and files are kept than here, but for a few that are idle:
    /// connections and helpers take a moment to go.
    pub async fn is_reached_again(&self, gateway: &Gateway) {
        let reached = |now: Self| now.files <= self.files + IDLE && now.threads <= self.threads + IDLE && now.kept <= self.kept;
        let wait = async {
            while !reached(Self::of(gateway)) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let now = Self::of(gateway);
        soon(&format!("{now:?} to become {self:?}"), wait).await;
    }
}

/// The names of all files in a folder and those below, with what tells one from another that took its place.
///
/// # Panics
/// When the folder cannot be read.
#[must_use]
pub fn files_in(folder: &Path) -> Vec<(String, u64)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("the test's folder can be read").flatten() {
        // One that is gone meanwhile is none.
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => files.extend(files_in(&entry.path())),
            Ok(metadata) => files.push((entry.path().display().to_string(), metadata.ino())),
            Err(_) => {}
        }
    }
    files.sort_unstable();
    files
}

/// Whether tests are to be as long as the specification says and hold its bounds: `GATEHOUSE_FULL=1`, for a release build
/// on a quiet machine.
#[must_use]
pub fn is_full() -> bool {
    std::env::var_os("GATEHOUSE_FULL").is_some()
}

/// The first where tests are short, the second where they are full.
#[must_use]
pub fn size(short: usize, full: usize) -> usize {
    if is_full() { full } else { short }
}
