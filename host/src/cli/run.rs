//! `gatehouse run`: serve until told to stop.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::admin::tokens::read_token_file;
use crate::config::units::{Period, Size};
use crate::gateway::{self, ConfigSource, Settings, StartError};
use crate::plugin::compile::Allowance;

use super::RunArgs;
use super::check::BAD_CONFIG;

/// The environment variable with the token for the admin API.
pub const ADMIN_TOKEN: &str = "GATEHOUSE_ADMIN_TOKEN";

/// Serves. Exit 0 after a drain, 78 for a configuration that cannot be used, 1 for anything else.
pub fn run(arguments: RunArgs) -> ExitCode {
    match settings(arguments).and_then(gateway::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(StartError::Config(problems)) => {
            eprintln!("{problems}");
            ExitCode::from(BAD_CONFIG)
        }
        Err(error) => {
            eprintln!("gatehouse: {error}");
            ExitCode::FAILURE
        }
    }
}

fn settings(arguments: RunArgs) -> Result<Settings, StartError> {
    let admin_token = admin_token(&arguments)?;
    let config = match arguments.config {
        Some(path) => ConfigSource::Path(path),
        None => ConfigSource::Arguments { routes: arguments.route, listen: arguments.listen },
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let compiling = Allowance { nice: arguments.compile_nice, ..allowance(arguments.compile_cpu, arguments.compile_memory) };
    Ok(Settings {
        config,
        cache: arguments.cache.or(arguments.data.as_ref().map(|data| data.join("compiled"))).or_else(user_cache),
        compiling,
        data: arguments.data,
        admin: arguments.admin,
        admin_token,
        workers: arguments.workers.map_or(cores, usize::from),
    })
}

fn admin_token(arguments: &RunArgs) -> Result<Option<String>, StartError> {
    let Some(path) = &arguments.admin_token_file else { return Ok(std::env::var(ADMIN_TOKEN).ok()) };
    let unreadable =
        |error: std::io::Error| StartError::Machine { what: format!("admin token in {}", path.display()), cause: error.to_string() };
    read_token_file(path).map(Some).map_err(unreadable)
}

/// What a component may take is computing time and memory. Elapsed time only frees the place of a process that does not get
/// on at all: on a machine whose cores are all busy, one that gives way to them may get a hundredth of a core.
fn allowance(cpu: Period, memory: Size) -> Allowance {
    let cpu = cpu.get().max(Duration::from_secs(1));
    Allowance { memory: memory.get(), cpu, wall: (100 * cpu).max(Duration::from_secs(3600)), ..Allowance::default() }
}

/// Where compiled plugins are kept when nobody says where: the folder that the XDG base directory specification names.
pub fn user_cache() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    Some(caches.join("gatehouse"))
}
