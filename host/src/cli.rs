//! The command line: one file for each command.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::units::{Period, Size};
use crate::config::{RouteArg, Stock};
use crate::plugin::builtin;
use crate::plugin::compile::confined;
use crate::plugin::engine::Tier;
use crate::telemetry::log;

pub mod change;
pub mod check;
pub mod clients;
pub mod explain;
pub mod keys;
pub mod plugin;
pub mod remote;
pub mod run;
pub mod schema;

/// An API gateway whose request chain is sandboxed WebAssembly components.
#[derive(Parser)]
#[command(name = "gatehouse", version, about)]
struct Cli {
    /// What to log: a tracing filter such as `info` or `gatehouse=debug`. RUST_LOG says the same.
    #[arg(long, global = true)]
    log: Option<String>,
    /// How to log: auto, text or json.
    #[arg(long, global = true, default_value = "auto")]
    log_format: log::Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve
    Run(RunArgs),
    /// Find every problem of a configuration at once; exit 0, or 78
    Check {
        /// A file, or a folder of *.yaml files
        path: PathBuf,
    },
    /// Say which route a request takes, and why not another
    Explain(explain::ExplainArgs),
    /// Say what `apply` would change in a running gateway; exit 0 if nothing, 1 if anything
    Diff(change::DiffArgs),
    /// Make what the admin API of a running gateway made what a file says, with a plan first
    Apply(change::ApplyArgs),
    /// Make what the admin API of a running gateway made what it was at a revision
    Rollback(change::RollbackArgs),
    /// Make, show and delete API clients of a running gateway
    #[command(subcommand)]
    Clients(clients::ClientsCommand),
    /// Make API keys, for a running gateway or for a configuration
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Bring plugins into a running gateway, roll versions out and back
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// Print the JSON Schema of the configuration
    Schema,
    /// Compile the component on the standard input: what the gateway runs itself with
    #[command(hide = true)]
    CompilePlugin {
        /// The engine that the code is for
        #[arg(long, value_parser = engine)]
        engine: Tier,
        /// Bytes of address space
        #[arg(long)]
        memory: u64,
        /// Seconds of computing time
        #[arg(long)]
        cpu: u64,
        /// How far to step back behind other processes
        #[arg(long, default_value_t = 19)]
        nice: i32,
    },
}

/// How to serve.
#[derive(Args)]
pub struct RunArgs {
    /// A configuration file, or a folder of *.yaml files
    #[arg(long, required_unless_present = "route")]
    pub config: Option<PathBuf>,
    /// A path prefix and where it goes, without any file; may be repeated
    #[arg(long, value_name = "PATH=URL", conflicts_with = "config")]
    pub route: Vec<RouteArg>,
    /// Where to listen, with --route [127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS", conflicts_with = "config")]
    pub listen: Option<SocketAddr>,
    /// A folder for what the gateway remembers: API-made routes and keys, tokens, compiled plugins [./gatehouse-data, once
    /// there is an admin API; compiled plugins in the user's cache folder]
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// A folder for compiled plugins alone, which gateways of one user may share [`compiled` in --data]
    #[arg(long, value_name = "FOLDER", env = "GATEHOUSE_CACHE")]
    pub cache: Option<PathBuf>,
    /// The computing time that compiling one plugin may take
    #[arg(long, value_name = "TIME", default_value = "60s")]
    pub compile_cpu: Period,
    /// The memory that compiling one plugin may take
    #[arg(long, value_name = "SIZE", default_value = "2GiB")]
    pub compile_memory: Size,
    /// How far compiling steps back behind requests, once there are any: 0 to 19
    #[arg(long, value_name = "NUMBER", default_value_t = 19, value_parser = clap::value_parser!(i32).range(0..=19))]
    pub compile_nice: i32,
    /// Where the admin API listens, instead of what the configuration says
    #[arg(long, value_name = "ADDRESS")]
    pub admin: Option<SocketAddr>,
    /// A file with the token for the admin API; else it is in GATEHOUSE_ADMIN_TOKEN, else made at the first start
    #[arg(long, value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,
    /// Worker threads [one for each core]
    #[arg(long)]
    pub workers: Option<std::num::NonZeroUsize>,
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // The compiler's process opens nothing of its own.
    let logs = !matches!(cli.command, Command::CompilePlugin { .. });
    let _log = match logs.then(|| log::start(cli.log.as_deref(), cli.log_format)).transpose() {
        Ok(guard) => guard,
        Err(error) => {
            eprintln!("gatehouse: {error}");
            return ExitCode::from(2);
        }
    };
    match cli.command {
        Command::Run(arguments) => run::run(arguments),
        Command::Check { path } => check::run(&path, &stock(), check::plugins),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Diff(arguments) => change::diff(&arguments),
        Command::Apply(arguments) => change::apply(&arguments),
        Command::Rollback(arguments) => change::rollback(&arguments),
        Command::Clients(command) => clients::run(command),
        Command::Keys(command) => keys::run(command),
        Command::Plugin(command) => plugin::run(command),
        Command::Schema => schema::run(),
        Command::CompilePlugin { engine, memory, cpu, nice } => confined::run(engine, confined::Limits { memory, cpu, nice }),
    }
}

fn engine(name: &str) -> Result<Tier, String> {
    Tier::ALL.into_iter().find(|tier| tier.name() == name).ok_or_else(|| "contract, foreign or proxy-wasm".into())
}

/// The plugins that need no entry in a configuration, as far as is known without a gateway.
pub fn stock() -> Stock {
    Stock { built_ins: builtin::BUILTINS.iter().map(|(name, _)| *name).collect(), uploaded: None }
}
