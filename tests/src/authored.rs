//! Plugins in other languages than Rust, built by `gatehouse plugin build` as their authors would: once for each state of their
//! sources, since a Python component takes its time. What they are built with, `make setup-tests` installs.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::SystemTime;

use crate::files;

/// Where `make setup-tests` puts what Python plugins are built with.
const PYTHON: &str = "python-sdk";

/// The components that are built and compiled. One at a time: each takes a core.
static READY: LazyLock<Mutex<HashSet<PathBuf>>> = LazyLock::new(Mutex::default);

/// The component of a JavaScript project, by its folder in the repository.
///
/// # Panics
/// When it does not build.
#[must_use]
pub fn javascript(project: &str) -> PathBuf {
    component(project, "js")
}

/// The component of a Python project, by its folder in the repository.
///
/// # Panics
/// When it does not build.
#[must_use]
pub fn python(project: &str) -> PathBuf {
    component(project, "python")
}

/// The component of a project in Go, by its folder in the repository.
///
/// # Panics
/// When it does not build.
#[must_use]
pub fn go(project: &str) -> PathBuf {
    component(project, "go")
}

/// The component of a project in C, by its folder in the repository.
///
/// # Panics
/// When it does not build.
#[must_use]
pub fn c(project: &str) -> PathBuf {
    component(project, "c")
}

/// `gatehouse plugin build`, with what plugins are built with within its reach.
#[must_use]
pub fn build(folder: &Path) -> Command {
    let mut command = Command::new(files::gatehouse());
    command.args(["plugin", "build"]).arg(folder).stdin(Stdio::null());
    command.env("VIRTUAL_ENV", files::installed(PYTHON)).env("PYTHONPATH", files::repository().join("plugins-sdk/python"));
    command
}

/// The same without Python, as it is to serve.
fn build_compiled(folder: &Path) -> Command {
    let mut command = Command::new(files::gatehouse());
    command.args(["plugin", "build", "--release"]).arg(folder).stdin(Stdio::null());
    command.env("PATH", files::toolchains());
    command
}

fn component(project: &str, language: &str) -> PathBuf {
    let mut ready = READY.lock().unwrap_or_else(PoisonError::into_inner);
    let built = files::built("authored").join(project.replace('/', "-") + ".wasm");
    if ready.insert(built.clone()) {
        let repository = files::repository();
        let sources = [repository.join(project), repository.join("plugins-sdk").join(language), repository.join("wit")];
        let newest = sources.iter().filter_map(|folder| changed(folder)).max();
        if !fs::metadata(&built).and_then(|built| built.modified()).is_ok_and(|time| Some(time) > newest) {
            let mut build = if language == "python" { build(&sources[0]) } else { build_compiled(&sources[0]) };
            done(build.arg("--out").arg(&built));
        }
        compile(&built);
    }
    built
}

/// Fills the cache that all gateways of the tests share, since a Python component takes longer to compile than a gateway that
/// starts is waited for. Its configuration may be refused.
fn compile(component: &Path) {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let config = format!(
        "plugins: [{{name: mine, source: {{file: \"{}\"}}, grants: [log, kv, jwt, introspection, keys, rate-limit, metrics, {{http: [none]}}]}}]\n\
         upstreams: [{{name: none, endpoints: [{{url: \"http://127.0.0.1:9\"}}]}}]\n\
         routes: [{{name: all, chain: [{{plugin: mine}}], upstream: none}}]\n",
        component.display()
    );
    fs::write(folder.path().join("gatehouse.yaml"), config).expect("the folder takes files");
    let mut command = Command::new(files::gatehouse());
    command.arg("check").arg(folder.path()).env("GATEHOUSE_CACHE", files::built("compiled-plugins"));
    command.output().expect("the gateway's binary runs");
}

/// Runs a command to its good end.
///
/// # Panics
/// When it fails, with what it said.
pub fn done(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let [out, said] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert!(output.status.success(), "{command:?}: {out}{said}");
    out.into_owned()
}

/// When a source below a folder was changed last.
fn changed(folder: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(folder).ok()?.filter_map(Result::ok);
    let sources = entries.filter(|entry| !["target", "node_modules", "__pycache__"].iter().any(|made| entry.file_name() == *made));
    sources.filter_map(|entry| if entry.path().is_dir() { changed(&entry.path()) } else { entry.metadata().ok()?.modified().ok() }).max()
}
