//! The gateway's other commands, and what the system says of a process.

use std::{ffi::OsStr, fs, path::Path, process::Stdio, time::Duration};

use tokio::{io::AsyncWriteExt, process::Command};

use crate::{files, wire::soon};

/// What a command wrote and how it ended.
#[derive(Debug)]
pub struct Output {
    /// The exit code. None if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote on stdout.
    pub stdout: String,
    /// What it wrote on stderr.
    pub stderr: String,
}

/// Runs `gatehouse` with these arguments in a folder, to its end.
///
/// # Panics
/// When it does not end.
pub async fn gatehouse(folder: &Path, arguments: &[impl AsRef<OsStr>]) -> Output {
    gatehouse_reading(folder, arguments, "").await
}

/// The same, for what may take so long, as a user of a toolchain starts it: without what cargo says to tests.
///
/// # Panics
/// When it takes longer.
pub async fn gatehouse_in_time(folder: &Path, arguments: &[impl AsRef<OsStr>], patience: Duration) -> Output {
    let mut command = Command::new(files::gatehouse());
    command.args(arguments).current_dir(folder).kill_on_drop(true).stdin(Stdio::null());
    for variable in ["CARGO_TARGET_DIR", "CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS", "CARGO_BUILD_TARGET", "RUSTC_WORKSPACE_WRAPPER"] {
        command.env_remove(variable);
    }
    // The crates of the SDK are here already, as tests are built with them.
    command.env("CARGO_NET_OFFLINE", "true");
    let ended = tokio::time::timeout(patience, command.output()).await;
    let output = ended.unwrap_or_else(|_| panic!("{patience:?} were not enough")).expect("the gateway's binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Output { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The same, with this on the standard input.
///
/// # Panics
/// When it does not end.
pub async fn gatehouse_reading(folder: &Path, arguments: &[impl AsRef<OsStr>], input: impl AsRef<[u8]>) -> Output {
    let mut command = Command::new(files::gatehouse());
    command.args(arguments).current_dir(folder).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the gateway's binary runs");
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    // A command that reads nothing may be gone by then.
    let _ = stdin.write_all(input.as_ref()).await;
    drop(stdin);
    let output = soon("a command to end", child.wait_with_output()).await.expect("our own child can be waited for");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the gateway writes UTF-8");
    Output { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The resident memory of a process, in bytes.
pub(super) fn rss(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has memory");
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("the kernel writes a number");
    kibibytes * 1024
}
