//! What a guest prints: lines in the gateway's log, up to the plugin's limit for each request.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::plugin::bindings::gatehouse::plugin::log::Level;
use crate::plugin::capability::log;
use crate::plugin::usage::Shared;
use crate::plugin::wasi::lines::Line;
use crate::telemetry::RequestId;

/// What may be printed at once.
const CHUNK: usize = 64 << 10;

/// Where one request's guest prints to: two streams that share a limit.
pub struct Printer {
    plugin: Arc<Shared>,
    id: RequestId,
    left: Mutex<usize>,
}

impl Printer {
    /// Lines of a plugin on a request, of so many bytes in all.
    pub fn new(plugin: Arc<Shared>, id: RequestId, limit: usize) -> Arc<Self> {
        Arc::new(Self { plugin, id, left: Mutex::new(limit) })
    }

    /// One of the two streams.
    pub fn output(self: &Arc<Self>, level: Level) -> Output {
        Output(Arc::new(Pipe { printer: Arc::clone(self), level, line: Mutex::default() }))
    }

    /// Logs a line, or counts it if there were too many.
    fn print(&self, level: Level, line: &[u8]) {
        let mut left = self.left.lock();
        match left.checked_sub(line.len()) {
            Some(rest) => *left = rest,
            None => return self.plugin.handle.log_dropped(),
        }
        log::write(&self.plugin, &self.id.to_string(), level, &String::from_utf8_lossy(line));
    }
}

struct Pipe {
    printer: Arc<Printer>,
    level: Level,
    line: Mutex<Line>,
}

impl Pipe {
    fn write(&self, bytes: &[u8]) {
        let mut line = self.line.lock();
        // One byte too long is enough for the line to be dropped, so no more of it is kept.
        let limit = self.printer.left.lock().saturating_add(1);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            line.add(text, limit);
            if text.len() < piece.len() {
                self.printer.print(self.level, &line.take().unwrap_or_default());
            }
        }
    }
}

impl Drop for Pipe {
    /// What was printed without an end of its line ends with the guest.
    fn drop(&mut self) {
        if let Some(line) = self.line.lock().take() {
            self.printer.print(self.level, &line);
        }
    }
}

/// One stream. Copies are the same stream.
#[derive(Clone)]
pub struct Output(Arc<Pipe>);

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.write(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(CHUNK)
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.0.write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
