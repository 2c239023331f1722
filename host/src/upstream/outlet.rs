//! One request to an endpoint that may speak HTTP/2: on a stream of a shared connection, or on what the endpoint chose
//! instead. Upstreams of HTTP/1.1 alone never come by here.

use std::time::Duration;

use hyper::client::conn::http1::SendRequest;

use crate::body::Body;

use super::connect::{self, Connected};
use super::connections::{Connecting, Turn};
use super::http2::{self, Stream};
use super::send::{Answered, Lease, Outgoing, SendError, Way, chain, copy, exchange, idle, in_time, on_idle_connection};

/// What a request goes out on.
enum Outlet {
    /// A stream of a shared connection.
    Stream(Stream),
    /// A connection of HTTP/1.1, and how long it was idle.
    Idle(SendRequest<Body>, Duration),
    /// A new connection of HTTP/1.1.
    New(SendRequest<Body>),
}

/// A request that came to nothing.
struct Refused {
    error: SendError,
    /// The endpoint did nothing about it.
    is_untouched: bool,
    /// It, where nothing of it was sent.
    again: Option<Outgoing>,
}

/// Sends a request. One that the endpoint says it did nothing about goes out once more, whatever its method.
pub(super) async fn attempt(way: Way<'_>, request: Outgoing) -> Result<Answered, SendError> {
    let spare = if way.has_spare { None } else { copy(&request) };
    match on_outlet(way, request).await {
        Ok(answered) => Ok(answered),
        Err(Refused { again: Some(request), .. }) => on_outlet(way, request).await.map_err(SendError::from),
        Err(Refused { error, is_untouched: true, .. }) => match spare {
            Some(mut request) => {
                if let Some(tries) = way.tries {
                    tries.again(Err("upstream_reset"), request.headers_mut());
                }
                on_outlet(way, request).await.map_err(SendError::from)
            }
            None => Err(SendError::Refused(error.to_string())),
        },
        Err(Refused { error, .. }) => Err(error),
    }
}

impl From<Refused> for SendError {
    fn from(refused: Refused) -> Self {
        match refused.is_untouched || refused.again.is_some() {
            true => SendError::Refused(refused.error.to_string()),
            false => refused.error,
        }
    }
}

impl From<SendError> for Refused {
    fn from(error: SendError) -> Self {
        Self { error, is_untouched: false, again: None }
    }
}

async fn on_outlet(way: Way<'_>, mut request: Outgoing) -> Result<Answered, Refused> {
    match outlet(way).await? {
        Outlet::Idle(sender, was_idle) => {
            http2::restore(&mut request);
            Ok(on_idle_connection(way, sender, was_idle, request).await?)
        }
        Outlet::New(sender) => {
            http2::restore(&mut request);
            exchange(sender, request).await.map_err(|failed| SendError::from(failed).into())
        }
        Outlet::Stream(stream) => {
            http2::prepare(&mut request, way.endpoint);
            match stream.send(*request).await {
                Ok((response, open)) => Ok((response, Lease::Http2(open))),
                Err(failed) => {
                    let is_untouched = failed.is_refused();
                    Err(Refused { error: SendError::Broken(chain(&failed.error)), is_untouched, again: failed.unsent.map(Box::new) })
                }
            }
        }
    }
}

/// Finds something to go out on: what is there, or what comes of connecting, which one request does for all that wait.
async fn outlet(way: Way<'_>) -> Result<Outlet, SendError> {
    loop {
        if let Some(stream) = way.home.stream() {
            return Ok(Outlet::Stream(stream));
        }
        if let Some((sender, was_idle)) = idle(way.home).await {
            return Ok(Outlet::Idle(sender, was_idle));
        }
        let _pending = way.endpoint.pend()?;
        match way.home.turn() {
            Turn::Connect(connecting) => return connect_for_all(way, connecting).await,
            Turn::Wait(waiting) => waiting.over().await.map_err(SendError::Connect)?,
        }
    }
}

async fn connect_for_all(way: Way<'_>, connecting: Connecting) -> Result<Outlet, SendError> {
    match in_time(way.timeouts.connect, connect::connect(way.endpoint, way.transport)).await {
        Ok(Connected::Http1(sender)) => {
            connecting.is_http1();
            Ok(Outlet::New(sender))
        }
        Ok(Connected::Http2(http2)) => {
            // Before the others see it: who made it gets what it made it for.
            let stream = http2.open();
            connecting.is_http2(http2);
            stream.map(Outlet::Stream).ok_or_else(|| SendError::Broken("the endpoint ended the connection at once".into()))
        }
        Err(error) => {
            if let SendError::Connect(cause) = &error {
                connecting.failed(cause);
            }
            Err(error)
        }
    }
}
