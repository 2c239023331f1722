//! An upstream server as a process, which can be killed, stopped and started again on its port.

use std::{net::SocketAddr, process::Stdio};

use tokio::process::{Child, Command};

use crate::{client::ask, files, lines::Lines, request::get};

/// A running `origin`; see `bin/origin.rs`. It is killed when the test is done with it.
pub struct OriginProcess {
    child: Child,
    address: SocketAddr,
}

impl OriginProcess {
    /// Starts one on a free port.
    pub async fn start() -> Self {
        Self::start_on(0).await
    }

    async fn start_on(port: u16) -> Self {
        let mut command = Command::new(files::built("origin"));
        command.arg(port.to_string()).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the origin's binary runs");
        let output = Lines::collect(child.stdout.take().expect("stdout is a pipe"));
        let address = output.find(|line| line.parse::<SocketAddr>().is_ok()).await.expect("it says where it listens");
        Self { child, address: address.parse().expect("an address") }
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes it answer otherwise: `ok`, `500` or `slow`.
    pub async fn set_mode(&self, mode: &str) {
        assert_eq!(ask(self.address, get(&format!("/mode/{mode}"))).await.text(), "done", "it knows the mode {mode}");
    }

    /// Requests since it was started.
    pub async fn hits(&self) -> u64 {
        ask(self.address, get("/hits")).await.text().parse().expect("a number")
    }

    /// Kills it.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("our own child can be killed");
    }

    /// Starts it again on its port, after [`Self::kill`].
    pub async fn restart(&mut self) {
        *self = Self::start_on(self.address.port()).await;
    }

    /// Stops it: connections are still accepted, by the kernel, and nothing answers.
    pub fn stop(&self) {
        self.signal(libc::SIGSTOP);
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        self.signal(libc::SIGCONT);
    }

    fn signal(&self, signal: libc::c_int) {
        let pid = self.child.id().and_then(|pid| libc::pid_t::try_from(pid).ok()).expect("it runs");
        // SAFETY: kill takes two integers and touches no memory of ours; the process is our own child, not yet reaped.
        let sent = unsafe { libc::kill(pid, signal) };
        assert_eq!(sent, 0, "the origin takes signal {signal}");
    }
}
