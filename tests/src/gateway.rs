//! The real gateway as a process: started with a config, watched through its outer contract, ended by signal.

mod api;
mod process;
mod setup;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Child;

use crate::{
    client::ask,
    lines::Lines,
    metrics::Metrics,
    request::{Request, get},
    response::Response,
    wire::soon,
};

pub use process::{Output, gatehouse, gatehouse_in_time, gatehouse_reading};
pub use setup::{ADMIN_TOKEN, Setup};

/// A running gateway. It is killed when the test is done with it.
pub struct Gateway {
    child: Child,
    sockets: Vec<(String, SocketAddr)>,
    folder: TempDir,
    output: Lines,
    log: Lines,
    setup: Setup,
}

/// What became of a changed config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// It is served, as this revision.
    Applied(u64),
    /// The old one is served on.
    Rejected,
}

impl Gateway {
    /// Starts a gateway with this config and waits until it is ready. Listeners, the admin address, the access log
    /// and the drain times are filled in where the config says nothing of them; `$DIR` is the config's folder.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn start(config: &str) -> Self {
        Setup::new(config).start().await
    }

    /// Starts a gateway with no chain in front of one origin, for every path.
    pub async fn in_front_of(origin: &crate::Origin) -> Self {
        Self::start(&plain(&origin.url())).await
    }

    /// The address of the first listener.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        let public = self.sockets.iter().find(|(name, _)| name != "admin");
        public.expect("the gateway listens").1
    }

    /// The address of a listener by name; `admin` is the admin API.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn listener(&self, name: &str) -> SocketAddr {
        let found = self.sockets.iter().find(|(listener, _)| listener == name);
        found.unwrap_or_else(|| panic!("a listener {name} in {:?}", self.sockets)).1
    }

    /// Sends one request on a connection of its own.
    #[track_caller]
    pub fn ask(&self, request: Request) -> impl Future<Output = Response> {
        ask(self.address(), request)
    }

    /// Sends one GET on a connection of its own.
    #[track_caller]
    pub fn get(&self, target: &str) -> impl Future<Output = Response> {
        self.ask(get(target))
    }

    /// Asks the admin API.
    #[track_caller]
    pub fn admin(&self, target: &str) -> impl Future<Output = Response> {
        ask(self.listener("admin"), get(target))
    }

    /// The metrics, checked for form.
    ///
    /// # Panics
    /// When they are not well-formed.
    pub async fn metrics(&self) -> Metrics {
        let response = self.admin("/metrics").await;
        assert_eq!(response.status, 200, "metrics are there without a token");
        Metrics::parse(&response.text()).unwrap_or_else(|error| panic!("/metrics: {error}"))
    }

    /// Waits until a metric's sum over some labels is as wanted.
    pub async fn wait_for_metric(&self, name: &str, labels: &[(&str, &str)], wanted: impl Fn(f64) -> bool) {
        let wait = async {
            while !wanted(self.metrics().await.sum(name, labels)) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        soon(&format!("{name}{labels:?}"), wait).await;
    }

    /// Writes the config anew, in one step, and says nothing to the gateway.
    ///
    /// # Panics
    /// When the disk is full.
    pub fn write(&self, config: &str) {
        Setup::new(config).write(self.folder.path());
    }

    /// Writes the config anew, sends SIGHUP and waits for what becomes of it.
    pub async fn reload(&self, config: &str) -> Reload {
        let before = Versions::of(&self.metrics().await);
        self.write(config);
        self.signal(libc::SIGHUP);
        let decided = async {
            loop {
                let now = Versions::of(&self.metrics().await);
                if let Some(reload) = before.decide(&now) {
                    return reload;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        soon("the new config to be taken or refused", decided).await
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When the gateway is gone.
    pub fn signal(&self, signal: libc::c_int) {
        let pid = libc::pid_t::try_from(self.pid()).expect("process ids are small");
        // SAFETY: kill takes two integers and touches no memory of ours; the process is our own child, not yet reaped.
        let sent = unsafe { libc::kill(pid, signal) };
        assert_eq!(sent, 0, "the gateway takes signal {signal}");
    }

    /// Asks it to drain and leave.
    pub fn terminate(&self) {
        self.signal(libc::SIGTERM);
    }

    /// Waits for its end.
    pub async fn wait(&mut self) -> ExitStatus {
        soon("the gateway to leave", self.child.wait()).await.expect("our own child can be waited for")
    }

    /// Kills it without a word, and starts it again as it was.
    pub async fn kill_and_start_again(mut self) -> Self {
        self.signal(libc::SIGKILL);
        self.wait().await;
        self.start_again().await
    }

    /// Starts it again as it was, once it has ended.
    pub async fn start_again(self) -> Self {
        self.setup.start_in(self.folder).await
    }

    /// Starts it again as it was, once it has ended, and expects it to give up. Its exit code and what it wrote.
    pub async fn start_again_refused(&self) -> (Option<i32>, String) {
        self.setup.refused_in(self.folder.path()).await
    }

    /// Its process id.
    ///
    /// # Panics
    /// When it has ended.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap_or_else(|| panic!("the gateway still runs; its log: {}", self.log.text()))
    }

    /// Seconds of processor time, of all its threads together.
    ///
    /// # Panics
    /// If it does not run.
    pub fn processor_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("the process runs");
        let (_, after_name) = stat.rsplit_once(") ").expect("the name stands in brackets");
        // utime and stime are the 14th and 15th field of all; the state after the name is the third. Linux counts 100 a second.
        let ticks = after_name.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<f64>().expect("a number"));
        ticks.sum::<f64>() / 100.0
    }

    /// Its resident memory, in bytes.
    #[must_use]
    pub fn rss(&self) -> u64 {
        process::rss(self.pid())
    }

    /// What it wrote on stderr.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Waits for a line on stderr.
    ///
    /// # Panics
    /// When none comes.
    pub async fn wait_for_log(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let found = self.log.find(wanted).await;
        found.unwrap_or_else(|| panic!("no line of the log {what}:\n{}", self.log.text()))
    }

    /// What it wrote on stdout.
    #[must_use]
    pub fn output(&self) -> String {
        self.output.text()
    }

    /// The folder of its config.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits until the access log has so many lines, and reads them.
    ///
    /// # Panics
    /// When a line is not JSON.
    pub async fn access_log(&self, lines: usize) -> Vec<Value> {
        let path = self.access_log_path();
        let read = || std::fs::read_to_string(&path).unwrap_or_default();
        crate::wire::eventually("lines of the access log", || read().lines().count() >= lines).await;
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        read().lines().map(parse).collect()
    }

    /// Where the access log goes.
    #[must_use]
    pub fn access_log_path(&self) -> PathBuf {
        self.folder.path().join(setup::ACCESS_LOG)
    }
}

/// A config with one route for every path to one endpoint, and no chain.
#[must_use]
pub fn plain(url: &str) -> String {
    format!(
        "upstreams:
  - {{name: origin, endpoints: [{{url: \"{url}\"}}]}}
routes:
  - {{name: all, match: [{{path: {{prefix: /}}}}], upstream: origin}}
"
    )
}

/// The numbers by which a reload shows.
struct Versions {
    revision: f64,
    rejects: f64,
}

impl Versions {
    fn of(metrics: &Metrics) -> Self {
        Self { revision: metrics.sum("gatehouse_config_revision", &[]), rejects: metrics.sum("gatehouse_config_rejects_total", &[]) }
    }

    fn decide(&self, now: &Self) -> Option<Reload> {
        if now.revision > self.revision {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "revisions are small whole numbers")]
            return Some(Reload::Applied(now.revision as u64));
        }
        (now.rejects > self.rejects).then_some(Reload::Rejected)
    }
}
