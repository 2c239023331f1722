//! What can go wrong in a plugin's call, and whose fault it is.

use std::time::Duration;

use thiserror::Error;
use wasmtime::Trap;

use crate::telemetry::metrics::FaultReason;

/// A plugin did not do its work on this request. The instance that faulted is gone.
#[derive(Debug, Clone, Error)]
pub enum Fault {
    /// The guest trapped: a panic, an out-of-bounds access, a stack overflow …
    #[error("trapped: {0}")]
    Trap(String),
    /// The guest used up its CPU time.
    #[error("ran past its CPU limit of {0:?}")]
    Cpu(Duration),
    /// The call took too long, waiting included.
    #[error("ran past its deadline of {0:?}")]
    Wall(Duration),
    /// The guest asked for more memory or table than it may have.
    #[error("asked for {asked} {unit} where {limit} are allowed")]
    Memory {
        /// What it wanted in all.
        asked: usize,
        /// What it may have.
        limit: usize,
        /// `bytes of memory` or `table elements`.
        unit: &'static str,
    },
    /// The guest called into the host too often.
    #[error("made more than {0} host calls in one call")]
    HostCalls(u32),
    /// The guest returned an error.
    #[error("failed: {0}")]
    Failed(String),
    /// The guest made something that is not valid HTTP, or not its to make.
    #[error("returned something not allowed: {0}")]
    Invalid(String),
    /// No instance could be had: the limit on instances is reached or one could not be made.
    #[error("no instance: {0}")]
    NoInstance(String),
    /// The version keeps faulting and is not called for a while.
    #[error("is suspended after repeated faults")]
    Suspended,
    /// The call was ended to be made again, as keys it asked for are on their way. Nobody's fault.
    #[error("awaits the keys of an issuer")]
    KeysAwaited,
}

/// The reason as it stands in metrics and in `x-gatehouse-error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Trap, host-call limit, error or invalid result.
    Trap,
    /// CPU or wall limit.
    Timeout,
    /// Memory or table limit.
    Memory,
    /// No instance, or suspended.
    Unavailable,
}

impl Reason {
    /// One of the closed list of reasons.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Trap => "plugin_trap",
            Reason::Timeout => "plugin_timeout",
            Reason::Memory => "plugin_memory",
            Reason::Unavailable => "plugin_unavailable",
        }
    }
}

impl Fault {
    /// The fault's place in the closed list of reasons.
    pub fn reason(&self) -> Reason {
        match self {
            Fault::Trap(_) | Fault::HostCalls(_) | Fault::Failed(_) | Fault::Invalid(_) => Reason::Trap,
            Fault::Cpu(_) | Fault::Wall(_) => Reason::Timeout,
            Fault::Memory { .. } => Reason::Memory,
            Fault::NoInstance(_) | Fault::Suspended | Fault::KeysAwaited => Reason::Unavailable,
        }
    }

    /// The fault's place in the metrics, which tell more apart than answers do.
    pub fn label(&self) -> FaultReason {
        match self {
            Fault::Trap(_) | Fault::HostCalls(_) => FaultReason::Trap,
            Fault::Cpu(_) | Fault::Wall(_) => FaultReason::Timeout,
            Fault::Memory { .. } => FaultReason::Memory,
            Fault::Invalid(_) => FaultReason::InvalidAnswer,
            Fault::Failed(_) => FaultReason::Failed,
            Fault::NoInstance(_) | Fault::Suspended | Fault::KeysAwaited => FaultReason::Unavailable,
        }
    }
}

/// Why the host ended a call from within, most often a limit; travels through wasmtime as the cause of the trap.
#[derive(Debug, Clone, Error)]
pub(super) enum LimitReached {
    #[error("CPU limit reached")]
    Cpu(Duration),
    #[error("memory limit reached")]
    Memory { asked: usize, limit: usize, unit: &'static str },
    #[error("host-call limit reached")]
    HostCalls(u32),
    #[error("{0}")]
    Refused(String),
    #[error("keys awaited")]
    KeysAwaited,
}

impl From<wasmtime::Error> for Fault {
    fn from(error: wasmtime::Error) -> Self {
        match error.downcast_ref::<LimitReached>() {
            Some(LimitReached::Cpu(limit)) => Fault::Cpu(*limit),
            Some(LimitReached::Memory { asked, limit, unit }) => Fault::Memory { asked: *asked, limit: *limit, unit },
            Some(LimitReached::HostCalls(limit)) => Fault::HostCalls(*limit),
            Some(LimitReached::Refused(what)) => Fault::Invalid(what.clone()),
            Some(LimitReached::KeysAwaited) => Fault::KeysAwaited,
            None if error.is::<wasmtime::PoolConcurrencyLimitError>() => {
                Fault::NoInstance("all instances of this process are in use".into())
            }
            None => Fault::Trap(describe(&error)),
        }
    }
}

/// The trap in one line, then the guest's innermost frames, for the log.
fn describe(error: &wasmtime::Error) -> String {
    let what = match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    match error.downcast_ref::<wasmtime::WasmBacktrace>() {
        Some(backtrace) => format!("{what} in {}", frames(backtrace)),
        None => what,
    }
}

/// Frames of the guest that are told.
const SHOWN_FRAMES: usize = 6;
/// Where the sources of Rust's own library are, as its debug information has it.
const RUST_LIBRARY: &str = "/rustc/";

/// The innermost frames, with file and line where the component brought them. What a panic goes through before it traps
/// says nothing of its cause, so the language's own library is left out if there is anything else.
fn frames(backtrace: &wasmtime::WasmBacktrace) -> String {
    let places: Vec<String> = backtrace.frames().iter().flat_map(|frame| frame.symbols()).filter_map(place).collect();
    let authors: Vec<&str> = places.iter().map(String::as_str).filter(|place| !place.contains(RUST_LIBRARY)).take(SHOWN_FRAMES).collect();
    match authors.is_empty() {
        false => authors.join(" < "),
        true => backtrace.frames().iter().take(SHOWN_FRAMES).map(function).collect::<Vec<_>>().join(" < "),
    }
}

fn function(frame: &wasmtime::FrameInfo) -> String {
    match frame.func_name() {
        Some(name) => demangled(name),
        None => format!("function {}", frame.func_index()),
    }
}

/// One function of a frame; those that were inlined are places of their own, the inner ones first.
fn place(symbol: &wasmtime::FrameSymbol) -> Option<String> {
    let (file, line) = (symbol.file()?, symbol.line()?);
    let at = match symbol.column() {
        Some(column) if column > 0 => format!("{file}:{line}:{column}"),
        _ => format!("{file}:{line}"),
    };
    Some(match symbol.name() {
        Some(name) => format!("{} ({at})", demangled(name)),
        None => at,
    })
}

/// Without the hash that the compiler adds. What is no name of Rust's stays as it is.
fn demangled(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}
