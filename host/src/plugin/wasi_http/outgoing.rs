//! Requests that a guest sends: the guest's side only. A worker makes them, through the upstreams that the plugin was
//! granted; everything else is denied.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use tokio::sync::oneshot;
use wasmtime_wasi_http::{Error, RequestOptions, WasiHttpHooks};

use super::body::{Fate, WasiBody};
use crate::plugin::capability::http::{FetchError, FetchSender, Job};
use crate::plugin::{Grants, HttpGrant};
use crate::telemetry::traces::context::Context;

/// A request that a worker is to send. Its bodies pass as they come.
pub struct Relay {
    /// Which upstreams it may go to.
    pub grants: Arc<Grants>,
    /// The request, with the address as the guest wrote it.
    pub request: Request<WasiBody>,
    /// What becomes of the guest that makes the body.
    pub fate: Fate,
    /// To the head of the answer, and between two frames of a body.
    pub timeout: Duration,
    /// The span that it happens below; None where the gateway does not trace.
    pub trace: Option<Context>,
    /// Where the answer goes. Closed when the guest is gone, which cancels the request.
    pub answer: oneshot::Sender<Result<Response<WasiBody>, FetchError>>,
}

/// The way from one guest to its worker.
pub struct Outgoing {
    /// What it was granted.
    pub grants: Arc<Grants>,
    /// The worker.
    pub fetch: FetchSender,
    /// What becomes of the guest.
    pub fate: Fate,
    /// The longest that it may wait for an answer.
    pub wall: Duration,
    /// The span that its requests happen below.
    pub trace: Option<Context>,
}

type Answered = Result<(Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>), Error>;

impl Outgoing {
    fn relay(&self, request: Request<WasiBody>, options: Option<RequestOptions>) -> Result<Receiver, Error> {
        if self.grants.http == HttpGrant::Denied {
            return Err(Error::HttpRequestDenied);
        }
        let asked = options.and_then(|options| options.first_byte_timeout);
        let (answer, receiver) = oneshot::channel();
        let relay = Relay {
            grants: Arc::clone(&self.grants),
            request,
            fate: self.fate.clone(),
            timeout: asked.map_or(self.wall, |asked| asked.min(self.wall)),
            trace: self.trace,
            answer,
        };
        self.fetch.send(Job::Relay(relay)).map_err(|_| Error::ConnectionTerminated)?;
        Ok(receiver)
    }
}

type Receiver = oneshot::Receiver<Result<Response<WasiBody>, FetchError>>;

impl WasiHttpHooks for Outgoing {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Answered> + Send> {
        let sent = self.relay(request, options);
        Box::new(async move {
            let response = sent?.await.map_err(|_| Error::ConnectionTerminated)?.map_err(error)?;
            let io: Box<dyn Future<Output = Result<(), Error>> + Send> = Box::new(std::future::ready(Ok(())));
            Ok((response, io))
        })
    }
}

fn error(error: FetchError) -> Error {
    match error {
        FetchError::Denied => Error::HttpRequestDenied,
        FetchError::Unreachable => Error::DestinationUnavailable,
        FetchError::Timeout => Error::HttpResponseTimeout,
        FetchError::Reset => Error::ConnectionTerminated,
        FetchError::TooLarge => Error::HttpResponseBodySize(None),
    }
}
