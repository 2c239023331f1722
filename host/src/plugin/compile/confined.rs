//! Compiling in a process of its own, seen from within: `gatehouse compile-plugin` gives away what it does not need,
//! takes limits upon itself, and only then reads a component. Machine code goes out, or one line that says why not.

use std::io::{self, Read, Write};
use std::process::ExitCode;

use crate::plugin::engine::{self, Tier};
use crate::plugin::inspect::MAX_BYTES;

/// What a component may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of address space.
    pub memory: u64,
    /// Seconds of computing time.
    pub cpu: u64,
    /// How far it steps back behind others, up to 19.
    pub nice: i32,
}

/// Compiles what the standard input has. Exit 0 with the code on the standard output, or 1 with the reason.
pub fn run(tier: Tier, limits: Limits) -> ExitCode {
    let outcome = confine(limits).map_err(|error| format!("its process cannot be confined: {error}")).and_then(|()| compile(tier));
    let (told, code) = match &outcome {
        Ok(compiled) => (&**compiled, ExitCode::SUCCESS),
        Err(reason) => (reason.as_bytes(), ExitCode::FAILURE),
    };
    let mut out = io::stdout().lock();
    match out.write_all(told).and_then(|()| out.flush()) {
        Ok(()) => code,
        // Nobody listens any more.
        Err(_) => ExitCode::from(2),
    }
}

fn compile(tier: Tier) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = io::stdin().lock().take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| match error.kind() {
        // As everywhere else in here where memory ends; the gateway knows what that means.
        io::ErrorKind::OutOfMemory => std::process::abort(),
        _ => format!("it cannot be read: {error}"),
    })?;
    let engine = engine::compiler(tier).map_err(|error| format!("{error:#}"))?;
    let compiled = match tier {
        Tier::Contract | Tier::Foreign => engine.precompile_component(&bytes),
        Tier::ProxyWasm => engine.precompile_module(&bytes),
    };
    compiled.map_err(|error| format!("{error:#}"))
}

fn confine(limits: Limits) -> io::Result<()> {
    // SAFETY: integers only. Whatever was inherited beside the three streams is none of the compiler's business, and
    // nothing was opened since. A kernel without the call has nothing but the streams closed on exec, by std.
    unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
    // SAFETY: integers only.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, limits.nice) };
    set(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong)?;
    set(libc::PR_SET_NO_NEW_PRIVS, 1)?;
    limit(libc::RLIMIT_AS, limits.memory, limits.memory)?;
    // Past the first the signal says why; past the second nothing can be said any more.
    limit(libc::RLIMIT_CPU, limits.cpu, limits.cpu + 1)?;
    limit(libc::RLIMIT_CORE, 0, 0)?;
    limit(libc::RLIMIT_FSIZE, 0, 0)
}

fn set(option: libc::c_int, value: libc::c_ulong) -> io::Result<()> {
    // SAFETY: both options take one integer.
    match unsafe { libc::prctl(option, value, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn limit(resource: libc::__rlimit_resource_t, soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: the pointer is to a limit of ours, and is only read.
    match unsafe { libc::setrlimit(resource, &limit) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
