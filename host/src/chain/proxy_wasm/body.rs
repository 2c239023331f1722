//! A Proxy-Wasm filter in the way of a body: each piece is shown to it with all that is held. What it lets go on goes on;
//! while it pauses, the gateway holds, up to a limit.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, header};
use http_body::{Body as _, Frame};
use tokio::time::Sleep;

use crate::body::{self, Body, BodyError};
use crate::chain::stage::{Interrupt, Interruption};
use crate::chain::{Step, Tools, Traveller};
use crate::error::Error;
use crate::plugin::pool::Pools;
use crate::plugin::proxy_wasm::{Direction, Flow, Rope, Stream};
use crate::plugin::{Fault, OnError, Usage};

/// Puts the filter in the way of a request's body, if it wants to see it.
pub fn on_request(step: &Step, place: usize, usage: &Arc<Usage>, traveller: &mut Traveller, stream: &Rc<Stream>, tools: &Tools<'_>) {
    if traveller.body.is_empty() || !stream.wants_body(Direction::Request) {
        return;
    }
    let inner = std::mem::replace(&mut traveller.body, Body::Empty);
    let declared = declared(&traveller.head.headers);
    let stage = FilterBody::new(Direction::Request, place, step, usage, inner, declared, stream, traveller, tools);
    traveller.body = Body::Staged(Box::pin(stage));
}

/// Puts the filter in the way of a response's body. It stays there to the end, even if it only waits for that.
pub fn on_response(
    step: &Step,
    usage: &Arc<Usage>,
    traveller: &Traveller,
    response: &mut Response<Body>,
    stream: &Rc<Stream>,
    tools: &Tools<'_>,
) {
    if response.body().is_empty() {
        return;
    }
    let inner = std::mem::replace(response.body_mut(), Body::Empty);
    let declared = declared(response.headers());
    let stage = FilterBody::new(Direction::Response, usize::MAX, step, usage, inner, declared, stream, traveller, tools);
    *response.body_mut() = Body::Staged(Box::pin(stage));
}

/// The length that the filter has left in the head: it has to be kept.
fn declared(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// How far the body has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// More of it comes.
    Reading,
    /// The filter has the last of it and lets it wait.
    Waiting,
    /// The filter has nothing to say any more: it let the last go on, or faulted and is skipped.
    Bypassed,
    /// All was let go on.
    Ended,
}

/// A body on its way through a filter.
struct FilterBody {
    direction: Direction,
    /// The place of its step in the chain.
    place: usize,
    inner: Body,
    state: State,
    /// What may go on.
    onward: Rope,
    trailers: Option<HeaderMap>,
    /// Bytes that the receiver was promised and did not get yet.
    promised: Option<u64>,
    patience: Option<Pin<Box<Sleep>>>,
    stream: Rc<Stream>,
    usage: Arc<Usage>,
    name: Arc<str>,
    on_error: OnError,
    request_id: String,
    pools: Rc<Pools>,
    interrupt: Rc<Interrupt>,
}

type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

impl FilterBody {
    #[expect(clippy::too_many_arguments, reason = "a step meets a traveller and a body")]
    fn new(
        direction: Direction,
        place: usize,
        step: &Step,
        usage: &Arc<Usage>,
        inner: Body,
        promised: Option<u64>,
        stream: &Rc<Stream>,
        traveller: &Traveller,
        tools: &Tools<'_>,
    ) -> Self {
        Self {
            direction,
            place,
            inner,
            state: State::Reading,
            onward: Rope::default(),
            trailers: None,
            promised,
            patience: None,
            stream: Rc::clone(stream),
            usage: Arc::clone(usage),
            name: Arc::clone(&step.name),
            on_error: step.on_error,
            request_id: traveller.id_text(),
            pools: Rc::clone(tools.pools),
            interrupt: Rc::clone(&traveller.interrupt),
        }
    }

    /// Reads what comes next and shows it to the filter.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        // What it paused it may also let go on before more comes.
        if self.stream.held(self.direction) > 0 {
            if let Poll::Ready(flow) = self.stream.poll_resumed(self.direction, context) {
                return Poll::Ready(self.heard(flow));
            }
        }
        let shown = match ready!(Pin::new(&mut self.inner).poll_frame(context)) {
            Some(Err(error)) => return Poll::Ready(Err(error)),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => self.show(data),
                Err(frame) => self.show_trailers(frame.into_trailers().unwrap_or_default()),
            },
            None => self.show_end(),
        };
        Poll::Ready(shown)
    }

    fn show(&mut self, data: Bytes) -> Result<(), BodyError> {
        let ended = self.inner.is_end_stream();
        if data.is_empty() && !ended {
            return Ok(());
        }
        self.state = if ended { State::Waiting } else { State::Reading };
        let flow = self.stream.body(self.direction, data, ended);
        self.heard(flow)?;
        match self.stream.held(self.direction) > self.usage.limits.held_bytes {
            true => Err(self.too_large()),
            false => Ok(()),
        }
    }

    fn show_end(&mut self) -> Result<(), BodyError> {
        self.state = State::Waiting;
        let flow = self.stream.body(self.direction, Bytes::new(), true);
        self.heard(flow)
    }

    fn show_trailers(&mut self, trailers: HeaderMap) -> Result<(), BodyError> {
        self.state = State::Waiting;
        let flow = self.stream.trailers(self.direction, trailers);
        self.heard(flow)
    }

    /// What the filter wants done with what it was shown.
    fn heard(&mut self, flow: Result<Flow, Fault>) -> Result<(), BodyError> {
        match flow {
            Ok(Flow::Continue) => self.release(),
            Ok(Flow::Pause | Flow::PauseHeaders) => Ok(()),
            Ok(Flow::Reply(reply)) if self.direction == Direction::Request => {
                *self.interrupt.reply.borrow_mut() = Some(Interruption { step: self.place, by: Arc::clone(&self.name), reply });
                Err(BodyError::Answered)
            }
            Ok(Flow::Reply(_)) => self.fault(Fault::Invalid("a reply after the response began".into())),
            Err(fault) => self.fault(fault),
        }
    }

    /// Lets go on what was held, and the trailers after the last of it.
    fn release(&mut self) -> Result<(), BodyError> {
        self.patience = None;
        self.onward = self.stream.take_body(self.direction);
        if self.state == State::Waiting {
            self.trailers = self.stream.take_trailers(self.direction);
            self.state = State::Ended;
        }
        let length = self.onward.len() as u64;
        let left = self.promised.map(|promised| promised.checked_sub(length));
        match left {
            Some(None) => self.wrong_length(),
            Some(Some(1..)) if self.state == State::Ended => self.wrong_length(),
            left => {
                self.promised = left.flatten();
                Ok(())
            }
        }
    }

    fn wrong_length(&mut self) -> Result<(), BodyError> {
        self.give_up(Fault::Invalid("a body of another length than the content-length that it left in the head".into()))
    }

    fn fault(&mut self, fault: Fault) -> Result<(), BodyError> {
        if self.on_error != OnError::Skip {
            return self.give_up(fault);
        }
        self.note(&fault);
        self.onward = self.stream.take_body(self.direction);
        self.trailers = self.stream.take_trailers(self.direction);
        self.state = if self.state == State::Waiting { State::Ended } else { State::Bypassed };
        Ok(())
    }

    /// A body that is not what its head says cannot go on, whoever is to be skipped.
    fn give_up(&mut self, fault: Fault) -> Result<(), BodyError> {
        self.note(&fault);
        *self.interrupt.error.borrow_mut() = Some(Error::Plugin { plugin: self.name.to_string(), fault });
        Err(BodyError::Plugin)
    }

    fn note(&self, fault: &Fault) {
        let plugin = &self.usage.plugin;
        plugin.handle.fault(fault.label());
        if !matches!(fault, Fault::NoInstance(_)) {
            self.pools.faulted(&self.usage);
        }
        let request_id = &self.request_id;
        tracing::warn!(plugin = %plugin.name, version = %plugin.version, reason = fault.reason().name(), request_id, "plugin {fault}");
    }

    fn too_large(&self) -> BodyError {
        let limit = self.usage.limits.held_bytes as u64;
        if self.direction == Direction::Request {
            *self.interrupt.error.borrow_mut() = Some(Error::BodyTooLarge { limit });
        }
        BodyError::TooLarge(limit)
    }

    /// Waits until the filter lets the last go on.
    fn poll_resumed(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        let limit = self.usage.limits.wall * 2;
        if let Poll::Ready(flow) = self.stream.poll_resumed(self.direction, context) {
            return Poll::Ready(self.heard(flow));
        }
        ready!(self.poll_patience(limit, context));
        Poll::Ready(self.fault(Fault::Wall(limit)))
    }

    fn poll_patience(&mut self, limit: Duration, context: &mut Context<'_>) -> Poll<()> {
        let patience = self.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        patience.as_mut().poll(context)
    }
}

impl body::Stage for FilterBody {
    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        let stage = self.get_mut();
        loop {
            if let Some(piece) = stage.onward.pop() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            let polled = match stage.state {
                State::Reading => stage.poll_read(context),
                State::Waiting => stage.poll_resumed(context),
                State::Bypassed => return Pin::new(&mut stage.inner).poll_frame(context),
                State::Ended => return Poll::Ready(stage.trailers.take().map(|trailers| Ok(Frame::trailers(trailers)))),
            };
            if let Err(error) = ready!(polled) {
                stage.state = State::Ended;
                return Poll::Ready(Some(Err(error)));
            }
        }
    }
}
