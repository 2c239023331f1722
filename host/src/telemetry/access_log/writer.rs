//! The writer: the thread that takes chunks from the queue to their target. Only it waits for disks and pipes.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;

use crossbeam_queue::ArrayQueue;
use prometheus::IntCounter;

use super::{AccessLogError, Target};

/// What comes through the queue.
pub enum Message {
    /// Whole lines.
    Chunk(Vec<u8>),
    /// Something else has changed.
    Wake,
    /// There will be nothing more.
    Stop,
}

/// The writer's state.
pub struct Writer {
    /// Where the lines go.
    pub output: Output,
    /// Set when the file is to be opened anew. A mark, not a message, because a full queue must not lose it.
    pub reopen: Arc<AtomicBool>,
    /// Where written buffers go to be used again.
    pub spare: Arc<ArrayQueue<Vec<u8>>>,
    /// The lines that could not be written.
    pub dropped: IntCounter,
    /// Whether the target ends in the middle of a line.
    pub torn: bool,
    /// Whether the last write failed, so that a full disk is reported once and not for every chunk.
    pub failing: bool,
}

/// An open target.
pub enum Output {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, with its path to open it anew.
    File(File, PathBuf),
}

impl Writer {
    /// Writes until told to stop or until nobody is left to send.
    pub fn run(mut self, inbox: &Receiver<Message>) {
        for message in inbox {
            self.reopen_if_asked();
            match message {
                Message::Chunk(chunk) => self.write(chunk),
                Message::Wake => {}
                Message::Stop => break,
            }
        }
    }

    fn write(&mut self, mut chunk: Vec<u8>) {
        if self.torn && self.output.write_part(b"\n").0 == 1 {
            self.torn = false;
        }
        let (written, result) = self.output.write_part(&chunk);
        if written > 0 {
            self.torn = chunk[written - 1] != b'\n';
        }
        self.dropped.inc_by(lines(&chunk[written..]));
        self.report(result);
        chunk.clear();
        // Where there are spare buffers enough this one is let go.
        let _ = self.spare.push(chunk);
    }

    fn report(&mut self, result: io::Result<()>) {
        match &result {
            Err(error) if !self.failing => tracing::warn!(%error, "access log lines cannot be written"),
            Ok(()) if self.failing => tracing::info!("access log lines are written again"),
            _ => {}
        }
        self.failing = result.is_err();
    }

    fn reopen_if_asked(&mut self) {
        let Output::File(file, path) = &mut self.output else {
            return;
        };
        if !self.reopen.swap(false, Ordering::AcqRel) {
            return;
        }
        match append(path) {
            Ok(new) => {
                *file = new;
                self.torn = false;
            }
            Err(error) => tracing::error!(%error, path = %path.display(), "access log cannot be opened anew"),
        }
    }
}

impl Output {
    /// Opens a target; none where the log is off.
    pub fn open(target: Target) -> Result<Option<Self>, AccessLogError> {
        Ok(Some(match target {
            Target::Off => return Ok(None),
            Target::Stdout => Self::Stdout,
            Target::Stderr => Self::Stderr,
            Target::File(path) => match append(&path) {
                Ok(file) => Self::File(file, path),
                Err(source) => return Err(AccessLogError::Open { path, source }),
            },
        }))
    }

    /// Writes all it can, and says how much that was.
    fn write_part(&mut self, bytes: &[u8]) -> (usize, io::Result<()>) {
        let mut written = 0;
        while written < bytes.len() {
            match self.write_some(&bytes[written..]) {
                Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
                Ok(some) => written += some,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (written, Err(error)),
            }
        }
        (written, self.flush())
    }

    fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout => io::stdout().write(bytes),
            Self::Stderr => io::stderr().write(bytes),
            Self::File(file, _) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout => io::stdout().flush(),
            Self::Stderr | Self::File(..) => Ok(()),
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    File::options().append(true).create(true).open(path)
}

/// Lines that end in `bytes`.
fn lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}
