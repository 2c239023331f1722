//! A route's end that is a component of `wasi:http`: the request goes to it as it would to an upstream, and its answer
//! is treated like one that came from there.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::header::HOST;
use http::{Request, Response, Uri, uri};

use crate::body::Body;
use crate::chain::Traveller;
use crate::error::{ERROR_HEADER, Error};
use crate::plugin::Usage;
use crate::plugin::wasi_http::run::{self, Asked};
use crate::snapshot::{Component, Route};
use crate::telemetry::metrics::Phase;
use crate::telemetry::traces::Trace;

use super::finish::Facts;
use super::{Connection, hop_by_hop};

/// Has the route's component answer.
///
/// # Errors
/// When it does not, or the route has none.
pub async fn answer(
    connection: &Rc<Connection>,
    facts: &mut Facts,
    route: &Route,
    traveller: &mut Traveller,
) -> Result<Response<Body>, Error> {
    let component = route.component.as_ref().ok_or_else(|| Error::NoUpstream(route.name.to_string()))?;
    let usage = serving(component, traveller);
    let asked = Asked {
        request: request(traveller)?,
        id: facts.id,
        fetch: facts.view.services.fetch.clone(),
        trace: facts.trace.as_ref().map(Trace::context),
        timeout: route.timeout,
    };
    let (worker, began) = (&connection.worker, Instant::now());
    let answered = run::answer(&usage, &worker.pools, asked).await;
    let took = began.elapsed();
    // As with an upstream: time that is not the gateway's own.
    facts.upstream_took = Some(took);
    worker.metrics.plugin_called(&usage.plugin.handle, Phase::Request, took);
    usage.tally.called(took);
    let mut response = answered.map_err(|fault| Error::Component { component: usage.plugin.name.to_string(), fault })?;
    hop_by_hop::strip(response.headers_mut());
    // Only the gateway says what went wrong at the gateway.
    response.headers_mut().remove(&ERROR_HEADER);
    Ok(response)
}

/// The version whose turn it is.
fn serving(component: &Component, traveller: &Traveller) -> Arc<Usage> {
    let (Some(lineup), Some(call)) = (component.seat.lineup(), &traveller.call) else { return Arc::clone(&component.usage) };
    Arc::clone(lineup.turn(call.client.as_ref(), call.address).usage)
}

/// The traveller's head and body, with a whole address.
fn request(traveller: &mut Traveller) -> Result<Request<Body>, Error> {
    let secure = traveller.is_secure();
    let head = &mut traveller.head;
    let host = head.headers.get(HOST).map_or("localhost".as_bytes(), |host| host.as_bytes());
    let address = Uri::builder()
        .scheme(if secure { uri::Scheme::HTTPS } else { uri::Scheme::HTTP })
        .authority(host)
        .path_and_query(head.uri.path_and_query().map_or("/", uri::PathAndQuery::as_str));
    let address = address.build().map_err(|error| Error::bad_request(format!("the address is not whole: {error}")))?;
    let mut request = Request::new(std::mem::replace(&mut traveller.body, Body::Empty));
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = address;
    *request.headers_mut() = std::mem::take(&mut head.headers);
    Ok(request)
}
