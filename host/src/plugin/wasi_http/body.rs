//! Bodies between the gateway's own type, which stays on its worker, and that of `wasi:http`, which a store must be able
//! to take elsewhere. One frame at a time in either direction, so that a slow reader slows the sender.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Sleep;
use wasmtime_wasi_http::Error;

use crate::body::{Body, BodyError, Stage};
use crate::server::hop_by_hop;

pub use wasmtime_wasi_http::WasiBody;

// === towards a guest ===

/// A body for a guest. `keep` is dropped once the guest has read it or lost interest. To be called on a worker.
pub fn inward(body: Body, keep: impl Sized + 'static) -> WasiBody {
    match body {
        Body::Empty => Empty::new().map_err(never).boxed_unsync(),
        Body::Full(bytes) => Full::new(bytes).map_err(never).boxed_unsync(),
        passing => {
            let (frames, received) = mpsc::channel(1);
            tokio::task::spawn_local(async move {
                pump(passing, frames).await;
                drop(keep);
            });
            Inward(received).boxed_unsync()
        }
    }
}

fn never(infallible: std::convert::Infallible) -> Error {
    match infallible {}
}

type Received = Result<Frame<Bytes>, Error>;

struct Inward(mpsc::Receiver<Received>);

impl http_body::Body for Inward {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Received>> {
        self.0.poll_recv(context)
    }
}

/// Reads ahead by one frame.
async fn pump(mut body: Body, frames: mpsc::Sender<Received>) {
    while let Ok(room) = frames.reserve().await {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            () = frames.closed() => return,
        };
        let Some(frame) = frame else { return };
        let is_over = frame.is_err();
        room.send(frame.map_err(error));
        if is_over {
            return;
        }
    }
}

fn error(error: BodyError) -> Error {
    match error {
        BodyError::TooLarge(limit) => Error::HttpRequestBodySize(Some(limit)),
        BodyError::Stalled(_) | BodyError::Late => Error::ConnectionReadTimeout,
        BodyError::Cut | BodyError::Broken | BodyError::Plugin | BodyError::Answered => Error::ConnectionTerminated,
    }
}

// === from a guest ===

/// How a guest ends. A body whose guest broke off looks complete, so whoever passes one on has to know.
#[derive(Clone, Default)]
pub struct Fate(Arc<AtomicBool>);

impl Fate {
    /// What says that the guest broke off, unless it is told otherwise. To be dropped before the guest's store.
    pub fn watch(&self) -> Watch {
        Watch(Some(self.clone()))
    }

    fn is_broken(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Tells a guest's fate.
pub struct Watch(Option<Fate>);

impl Watch {
    /// The guest came to its end.
    pub fn ended_well(mut self) {
        self.0 = None;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(fate) = &self.0 {
            fate.0.store(true, Ordering::Release);
        }
    }
}

/// A guest at work. Dropped, it is stopped.
pub struct Task(JoinHandle<()>);

impl Task {
    /// Of a task on this worker.
    pub fn new(handle: JoinHandle<()>) -> Self {
        Self(handle)
    }

    /// Lets it do what it does after its answer, for so long.
    fn let_finish(mut self, within: Duration) {
        if !self.0.is_finished() {
            tokio::task::spawn_local(async move {
                let _ = tokio::time::timeout(within, &mut self.0).await;
            });
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A body that a guest makes, as the gateway passes it on.
pub struct Outward {
    inner: WasiBody,
    fate: Fate,
    /// How long the guest may take for the next frame, and then for what it does after the last. None for what somebody
    /// else watches.
    patience: Option<Duration>,
    timer: Option<Pin<Box<Sleep>>>,
    /// Bytes that are still to come, where it said so: nobody asks whether there are more.
    left: Option<u64>,
    is_over: bool,
    /// The guest, where the body is its answer.
    task: Option<Task>,
}

impl Outward {
    /// A body of `length` bytes, if that is known.
    pub fn new(inner: WasiBody, fate: Fate, patience: Option<Duration>, length: Option<u64>, task: Option<Task>) -> Body {
        Body::Staged(Box::pin(Self { is_over: inner.is_end_stream(), inner, fate, patience, timer: None, left: length, task }))
    }

    fn poll_stalled(&mut self, context: &mut Context<'_>) -> Poll<BodyError> {
        let Some(patience) = self.patience else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(timer.as_mut().poll(context));
        Poll::Ready(BodyError::Stalled(patience))
    }

    fn pass(&mut self, mut frame: Frame<Bytes>) -> Frame<Bytes> {
        self.timer = None;
        if let (Some(left), Some(data)) = (&mut self.left, frame.data_ref()) {
            *left = left.saturating_sub(data.len() as u64);
        }
        if let Some(trailers) = frame.trailers_mut() {
            hop_by_hop::strip_trailers(trailers);
        }
        self.is_over = frame.is_trailers() || self.left == Some(0);
        frame
    }
}

impl Stage for Outward {
    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Pending => self.poll_stalled(context).map(|error| Some(Err(error))),
            Poll::Ready(None) if self.fate.is_broken() => Poll::Ready(Some(Err(BodyError::Plugin))),
            Poll::Ready(None) => {
                self.is_over = true;
                Poll::Ready(None)
            }
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(self.pass(frame)))),
            Poll::Ready(Some(Err(_))) => Poll::Ready(Some(Err(BodyError::Plugin))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Outward {
    /// A guest whose answer is told may go on for a while; one that nobody listens to may not.
    fn drop(&mut self) {
        if let (Some(task), Some(patience)) = (self.task.take().filter(|_| self.is_over), self.patience) {
            task.let_finish(patience);
        }
    }
}
