//! A plugin in the way of a body: each chunk goes to the instance that handled the phase before, and what it makes of
//! the chunk goes on. One chunk at a time, pulled by the receiver.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Response, header};
use http_body::{Body as _, Frame};

use crate::body::{self, Body, BodyError};
use crate::error::Error;
use crate::plugin::pool::{Lease, Pools};
use crate::plugin::verdict::{self, ChunkVerdict, Reply};
use crate::plugin::{Call, Fault, OnError, Usage};

use super::{Step, Tools, Traveller};

/// How a plugin stopped a body: what to answer, if an answer is still possible.
#[derive(Default)]
pub struct Interrupt {
    /// The plugin's own answer.
    pub reply: RefCell<Option<Interruption>>,
    /// The fault that ended it.
    pub error: RefCell<Option<Error>>,
}

/// An answer that a plugin gave while the body was passing.
pub struct Interruption {
    /// The place of its step in the chain.
    pub step: usize,
    /// The step's name.
    pub by: Arc<str>,
    /// The answer.
    pub reply: Reply,
}

/// Puts a plugin in the way of a request's body.
pub fn on_request(step: &Step, place: usize, usage: &Arc<Usage>, traveller: &mut Traveller, lease: Lease, tools: &Tools<'_>) {
    traveller.head.headers.remove(header::CONTENT_LENGTH);
    let inner = std::mem::replace(&mut traveller.body, Body::Empty);
    let stage = PluginStage::new(Direction::Request, place, step, usage, inner, lease, traveller, tools);
    traveller.body = Body::Staged(Box::pin(stage));
}

/// Puts a plugin in the way of a response's body.
pub fn on_response(step: &Step, usage: &Arc<Usage>, traveller: &Traveller, response: &mut Response<Body>, lease: Lease, tools: &Tools<'_>) {
    response.headers_mut().remove(header::CONTENT_LENGTH);
    let inner = std::mem::replace(response.body_mut(), Body::Empty);
    let stage = PluginStage::new(Direction::Response, usize::MAX, step, usage, inner, lease, traveller, tools);
    *response.body_mut() = Body::Staged(Box::pin(stage));
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Response,
}

type Calling = Pin<Box<dyn Future<Output = (Lease, Box<Call>, Result<ChunkVerdict, Fault>)>>>;

enum State {
    /// The plugin waits for the next chunk.
    Idle(Lease, Box<Call>),
    /// It has one.
    Calling(Calling),
    /// It is out of the way: faulted and skipped.
    Bypassed,
    /// The body is over.
    Ended,
}

struct PluginStage {
    direction: Direction,
    /// The place of its step in the chain.
    place: usize,
    inner: Body,
    state: State,
    /// The chunk that the plugin has, to be passed on if it says so.
    chunk: Bytes,
    is_last: bool,
    trailers: Option<HeaderMap>,
    usage: Arc<Usage>,
    name: Arc<str>,
    on_error: OnError,
    pools: Rc<Pools>,
    interrupt: Rc<Interrupt>,
}

impl PluginStage {
    fn new(
        direction: Direction,
        place: usize,
        step: &Step,
        usage: &Arc<Usage>,
        inner: Body,
        lease: Lease,
        traveller: &Traveller,
        tools: &Tools<'_>,
    ) -> Self {
        let call = traveller.call.as_ref().expect("the call is back between two calls of plugins").another();
        Self {
            direction,
            place,
            inner,
            state: State::Idle(lease, call),
            chunk: Bytes::new(),
            is_last: false,
            trailers: None,
            usage: Arc::clone(usage),
            name: Arc::clone(&step.name),
            on_error: step.on_error,
            pools: Rc::clone(tools.pools),
            interrupt: Rc::clone(&traveller.interrupt),
        }
    }

    /// Reads the next chunk and gives it to the plugin.
    fn poll_read(&mut self, context: &mut Context<'_>, lease: Lease, call: Box<Call>) -> Poll<Result<(), BodyError>> {
        loop {
            match Pin::new(&mut self.inner).poll_frame(context) {
                Poll::Pending => {
                    self.state = State::Idle(lease, call);
                    return Poll::Pending;
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if data.is_empty() => continue,
                    Ok(data) => self.chunk = data,
                    Err(frame) => {
                        self.trailers = frame.into_trailers().ok();
                        continue;
                    }
                },
                Poll::Ready(None) => {
                    self.chunk = Bytes::new();
                    self.is_last = true;
                }
            }
            self.state =
                State::Calling(call_plugin(self.direction, Arc::clone(&self.usage), lease, call, self.chunk.clone(), self.is_last));
            return Poll::Ready(Ok(()));
        }
    }

    /// What the plugin's verdict makes of the chunk: a frame to send, nothing, or the end.
    fn take(&mut self, lease: Lease, call: Box<Call>, outcome: Result<ChunkVerdict, Fault>) -> Result<Option<Bytes>, BodyError> {
        let chunk = std::mem::take(&mut self.chunk);
        let onward = match outcome {
            Ok(ChunkVerdict::Pass) => chunk,
            Ok(ChunkVerdict::Replace(bytes)) => bytes,
            Ok(ChunkVerdict::Respond(reply)) if self.direction == Direction::Request => {
                lease.give_back();
                *self.interrupt.reply.borrow_mut() = Some(Interruption { step: self.place, by: Arc::clone(&self.name), reply });
                return Err(BodyError::Answered);
            }
            Ok(ChunkVerdict::Respond(_)) => return self.fault(Fault::Invalid("a reply after the response began".into()), &call, chunk),
            Err(fault) => return self.fault(fault, &call, chunk),
        };
        match self.is_last {
            true => lease.give_back(),
            false => self.state = State::Idle(lease, call),
        }
        Ok(Some(onward).filter(|bytes| !bytes.is_empty()))
    }

    fn fault(&mut self, fault: Fault, call: &Call, chunk: Bytes) -> Result<Option<Bytes>, BodyError> {
        let plugin = &self.usage.plugin;
        plugin.handle.fault(fault.label());
        self.pools.faulted(&self.usage);
        let request_id = call.id.to_string();
        tracing::warn!(plugin = %plugin.name, version = %plugin.version, reason = fault.reason().name(), request_id, "plugin {fault}");
        if self.on_error == OnError::Skip {
            self.state = if self.is_last { State::Ended } else { State::Bypassed };
            return Ok(Some(chunk).filter(|bytes| !bytes.is_empty()));
        }
        *self.interrupt.error.borrow_mut() = Some(Error::Plugin { plugin: self.name.to_string(), fault });
        Err(BodyError::Plugin)
    }
}

impl body::Stage for PluginStage {
    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let stage = self.get_mut();
        loop {
            match std::mem::replace(&mut stage.state, State::Ended) {
                State::Idle(lease, call) => {
                    if let Err(error) = ready!(stage.poll_read(context, lease, call)) {
                        return Poll::Ready(Some(Err(error)));
                    }
                }
                State::Calling(mut calling) => {
                    let Poll::Ready((lease, call, outcome)) = calling.as_mut().poll(context) else {
                        stage.state = State::Calling(calling);
                        return Poll::Pending;
                    };
                    match stage.take(lease, call, outcome) {
                        Ok(Some(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                        Ok(None) => {}
                        Err(error) => return Poll::Ready(Some(Err(error))),
                    }
                }
                State::Bypassed => {
                    stage.state = State::Bypassed;
                    return Pin::new(&mut stage.inner).poll_frame(context);
                }
                State::Ended => return Poll::Ready(stage.trailers.take().map(|trailers| Ok(Frame::trailers(trailers)))),
            }
        }
    }
}

fn call_plugin(direction: Direction, usage: Arc<Usage>, mut lease: Lease, call: Box<Call>, chunk: Bytes, last: bool) -> Calling {
    Box::pin(async move {
        let instance = lease.instance();
        let (call, outcome) = match direction {
            Direction::Request => instance.on_request_body(call, &chunk, last).await,
            Direction::Response => instance.on_response_body(call, &chunk, last).await,
        };
        let checked = outcome.and_then(|verdict| verdict::chunk(verdict, &usage));
        (lease, call, checked)
    })
}
