//! A gateway's clock that a test moves: libfaketime under the process, told the time by a file.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;

use crate::Setup;

/// The clock of one gateway.
pub struct Clock {
    folder: TempDir,
}

// Where Debian has it, on each of its architectures.
const LIBRARIES: [&str; 2] =
    ["/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1"];

impl Clock {
    /// A clock that shows the right time, and its gateway.
    ///
    /// # Panics
    /// When libfaketime is not installed.
    #[must_use]
    pub fn under(setup: Setup) -> (Self, Setup) {
        let library = LIBRARIES.iter().find(|library| Path::new(library).exists());
        let library = library.expect("libfaketime is installed: run `make setup-tests` first");
        let clock = Self { folder: tempfile::tempdir().expect("there is room for a folder") };
        clock.advance(Duration::ZERO);
        let setup = setup.environment("LD_PRELOAD", library).environment("FAKETIME_NO_CACHE", "1");
        let setup = setup.environment("FAKETIME_TIMESTAMP_FILE", clock.file());
        (clock, setup)
    }

    /// Sets it so far ahead of the right time.
    ///
    /// # Panics
    /// When the disk is full.
    pub fn advance(&self, by: Duration) {
        let fresh = self.folder.path().join("fresh");
        fs::write(&fresh, format!("+{}", by.as_secs())).expect("the clock's folder takes files");
        fs::rename(&fresh, self.file()).expect("a file can take another's place");
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("time")
    }
}
