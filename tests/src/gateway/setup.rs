//! What a gateway is started with: its config completed, its folder, its arguments.

use std::{ffi::OsString, fs, path::Path, process::Stdio, time::Duration};

use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::Gateway;
use crate::{files, lines::Lines};

/// The name of the access log in the config's folder.
pub(super) const ACCESS_LOG: &str = "access.jsonl";

/// The name of the config in its folder.
const CONFIG: &str = "gatehouse.yaml";

/// The token for the admin API of every gateway that is not told otherwise, and where it is told of it.
pub const ADMIN_TOKEN: &str = "the-token-of-the-tests";
const ADMIN_TOKEN_VARIABLE: &str = "GATEHOUSE_ADMIN_TOKEN";

/// Top-level keys a test usually has no opinion on. Port 0 keeps tests apart; a short drain keeps them fast.
const DEFAULTS: [(&str, &str); 4] = [
    ("listeners:", "listeners: [{name: public, address: \"127.0.0.1:0\"}]"),
    ("admin:", "admin: {address: \"127.0.0.1:0\"}"),
    ("access_log:", "access_log: {to: $DIR/access.jsonl}"),
    ("drain:", "drain: {ready_delay: 100ms, deadline: 10s}"),
];

/// A gateway to be started.
pub struct Setup {
    config: Option<String>,
    arguments: Vec<OsString>,
    environment: Vec<(String, OsString)>,
    files: Vec<(String, Vec<u8>)>,
    admin_token: bool,
}

impl Setup {
    /// A gateway with this config; see [`Gateway::start`].
    #[must_use]
    pub fn new(config: &str) -> Self {
        Self { config: Some(complete(config)), ..Self::without_config() }
    }

    /// A gateway that is told everything by its arguments.
    #[must_use]
    pub fn without_config() -> Self {
        Self { config: None, arguments: Vec::new(), environment: Vec::new(), files: Vec::new(), admin_token: true }
    }

    /// Adds arguments to `gatehouse run`.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(OsString::from));
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn environment(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Lets the gateway find or make a token for its admin API by itself.
    #[must_use]
    pub fn without_admin_token(mut self) -> Self {
        self.admin_token = false;
        self
    }

    /// Lets one worker do all requests, so that they share a thread.
    #[must_use]
    pub fn one_worker(self) -> Self {
        self.arguments(&["--workers", "1"])
    }

    /// Adds a file to the config's folder.
    #[must_use]
    pub fn file(mut self, name: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((name.to_owned(), content.into()));
        self
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// When it ends before.
    pub async fn start(self) -> Gateway {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        self.write(folder.path());
        self.start_in(folder).await
    }

    /// Starts it in a folder that has everything already.
    pub(super) async fn start_in(self, folder: TempDir) -> Gateway {
        let (mut child, output, log) = self.spawn(folder.path());
        if output.find(|line| line == "ready").await.is_none() {
            let status = child.try_wait();
            panic!("the gateway did not become ready ({status:?}):\n{}\n{}", output.text(), log.text());
        }
        let sockets = output.all().iter().filter_map(|line| socket(line)).collect();
        Gateway { child, sockets, folder, output, log, setup: self }
    }

    /// Starts it, expects it to give up, and returns its exit code and what it wrote.
    ///
    /// # Panics
    /// When it runs on.
    pub async fn start_refused(self) -> (Option<i32>, String) {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        self.write(folder.path());
        self.refused_in(folder.path()).await
    }

    /// Starts it and kills it after each of these times, all in one folder; then starts it for good.
    ///
    /// # Panics
    /// When it ends by itself, or is not ready in the end.
    pub async fn start_after_kills(self, times: &[Duration]) -> Gateway {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        self.write(folder.path());
        for time in times {
            let (mut child, output, log) = self.spawn(folder.path());
            tokio::time::sleep(*time).await;
            let ended = child.try_wait().expect("our own child can be waited for");
            assert!(ended.is_none(), "it ended by itself: {ended:?}\n{}\n{}", output.text(), log.text());
            child.kill().await.expect("our own child can be killed");
        }
        self.start_in(folder).await
    }

    /// Expects it to give up in a folder that has everything already.
    pub(super) async fn refused_in(&self, folder: &Path) -> (Option<i32>, String) {
        let (mut child, output, log) = self.spawn(folder);
        let status = crate::wire::soon("the gateway to give up", child.wait()).await.expect("our own child can be waited for");
        // The pipes end with the process; a search that finds nothing returns when all is read.
        log.find(|_| false).await;
        output.find(|_| false).await;
        (status.code(), format!("{}\n{}", output.text(), log.text()))
    }

    /// Writes the files and the config. The config comes into being in one step, as editors and deployments do it.
    pub(super) fn write(&self, folder: &Path) {
        for (name, content) in &self.files {
            fs::write(folder.join(name), content).expect("the test's folder takes files");
        }
        let Some(config) = &self.config else { return };
        let config = config.replace("$DIR", &folder.to_string_lossy());
        let fresh = folder.join(format!("{CONFIG}.new"));
        fs::write(&fresh, config).expect("the test's folder takes files");
        fs::rename(&fresh, folder.join(CONFIG)).expect("a file can take another's place");
    }

    fn spawn(&self, folder: &Path) -> (Child, Lines, Lines) {
        let mut command = Command::new(files::gatehouse());
        command.arg("run").arg("--data").arg(folder.join("data")).args(&self.arguments);
        // Tests keep all cores busy, and whoever steps back far then waits for long.
        command.args(["--compile-nice", "5"]);
        command.env_remove(ADMIN_TOKEN_VARIABLE);
        if self.admin_token {
            command.env(ADMIN_TOKEN_VARIABLE, ADMIN_TOKEN);
        }
        // Gateways of one test run compile what they have in common once.
        command.env("GATEHOUSE_CACHE", files::built("compiled-plugins"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if self.config.is_some() {
            command.arg("--config").arg(folder.join(CONFIG));
        }
        command.current_dir(folder);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the gateway's binary runs");
        let output = Lines::collect(child.stdout.take().expect("stdout is a pipe"));
        let log = Lines::collect(child.stderr.take().expect("stderr is a pipe"));
        (child, output, log)
    }
}

/// Takes away the indentation that a config has in a test, and adds what it does not speak of.
fn complete(config: &str) -> String {
    let mut config = dedent(config);
    for (key, line) in DEFAULTS {
        if !config.lines().any(|written| written.starts_with(key)) {
            config.push_str(line);
            config.push('\n');
        }
    }
    config
}

/// A text moved to the left as far as it goes.
fn dedent(text: &str) -> String {
    let lines = || text.lines().filter(|line| !line.trim().is_empty());
    let margin = lines().map(|line| line.len() - line.trim_start().len()).min().unwrap_or_default();
    lines().map(|line| format!("{}\n", &line[margin..])).collect()
}

/// Reads `listening public http://127.0.0.1:4321`.
fn socket(line: &str) -> Option<(String, std::net::SocketAddr)> {
    let mut words = line.strip_prefix("listening ")?.split(' ');
    let (name, url) = (words.next()?, words.next()?);
    let address = url.split("://").nth(1)?.trim_end_matches('/').parse().ok()?;
    Some((name.to_owned(), address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_is_completed_where_it_is_silent() {
        let config = complete("\n    admin: {address: \"127.0.0.1:1\"}\n    routes:\n      - {name: a}\n");
        assert!(config.starts_with("admin: {address: \"127.0.0.1:1\"}\nroutes:\n  - {name: a}\nlisteners:"), "{config}");
        assert_eq!(config.matches("admin:").count(), 1, "what is said stays as it is");
    }

    #[test]
    fn the_lines_of_a_start_name_sockets() {
        assert_eq!(socket("listening public http://127.0.0.1:81"), Some(("public".into(), "127.0.0.1:81".parse().unwrap())));
        assert_eq!(socket("listening tls https://127.0.0.1:82/"), Some(("tls".into(), "127.0.0.1:82".parse().unwrap())));
        assert_eq!(socket("ready"), None);
    }
}
