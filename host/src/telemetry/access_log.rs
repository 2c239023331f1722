//! The access log: one line of JSON for each request, collected by its worker and written by a thread of its own.
//! A worker never waits for the writer: when the queue is full, lines are dropped and counted.

mod clock;
mod entry;
mod json;
mod line;
mod writer;

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use crossbeam_queue::ArrayQueue;
use parking_lot::Mutex;
use prometheus::IntCounter;

use clock::Clock;
use writer::{Message, Output, Writer};

pub use entry::{Entry, Flag, Flags, Protocol};

/// Bytes of lines at which a worker hands them over.
const CHUNK: usize = 32 * 1024;

/// Bytes that a line seldom passes.
const LINE: usize = 4 * 1024;

/// Chunks that may wait for the writer: 8 MiB, some 20 000 lines.
const QUEUED: usize = 256;

/// Where the lines go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The end of a file.
    File(PathBuf),
}

/// The log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum AccessLogError {
    /// The file cannot be opened for appending.
    #[error("access log {path} cannot be opened")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The system has no thread for the writer.
    #[error("the access log's writer cannot be started")]
    Thread(#[source] io::Error),
}

/// The gateway's access log, with the thread that writes it.
pub struct AccessLog {
    queue: Option<Queue>,
    finished: Mutex<Receiver<()>>,
}

/// One worker's end of the access log.
pub struct WorkerLog {
    queue: Option<Queue>,
    pending: RefCell<Pending>,
}

/// The way to the writer.
#[derive(Clone)]
struct Queue {
    messages: SyncSender<Message>,
    reopen: Arc<AtomicBool>,
    /// Written buffers on their way back to the workers.
    spare: Arc<ArrayQueue<Vec<u8>>>,
    dropped: IntCounter,
}

/// Lines not handed over yet.
#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    lines: u64,
    clock: Clock,
}

// === impl AccessLog ===

impl AccessLog {
    /// Opens the target and starts the writer. Lines that cannot be written count as `dropped`.
    pub fn start(target: Target, dropped: IntCounter) -> Result<Self, AccessLogError> {
        let (alive, finished) = sync_channel(0);
        let queue = match Output::open(target)? {
            Some(output) => Some(start_writer(output, dropped, alive)?),
            None => None,
        };
        Ok(Self { queue, finished: Mutex::new(finished) })
    }

    /// An end of the log for one more worker.
    pub fn worker(&self) -> WorkerLog {
        WorkerLog { queue: self.queue.clone(), pending: RefCell::default() }
    }

    /// Has the writer open its file anew, after somebody moved the old one away.
    pub fn reopen(&self) {
        if let Some(queue) = &self.queue {
            queue.reopen.store(true, Ordering::Release);
            // Where the queue is full the writer is awake anyway and sees the mark.
            let _ = queue.messages.try_send(Message::Wake);
        }
    }

    /// Ends the writer after everything handed over so far; false if that took longer than `patience`.
    /// Workers drop their ends first, so that their last lines are among it.
    pub fn close(&self, patience: Duration) -> bool {
        let Some(queue) = &self.queue else {
            return true;
        };
        let deadline = Instant::now() + patience;
        while let Err(TrySendError::Full(_)) = queue.messages.try_send(Message::Stop) {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        // The writer sends nothing; its end of the channel goes when it does.
        let left = deadline.saturating_duration_since(Instant::now());
        self.finished.lock().recv_timeout(left) == Err(RecvTimeoutError::Disconnected)
    }
}

fn start_writer(output: Output, dropped: IntCounter, alive: SyncSender<()>) -> Result<Queue, AccessLogError> {
    let (messages, inbox) = sync_channel(QUEUED);
    let queue = Queue { messages, reopen: Arc::default(), spare: Arc::new(ArrayQueue::new(QUEUED)), dropped: dropped.clone() };
    let writer = Writer { output, reopen: queue.reopen.clone(), spare: queue.spare.clone(), dropped, torn: false, failing: false };
    let run = move || {
        writer.run(&inbox);
        drop(alive);
    };
    let thread = std::thread::Builder::new().name("access-log".to_owned());
    thread.spawn(run).map_err(AccessLogError::Thread)?;
    Ok(queue)
}

// === impl WorkerLog ===

impl WorkerLog {
    /// Whether lines go anywhere; where not, there is no need to make entries.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.queue.is_some()
    }

    /// Adds a line, and hands the chunk over once it is large enough.
    pub fn write(&self, entry: &Entry<'_>) {
        let Some(queue) = &self.queue else {
            return;
        };
        let mut pending = self.pending.borrow_mut();
        pending.add(entry);
        if pending.bytes.len() >= CHUNK {
            queue.hand_over(&mut pending);
        }
    }

    /// Hands over what there is. The worker's tick calls this, so that a quiet gateway's lines are not late.
    pub fn flush(&self) {
        if let Some(queue) = &self.queue {
            queue.hand_over(&mut self.pending.borrow_mut());
        }
    }
}

impl Drop for WorkerLog {
    fn drop(&mut self) {
        self.flush();
    }
}

impl Queue {
    fn hand_over(&self, pending: &mut Pending) {
        if pending.lines == 0 {
            return;
        }
        let lines = std::mem::take(&mut pending.lines);
        let empty = self.spare.pop().unwrap_or_default();
        let chunk = std::mem::replace(&mut pending.bytes, empty);
        if self.messages.try_send(Message::Chunk(chunk)).is_err() {
            self.dropped.inc_by(lines);
        }
    }
}

impl Pending {
    fn add(&mut self, entry: &Entry<'_>) {
        if self.lines == 0 {
            // Room for the line that passes the mark as well, so that no chunk moves in order to grow.
            self.bytes.reserve(CHUNK + LINE);
        }
        line::write(&mut self.bytes, &mut self.clock, entry);
        self.lines += 1;
    }
}

impl FromStr for Target {
    type Err = std::convert::Infallible;

    /// Reads `off`, `stdout`, `stderr`, or else the path of a file.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "off" => Self::Off,
            "stdout" | "-" => Self::Stdout,
            "stderr" => Self::Stderr,
            path => Self::File(path.into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn counter() -> IntCounter {
        IntCounter::new("dropped", "Dropped lines.").unwrap()
    }

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("gatehouse-access-log-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn entry(route: &str) -> Entry<'_> {
        Entry { route: Some(route), ..Entry::example() }
    }

    #[track_caller]
    fn check_lines(path: &PathBuf, expected: usize) {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "the last line is whole");
        assert!(text.lines().all(|line| line.starts_with('{') && line.ends_with('}')), "every line is whole");
        assert_eq!(text.lines().count(), expected, "lines of {}", path.display());
    }

    #[test]
    fn the_lines_of_all_workers_reach_the_file() {
        let path = folder("all").join("access.log");
        let dropped = counter();
        let log = AccessLog::start(Target::File(path.clone()), dropped.clone()).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                let worker = log.worker();
                scope.spawn(move || (0..1000).for_each(|_| worker.write(&entry("orders"))));
            }
        });
        assert!(log.close(Duration::from_secs(10)), "the writer ends in time");
        check_lines(&path, 3000);
        assert_eq!(dropped.get(), 0, "nothing was dropped");
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn after_reopen_lines_go_to_a_new_file_of_the_old_name() {
        let folder = folder("reopen");
        let (path, moved) = (folder.join("access.log"), folder.join("access.log.1"));
        let log = AccessLog::start(Target::File(path.clone()), counter()).unwrap();
        let worker = log.worker();
        worker.write(&entry("before"));
        worker.flush();
        let deadline = Instant::now() + Duration::from_secs(10);
        while fs::metadata(&path).unwrap().len() == 0 && Instant::now() < deadline {
            std::thread::yield_now();
        }
        fs::rename(&path, &moved).unwrap();
        log.reopen();
        worker.write(&entry("after"));
        worker.write(&entry("after"));
        drop(worker);
        assert!(log.close(Duration::from_secs(10)), "the writer ends in time");
        check_lines(&moved, 1);
        check_lines(&path, 2);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_full_queue_drops_lines_and_counts_them() {
        let dropped = counter();
        let (messages, inbox) = sync_channel(1);
        let queue = Queue { messages, reopen: Arc::default(), spare: Arc::new(ArrayQueue::new(1)), dropped: dropped.clone() };
        let worker = WorkerLog { queue: Some(queue), pending: RefCell::default() };
        for _ in 0..3 {
            worker.write(&entry("orders"));
            worker.write(&entry("orders"));
            worker.flush();
        }
        assert_eq!(dropped.get(), 4, "one chunk of two lines waits, the two others are dropped");
        assert!(matches!(inbox.try_recv(), Ok(Message::Chunk(_))), "the chunk that waits");
    }

    #[test]
    fn lines_that_the_disk_refuses_count_as_dropped() {
        let dropped = counter();
        let log = AccessLog::start(Target::File("/dev/full".into()), dropped.clone()).unwrap();
        let worker = log.worker();
        (0..3).for_each(|_| worker.write(&entry("orders")));
        drop(worker);
        assert!(log.close(Duration::from_secs(10)), "the writer goes on and ends in time");
        assert_eq!(dropped.get(), 3, "every refused line is counted");
    }

    #[test]
    fn a_log_that_is_off_takes_lines_and_ends_at_once() {
        let log = AccessLog::start(Target::Off, counter()).unwrap();
        let worker = log.worker();
        assert!(!worker.is_on(), "no need to make entries");
        worker.write(&entry("orders"));
        assert!(log.close(Duration::ZERO), "there is no writer");
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let target = Target::File("/nowhere/access.log".into());
        let error = AccessLog::start(target, counter()).err().unwrap();
        assert_eq!(error.to_string(), "access log /nowhere/access.log cannot be opened", "the path is named");
    }

    #[test]
    fn a_target_is_a_word_or_a_path() {
        for (text, target) in [
            ("off", Target::Off),
            ("stdout", Target::Stdout),
            ("-", Target::Stdout),
            ("stderr", Target::Stderr),
            ("log/off", Target::File("log/off".into())),
        ] {
            assert_eq!(text.parse(), Ok(target), "reading {text}");
        }
    }
}
