//! HTTP/1.1 framing as plain bytes: heads, bodies by length, chunks. Written for tests: it keeps what it reads.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    time::timeout,
};

/// How long a test waits for bytes that should come at once.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Anything a test speaks HTTP over.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Bytes that have arrived on a stream and were not taken yet.
#[derive(Default)]
pub struct Inbox {
    bytes: Vec<u8>,
}

/// How the end of a body is found (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// As many bytes as this.
    Length(usize),
    /// Chunks, up to the last one.
    Chunked,
    /// Whatever comes before the connection ends.
    UntilClose,
}

impl Inbox {
    /// The next head with its empty line. None if the stream ended before it began.
    pub async fn head(&mut self, stream: &mut dyn Stream) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = find(&self.bytes, b"\r\n\r\n") {
                return Ok(Some(self.take(end + 4)));
            }
            if self.fill(stream).await? == 0 {
                return if self.bytes.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    /// The next body as it stood on the wire, and its content.
    pub async fn body(&mut self, stream: &mut dyn Stream, framing: Framing) -> io::Result<(Vec<u8>, Vec<u8>)> {
        match framing {
            Framing::None => Ok((Vec::new(), Vec::new())),
            Framing::Length(length) => {
                let body = self.exactly(stream, length).await?;
                Ok((body.clone(), body))
            }
            Framing::Chunked => self.chunks(stream).await,
            Framing::UntilClose => {
                while self.fill(stream).await? > 0 {}
                let body = std::mem::take(&mut self.bytes);
                Ok((body.clone(), body))
            }
        }
    }

    /// One chunk: its bytes on the wire, and its content. The last one is empty and takes its trailers along.
    pub async fn chunk(&mut self, stream: &mut dyn Stream) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let mut raw = self.line(stream).await?;
        let size = chunk_size(&raw)?;
        if size == 0 {
            loop {
                let line = self.line(stream).await?;
                raw.extend_from_slice(&line);
                if line == b"\r\n" {
                    return Ok((raw, Vec::new()));
                }
            }
        }
        let content = self.exactly(stream, size).await?;
        raw.extend_from_slice(&content);
        raw.extend(self.exactly(stream, 2).await?);
        Ok((raw, content))
    }

    /// Exactly so many bytes.
    pub async fn exactly(&mut self, stream: &mut dyn Stream, length: usize) -> io::Result<Vec<u8>> {
        while self.bytes.len() < length {
            if self.fill(stream).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.take(length))
    }

    /// Takes what has arrived, or waits for something. Empty at the end of the stream.
    pub async fn some(&mut self, stream: &mut dyn Stream) -> io::Result<Vec<u8>> {
        if self.bytes.is_empty() {
            self.fill(stream).await?;
        }
        Ok(std::mem::take(&mut self.bytes))
    }

    async fn chunks(&mut self, stream: &mut dyn Stream) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let (mut raw, mut content) = (Vec::new(), Vec::new());
        loop {
            let (bytes, piece) = self.chunk(stream).await?;
            raw.extend(bytes);
            if piece.is_empty() {
                return Ok((raw, content));
            }
            content.extend(piece);
        }
    }

    async fn line(&mut self, stream: &mut dyn Stream) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = find(&self.bytes, b"\r\n") {
                return Ok(self.take(end + 2));
            }
            if self.fill(stream).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn fill(&mut self, stream: &mut dyn Stream) -> io::Result<usize> {
        stream.read_buf(&mut self.bytes).await
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let rest = self.bytes.split_off(length);
        std::mem::replace(&mut self.bytes, rest)
    }
}

/// Waits for something that should happen soon, and says what did not.
///
/// # Panics
/// When it takes longer than [`PATIENCE`].
#[track_caller]
pub fn soon<F: Future>(what: &str, future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        match timeout(PATIENCE, future).await {
            Ok(output) => output,
            Err(_) => panic!("{caller}: waited {PATIENCE:?} for {what}"),
        }
    }
}

/// Waits until something is true, and says what did not become so.
///
/// # Panics
/// When it takes longer than [`PATIENCE`].
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) -> impl Future<Output = ()> {
    soon(what, async move {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
}

/// Where a needle begins.
#[must_use]
pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// The header lines of a head, in order; names as they were written.
#[must_use]
pub fn header_lines(head: &str) -> Vec<(String, String)> {
    let lines = head.split("\r\n").skip(1).filter(|line| !line.is_empty());
    lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}

/// The values of one header, in order.
#[must_use]
pub fn values<'a>(headers: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    headers.iter().filter(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
}

fn chunk_size(line: &[u8]) -> io::Result<usize> {
    let text = String::from_utf8_lossy(line);
    let digits = text.trim_end().split(';').next().unwrap_or_default();
    usize::from_str_radix(digits, 16).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("chunk size {text:?}")))
}
