//! WASI 0.2: what programs in ordinary Rust, Go or Python import whether they use it or not, answered with as little
//! as lets them run. No files, no sockets, no environment, no waiting; what they print is logged. HTTP is not here.

use std::time::Instant;

use thiserror::Error;
use wasmtime::component::{HasSelf, Linker, Resource};

use super::state::HostState;
use bindings::wasi as wit;
use lines::Line;

mod bindings;
mod cli;
mod clocks;
mod filesystem;
pub(super) mod lines;
mod poll;
mod random;
mod sockets;
mod streams;

/// The interfaces that every plugin may import, whatever it was granted.
const OFFERED: [&str; 27] = [
    "cli/environment",
    "cli/exit",
    "cli/stderr",
    "cli/stdin",
    "cli/stdout",
    "cli/terminal-input",
    "cli/terminal-output",
    "cli/terminal-stderr",
    "cli/terminal-stdin",
    "cli/terminal-stdout",
    "clocks/monotonic-clock",
    "clocks/wall-clock",
    "filesystem/preopens",
    "filesystem/types",
    "io/error",
    "io/poll",
    "io/streams",
    "random/insecure",
    "random/insecure-seed",
    "random/random",
    "sockets/instance-network",
    "sockets/ip-name-lookup",
    "sockets/network",
    "sockets/tcp",
    "sockets/tcp-create-socket",
    "sockets/udp",
    "sockets/udp-create-socket",
];

/// What one store holds for WASI. Resources are not in it: there is so little to each that its handle's number says
/// all, and the engine bounds a guest's handles.
#[derive(Default)]
pub(super) struct Wasi {
    stdout: Line,
    stderr: Line,
    /// Where the guest's monotonic clock starts: at its first look at it, so that it does not tell the machine's age.
    clock_start: Option<Instant>,
    /// Resources whose handles the guest has not dropped.
    open: u32,
}

impl Wasi {
    /// Resources that the guest holds.
    pub(super) fn open(&self) -> u32 {
        self.open
    }
}

/// What a guest did against the rules of an interface. It traps.
#[derive(Debug, Error)]
enum Misuse {
    #[error("exit was called")]
    Exit,
    #[error("{got} random bytes were asked for at once where {limit} are allowed")]
    Random { got: u64, limit: u64 },
    #[error("{got} bytes were written at once where {limit} are allowed")]
    Write { got: u64, limit: u64 },
    #[error("an empty list was polled")]
    EmptyPoll,
    #[error("a file was used and there are none")]
    NoFiles,
    #[error("a socket was used and there are none")]
    NoSockets,
}

/// Whether an import is one that every plugin may have. Releases of WASI 0.2 only add to each other, so any will do.
pub fn offers(import: &str) -> bool {
    let name = import.strip_prefix("wasi:").and_then(|name| name.split_once('@'));
    name.is_some_and(|(interface, version)| OFFERED.contains(&interface) && is_0_2(version))
}

pub(super) fn is_0_2(version: &str) -> bool {
    version.strip_prefix("0.2.").is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Links all that is offered. A component's instances get what it imports of that and no more.
pub fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    bindings::Offered::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    filesystem::link(linker)?;
    sockets::link(linker)
}

impl HostState {
    /// A handle for the guest, whose number says what it stands for.
    fn open<T: 'static>(&mut self, number: u32) -> wasmtime::Result<Resource<T>> {
        self.count_host_call()?;
        self.wasi.open += 1;
        Ok(Resource::new_own(number))
    }

    fn close(&mut self) -> wasmtime::Result<()> {
        self.count_host_call()?;
        self.wasi.open = self.wasi.open.saturating_sub(1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(import: &str, offered: bool) {
        assert_eq!(offers(import), offered, "{import}");
    }

    #[test]
    fn any_release_of_wasi_0_2_is_offered_and_no_other() {
        check("wasi:cli/stderr@0.2.0", true);
        check("wasi:cli/stderr@0.2.6", true);
        check("wasi:io/streams@0.2.99", true);
        check("wasi:filesystem/types@0.2.3", true);
        check("wasi:sockets/tcp@0.2.6", true);
        check("wasi:cli/stderr", false);
        check("wasi:cli/stderr@0.2", false);
        check("wasi:cli/stderr@0.2.", false);
        check("wasi:cli/stderr@0.20.1", false);
        check("wasi:cli/stderr@0.2.0-rc-2023-12-05", false);
        check("wasi:cli/stderr@0.3.0", false);
    }

    #[test]
    fn http_and_other_packages_are_not_offered() {
        check("wasi:http/outgoing-handler@0.2.6", false);
        check("wasi:cli/run@0.2.6", false);
        check("evil:cli/stderr@0.2.6", false);
        check("gatehouse:plugin/log@0.1.0", false);
    }
}
