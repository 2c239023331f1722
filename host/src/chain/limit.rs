//! Limits that a plugin sets on bodies. A body known to be longer is refused at once, any other is counted as it passes.
//! No body goes through a guest for this.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::{Body as _, Frame};

use crate::body::{self, Body, BodyError};
use crate::error::Error;

use super::{Interrupt, Traveller};

/// Puts a limit on a request's body.
pub fn request(traveller: &mut Traveller, limit: u64) {
    if is_longer(&traveller.body, limit) {
        traveller.too_large = Some(limit);
        return;
    }
    let interrupt = Rc::clone(&traveller.interrupt);
    count(&mut traveller.body, limit, Some(interrupt));
}

/// Puts a limit on a response's body. One that is known to be longer becomes a problem instead.
pub fn response(plugin: &str, traveller: &mut Traveller, response: &mut Response<Body>, limit: u64) {
    if is_longer(response.body(), limit) {
        let error = Error::ResponseTooLarge { plugin: plugin.to_owned(), limit };
        tracing::debug!(request_id = traveller.id_text(), %error, "response not passed on");
        traveller.replaced = Some(error.reason());
        *response = error.into_response(&traveller.id_text());
        return;
    }
    count(response.body_mut(), limit, None);
}

fn is_longer(body: &Body, limit: u64) -> bool {
    body.size_hint().lower() > limit
}

fn count(body: &mut Body, limit: u64, interrupt: Option<Rc<Interrupt>>) {
    match body {
        Body::Empty | Body::Full(_) => {}
        Body::Incoming(watched) => watched.limit_to(limit),
        // What a plugin before makes of a body is counted where it comes out.
        Body::Staged(_) => {
            let inner = std::mem::replace(body, Body::Empty);
            *body = Body::Staged(Box::pin(Counted { inner, limit, passed: 0, interrupt }));
        }
    }
}

/// A body that ends with an error once it is longer than its limit.
struct Counted {
    inner: Body,
    limit: u64,
    passed: u64,
    /// Where a request's error is left, to be answered in place of the upstream's complaint.
    interrupt: Option<Rc<Interrupt>>,
}

impl body::Stage for Counted {
    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = ready!(Pin::new(&mut self.inner).poll_frame(context));
        if let Some(Ok(frame)) = &polled {
            self.passed += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        if self.passed <= self.limit {
            return Poll::Ready(polled);
        }
        let limit = self.limit;
        if let Some(interrupt) = &self.interrupt {
            *interrupt.error.borrow_mut() = Some(Error::BodyTooLarge { limit });
        }
        Poll::Ready(Some(Err(BodyError::TooLarge(limit))))
    }
}
