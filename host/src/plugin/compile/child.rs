//! Compiling in a process of its own, seen from the gateway: it is started, fed, timed and judged. What it does to
//! itself is in `confined`.

use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use thiserror::Error;

use crate::plugin::engine::Tier;

/// Processes at one time. Compiling is in no hurry, and requests need the cores.
const AT_ONCE: usize = 2;
/// Bytes of machine code that are taken; it is two to four times as long as the component.
const MAX_CODE: u64 = 512 << 20;

/// What compiling one component may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Bytes of address space.
    pub memory: u64,
    /// Computing time, in whole seconds.
    pub cpu: Duration,
    /// Elapsed time.
    pub wall: Duration,
    /// How far it steps back behind requests, up to 19.
    pub nice: i32,
}

impl Default for Allowance {
    /// A Python interpreter of 18 MB takes about 14 s.
    fn default() -> Self {
        Self { memory: 2 << 30, cpu: Duration::from_secs(60), wall: Duration::from_secs(6000), nice: 19 }
    }
}

/// Why there is no code.
#[derive(Debug, Error)]
pub enum Failure {
    /// The compiler's own words.
    #[error("{0}")]
    Refused(String),
    /// A bomb, or a component too large for the allowance.
    #[error("it takes more than {} s of computing time to compile", .0.as_secs())]
    Cpu(Duration),
    /// The same, waiting included.
    #[error("it was not compiled within {} s", .0.as_secs())]
    Wall(Duration),
    /// The same, by memory.
    #[error("it takes more than {} MiB of memory to compile", .0 >> 20)]
    Memory(u64),
    /// The compiler crashed or was killed.
    #[error("the compiler did not survive it ({status}); it may need more than {} MiB of memory", .memory >> 20)]
    Crashed {
        /// How it ended.
        status: ExitStatus,
        /// Bytes that it had.
        memory: u64,
    },
    /// The machine gave no process.
    #[error("no process to compile it in: {0}")]
    NoProcess(#[from] io::Error),
}

/// Compiles in processes, a few at one time.
pub struct Children {
    allowance: Allowance,
    /// Requests are served, and come first.
    serving: AtomicBool,
    free: Mutex<usize>,
    freed: Condvar,
}

impl Children {
    /// With this allowance for each component.
    pub fn new(allowance: Allowance) -> Self {
        Self { allowance, serving: AtomicBool::new(false), free: Mutex::new(AT_ONCE), freed: Condvar::new() }
    }

    /// Says that requests are served from now on. Until then compiling is all that there is to do.
    pub fn give_way(&self) {
        self.serving.store(true, Ordering::Relaxed);
    }

    /// Compiles a component, when it is its turn. Blocks.
    pub fn compile(&self, tier: Tier, bytes: &[u8]) -> Result<Vec<u8>, Failure> {
        let _turn = self.turn();
        // The program that runs, even where another was installed in its place meanwhile.
        let mut command = Command::new("/proc/self/exe");
        command.arg("compile-plugin").arg("--engine").arg(tier.name());
        command.arg("--memory").arg(self.allowance.memory.to_string());
        command.arg("--cpu").arg(self.allowance.cpu.as_secs().to_string());
        command.arg("--nice").arg(if self.serving.load(Ordering::Relaxed) { self.allowance.nice } else { 0 }.to_string());
        compile(command, bytes, self.allowance)
    }

    fn turn(&self) -> Turn<'_> {
        let mut free = self.free.lock();
        while *free == 0 {
            self.freed.wait(&mut free);
        }
        *free -= 1;
        Turn(self)
    }
}

/// The right to run a process.
struct Turn<'a>(&'a Children);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.free.lock() += 1;
        self.0.freed.notify_one();
    }
}

/// Runs a process that is told a component and tells machine code.
fn compile(mut command: Command, bytes: &[u8], allowance: Allowance) -> Result<Vec<u8>, Failure> {
    command.env_clear().current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let (told, in_time) = talk(&mut child, bytes, allowance.wall);
    let status = child.wait()?;
    match (status.success(), in_time) {
        (true, _) => told.map_err(Failure::NoProcess),
        (false, false) => Err(Failure::Wall(allowance.wall)),
        (false, true) => Err(failure(status, &told.unwrap_or_default(), allowance)),
    }
}

/// Feeds the process and hears it out. Whether it was done in time; if not, it is killed.
fn talk(child: &mut Child, bytes: &[u8], wall: Duration) -> (io::Result<Vec<u8>>, bool) {
    let (stdin, stdout) = (child.stdin.take().expect("it is piped"), child.stdout.take().expect("it is piped"));
    let pid = libc::pid_t::try_from(child.id()).expect("process ids are small");
    let (done, ends) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let watch = scope.spawn(move || match ends.recv_timeout(wall) {
            Err(RecvTimeoutError::Timeout) => {
                // SAFETY: kill takes two integers. The process is our child and is waited for only after this thread.
                unsafe { libc::kill(pid, libc::SIGKILL) };
                false
            }
            Ok(()) | Err(RecvTimeoutError::Disconnected) => true,
        });
        let told = converse(stdin, stdout, bytes);
        drop(done);
        (told, watch.join().unwrap_or(false))
    })
}

/// It reads all before it writes anything, so one thing can be done after the other.
fn converse(mut stdin: impl Write, stdout: impl Read, bytes: &[u8]) -> io::Result<Vec<u8>> {
    // A process that ended early has said why.
    let _ = stdin.write_all(bytes);
    drop(stdin);
    let mut told = Vec::new();
    stdout.take(MAX_CODE).read_to_end(&mut told)?;
    Ok(told)
}

fn failure(status: ExitStatus, told: &[u8], allowance: Allowance) -> Failure {
    match (status.code(), status.signal()) {
        (Some(1), _) => Failure::Refused(String::from_utf8_lossy(told).into_owned()),
        (_, Some(libc::SIGXCPU)) => Failure::Cpu(allowance.cpu),
        // An allocation that is refused aborts.
        (_, Some(libc::SIGABRT)) => Failure::Memory(allowance.memory),
        _ => Failure::Crashed { status, memory: allowance.memory },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// What is said of a process that does this.
    #[track_caller]
    fn check(script: &str, said: &str) {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(script);
        let allowance = Allowance { memory: 1 << 30, cpu: Duration::from_secs(7), ..Allowance::default() };
        let failure = compile(command, &[b'x'; 1 << 20], allowance).expect_err("it failed").to_string();
        assert!(failure.contains(said), "{failure:?} should say {said:?}");
    }

    #[test]
    fn how_a_process_ended_says_why_there_is_no_code() {
        check("cat >/dev/null; printf 'type mismatch'; exit 1", "type mismatch");
        check("kill -XCPU $$", "more than 7 s of computing time");
        check("kill -ABRT $$", "more than 1024 MiB of memory");
        check("kill -SEGV $$", "did not survive");
        check("exit 101", "did not survive");
    }

    #[test]
    fn a_process_that_takes_too_long_is_killed() {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg("exec sleep 60");
        let (began, wall) = (Instant::now(), Duration::from_millis(200));
        let failure = compile(command, b"", Allowance { wall, ..Allowance::default() }).expect_err("it is killed");
        assert!(matches!(failure, Failure::Wall(_)), "{failure}");
        assert!(began.elapsed() < Duration::from_secs(30), "and not waited for");
    }

    #[test]
    fn code_is_what_the_process_wrote() {
        let mut command = Command::new("/bin/cat");
        command.arg("-");
        let long = vec![7; 3 << 20];
        // `cat` writes while it reads, so no more than a pipe holds may be under way.
        let code = compile(command, &long[..1000], Allowance::default()).expect("it did well");
        assert_eq!(code, long[..1000]);
    }

    #[test]
    fn no_more_than_two_run_at_one_time() {
        let children = Children::new(Allowance::default());
        let (first, _second) = (children.turn(), children.turn());
        std::thread::scope(|scope| {
            let third = scope.spawn(|| drop(children.turn()));
            std::thread::sleep(Duration::from_millis(20));
            assert!(!third.is_finished(), "the third waits");
            drop(first);
            third.join().expect("it gets its turn");
        });
    }
}
