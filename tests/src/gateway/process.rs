//! The gateway's other commands, and what the system says of a process.

use std::{ffi::OsStr, fs, path::Path, process::Stdio};

use tokio::process::Command;

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
    let mut command = Command::new(files::gatehouse());
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    let output = soon("a command to end", command.output()).await.expect("the gateway's binary runs");
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
