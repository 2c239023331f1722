//! One request to one endpoint and the head of its answer, on an idle connection, a stream of a shared one, or a new one.

use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::SendRequest;
use thiserror::Error;

use crate::body::{Body, Passage, Watched};
use crate::identity::credentials::Unavailable;
use crate::telemetry::traces::Tries;

use super::connections::Home;
use super::http2::Open;
use super::line::Untouched;
use super::patience::Patience;
use super::transport::{Protocol, Transport};
use super::{Connections, InFlight, Timeouts, connect, outlet};

/// A connection idle for this long may have run into the endpoint's own limit, and be closed while a request is on its way.
const LONG_IDLE: Duration = Duration::from_millis(100);

/// Kinds of content that have no end of their own.
const STREAMS: [&[u8]; 2] = [b"text/event-stream", b"application/grpc"];

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum SendError {
    /// No connection.
    #[error("connect: {0}")]
    Connect(String),
    /// No connection in time, or no head in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The connection broke before there was a head.
    #[error("{0}")]
    Broken(String),
    /// The endpoint did nothing about the request, by what it says or because nothing was sent.
    #[error("{0}")]
    Refused(String),
    /// The gateway's own token for the upstream could not be had, so nothing was sent.
    #[error("{0}")]
    NoToken(#[from] Unavailable),
    /// So many requests wait for a connection that this one does not, so nothing was sent.
    #[error("{0} requests wait for a connection already")]
    NoRoom(u32),
}

impl SendError {
    /// The reason, as answers and traces have it.
    pub fn reason(&self) -> &'static str {
        match self {
            SendError::Connect(_) | SendError::NoToken(_) => "upstream_connect",
            SendError::Timeout(_) => "upstream_timeout",
            SendError::Broken(_) | SendError::Refused(_) => "upstream_reset",
            SendError::NoRoom(_) => "overloaded",
        }
    }

    /// Whether it says something of the endpoint: without a token of the gateway's own, or room to wait, nothing was sent
    /// there.
    pub fn is_of_endpoint(&self) -> bool {
        !matches!(self, SendError::NoToken(_) | SendError::NoRoom(_))
    }

    /// The status that it counts as.
    pub fn status(&self) -> u16 {
        match self {
            SendError::Timeout(_) => 504,
            SendError::Connect(_) | SendError::Broken(_) | SendError::Refused(_) => 502,
            SendError::NoToken(_) | SendError::NoRoom(_) => 503,
        }
    }
}

/// A request on its way to an endpoint. Boxed, because futures are moved on the way down to where it is sent, and each of
/// them would have room for it.
pub type Outgoing = Box<Request<Body>>;

/// Where a request goes, and how.
#[derive(Clone, Copy)]
pub struct Aim<'a> {
    /// The worker's connections.
    pub connections: &'a Rc<Connections>,
    /// To whom.
    pub endpoint: &'a InFlight,
    /// How it is spoken to.
    pub transport: &'a Transport,
    /// How long it may take,
    pub timeouts: &'a Timeouts,
    /// and since when.
    pub began: Instant,
    /// What records the tries, if anything does.
    pub tries: Option<&'a Tries>,
    /// Whether whoever sends it can send it again, so that nothing is kept here for a request that is refused.
    pub has_spare: bool,
    /// Whether it goes out on a new connection, since one that was idle turned out to be closed.
    pub is_fresh: bool,
    /// When its endpoint is doubted.
    pub patience: &'a Patience<'a>,
}

/// An answer whose body is still on its way.
pub struct Sent {
    /// Head and body. The connection goes back to its idle list when the body has come to its end.
    pub response: Response<Body>,
    /// What becomes of the body.
    pub passage: Rc<Passage>,
}

/// Sends a request and waits for the head of the answer. `uploading` is the request's body, where it is still on its way:
/// the time to the first byte begins when the endpoint has all of it.
///
/// A connection that the endpoint closed while it was idle costs nothing but another try: when nothing of the request
/// was sent, or the connection was idle for long and the request is idempotent and has no body, it goes out once more on a
/// new connection.
pub async fn send(to: &Aim<'_>, request: Outgoing, uploading: Option<Rc<Passage>>) -> Result<Sent, SendError> {
    let Aim { endpoint, transport, timeouts, tries, has_spare, began, patience, .. } = to;
    let home = Home::of(to.connections, endpoint, transport, timeouts.keep_alive);
    let times = Times::begin(timeouts, uploading, *began);
    let way = Way { home: &home, endpoint, transport, timeouts, tries: *tries, has_spare: *has_spare, is_fresh: to.is_fresh };
    let mut attempt = pin!(attempt(way, request));
    let mut due = *began + times.first_wait().min(patience.first_wait());
    loop {
        match tokio::time::timeout_at(due.into(), attempt.as_mut()).await {
            Ok(answered) => {
                let (response, lease) = answered?;
                let deadline = times.for_body(&response);
                return Ok(watched(response, lease, home.clone(), timeouts, deadline));
            }
            Err(_) => {
                let now = Instant::now();
                let until = times.next_due(now)?;
                due = until.min(now + patience.look(times.sent(), now));
            }
        }
    }
}

/// The status of an answer, or the reason why there is none.
pub fn outcome(sent: &Result<Sent, SendError>) -> Result<u16, &'static str> {
    sent.as_ref().map(|sent| sent.response.status().as_u16()).map_err(SendError::reason)
}

/// How long an answer is waited for.
struct Times {
    first_byte: Duration,
    request: Option<Duration>,
    /// When the whole request has to be over.
    deadline: Option<Instant>,
    /// When it has to be over even if it is a stream.
    call: Option<Instant>,
    began: Instant,
    uploading: Option<Rc<Passage>>,
}

impl Times {
    fn begin(timeouts: &Timeouts, uploading: Option<Rc<Passage>>, began: Instant) -> Self {
        let deadline = timeouts.request.map(|request| began + request);
        let call = timeouts.call.map(|call| began + call);
        Self { first_byte: timeouts.first_byte, request: timeouts.request, deadline, call, began, uploading }
    }

    fn first_wait(&self) -> Duration {
        self.request.map_or(self.first_byte, |request| request.min(self.first_byte))
    }

    /// When the body has to be over. A stream of events or messages ends when it ends; until then it has only to go on.
    fn for_body(&self, response: &Response<Incoming>) -> Option<Instant> {
        match self.deadline.is_some() && is_stream(response) {
            true => self.call,
            false => self.deadline,
        }
    }

    /// Since when the endpoint has had all of it; None while it does not.
    fn sent(&self) -> Option<Instant> {
        match &self.uploading {
            None => Some(self.began),
            // An earlier try may have had all of it.
            Some(passage) => passage.completed.get().map(|completed| completed.max(self.began)),
        }
    }

    /// A wait is over without an answer: until when to wait on, or the time-out.
    fn next_due(&self, now: Instant) -> Result<Instant, SendError> {
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            return Err(SendError::Timeout(now - self.began));
        }
        let due = self.sent().unwrap_or(now) + self.first_byte;
        let due = self.deadline.map_or(due, |deadline| deadline.min(due));
        match due > now {
            true => Ok(due),
            false => Err(SendError::Timeout(self.first_byte)),
        }
    }
}

/// The same, and where the connections are.
#[derive(Clone, Copy)]
pub(super) struct Way<'a> {
    pub(super) home: &'a Home,
    pub(super) endpoint: &'a InFlight,
    pub(super) transport: &'a Transport,
    pub(super) timeouts: &'a Timeouts,
    pub(super) tries: Option<&'a Tries>,
    pub(super) has_spare: bool,
    pub(super) is_fresh: bool,
}

/// What an answer has of its connection until it has ended.
pub(super) enum Lease {
    /// All of it.
    Http1(SendRequest<Body>),
    /// A stream.
    Http2(Open),
}

pub(super) type Answered = (Response<Incoming>, Lease);

async fn attempt(way: Way<'_>, request: Outgoing) -> Result<Answered, SendError> {
    if way.transport.protocol != Protocol::Http1 {
        // Boxed, so that the futures of HTTP/1.1 stay as small as they are.
        return Box::pin(outlet::attempt(way, request)).await;
    }
    let idle = match way.is_fresh {
        true => None,
        false => idle(way.home).await,
    };
    match idle {
        Some((sender, was_idle)) => on_idle_connection(way, sender, was_idle, request).await,
        // Boxed, because futures are moved on the way down to here, and this one is large and rarely needed.
        None => Box::pin(on_new_connection(way, request)).await,
    }
}

/// Sends on a connection that may have been closed meanwhile, which costs nothing but another try where that is safe.
pub(super) async fn on_idle_connection(
    way: Way<'_>,
    sender: SendRequest<Body>,
    was_idle: Duration,
    request: Outgoing,
) -> Result<Answered, SendError> {
    // Copying a head costs more than it is worth where the endpoint has no reason to have closed the connection.
    let spare = if was_idle > LONG_IDLE { repeatable(&request) } else { None };
    match exchange(sender, request).await {
        Ok(answered) => Ok(answered),
        Err(Failed { unsent: Some(request), .. }) => Box::pin(on_new_connection(way, request)).await,
        Err(Failed { error, .. }) => match spare {
            Some(mut request) if is_gone(&error) || Untouched::caused(&error) => {
                if let Some(tries) = way.tries {
                    tries.again(Err("upstream_reset"), request.headers_mut());
                }
                Box::pin(on_new_connection(way, request)).await
            }
            _ => Err(SendError::from(Failed { error, unsent: None })),
        },
    }
}

/// An idle connection that is ready to take a request.
pub(super) async fn idle(home: &Home) -> Option<(SendRequest<Body>, Duration)> {
    while let Some((mut sender, was_idle)) = home.take() {
        if sender.ready().await.is_ok() {
            return Some((sender, was_idle));
        }
    }
    None
}

async fn on_new_connection(way: Way<'_>, request: Outgoing) -> Result<Answered, SendError> {
    let pending = way.endpoint.pend()?;
    let sender = in_time(way.timeouts.connect, connect::connect_http1(way.endpoint, way.transport)).await?;
    drop(pending);
    exchange(sender, request).await.map_err(SendError::from)
}

/// A connection, or the error if there is none within the limit.
pub(super) async fn in_time<C>(limit: Duration, connecting: impl Future<Output = io::Result<C>>) -> Result<C, SendError> {
    match tokio::time::timeout(limit, connecting).await {
        Ok(connected) => connected.map_err(|error| SendError::Connect(error.to_string())),
        Err(_) => Err(SendError::Connect(format!("not within {limit:?}"))),
    }
}

/// An exchange that came to nothing.
pub(super) struct Failed {
    pub(super) error: hyper::Error,
    /// The request, if nothing of it was sent.
    unsent: Option<Outgoing>,
}

impl From<Failed> for SendError {
    fn from(failed: Failed) -> Self {
        let cause = chain(&failed.error);
        match failed.unsent.is_some() || Untouched::caused(&failed.error) {
            true => SendError::Refused(cause),
            false => SendError::Broken(cause),
        }
    }
}

/// What comes of an exchange. Boxed, because hyper's own future has room for the whole request.
type Exchange = Pin<Box<dyn Future<Output = Result<Answered, Failed>>>>;

/// Sends on a connection that is ready. Interim answers (1xx) are read past: hyper's server has no way to send them on.
pub(super) fn exchange(mut sender: SendRequest<Body>, request: Outgoing) -> Exchange {
    let sending = sender.try_send_request(*request);
    Box::pin(async move {
        match sending.await {
            Ok(response) => Ok((response, Lease::Http1(sender))),
            Err(mut failed) => {
                let unsent = failed.take_message().map(Box::new);
                Err(Failed { error: failed.into_error(), unsent })
            }
        }
    })
}

/// Whether an answer is one that goes on for as long as there is something to say. Looked at only where its length is not
/// known.
fn is_stream(response: &Response<Incoming>) -> bool {
    if response.body().size_hint().exact().is_some() {
        return false;
    }
    let kind = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    STREAMS.iter().any(|stream| kind.get(..stream.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(stream)))
}

/// A copy of a request that may be sent twice.
fn repeatable(request: &Request<Body>) -> Option<Outgoing> {
    let idempotent = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE);
    if !idempotent || !matches!(request.body(), Body::Empty) {
        return None;
    }
    copy(request)
}

/// A copy of a request; None if its body is still on its way.
pub(super) fn copy(request: &Request<Body>) -> Option<Outgoing> {
    let body = match request.body() {
        Body::Empty => Body::Empty,
        Body::Full(bytes) => Body::Full(bytes.clone()),
        Body::Incoming(_) | Body::Staged(_) => return None,
    };
    let mut copy = Box::new(Request::new(body));
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

/// Whether the endpoint closed the connection without a byte of an answer.
fn is_gone(error: &hyper::Error) -> bool {
    error.is_incomplete_message() || error.is_closed() || error.is_canceled()
}

fn watched(response: Response<Incoming>, lease: Lease, home: Home, timeouts: &Timeouts, deadline: Option<Instant>) -> Sent {
    let passage = Rc::new(Passage::default());
    let response = response.map(|incoming| {
        let body = Watched::new(incoming, u64::MAX, timeouts.idle, Rc::clone(&passage)).until(deadline);
        Body::Incoming(body.at_end(move |now| match lease {
            Lease::Http1(sender) => home.give_back(sender, now),
            Lease::Http2(open) => drop(open),
        }))
    });
    Sent { response, passage }
}

/// The error with its causes, for the log.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
