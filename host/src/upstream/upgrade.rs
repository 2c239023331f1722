//! A request that asks the endpoint to switch protocols, on a connection of its own: what was upgraded is never used
//! again, and an HTTP/2 endpoint is asked in HTTP/1.1.

use std::io;
use std::rc::Rc;

use http::Request;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::rt::{Read, Write};

use crate::body::{Body, Passage, Watched};

use super::send::{SendError, Sent, chain, in_time};
use super::{InFlight, Timeouts, Upstream, connect, credentials};

/// Sends the request and waits for the head of the answer. Where that is 101, hyper's `OnUpgrade` is with it.
pub async fn send_upgrade(
    upstream: &Upstream,
    endpoint: &InFlight,
    timeouts: &Timeouts,
    mut request: Request<Body>,
) -> Result<Sent, SendError> {
    if let Some(source) = &upstream.credentials {
        credentials::authorise(source, &mut request).await?;
    }
    let pending = endpoint.pend()?;
    let mut sender = in_time(timeouts.connect, connect::connect_to_upgrade(endpoint, &upstream.transport)).await?;
    drop(pending);
    let limit = timeouts.request.map_or(timeouts.first_byte, |request| request.min(timeouts.first_byte));
    let response = match tokio::time::timeout(limit, sender.send_request(request)).await {
        Ok(answered) => answered.map_err(|error| SendError::Broken(chain(&error)))?,
        Err(_) => return Err(SendError::Timeout(limit)),
    };
    let passage = Rc::new(Passage::default());
    // The connection lasts as long as its answer does.
    let body = |incoming| Watched::new(incoming, u64::MAX, timeouts.idle, Rc::clone(&passage)).at_end(move |_| drop(sender));
    let response = response.map(|incoming| Body::Incoming(body(incoming)));
    Ok(Sent { response, passage })
}

/// Speaks HTTP/1.1 on a new connection that may stop doing so.
pub(super) async fn handshake(io: impl Read + Write + Unpin + Send + 'static) -> io::Result<SendRequest<Body>> {
    let (sender, connection) = http1::Builder::new().handshake(io).await.map_err(io::Error::other)?;
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "upstream connection ended");
        }
    });
    Ok(sender)
}
