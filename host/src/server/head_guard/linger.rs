//! A last look at what the peer still sends, so that closing does not reset the connection under our answer:
//! TCP answers a close with unread data by a reset, and a reset makes the peer drop what it has not read yet.

use std::future::{Future, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBuf, Write};
use tokio::time::{Sleep, sleep};

const MOST_BYTES: usize = 64 * 1024;
const MOST_TIME: Duration = Duration::from_secs(1);

/// A close under way: first our side is shut down, then the peer's bytes are read and dropped.
#[derive(Debug)]
pub struct Linger {
    is_shut: bool,
    left: usize,
    timer: Pin<Box<Sleep>>,
}

/// Shuts our side down, then reads and drops what comes, up to 64 KiB or one second.
///
/// # Errors
/// When our side cannot be shut down.
pub async fn linger<IO: Read + Write + Unpin>(io: &mut IO) -> io::Result<()> {
    let mut linger = Linger::new();
    poll_fn(|cx| linger.poll(io, cx)).await
}

impl Linger {
    pub fn new() -> Self {
        Self { is_shut: false, left: MOST_BYTES, timer: Box::pin(sleep(MOST_TIME)) }
    }

    /// Ready when the peer closed or enough was done for it.
    pub fn poll<IO: Read + Write + Unpin>(&mut self, io: &mut IO, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_shut {
            ready!(Pin::new(&mut *io).poll_shutdown(cx))?;
            self.is_shut = true;
        }
        if self.timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        while self.left > 0 {
            // Our answer is out; an error of the peer's no longer matters.
            match ready!(discard(io, cx)) {
                Ok(0) | Err(_) => break,
                Ok(read) => self.left = self.left.saturating_sub(read),
            }
        }
        Poll::Ready(Ok(()))
    }
}

fn discard<IO: Read + Unpin>(io: &mut IO, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    let mut bytes = [MaybeUninit::uninit(); 4096];
    let mut buffer = ReadBuf::uninit(&mut bytes);
    ready!(Pin::new(io).poll_read(cx, buffer.unfilled()))?;
    Poll::Ready(Ok(buffer.filled().len()))
}
