//! WASI preview 1 that denies: what toolchains import without asking is there, tells the time, gives randomness, and takes
//! what is printed to the log. There are no files, no sockets, no environment, and nothing waits.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use thiserror::Error;
use wasmtime::Linker;

use super::abi::Status;
use super::functions::log::Level;
use super::host::Host;
use super::memory::{Guestside, put_u32, put_u64, slice, slice_mut, split};

/// Old and new name of the same functions.
const MODULES: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];
/// Random bytes in one call.
const MAX_RANDOM: u32 = 64 << 10;
/// Pieces of text in one call.
const MAX_PIECES: u32 = 1_024;

// Numbers of errors, as WASI has them.
const OK: u32 = 0;
const EBADF: u32 = 8;
const EFAULT: u32 = 21;
const EINVAL: u32 = 28;
const ENOTSUP: u32 = 58;

/// The guest ended itself.
#[derive(Debug, Error)]
#[error("exited with {0}")]
pub(super) struct Exit(pub u32);

/// What a guest printed and did not end yet, for each of its outputs.
#[derive(Default)]
pub(super) struct Lines {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Lines {
    pub fn is_empty(&self) -> bool {
        self.stdout.is_empty() && self.stderr.is_empty()
    }
}

/// Stubs of one shape: each is told that there is no such thing here.
macro_rules! stubs {
    ($linker:ident, $module:ident, $error:expr; $($name:literal ($($arg:ty),*);)*) => {
        $($linker.func_wrap($module, $name, |_: Guestside<'_>, $(_: $arg),*| -> u32 { $error })?;)*
    };
}

/// Links all of it, under both names.
pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    MODULES.iter().try_for_each(|module| link_as(linker, module))
}

fn link_as(linker: &mut Linker<Host>, module: &str) -> wasmtime::Result<()> {
    linker.func_wrap(module, "args_get", |_: Guestside<'_>, _: u32, _: u32| OK)?;
    linker.func_wrap(module, "args_sizes_get", nothing)?;
    linker.func_wrap(module, "environ_get", |_: Guestside<'_>, _: u32, _: u32| OK)?;
    linker.func_wrap(module, "environ_sizes_get", nothing)?;
    linker.func_wrap(module, "clock_res_get", clock_resolution)?;
    linker.func_wrap(module, "clock_time_get", clock_time)?;
    linker.func_wrap(module, "random_get", random)?;
    linker.func_wrap(module, "fd_write", fd_write)?;
    linker.func_wrap(module, "fd_fdstat_get", fd_status)?;
    linker.func_wrap(module, "poll_oneoff", poll)?;
    linker.func_wrap(module, "sched_yield", |_: Guestside<'_>| OK)?;
    linker.func_wrap(module, "proc_exit", |_: Guestside<'_>, code: u32| -> wasmtime::Result<()> { Err(Exit(code).into()) })?;
    stubs! { linker, module, EBADF;
        "fd_close"(u32);
        "fd_prestat_get"(u32, u32);
        "fd_prestat_dir_name"(u32, u32, u32);
        "fd_read"(u32, u32, u32, u32);
        "fd_seek"(u32, u64, u32, u32);
        "fd_tell"(u32, u32);
        "fd_filestat_get"(u32, u32);
    }
    stubs! { linker, module, ENOTSUP;
        "fd_advise"(u32, u64, u64, u32);
        "fd_allocate"(u32, u64, u64);
        "fd_datasync"(u32);
        "fd_fdstat_set_flags"(u32, u32);
        "fd_fdstat_set_rights"(u32, u64, u64);
        "fd_filestat_set_size"(u32, u64);
        "fd_filestat_set_times"(u32, u64, u64, u32);
        "fd_pread"(u32, u32, u32, u64, u32);
        "fd_pwrite"(u32, u32, u32, u64, u32);
        "fd_readdir"(u32, u32, u32, u64, u32);
        "fd_renumber"(u32, u32);
        "fd_sync"(u32);
        "path_create_directory"(u32, u32, u32);
        "path_filestat_get"(u32, u32, u32, u32, u32);
        "path_filestat_set_times"(u32, u32, u32, u32, u64, u64, u32);
        "path_link"(u32, u32, u32, u32, u32, u32, u32);
        "path_open"(u32, u32, u32, u32, u32, u64, u64, u32, u32);
        "path_readlink"(u32, u32, u32, u32, u32, u32);
        "path_remove_directory"(u32, u32, u32);
        "path_rename"(u32, u32, u32, u32, u32, u32);
        "path_symlink"(u32, u32, u32, u32, u32);
        "path_unlink_file"(u32, u32, u32);
        "proc_raise"(u32);
        "sock_accept"(u32, u32, u32);
        "sock_recv"(u32, u32, u32, u32, u32, u32);
        "sock_send"(u32, u32, u32, u32, u32);
        "sock_shutdown"(u32, u32);
    }
    Ok(())
}

/// What a guest sees of it.
fn told(outcome: Result<(), Status>) -> u32 {
    if outcome.is_ok() { OK } else { EFAULT }
}

/// No arguments, no variables: no number of them, and no bytes.
fn nothing(mut guest: Guestside<'_>, count: u32, size: u32) -> u32 {
    let (memory, _) = split(&mut guest);
    told(put_u32(memory, count, 0).and_then(|()| put_u32(memory, size, 0)))
}

fn clock_resolution(mut guest: Guestside<'_>, _clock: u32, place: u32) -> u32 {
    told(put_u64(split(&mut guest).0, place, 1_000))
}

fn clock_time(mut guest: Guestside<'_>, clock: u32, _precision: u64, place: u32) -> u32 {
    let now = match clock {
        0 => since_epoch(),
        1 => guest.data().started.elapsed(),
        _ => return ENOTSUP,
    };
    told(put_u64(split(&mut guest).0, place, now.as_nanos() as u64))
}

/// The wall clock.
pub(super) fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn random(mut guest: Guestside<'_>, place: u32, length: u32) -> u32 {
    if length > MAX_RANDOM {
        return EINVAL;
    }
    match slice_mut(split(&mut guest).0, place, length as usize) {
        Ok(bytes) => getrandom::fill(bytes).map_or(ENOTSUP, |()| OK),
        Err(_) => EFAULT,
    }
}

/// A character device that can be written, for the outputs; that is how runtimes ask whether there are any.
fn fd_status(mut guest: Guestside<'_>, fd: u32, place: u32) -> u32 {
    if fd > 2 {
        return EBADF;
    }
    let mut status = [0; 24];
    status[0] = 2;
    status[8] = 64;
    told(slice_mut(split(&mut guest).0, place, 24).map(|to| to.copy_from_slice(&status)))
}

/// Nothing ever happens, at once: nobody sleeps on a worker.
fn poll(mut guest: Guestside<'_>, _waiting: u32, _events: u32, _count: u32, happened: u32) -> u32 {
    told(put_u32(split(&mut guest).0, happened, 0))
}

fn fd_write(mut guest: Guestside<'_>, fd: u32, pieces: u32, count: u32, written: u32) -> u32 {
    if !(1..=2).contains(&fd) {
        return EBADF;
    }
    let (memory, host) = split(&mut guest);
    let print = |memory: &[u8], host: &mut Host| -> Result<u32, Status> {
        let mut total = 0_u32;
        for piece in slice(memory, pieces, 8 * count.min(MAX_PIECES))?.chunks_exact(8) {
            let number = |at: usize| u32::from_le_bytes([piece[at], piece[at + 1], piece[at + 2], piece[at + 3]]);
            let bytes = slice(memory, number(0), number(4))?;
            host.print(fd, bytes);
            total = total.saturating_add(number(4));
        }
        Ok(total)
    };
    told(print(memory, host).and_then(|total| put_u32(memory, written, total)))
}

impl Host {
    /// Takes what a guest printed. Lines it completes go to the log.
    fn print(&mut self, fd: u32, bytes: &[u8]) {
        // One byte too long is enough for the log to drop the line, so no more of it is kept.
        let limit = self.limits.log_bytes.saturating_add(1);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            let line = if fd == 1 { &mut self.lines.stdout } else { &mut self.lines.stderr };
            let room = limit.saturating_sub(line.len());
            line.extend_from_slice(&text[..text.len().min(room)]);
            if text.len() < piece.len() {
                self.end_line(fd);
            }
        }
    }

    /// Logs what the guest printed without ending the line. To be called after each of its calls.
    pub(super) fn end_lines(&mut self) {
        self.end_line(1);
        self.end_line(2);
    }

    fn end_line(&mut self, fd: u32) {
        let (line, level) = match fd {
            1 => (std::mem::take(&mut self.lines.stdout), Level::Info),
            _ => (std::mem::take(&mut self.lines.stderr), Level::Error),
        };
        if !line.is_empty() {
            self.log_line(level, &line);
        }
    }
}
