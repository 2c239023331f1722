//! Bodies of cases: as bytes, and as bodies that come piece by piece.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body::Frame;

use crate::body::{Body, BodyError, Stage};

use super::cases::Content;

/// The bytes that a case means, or why it means none.
pub fn bytes(content: &Content) -> Result<Bytes, String> {
    Ok(match content {
        Content::Text(text) => text.to_string().into(),
        Content::Json { json } => json.to_string().into(),
        Content::Base64 { base64 } => decoded(base64)?.into(),
    })
}

/// Base64, decoded.
pub fn decoded(text: &str) -> Result<Vec<u8>, String> {
    BASE64_STANDARD.decode(text).map_err(|error| format!("{text:?} is not base64: {error}"))
}

/// A body, whole or piece by piece.
pub fn body(whole: Option<&Content>, chunks: &[Content]) -> Result<Body, String> {
    match (whole, chunks) {
        (Some(whole), []) => Ok(Body::from(bytes(whole)?)),
        (None, []) => Ok(Body::Empty),
        (None, chunks) => Ok(Body::Staged(Box::pin(Pieces(chunks.iter().map(bytes).collect::<Result<_, _>>()?)))),
        (Some(_), _) => Err("want `body` or `chunks`, not both".into()),
    }
}

struct Pieces(VecDeque<Bytes>);

impl Stage for Pieces {
    fn poll_frame(mut self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }
}
