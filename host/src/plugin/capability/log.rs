//! `log`: lines for the gateway's log, bounded for each call.

use crate::plugin::bindings::gatehouse::plugin::log::{Host, Level};
use crate::plugin::state::HostState;
use crate::plugin::usage::Shared;

impl Host for HostState {
    fn log(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.count_host_call()?;
        self.log_line(level, &message);
        Ok(())
    }
}

impl HostState {
    /// Writes a line if the call may still write so much; otherwise drops and counts it.
    pub(in crate::plugin) fn log_line(&mut self, level: Level, message: &str) {
        if self.plugin.is_shadow {
            return;
        }
        match self.log_bytes_left.checked_sub(message.len()) {
            Some(left) => self.log_bytes_left = left,
            None => return self.plugin.handle.log_dropped(),
        }
        self.write(level, message);
    }

    fn write(&self, level: Level, message: &str) {
        let request_id = self.call.as_ref().map(|call| call.id.to_string()).unwrap_or_default();
        write(&self.plugin, &request_id, level, message);
    }
}

/// Writes a line of a plugin.
pub(in crate::plugin) fn write(plugin: &Shared, request_id: &str, level: Level, message: &str) {
    let (plugin, version) = (&*plugin.name, &*plugin.version);
    // Escaped, so that a guest cannot forge lines or colour terminals.
    let message = message.escape_debug();
    match level {
        Level::Debug => tracing::debug!(target: "plugin", plugin, version, request_id, "{message}"),
        Level::Info => tracing::info!(target: "plugin", plugin, version, request_id, "{message}"),
        Level::Warn => tracing::warn!(target: "plugin", plugin, version, request_id, "{message}"),
        Level::Error => tracing::error!(target: "plugin", plugin, version, request_id, "{message}"),
    }
}
