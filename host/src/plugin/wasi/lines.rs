//! What a guest prints, put together to lines: each is a line of the plugin in the gateway's log, and costs the
//! same as one that was logged by capability.

use crate::plugin::bindings::gatehouse::plugin::log::Level;
use crate::plugin::state::HostState;

/// Where a guest prints to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    Stdout,
    Stderr,
}

impl Output {
    fn level(self) -> Level {
        match self {
            Output::Stdout => Level::Info,
            Output::Stderr => Level::Error,
        }
    }
}

/// The beginning of a line whose end was not printed yet.
#[derive(Default)]
pub(in crate::plugin) struct Line(Vec<u8>);

impl Line {
    /// Adds to the line, up to `limit`; the rest is let go.
    pub(in crate::plugin) fn add(&mut self, bytes: &[u8], limit: usize) {
        let room = limit.saturating_sub(self.0.len());
        self.0.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// The line, which begins anew.
    pub(in crate::plugin) fn take(&mut self) -> Option<Vec<u8>> {
        (!self.0.is_empty()).then(|| std::mem::take(&mut self.0))
    }
}

impl HostState {
    /// Takes what a guest printed. Lines it completes go to the log.
    pub(super) fn print(&mut self, output: Output, bytes: &[u8]) {
        // One byte too long is enough for the log to drop the line, so no more of it is kept.
        let limit = self.limits.log_bytes.saturating_add(1);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            self.line(output).add(text, limit);
            if text.len() < piece.len() {
                self.end_line(output);
            }
        }
    }

    /// Logs what the guest printed without ending the line. To be called after each of its calls.
    pub(in crate::plugin) fn end_lines(&mut self) {
        self.end_line(Output::Stdout);
        self.end_line(Output::Stderr);
    }

    fn end_line(&mut self, output: Output) {
        if let Some(line) = self.line(output).take() {
            self.log_line(output.level(), &String::from_utf8_lossy(&line));
        }
    }

    fn line(&mut self, output: Output) -> &mut Line {
        match output {
            Output::Stdout => &mut self.wasi.stdout,
            Output::Stderr => &mut self.wasi.stderr,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_end_is_kept_up_to_its_limit() {
        let mut line = Line::default();
        for _ in 0..10 {
            line.add(b"four", 10);
        }
        assert_eq!(line.take().as_deref(), Some(&b"fourfourfo"[..]), "cut at the limit");
        assert_eq!(line.take(), None, "and gone once it was taken");
    }
}
