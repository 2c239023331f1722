//! A TCP connection to an endpoint that knows, when it breaks, whether the other machine had anything of the request that
//! was under way. An endpoint may close an idle connection in the very moment that a request goes out on it; then nobody
//! has seen the request, and whatever its method it may be sent again.

use std::io::{self, IoSlice};
use std::mem::{offset_of, size_of};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A connection, and how far it has got. Between two requests all that was written has been answered.
pub struct Line {
    stream: TcpStream,
    /// Bytes written.
    written: u64,
    /// Bytes that had been written when something was last read.
    answered: u64,
}

/// The connection broke, and the other machine had nothing of the request.
#[derive(Debug, Error)]
#[error("the endpoint had closed the connection before the request reached it")]
pub struct Untouched;

impl Untouched {
    /// Whether an error is this, or was caused by it.
    pub fn caused(error: &(dyn std::error::Error + 'static)) -> bool {
        let io = |error: &&(dyn std::error::Error + 'static)| {
            error.downcast_ref::<io::Error>().and_then(io::Error::get_ref).is_some_and(|inner| inner.is::<Untouched>())
        };
        std::iter::successors(Some(error), |error| error.source()).any(|error| error.is::<Untouched>() || io(&error))
    }
}

impl Line {
    /// A connection that nothing was written to.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, written: 0, answered: 0 }
    }

    /// The connection itself.
    pub fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// What the end of the connection is: an error of its own where a request was under way that nobody has had.
    fn end(&self, is_asking: bool, ended: io::Result<()>) -> io::Result<()> {
        // The acknowledgement of the connection itself counts as a byte. A system that counts nothing says 0, which proves
        // nothing. What closed before the request came acknowledged all that was before, and no byte of it.
        match is_asking && acknowledged(&self.stream) == Some(self.answered + 1) {
            true => Err(io::Error::new(io::ErrorKind::ConnectionReset, Untouched)),
            false => ended,
        }
    }

    fn wrote(&mut self, wrote: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match wrote {
            Poll::Ready(Ok(count)) => {
                self.written += count as u64;
                Poll::Ready(Ok(count))
            }
            // Whatever was to be written is a request, or a part of one.
            Poll::Ready(Err(error)) => Poll::Ready(self.end(true, Err(error)).map(|()| 0)),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// How many bytes the other machine has acknowledged, the connection itself included. None where the system does not say.
fn acknowledged(stream: &TcpStream) -> Option<u64> {
    const NEEDED: usize = offset_of!(libc::tcp_info, tcpi_bytes_acked) + size_of::<u64>();
    // SAFETY: the struct is plain numbers, for which zero is a value.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the socket is open as long as the stream is borrowed, and the system writes at most `length` bytes to `info`.
    let got = unsafe { libc::getsockopt(stream.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, (&raw mut info).cast(), &mut length) };
    (got == 0 && length as usize >= NEEDED).then_some(info.tcpi_bytes_acked)
}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let line = self.get_mut();
        let (before, room) = (buffer.filled().len(), buffer.remaining());
        let read = ready!(Pin::new(&mut line.stream).poll_read(context, buffer));
        if buffer.filled().len() > before {
            line.answered = line.written;
        } else if room > 0 || read.is_err() {
            return Poll::Ready(line.end(line.written > line.answered, read));
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let line = self.get_mut();
        let wrote = Pin::new(&mut line.stream).poll_write(context, bytes);
        line.wrote(wrote)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let line = self.get_mut();
        let wrote = Pin::new(&mut line.stream).poll_write_vectored(context, slices);
        line.wrote(wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (Line, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (ours, theirs) = tokio::join!(TcpStream::connect(address), listener.accept());
        (Line::new(ours.expect("it listens")), theirs.expect("somebody connects").0)
    }

    /// One request and its answer.
    async fn exchange(line: &mut Line, theirs: &mut TcpStream) {
        line.write_all(b"request").await.expect("it is open");
        theirs.read_exact(&mut [0; 7]).await.expect("it was sent");
        theirs.write_all(b"answer").await.expect("it is open");
        line.read_exact(&mut [0; 6]).await.expect("it was answered");
    }

    /// Their end has come, and nobody has looked: it is only peeked at.
    async fn closed(line: &Line) {
        line.socket().peek(&mut [0; 1]).await.expect("they closed");
    }

    #[tokio::test]
    async fn what_is_sent_after_they_closed_has_reached_nobody() {
        for exchanges in [0, 1, 3] {
            let (mut line, mut theirs) = pair().await;
            for _ in 0..exchanges {
                exchange(&mut line, &mut theirs).await;
            }
            drop(theirs);
            closed(&line).await;
            line.write_all(b"request").await.expect("the system takes it");
            let error = line.read(&mut [0; 8]).await.expect_err("nobody has had it");
            assert!(Untouched::caused(&error), "after {exchanges}: {error:?}");
        }
    }

    #[tokio::test]
    async fn what_they_had_they_may_have_acted_on() {
        let (mut line, mut theirs) = pair().await;
        exchange(&mut line, &mut theirs).await;
        line.write_all(b"request").await.expect("it is open");
        theirs.read_exact(&mut [0; 7]).await.expect("it was sent");
        drop(theirs);
        assert_eq!(line.read(&mut [0; 8]).await.expect("an end like any other"), 0);
    }

    #[tokio::test]
    async fn an_idle_connection_ends_as_any_does() {
        let (mut line, mut theirs) = pair().await;
        exchange(&mut line, &mut theirs).await;
        drop(theirs);
        assert_eq!(line.read(&mut [0; 8]).await.expect("its end"), 0);
    }

    #[tokio::test]
    async fn half_an_answer_is_an_answer() {
        let (mut line, mut theirs) = pair().await;
        line.write_all(b"request").await.expect("it is open");
        theirs.read_exact(&mut [0; 7]).await.expect("it was sent");
        theirs.write_all(b"ans").await.expect("it is open");
        drop(theirs);
        line.read_exact(&mut [0; 3]).await.expect("half of it");
        assert_eq!(line.read(&mut [0; 8]).await.expect("its end"), 0);
    }

    #[tokio::test]
    async fn a_reset_before_the_request_is_told_apart_too() {
        let (mut line, mut theirs) = pair().await;
        exchange(&mut line, &mut theirs).await;
        socket2::SockRef::from(&theirs).set_linger(Some(std::time::Duration::ZERO)).expect("it can be set");
        drop(theirs);
        let mut wrote = line.write_all(b"request").await;
        if wrote.is_ok() {
            wrote = line.read(&mut [0; 8]).await.map(|_| ());
        }
        let error = wrote.expect_err("it was reset");
        assert!(Untouched::caused(&error), "{error:?}");
    }
}
