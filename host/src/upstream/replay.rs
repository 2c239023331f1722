//! Bodies that may have to be sent again: what goes out is kept as it passes, up to a limit, and another try gets that
//! and then the rest. Nothing waits for it, and what grows too large is forgotten.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};

use crate::body::{Body, BodyError, Stage};

use super::caps::Buffered;

/// A body on its way that can be sent again for as long as this lives.
pub struct Replay(Rc<RefCell<Reel>>);

/// What is kept of a body, and what is still to come.
struct Reel {
    rest: Body,
    kept: Kept,
    /// Of what is kept, what the try under way did not get yet.
    unplayed: Option<Bytes>,
    /// The try that may read on. One that was given up may still try to.
    turn: u32,
    /// Whether another try is possible.
    repeatable: bool,
    limit: usize,
    /// What is kept counts among what the upstream may have of the gateway.
    buffered: Option<Buffered>,
}

enum Kept {
    /// As it came. Most bodies are one piece, and are never copied.
    Piece(Bytes),
    /// Several pieces. Copied, because a small piece may hold on to a large buffer.
    Pieces(BytesMut),
}

/// The body as one try gets it.
struct Play {
    reel: Rc<RefCell<Reel>>,
    turn: u32,
}

// === impl Replay ===

impl Replay {
    /// Keeps up to `limit` bytes of a body, for as long as its upstream has room for them; `buffered` grows with them. The
    /// body that goes out in its place is with it.
    pub fn new(body: Body, limit: usize, buffered: Option<Buffered>) -> (Self, Body) {
        let kept = Kept::Piece(Bytes::new());
        let reel = Reel { rest: body, kept, unplayed: None, turn: 0, repeatable: true, limit, buffered };
        let replay = Self(Rc::new(RefCell::new(reel)));
        let body = replay.play(0);
        (replay, body)
    }

    /// The body once more, from the beginning; the try before gets no more of it. None where it is not possible any more.
    pub fn again(&self) -> Option<Body> {
        let turn = self.0.borrow_mut().rewind()?;
        Some(self.play(turn))
    }

    fn play(&self, turn: u32) -> Body {
        Body::Staged(Box::pin(Play { reel: Rc::clone(&self.0), turn }))
    }
}

impl Drop for Replay {
    /// There will be no other try.
    fn drop(&mut self) {
        self.0.borrow_mut().forget();
    }
}

// === impl Reel ===

impl Reel {
    fn rewind(&mut self) -> Option<u32> {
        if !self.repeatable {
            return None;
        }
        self.turn += 1;
        let kept = self.kept.take();
        self.unplayed = Some(kept.clone()).filter(|kept| !kept.is_empty());
        self.kept = Kept::Piece(kept);
        Some(self.turn)
    }

    fn keep(&mut self, data: &Bytes) {
        let length = self.kept.len() + data.len();
        let to_come = self.rest.size_hint().lower();
        let fits = length as u64 + to_come <= self.limit as u64;
        match fits && self.buffered.as_mut().is_some_and(|buffered| buffered.grow(data.len() as u64)) {
            true => self.kept.push(data),
            false => self.forget(),
        }
    }

    fn forget(&mut self) {
        self.repeatable = false;
        self.kept = Kept::Piece(Bytes::new());
        self.buffered = None;
    }

    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(kept) = self.unplayed.take() {
            return Poll::Ready(Some(Ok(Frame::data(kept))));
        }
        let frame = ready!(Pin::new(&mut self.rest).poll_frame(context));
        if self.repeatable {
            match &frame {
                Some(Ok(frame)) => match frame.data_ref() {
                    Some(data) => self.keep(data),
                    // Trailers are rare, and not kept.
                    None => self.forget(),
                },
                Some(Err(_)) => self.forget(),
                None => {}
            }
        }
        Poll::Ready(frame)
    }
}

impl Kept {
    fn len(&self) -> usize {
        match self {
            Kept::Piece(piece) => piece.len(),
            Kept::Pieces(pieces) => pieces.len(),
        }
    }

    fn push(&mut self, data: &Bytes) {
        match self {
            Kept::Piece(piece) if piece.is_empty() => *piece = data.clone(),
            Kept::Piece(piece) => {
                let mut pieces = BytesMut::with_capacity((piece.len() + data.len()) * 2);
                pieces.extend_from_slice(piece);
                pieces.extend_from_slice(data);
                *self = Kept::Pieces(pieces);
            }
            Kept::Pieces(pieces) => pieces.extend_from_slice(data),
        }
    }

    fn take(&mut self) -> Bytes {
        match std::mem::replace(self, Kept::Piece(Bytes::new())) {
            Kept::Piece(piece) => piece,
            Kept::Pieces(pieces) => pieces.freeze(),
        }
    }
}

impl Stage for Play {
    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut reel = self.reel.borrow_mut();
        match reel.turn == self.turn {
            true => reel.poll_frame(context),
            false => Poll::Ready(Some(Err(BodyError::Broken))),
        }
    }

    fn is_end_stream(&self) -> bool {
        let reel = self.reel.borrow();
        reel.turn == self.turn && reel.unplayed.is_none() && reel.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let reel = self.reel.borrow();
        let (kept, rest) = (reel.unplayed.as_ref().map_or(0, Bytes::len) as u64, reel.rest.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + kept);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + kept);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;

    use http_body_util::BodyExt;

    use super::*;
    use crate::upstream::caps::Caps;

    /// A body that comes in pieces.
    struct Pieces(VecDeque<&'static str>);

    impl Stage for Pieces {
        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            let piece = self.0.pop_front().map(|piece| match piece {
                "broken" => Err(BodyError::Broken),
                piece => Ok(Frame::data(piece.into())),
            });
            Poll::Ready(piece)
        }
    }

    fn replay(limit: usize, pieces: &[&'static str]) -> (Replay, Body, Arc<Caps>) {
        let caps = Arc::<Caps>::default();
        let body = Body::Staged(Box::pin(Pieces(pieces.iter().copied().collect())));
        let (replay, body) = Replay::new(body, limit, caps.buffer(0, 100));
        (replay, body, caps)
    }

    async fn next(body: &mut Body) -> Option<Result<Bytes, BodyError>> {
        Some(body.frame().await?.map(|frame| frame.into_data().expect("data")))
    }

    async fn whole(body: Body) -> Bytes {
        body.collect(usize::MAX).await.expect("it comes through")
    }

    #[tokio::test]
    async fn what_was_sent_comes_again_and_then_the_rest() {
        let (replay, mut first, caps) = replay(100, &["one ", "two ", "three"]);
        next(&mut first).await.expect("a piece").expect("no error");
        next(&mut first).await.expect("a piece").expect("no error");
        assert_eq!(caps.buffered(), 8);
        let second = replay.again().expect("it is small");
        assert_eq!(whole(second).await, "one two three");
        let third = replay.again().expect("it is still small");
        assert_eq!(whole(third).await, "one two three", "all of it was kept by then");
        drop(replay);
        assert_eq!(caps.buffered(), 0);
    }

    #[tokio::test]
    async fn what_was_never_sent_is_all_rest() {
        let (replay, first, _) = replay(1, &["one ", "two"]);
        drop(first);
        assert_eq!(whole(replay.again().expect("nothing is lost")).await, "one two");
    }

    #[tokio::test]
    async fn a_try_that_was_given_up_gets_no_more_of_it() {
        let (replay, mut first, _) = replay(100, &["one ", "two"]);
        next(&mut first).await.expect("a piece").expect("no error");
        let second = replay.again().expect("it is small");
        assert_eq!(next(&mut first).await, Some(Err(BodyError::Broken)));
        assert_eq!(whole(second).await, "one two");
    }

    #[tokio::test]
    async fn what_is_too_large_goes_through_and_is_forgotten() {
        let (replay, first, caps) = replay(6, &["one ", "two"]);
        assert_eq!(whole(first).await, "one two");
        assert!(replay.again().is_none());
        assert_eq!(caps.buffered(), 0);
    }

    #[tokio::test]
    async fn what_broke_is_not_sent_again() {
        let (replay, mut first, _) = replay(100, &["one ", "broken"]);
        while next(&mut first).await.is_some_and(|piece| piece.is_ok()) {}
        assert!(replay.again().is_none());
    }

    #[tokio::test]
    async fn without_another_try_what_is_left_of_this_one_still_comes() {
        let (replay, mut first, caps) = replay(100, &["one ", "two ", "three"]);
        next(&mut first).await.expect("a piece").expect("no error");
        let second = replay.again().expect("it is small");
        drop(replay);
        assert_eq!(caps.buffered(), 0);
        assert_eq!(whole(second).await, "one two three");
    }

    #[tokio::test]
    async fn an_upstream_keeps_so_much_and_no_more() {
        let (replay, first, caps) = replay(100, &["one"]);
        let _others = caps.buffer(98, 100).expect("there is room");
        assert_eq!(whole(first).await, "one", "the request goes on");
        assert!(replay.again().is_none(), "but not twice");
    }
}
