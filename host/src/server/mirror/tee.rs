//! A body that is copied while it passes: the receiver sets the pace, and what the copy cannot take it does without.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use http_body::{Body as _, Frame, SizeHint};
use smallvec::SmallVec;

use crate::body::{Body, BodyError, Stage};
use crate::telemetry::metrics::MirrorResult;

use super::{LARGEST, Original, Pending, send};

/// A body on its way, with what has passed of it.
pub(super) struct Tee {
    body: Body,
    /// None once the copies are sent, or given up.
    copy: Option<Copy>,
}

struct Copy {
    pending: SmallVec<[Pending; 2]>,
    original: Original,
    passed: BytesMut,
}

impl Tee {
    /// Copies are sent when the last of the body has passed.
    pub(super) fn new(body: Body, pending: SmallVec<[Pending; 2]>, original: Original) -> Self {
        Self { body, copy: Some(Copy { pending, original, passed: BytesMut::new() }) }
    }

    /// The bytes themselves are copied: many small pieces would each hold on to the buffer they were read into.
    fn keep(&mut self, data: &[u8]) {
        let Some(copy) = &mut self.copy else { return };
        if copy.passed.len() + data.len() <= LARGEST {
            return copy.passed.extend_from_slice(data);
        }
        let copy = self.copy.take().expect("it was there a line ago");
        copy.pending.into_iter().for_each(|pending| pending.give_up(MirrorResult::TooLarge));
    }

    fn passed(&mut self) {
        if let Some(Copy { pending, original, passed }) = self.copy.take() {
            send(pending, &Rc::new(original), &passed.freeze());
        }
    }
}

impl Stage for Tee {
    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<bytes::Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.keep(data);
                }
                // Most receivers stop polling once they have what content-length promised.
                if self.body.is_end_stream() {
                    self.passed();
                }
            }
            Some(Err(_)) => self.copy = None,
            None => self.passed(),
        }
        Poll::Ready(frame)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
