//! `gatehouse run`: serve until told to stop.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::gateway::{self, ConfigSource, Settings, StartError};

use super::RunArgs;
use super::check::BAD_CONFIG;

/// Serves. Exit 0 after a drain, 78 for a configuration that cannot be used, 1 for anything else.
pub fn run(arguments: RunArgs) -> ExitCode {
    match gateway::run(settings(arguments)) {
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

fn settings(arguments: RunArgs) -> Settings {
    let config = match arguments.config {
        Some(path) => ConfigSource::Path(path),
        None => ConfigSource::Arguments { routes: arguments.route, listen: arguments.listen },
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Settings {
        config,
        cache: arguments.data.map(|data| data.join("compiled")).or_else(user_cache),
        admin: arguments.admin,
        workers: arguments.workers.map_or(cores, usize::from),
    }
}

/// Where compiled plugins are kept when nobody says where: the folder that the XDG base directory specification names.
pub fn user_cache() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    Some(caches.join("gatehouse"))
}
