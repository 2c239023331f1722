//! HTTP/1 or HTTP/2: decided by a connection's first bytes, which are put back for whoever reads next.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use tokio::time::timeout;

/// The protocol a client began to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Anything but HTTP/2's preface; the head guard says whether it is HTTP/1 at all.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
}

/// A connection whose first bytes are to be read again.
#[derive(Debug)]
pub struct Rewound<IO> {
    prefix: [u8; PREFACE.len()],
    start: usize,
    end: usize,
    io: IO,
}

const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Reads until the protocol is certain, which one byte nearly always makes it.
///
/// # Errors
/// `TimedOut` when that takes longer than `limit`, `UnexpectedEof` when the client leaves before its first byte,
/// and what the connection itself reports.
pub async fn sniff<IO: Read + Unpin>(io: IO, limit: Duration) -> io::Result<(Protocol, Rewound<IO>)> {
    let mut rewound = Rewound::new(io);
    match timeout(limit, rewound.read_preface()).await {
        Ok(protocol) => Ok((protocol?, rewound)),
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the client sent no request in time")),
    }
}

impl<IO> Rewound<IO> {
    /// A connection with nothing to read again.
    pub fn new(io: IO) -> Self {
        Self { prefix: [0; PREFACE.len()], start: 0, end: 0, io }
    }
}

impl<IO: Read + Unpin> Rewound<IO> {
    async fn read_preface(&mut self) -> io::Result<Protocol> {
        loop {
            let read = poll_fn(|cx| self.poll_more(cx)).await?;
            let seen = &self.prefix[..self.end];
            match seen.len() {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ if !PREFACE.starts_with(seen) || read == 0 => return Ok(Protocol::Http1),
                24 => return Ok(Protocol::Http2),
                _ => {}
            }
        }
    }

    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(&mut self.prefix[self.end..]);
        match Pin::new(&mut self.io).poll_read(cx, buffer.unfilled()) {
            Poll::Ready(Ok(())) => {
                let read = buffer.filled().len();
                self.end += read;
                Poll::Ready(Ok(read))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<IO: Read + Unpin> Read for Rewound<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        if self.start == self.end {
            return Pin::new(&mut self.io).poll_read(cx, buffer);
        }
        let again = buffer.remaining().min(self.end - self.start);
        buffer.put_slice(&self.prefix[self.start..self.start + again]);
        self.start += again;
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        // One read for the prefix and what came after it keeps a first head in one piece. An error shows up again
        // at the next read, and the prefix has to be delivered first.
        let _ = Pin::new(&mut self.io).poll_read(cx, buffer);
        Poll::Ready(Ok(()))
    }
}

impl<IO: Write + Unpin> Write for Rewound<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bytes)
    }
}
