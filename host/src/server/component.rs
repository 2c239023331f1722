//! A route's end that is a component of `wasi:http`: the request goes to it as it would to an upstream, and its answer
//! is treated like one that came from there.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::Response;

use crate::body::Body;
use crate::chain::{self, Tools, Traveller};
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
        request: traveller.whole_request()?,
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
    let mut response = answered.map_err(|fault| {
        chain::note(&fault, &usage, traveller, &Tools { pools: &worker.pools, metrics: &worker.metrics });
        Error::Component { component: usage.plugin.name.to_string(), fault }
    })?;
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
