//! Bodies on their way through the gateway, in either direction. A body that no plugin asked for passes through chunk
//! by chunk, pulled by the receiver, so that a slow reader slows the sender and nothing piles up.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use thiserror::Error;
use tokio::time::Sleep;

use crate::server::hop_by_hop;

/// A body.
pub enum Body {
    /// None.
    Empty,
    /// Whole, in memory.
    Full(Bytes),
    /// From the network, as it comes.
    Incoming(Watched),
    /// Through something that looks at each chunk.
    Staged(Pin<Box<dyn Stage>>),
}

/// A body that passes through a plugin.
pub trait Stage {
    /// The next frame.
    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>>;

    /// Whether it is known that nothing more comes.
    fn is_end_stream(&self) -> bool {
        false
    }

    /// How much is still to come, as far as that is known.
    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// Why a body ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BodyError {
    /// Larger than allowed.
    #[error("the body is larger than {0} bytes")]
    TooLarge(u64),
    /// Nothing came for too long.
    #[error("no byte of the body came for {0:?}")]
    Stalled(Duration),
    /// The whole of it took too long.
    #[error("the body was not complete in time")]
    Late,
    /// The sender was gone before its end.
    #[error("the body ended too soon")]
    Cut,
    /// Its framing was wrong, or the sender took it back.
    #[error("the body broke off")]
    Broken,
    /// A plugin on its way faulted.
    #[error("a plugin on the body's way faulted")]
    Plugin,
    /// A plugin on its way answered instead.
    #[error("a plugin on the body's way answered")]
    Answered,
}

/// What is known of a body while it passes; shared with whoever has to report it.
#[derive(Debug, Default)]
pub struct Passage {
    /// Bytes so far.
    pub bytes: Cell<u64>,
    /// How it failed, if it did.
    pub error: Cell<Option<BodyError>>,
    /// When it came to its end.
    pub completed: Cell<Option<Instant>>,
}

/// A body from the network, with a limit, a clock and a count.
pub struct Watched {
    incoming: Incoming,
    limit: u64,
    stall: Duration,
    /// When all of it has to be here.
    deadline: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    passage: Rc<Passage>,
    /// Runs when the body has come to its end, and only then.
    at_end: Option<Box<dyn FnOnce(Instant)>>,
}

impl Watched {
    /// At most `limit` bytes, no pause longer than `stall`.
    pub fn new(incoming: Incoming, limit: u64, stall: Duration, passage: Rc<Passage>) -> Self {
        Self { incoming, limit, stall, deadline: None, timer: None, passage, at_end: None }
    }

    /// All of it by then, too.
    pub fn until(mut self, deadline: Option<Instant>) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs `act` once the body has been read to its end, and tells it when that was.
    pub fn at_end(mut self, act: impl FnOnce(Instant) + 'static) -> Self {
        match self.incoming.is_end_stream() {
            true => {
                let now = Instant::now();
                self.passage.completed.set(Some(now));
                act(now);
            }
            false => self.at_end = Some(Box::new(act)),
        }
        self
    }

    /// At most so many bytes, if that is less than it was.
    pub fn limit_to(&mut self, limit: u64) {
        self.limit = self.limit.min(limit);
    }

    fn fail(&mut self, error: BodyError) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.passage.error.set(Some(error));
        Poll::Ready(Some(Err(error)))
    }

    fn ended(&mut self) {
        let now = Instant::now();
        self.passage.completed.set(Some(now));
        if let Some(act) = self.at_end.take() {
            act(now);
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = match Pin::new(&mut self.incoming).poll_frame(context) {
            Poll::Ready(frame) => frame,
            Poll::Pending => return self.poll_stalled(context),
        };
        // A body that always has something ready never waits, so the clock is looked at after a wait, and then at each frame.
        if self.timer.is_some() && self.is_late() {
            return self.fail(BodyError::Late);
        }
        self.timer = None;
        match frame {
            Some(Ok(frame)) => self.pass(frame),
            Some(Err(error)) => self.fail(BodyError::of(&error)),
            None => {
                self.ended();
                Poll::Ready(None)
            }
        }
    }

    /// The timer is made only when there is something to wait for: most bodies never do.
    fn poll_stalled(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let wait = left.map_or(self.stall, |left| left.min(self.stall));
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(wait)));
        ready!(timer.as_mut().poll(context));
        self.fail(if self.is_late() { BodyError::Late } else { BodyError::Stalled(self.stall) })
    }

    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    fn pass(&mut self, mut frame: Frame<Bytes>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(trailers) = frame.trailers_mut() {
            hop_by_hop::strip_trailers(trailers);
        }
        if let Some(data) = frame.data_ref() {
            let bytes = self.passage.bytes.get() + data.len() as u64;
            if bytes > self.limit {
                return self.fail(BodyError::TooLarge(self.limit));
            }
            self.passage.bytes.set(bytes);
        }
        // Most receivers stop polling once they have what content-length promised, or trailers, which are the last there is.
        if frame.is_trailers() || self.incoming.is_end_stream() {
            self.ended();
        }
        Poll::Ready(Some(Ok(frame)))
    }
}

impl BodyError {
    fn of(error: &hyper::Error) -> Self {
        use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
        match cause.map(std::io::Error::kind) {
            Some(UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe) => BodyError::Cut,
            _ => BodyError::Broken,
        }
    }
}

impl Body {
    /// Reads all of it, up to `limit` bytes.
    pub async fn collect(self, limit: usize) -> Result<Bytes, BodyError> {
        let limit_error = BodyError::TooLarge(limit as u64);
        let mut body = match self {
            Body::Empty => return Ok(Bytes::new()),
            Body::Full(bytes) if bytes.len() <= limit => return Ok(bytes),
            Body::Full(_) => return Err(limit_error),
            body => body,
        };
        if body.size_hint().lower() > limit as u64 {
            return Err(limit_error);
        }
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            // Trailers of a body that was read whole have no place to go.
            let Ok(data) = frame?.into_data() else { continue };
            if whole.len() + data.len() > limit {
                return Err(limit_error);
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole.freeze())
    }

    /// Whether it is still on its way from the network.
    pub fn is_passing(&self) -> bool {
        matches!(self, Body::Incoming(_) | Body::Staged(_))
    }

    /// Whether there is certainly nothing in it.
    pub fn is_empty(&self) -> bool {
        match self {
            Body::Empty => true,
            Body::Full(bytes) => bytes.is_empty(),
            Body::Incoming(watched) => watched.incoming.is_end_stream(),
            Body::Staged(stage) => stage.is_end_stream(),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        match bytes.is_empty() {
            true => Body::Empty,
            false => Body::Full(bytes),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Body::Empty => Poll::Ready(None),
            body @ Body::Full(_) => match std::mem::replace(body, Body::Empty) {
                Body::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                _ => Poll::Ready(None),
            },
            Body::Incoming(watched) => watched.poll(context),
            Body::Staged(stage) => stage.as_mut().poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Empty => SizeHint::with_exact(0),
            Body::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Body::Incoming(watched) => watched.incoming.size_hint(),
            Body::Staged(stage) => stage.size_hint(),
        }
    }
}
