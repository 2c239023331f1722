//! One request to an upstream, tried on one endpoint and, where that came to nothing, on another: within the time it has,
//! the tries its upstream allows, and the budget that all its requests share. What counts as nothing is in `retry`; two tries
//! at once are in `beside`.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderName, HeaderValue, Request, StatusCode};
use smallvec::SmallVec;

use crate::body::{Body, Passage};
use crate::caller::Caller;
use crate::telemetry::metrics::WorkerMetrics;
use crate::telemetry::traces::{Hop, Tries};

use super::credentials::send_with_token;
use super::patience::Patience;
use super::retry::{Reason, Retry};
use super::send::{Aim, Outgoing};
use super::siblings::Siblings;
use super::spare::Spare;
use super::{Admission, Asked, Connections, InFlight, Keys, SendError, Sent, Timeouts, Upstream, outcome, send, send_upgrade};

mod beside;

use beside::First;

/// Tells an endpoint the number of a try after the first.
const ATTEMPT: HeaderName = HeaderName::from_static("x-gatehouse-attempt");
/// An answer that is given up is read to its end, so that its connection can be used again, if it is no larger than this,
const LARGEST_DRAINED: usize = 64 << 10;
/// and takes no longer than this.
const LONGEST_DRAIN: Duration = Duration::from_secs(1);

/// A request to an upstream, and what is the same for all its tries.
pub struct Errand<'a> {
    /// To whom.
    pub upstream: &'a Upstream,
    /// That it may go there.
    pub admission: &'a Admission,
    /// When it is tried again; None for never.
    pub retry: Option<&'a Retry>,
    /// The worker's connections.
    pub connections: &'a Rc<Connections>,
    /// The worker's counts.
    pub metrics: &'a WorkerMetrics,
    /// How long it may take, all tries together.
    pub timeouts: Timeouts,
    /// What records the tries, if anything does; the first has begun.
    pub tries: Option<Box<Tries>>,
    /// Its body, where that is still on its way.
    pub uploading: Option<Rc<Passage>>,
    /// Who sent it, if that is known.
    pub caller: Option<&'a Caller>,
    /// From where, if it came from outside.
    pub address: Option<IpAddr>,
    /// Whether it asks for another protocol.
    pub is_upgrade: bool,
    /// Whether it failed because its body did, or never came: not what an endpoint is to be blamed for.
    pub is_clients_fault: &'a dyn Fn() -> bool,
    /// Whether the next try goes out on a new connection.
    pub is_fresh: Cell<bool>,
    /// Counts the tries.
    pub attempts: &'a Cell<u32>,
    /// When the first try began.
    pub began: Instant,
    /// How long it took until the last of them was answered, or was not.
    pub took: &'a Cell<Duration>,
}

/// The endpoints that were tried, by their serials.
type Tried = SmallVec<[u64; 2]>;

/// What a try came to.
type Outcome = Result<Sent, SendError>;

impl Errand<'_> {
    /// Sends the request and waits for the head of an answer. `endpoint` is where it goes first, and then where it went
    /// last.
    pub async fn send(&mut self, endpoint: &mut InFlight, mut request: Outgoing) -> Outcome {
        let Some(retry) = self.retry else {
            return self.attempt(endpoint, request, &self.timeouts, self.began, &Cell::default()).await;
        };
        let siblings = self.upstream.balancer.siblings();
        siblings.budget.request(self.began);
        let spare = Spare::of(&mut request, retry.buffer, self.upstream);
        let mut tried = Tried::from_slice(&[endpoint.serial]);
        let first = First { errand: self, retry, spare: &spare, endpoint };
        let (outcome, other) = match retry.hedge.filter(|_| spare.may_hedge() && !self.is_upgrade) {
            None => first.in_patience(&mut tried, request).await,
            Some(hedge) => Box::pin(first.hedged(hedge, &mut tried, request)).await,
        };
        if let Some(other) = other {
            *endpoint = other;
        }
        match retry.reason(&outcome, &spare.method) {
            None => outcome,
            // Boxed, because it is large and rarely needed.
            Some(reason) => Box::pin(self.again(retry, spare, endpoint, tried, outcome, reason)).await,
        }
    }

    /// Further tries, until one comes to something or there can be no other.
    async fn again(
        &mut self,
        retry: &Retry,
        spare: Spare,
        endpoint: &mut InFlight,
        mut tried: Tried,
        mut outcome: Outcome,
        mut reason: Reason,
    ) -> Outcome {
        for number in tried.len() as u32..retry.attempts {
            let wait = retry.wait(number, fastrand::f64());
            let Some(mut request) = self.repeat(retry, &spare, reason, wait) else { return outcome };
            let Some(next) = self.other(&request, &tried, reason, wait).await else { return outcome };
            self.siblings().retried(reason);
            self.is_fresh.set(matches!(reason, Reason::Refused | Reason::Reset));
            give_up(outcome);
            tried.push(next.serial);
            *endpoint = next;
            let now = Instant::now();
            request.headers_mut().insert(ATTEMPT, HeaderValue::from(number + 1));
            let hop = Hop { upstream: &self.upstream.name, authority: &endpoint.authority, tls: endpoint.tls };
            if let Some(tries) = &mut self.tries {
                tries.resume(hop, &mut request, now);
            }
            outcome = self.attempt(endpoint, request, &self.left(now), now, &Cell::default()).await;
            match retry.reason(&outcome, &spare.method) {
                None => return outcome,
                Some(next) => reason = next,
            }
        }
        outcome
    }

    /// The request once more, if it may be sent again after that wait.
    fn repeat(&self, retry: &Retry, spare: &Spare, reason: Reason, wait: Duration) -> Option<Outgoing> {
        let now = Instant::now();
        let until = now.saturating_duration_since(self.began) + wait;
        let is_late = self.timeouts.request.is_some_and(|limit| until >= limit);
        if is_late || self.is_resting(now) || (self.is_clients_fault)() {
            return None;
        }
        let request = spare.request()?;
        // What an endpoint refused cost it nothing, and one that says farewell refuses many at a time.
        let is_free = reason == Reason::Refused && self.attempts.get() == 1;
        let allowed = is_free || self.siblings().budget.take(now, retry.budget, retry.min_per_second);
        if !allowed {
            self.siblings().retried(Reason::Budget);
        }
        allowed.then_some(request)
    }

    /// Whether the circuit is open, or waits to hear of this request before it closes.
    fn is_resting(&self, now: Instant) -> bool {
        self.upstream.breaker.is_some() && (self.admission.is_probe() || self.siblings().circuit.open_for(now).is_some())
    }

    /// Where it goes next. A request that an endpoint refused may go at once, and one that got no connection to another
    /// endpoint, too; for the rest there is a wait.
    async fn other(&self, request: &Request<Body>, tried: &[u64], reason: Reason, wait: Duration) -> Option<InFlight> {
        let may_go = |next: &InFlight| match reason {
            Reason::Refused => true,
            Reason::Connect => !tried.contains(&next.serial),
            _ => false,
        };
        if matches!(reason, Reason::Refused | Reason::Connect) {
            let next = self.pick(request, tried).filter(may_go);
            if next.is_some() {
                return next;
            }
        }
        tokio::time::sleep(wait).await;
        self.pick(request, tried)
    }

    fn pick(&self, request: &Request<Body>, tried: &[u64]) -> Option<InFlight> {
        let path = request.uri().path_and_query();
        let keys = Keys { headers: request.headers(), path, caller: self.caller, address: self.address };
        self.upstream.pick(&Asked { now: Instant::now(), tried, keys })
    }

    fn hop<'a>(&'a self, endpoint: &'a InFlight) -> Hop<'a> {
        Hop { upstream: &self.upstream.name, authority: &endpoint.authority, tls: endpoint.tls }
    }

    /// What is left of the time for all tries.
    fn left(&self, now: Instant) -> Timeouts {
        let spent = now.saturating_duration_since(self.began);
        let left = |limit: Option<Duration>| limit.map(|limit| limit.saturating_sub(spent));
        Timeouts { request: left(self.timeouts.request), call: left(self.timeouts.call), ..self.timeouts }
    }

    fn siblings(&self) -> &Arc<Siblings> {
        self.upstream.balancer.siblings()
    }

    /// One try, which is counted and learned from.
    fn attempt<'a>(
        &'a self,
        endpoint: &'a InFlight,
        request: Outgoing,
        timeouts: &'a Timeouts,
        began: Instant,
        is_silent: &'a Cell<bool>,
    ) -> impl Future<Output = Outcome> + 'a {
        self.attempt_with(self.tries.as_deref(), endpoint, request, timeouts, began, is_silent)
    }

    async fn attempt_with(
        &self,
        tries: Option<&Tries>,
        endpoint: &InFlight,
        request: Outgoing,
        timeouts: &Timeouts,
        began: Instant,
        is_silent: &Cell<bool>,
    ) -> Outcome {
        self.attempts.set(self.attempts.get() + 1);
        let (connections, transport) = (self.connections, &*self.upstream.transport);
        let has_spare = self.retry.is_some();
        let patience = Patience::new(self.upstream, endpoint, is_silent, began);
        let is_fresh = self.is_fresh.get();
        let aim = Aim { connections, endpoint, transport, timeouts, began, tries, has_spare, is_fresh, patience: &patience };
        let uploading = self.uploading.clone();
        let outcome = match (&self.upstream.credentials, self.is_upgrade) {
            (None, false) => send(&aim, request, uploading).await,
            (Some(source), false) => {
                let refused = |took| {
                    self.attempts.set(self.attempts.get() + 1);
                    self.metrics.upstream_tried(&self.upstream.metrics, StatusCode::UNAUTHORIZED.as_u16(), took);
                };
                Box::pin(send_with_token(aim, source, request, uploading, refused)).await
            }
            (_, true) => Box::pin(send_upgrade(self.upstream, endpoint, timeouts, *request)).await,
        };
        let ended = Instant::now();
        self.took.set(ended - self.began);
        self.learn(endpoint, &outcome, began, ended - began, patience.is_over());
        if let Some(tries) = tries {
            tries.end(self::outcome(&outcome), ended);
        }
        outcome
    }

    fn learn(&self, endpoint: &InFlight, outcome: &Outcome, began: Instant, took: Duration, is_counted: bool) {
        let status = outcome.as_ref().map_or_else(SendError::status, |sent| sent.response.status().as_u16());
        let error = outcome.as_ref().err();
        // A request that was never sent is none of the upstream's.
        if error.is_none_or(SendError::is_of_endpoint) {
            self.metrics.upstream_tried(&self.upstream.metrics, status, took);
        }
        let is_telling = |error: &SendError| error.is_of_endpoint() && !self.is_farewell(error) && !(self.is_clients_fault)();
        match error {
            None => {
                endpoint.vitals.answered(began + took);
                self.upstream.learn(endpoint, self.admission, status, took, began);
            }
            Some(error) if !is_telling(error) => {}
            // Its silence was a failure already.
            Some(SendError::Timeout(_)) if is_counted => self.upstream.learn_latency(endpoint, self.admission, status, took, began),
            Some(_) => self.upstream.learn(endpoint, self.admission, status, took, began),
        }
    }

    /// Whether an endpoint that is about to go away did not take the request any more: nothing is wrong with it, and the
    /// next try tells.
    fn is_farewell(&self, error: &SendError) -> bool {
        matches!(error, SendError::Refused(_)) && self.retry.is_some() && self.attempts.get() == 1
    }
}

/// Nobody wants this answer any more.
fn give_up(outcome: Outcome) {
    let Ok(Sent { response, .. }) = outcome else { return };
    let body = response.into_body();
    let is_small = http_body::Body::size_hint(&body).upper().is_some_and(|bytes| bytes <= LARGEST_DRAINED as u64);
    if is_small && !body.is_empty() {
        tokio::task::spawn_local(tokio::time::timeout(LONGEST_DRAIN, body.collect(LARGEST_DRAINED)));
    }
}
