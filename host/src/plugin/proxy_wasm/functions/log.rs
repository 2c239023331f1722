//! Log lines, the log's level, the time.

use crate::plugin::proxy_wasm::abi::Status;
use crate::plugin::proxy_wasm::host::Host;
use crate::plugin::proxy_wasm::memory::{Failure, Guestside, put_u32, put_u64, slice, split};
use crate::plugin::proxy_wasm::wasi::since_epoch;

/// Where a guest's lines are in the gateway's log.
const TARGET: &str = "plugin";

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plugin::proxy_wasm) enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    fn of(number: u32) -> Result<Self, Status> {
        match number {
            0 => Ok(Level::Trace),
            1 => Ok(Level::Debug),
            2 => Ok(Level::Info),
            3 => Ok(Level::Warn),
            4 | 5 => Ok(Level::Error),
            _ => Err(Status::BadArgument),
        }
    }
}

pub fn log(guest: &mut Guestside<'_>, level: u32, text: u32, length: u32) -> Result<(), Failure> {
    let (memory, host) = split(guest);
    host.log_line(Level::of(level)?, slice(memory, text, length)?);
    Ok(())
}

/// What is logged at all, so that guests need not make up the rest.
pub fn level(guest: &mut Guestside<'_>, out: u32) -> Result<(), Failure> {
    let level = match () {
        () if tracing::enabled!(target: TARGET, tracing::Level::TRACE) => 0,
        () if tracing::enabled!(target: TARGET, tracing::Level::DEBUG) => 1,
        () if tracing::enabled!(target: TARGET, tracing::Level::INFO) => 2,
        () if tracing::enabled!(target: TARGET, tracing::Level::WARN) => 3,
        () => 4,
    };
    Ok(put_u32(split(guest).0, out, level)?)
}

pub fn time(guest: &mut Guestside<'_>, out: u32) -> Result<(), Failure> {
    Ok(put_u64(split(guest).0, out, since_epoch().as_nanos() as u64)?)
}

impl Host {
    /// Writes a line if the callback may still write so much; otherwise drops and counts it. Without the grant it goes nowhere.
    pub(in crate::plugin::proxy_wasm) fn log_line(&mut self, level: Level, text: &[u8]) {
        if !self.may_log(text.len()) {
            return;
        }
        let text = String::from_utf8_lossy(text);
        if matches!(level, Level::Warn | Level::Error) && self.is_starting {
            self.last_words = Some(text.chars().take(512).collect());
        }
        let request_id = self.exchanges.get(self.effective).map(|exchange| exchange.facts.id.to_string()).unwrap_or_default();
        let (plugin, version) = (&*self.plugin.name, &*self.plugin.version);
        // Escaped, so that a guest cannot forge lines or colour terminals.
        let text = text.escape_debug();
        match level {
            Level::Trace => tracing::trace!(target: TARGET, plugin, version, request_id, "{text}"),
            Level::Debug => tracing::debug!(target: TARGET, plugin, version, request_id, "{text}"),
            Level::Info => tracing::info!(target: TARGET, plugin, version, request_id, "{text}"),
            Level::Warn => tracing::warn!(target: TARGET, plugin, version, request_id, "{text}"),
            Level::Error => tracing::error!(target: TARGET, plugin, version, request_id, "{text}"),
        }
    }
}
