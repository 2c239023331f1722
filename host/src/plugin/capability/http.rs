//! `http`: calls to upstreams. The guest's side only: it checks what the guest asks for and hands it to the worker
//! that runs the request, which has the connections; a store may not hold them, since it moves between threads.

use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tokio::sync::{mpsc, oneshot};

use crate::plugin::bindings::gatehouse::plugin::http::{Error, Host, Request, Response};
use crate::plugin::bindings::gatehouse::plugin::types::FieldResult;
use crate::plugin::fault::LimitReached;
use crate::plugin::state::HostState;
use crate::plugin::verdict;
use crate::plugin::wasi_http::outgoing::Relay;
use crate::telemetry::traces::context::Context;

/// Requests in one `fetch-all`.
const MAX_AT_ONCE: usize = 16;
/// Bytes of the bodies that one `fetch-all` hands over.
const MAX_TOGETHER: usize = 8 << 20;

/// A call that a worker is to make.
pub struct Fetch {
    /// The upstream's name.
    pub upstream: String,
    /// Method of the request.
    pub method: Method,
    /// Path and query.
    pub path: PathAndQuery,
    /// Headers, without framing.
    pub headers: HeaderMap,
    /// Body, whole.
    pub body: Bytes,
    /// For the whole call.
    pub timeout: Duration,
    /// The largest response body.
    pub max_body: usize,
    /// The span that the call happens below; None where the gateway does not trace.
    pub trace: Option<Context>,
    /// Where the answer goes. Closed when the guest is gone, which cancels the call.
    pub answer: oneshot::Sender<Result<Fetched, FetchError>>,
}

/// An upstream's answer.
pub struct Fetched {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, whole.
    pub body: Bytes,
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchError {
    /// No such upstream, or not granted.
    Denied,
    /// No connection, or no endpoint.
    Unreachable,
    /// Too late.
    Timeout,
    /// The connection broke.
    Reset,
    /// The body was too large.
    TooLarge,
}

/// What a worker is asked to do for a guest.
pub enum Job {
    /// A call whose bodies are whole.
    Fetch(Fetch),
    /// A request of a component of `wasi:http`, whose bodies pass as they come.
    Relay(Relay),
}

/// The way to a worker.
pub type FetchSender = mpsc::UnboundedSender<Job>;

impl Host for HostState {
    async fn fetch(&mut self, request: Request) -> wasmtime::Result<Result<Response, Error>> {
        let sent = self.send(request)?;
        self.cpu.pause();
        let answer = receive(sent).await;
        self.cpu.resume();
        Ok(answer)
    }

    async fn fetch_all(&mut self, requests: Vec<Request>) -> wasmtime::Result<Vec<Result<Response, Error>>> {
        if requests.len() > MAX_AT_ONCE {
            let asked = requests.len();
            return Err(LimitReached::Refused(format!("{asked} requests at once where {MAX_AT_ONCE} are allowed")).into());
        }
        // All are under way before the first is waited for.
        let sent = requests.into_iter().map(|request| self.send(request)).collect::<wasmtime::Result<Vec<_>>>()?;
        self.cpu.pause();
        let mut answers = Vec::with_capacity(sent.len());
        let mut left = MAX_TOGETHER;
        for one in sent {
            answers.push(receive(one).await.and_then(|response| within(&mut left, response)));
        }
        self.cpu.resume();
        Ok(answers)
    }
}

type Sent = Result<oneshot::Receiver<Result<Fetched, FetchError>>, Error>;

impl HostState {
    fn send(&mut self, request: Request) -> wasmtime::Result<Sent> {
        let (wall, max_body) = (self.limits.wall, self.limits.fetch_bytes);
        let granted = self.grants.http.allows(&request.upstream);
        let call = self.request()?;
        if !granted {
            return Ok(Err(Error::Denied));
        }
        let (answer, receiver) = oneshot::channel();
        let Some(mut fetch) = checked(request, wall, max_body, answer) else { return Ok(Err(Error::BadRequest)) };
        // Copies of requests may be looked at twice, but nothing may be done twice (RFC 9110 §9.2.1).
        if call.apart && !fetch.method.is_safe() {
            return Ok(Err(Error::Denied));
        }
        fetch.trace = call.trace;
        // A worker that is gone drops the sender, which reads as a reset.
        let _ = call.services.fetch.send(Job::Fetch(fetch));
        Ok(Ok(receiver))
    }
}

/// Takes the body from what is left. One that no longer fits is dropped before the guest has to find room for it.
fn within(left: &mut usize, response: Response) -> Result<Response, Error> {
    *left = left.checked_sub(response.body.len()).ok_or(Error::TooLarge)?;
    Ok(response)
}

async fn receive(sent: Sent) -> Result<Response, Error> {
    match sent?.await {
        Ok(Ok(fetched)) => Ok(response(fetched)),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Error::Reset),
    }
}

/// None for what is not a valid request.
fn checked(request: Request, wall: Duration, max_body: usize, answer: oneshot::Sender<Result<Fetched, FetchError>>) -> Option<Fetch> {
    Some(Fetch {
        upstream: request.upstream,
        method: verdict::method(request.method).ok()?,
        path: verdict::path_and_query(request.path_with_query).ok()?,
        headers: headers(request.headers)?,
        body: Bytes::from(request.body),
        timeout: request.timeout_ms.map_or(wall, |ms| Duration::from_millis(ms.into()).min(wall)),
        max_body,
        trace: None,
        answer,
    })
}

fn headers(fields: Vec<FieldResult>) -> Option<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(fields.len() + 4);
    let mut budget = verdict::MAX_HEADER_BYTES;
    for field in fields {
        verdict::add(field, &mut budget).ok()?.apply(&mut headers);
    }
    Some(headers)
}

fn response(fetched: Fetched) -> Response {
    let field =
        |(name, value): (&HeaderName, &HeaderValue)| FieldResult { name: name.as_str().to_owned(), value: value.as_bytes().to_vec() };
    Response { status: fetched.status.as_u16(), headers: fetched.headers.iter().map(field).collect(), body: fetched.body.into() }
}

impl From<FetchError> for Error {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Denied => Error::Denied,
            FetchError::Unreachable => Error::Unreachable,
            FetchError::Timeout => Error::Timeout,
            FetchError::Reset => Error::Reset,
            FetchError::TooLarge => Error::TooLarge,
        }
    }
}
