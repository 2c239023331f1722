//! Stands between a connection and hyper's HTTP/1 parser and lets only heads through that have one reading.
//! hyper is lenient where a proxy must not be (it takes a length beside an encoding, equal lengths, bare LF) and
//! answers the rest by itself; here every refusal becomes a request to our own service, which answers it in turn.

mod chunked;
mod deadline;
mod framer;
mod handle;
mod head;
mod linger;
mod sniff;
#[cfg(test)]
mod tests;
mod violation;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use tokio::time::Instant;

use self::deadline::Deadline;
use self::framer::{Framer, Place};
use self::handle::Shared;
pub use self::handle::{Admission, GuardHandle};
use self::linger::Linger;
pub use self::linger::linger;
pub use self::sniff::{Protocol, Rewound, sniff};
pub use self::violation::Violation;

/// What a client may take, in bytes, lines and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request head.
    pub head: usize,
    /// Header lines; above 100 hyper has to be told too.
    pub headers: usize,
    /// Bytes of a request target.
    pub target: usize,
    /// From the first byte of a head to its last.
    pub head_time: Duration,
    /// Between requests; before the first one `head_time` counts.
    pub idle_time: Duration,
}

/// An HTTP/1 connection whose incoming heads are checked.
#[derive(Debug)]
pub struct HeadGuard<IO> {
    io: IO,
    framer: Framer,
    shared: Rc<Shared>,
    limits: Limits,
    /// Bytes that hyper has not got: first `checked` ones that may go, then an unfinished head.
    held: Vec<u8>,
    checked: usize,
    /// The held bytes came after an upgrade offer and were not looked at.
    is_parked: bool,
    head_began: Option<Instant>,
    deadline: Deadline,
    /// Bytes of the stand-in that hyper has got.
    stand_in_sent: usize,
    peer_closed: bool,
    linger: Option<Linger>,
}

/// The request hyper gets in place of a refused head. It never leaves the connection's service.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nhost: invalid\r\nconnection: close\r\n\r\n";

impl Default for Limits {
    fn default() -> Self {
        Self { head: 32 * 1024, headers: 100, target: 16 * 1024, head_time: Duration::from_secs(10), idle_time: Duration::from_secs(75) }
    }
}

// === impl HeadGuard ===

impl<IO> HeadGuard<IO> {
    /// A guard in front of `io`, and the handle its service needs.
    pub fn new(io: IO, limits: Limits) -> (Self, GuardHandle) {
        let shared = Rc::new(Shared::new());
        let guard = Self {
            io,
            framer: Framer::new(limits, Rc::clone(&shared)),
            shared: Rc::clone(&shared),
            limits,
            held: Vec::new(),
            checked: 0,
            is_parked: false,
            head_began: None,
            deadline: Deadline::default(),
            stand_in_sent: 0,
            peer_closed: false,
            linger: None,
        };
        (guard, GuardHandle { shared })
    }

    /// Hands over checked bytes that are held, as many as fit.
    fn hand_over(&mut self, buffer: &mut ReadBufCursor<'_>) {
        let fits = self.checked.min(buffer.remaining());
        buffer.put_slice(&self.held[..fits]);
        self.checked -= fits;
        self.held.drain(..fits);
        if self.held.is_empty() {
            // Few heads come in pieces; an idle connection should not keep the room for one.
            self.held = Vec::new();
        }
    }

    /// Checks what is held again, now that there is more of it or an upgrade is settled.
    fn check_held(&mut self) {
        self.checked = self.framer.follow(&self.held);
        if !matches!(self.framer.place, Place::Head) {
            self.held.truncate(self.checked);
        }
        self.note_unfinished_head(self.checked > 0);
    }

    /// Keeps what could not go on to hyper, unless a violation made it worthless.
    fn hold(&mut self, rest: &[u8], passed: bool) {
        if !rest.is_empty() && matches!(self.framer.place, Place::Head) {
            self.held.extend_from_slice(rest);
        }
        self.note_unfinished_head(passed);
    }

    /// Starts the clock of a head at its first byte, anew when another head went on to hyper in between.
    fn note_unfinished_head(&mut self, passed: bool) {
        let unfinished = &self.held[self.checked..];
        self.is_parked = !unfinished.is_empty() && self.framer.waits_for_upgrade();
        match self.head_began {
            // Some clients send an empty line after a body; that is no request yet, so nothing is late.
            _ if b"\r\n".starts_with(unfinished) => self.head_began = None,
            Some(_) if !passed => {}
            _ => self.head_began = Some(Instant::now()),
        }
    }

    /// Checks the bytes that an upgrade offer held back, once it is settled; true when there were some.
    fn unpark(&mut self) -> bool {
        if !self.is_parked {
            return false;
        }
        self.head_began = None;
        self.check_held();
        true
    }

    /// Gives hyper the stand-in, then nothing: an end of input would make it drop the answer that is under way.
    fn stand_in(&mut self, buffer: &mut ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let rest = &STAND_IN[self.stand_in_sent..];
        if rest.is_empty() {
            return Poll::Pending;
        }
        let fits = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..fits]);
        self.stand_in_sent += fits;
        Poll::Ready(Ok(()))
    }

    /// Nothing to read: ready with true when a head is late, with false when the connection was idle for too long.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if matches!(self.framer.place, Place::Upgraded) {
            return Poll::Pending;
        }
        let idle_since = self.shared.idle_since().filter(|_| matches!(self.framer.place, Place::Head));
        let (due, is_head) = match (self.head_began, idle_since) {
            (Some(began), _) => (began + self.limits.head_time, true),
            (None, Some(since)) if self.shared.is_new() => (since + self.limits.head_time, false),
            (None, Some(since)) => (since + self.limits.idle_time, false),
            // While a request is under way nothing is late, but hyper may not ask again when it ends.
            (None, None) => {
                self.deadline.keep_ticking(cx, self.limits.idle_time);
                return Poll::Pending;
            }
        };
        self.deadline.poll(cx, due).map(|()| is_head)
    }

    /// Whether the peer may have more to say than we want to hear, so that a plain close could end in a reset.
    fn has_unread_input(&self) -> bool {
        let between_requests = matches!(self.framer.place, Place::Head) && self.held.is_empty();
        !self.peer_closed && !between_requests && !matches!(self.framer.place, Place::Upgraded)
    }
}

impl<IO: Read + Unpin> HeadGuard<IO> {
    /// Reads into hyper's own buffer, where the bytes stay if they may pass; only an unfinished head is copied out.
    ///
    /// True when hyper has got something, be it the end of input.
    fn poll_pass(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBufCursor<'_>) -> Poll<io::Result<bool>> {
        // SAFETY: `ReadBuf` writes only initialised bytes, so none becomes uninitialised.
        let mut room = ReadBuf::uninit(unsafe { buffer.as_mut() });
        ready!(Pin::new(&mut self.io).poll_read(cx, room.unfilled()))?;
        let read = room.filled();
        if read.is_empty() {
            self.peer_closed = true;
            return Poll::Ready(Ok(true));
        }
        if !self.held.is_empty() {
            self.held.extend_from_slice(read);
            if self.head_began.is_none() || self.framer.is_worth_checking(self.held.len(), read) {
                self.check_held();
            }
            return Poll::Ready(Ok(false));
        }
        let passed = self.framer.follow(read);
        self.hold(&read[passed..], passed > 0);
        // SAFETY: `read` is the filled front of this very buffer, and `passed` is at most its length.
        unsafe { buffer.advance(passed) };
        Poll::Ready(Ok(passed > 0))
    }

    /// Reads until there is something for hyper or nothing to read.
    fn poll_next(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.checked > 0 {
                self.hand_over(buffer);
                return Poll::Ready(Ok(()));
            }
            if self.framer.waits_for_upgrade() {
                self.shared.wake_later(cx.waker());
                return Poll::Pending;
            }
            if self.unpark() {
                continue;
            }
            match self.framer.place {
                Place::Refused => return self.stand_in(buffer),
                Place::Broken(violation) => return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, violation))),
                _ => {}
            }
            match self.poll_pass(cx, buffer) {
                Poll::Ready(Ok(false)) => {}
                Poll::Ready(done) => return Poll::Ready(done.map(drop)),
                Poll::Pending if ready!(self.poll_late(cx)) => {
                    self.framer.refuse(Violation::HeadTimeout);
                    self.check_held();
                }
                // An end of input, which makes hyper close an idle connection quietly.
                Poll::Pending => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<IO: Read + Unpin> Read for HeadGuard<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        self.poll_next(cx, &mut buffer)
    }
}

impl<IO: Read + Write + Unpin> Write for HeadGuard<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    /// Lingers where the peer is still sending, so that it gets to read the answer.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.has_unread_input() {
            return Pin::new(&mut this.io).poll_shutdown(cx);
        }
        this.linger.get_or_insert_with(Linger::new).poll(&mut this.io, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bytes)
    }
}
