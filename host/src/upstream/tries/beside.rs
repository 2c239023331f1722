//! Two tries of a request at once: the first, and a second at another endpoint when the first takes long (hedging) or its
//! endpoint answers nobody. The first good answer is taken.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

use http::HeaderValue;

use super::super::InFlight;
use super::super::retry::hedge::{self, Hedge};
use super::super::retry::{Reason, Retry};
use super::super::send::Outgoing;
use super::super::spare::Spare;
use super::{ATTEMPT, Errand, Outcome, Tried};

/// The first try of a request, and what a second one can be made of.
pub struct First<'a> {
    pub errand: &'a Errand<'a>,
    pub retry: &'a Retry,
    pub spare: &'a Spare,
    pub endpoint: &'a InFlight,
}

/// What the tries came to, and the endpoint of the second where that is the one to go by.
pub type Moved = (Outcome, Option<InFlight>);

/// Where a second try goes, and what it sends.
type Second = (InFlight, Outgoing);

impl First<'_> {
    /// The first try, and a second beside it once its endpoint has gone silent.
    pub async fn in_patience(&self, tried: &mut Tried, request: Outgoing) -> Moved {
        let is_silent = Cell::default();
        self.outlast(tried, pin!(self.begin(request, &is_silent)), &is_silent).await
    }

    /// The first try, and a second beside it once it takes long. What is not needed any more is dropped, which ends it at
    /// its endpoint, too.
    pub async fn hedged(&self, hedge: Hedge, tried: &mut Tried, request: Outgoing) -> Moved {
        let (errand, is_silent) = (self.errand, Cell::default());
        let latency = &errand.siblings().latency;
        let mut first = Box::pin(self.begin(request, &is_silent));
        if let Some(wait) = hedge.wait(latency) {
            if let Ok(outcome) = tokio::time::timeout(wait, &mut first).await {
                hedge.learn(latency, errand.took.get());
                return (outcome, None);
            }
            if let Some(second) = self.hedge(tried) {
                let moved = self.beside(tried, first, second, Reason::Hedge).await;
                hedge.learn(latency, errand.began.elapsed());
                return moved;
            }
        }
        let moved = self.outlast(tried, first, &is_silent).await;
        hedge.learn(latency, errand.took.get());
        moved
    }

    fn begin<'b>(&'b self, request: Outgoing, is_silent: &'b Cell<bool>) -> impl Future<Output = Outcome> + 'b {
        let Errand { timeouts, began, .. } = self.errand;
        self.errand.attempt(self.endpoint, request, timeouts, *began, is_silent)
    }

    /// Goes on with the first try until its endpoint is doubted, and from then on with a second beside it, if there may be
    /// one.
    async fn outlast(&self, tried: &mut Tried, mut first: impl Future<Output = Outcome> + Unpin, is_silent: &Cell<bool>) -> Moved {
        let in_patience = poll_fn(|context| match Pin::new(&mut first).poll(context) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            // Only the try itself, when it is polled, finds out.
            Poll::Pending if is_silent.get() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        if let Some(outcome) = in_patience.await {
            return (outcome, None);
        }
        match self.elsewhere(tried) {
            // Boxed, because it is large and rarely needed.
            Some(second) => Box::pin(self.beside(tried, first, second, Reason::Silence)).await,
            None => (first.await, None),
        }
    }

    /// Where a second try may go beside one that takes long.
    fn hedge(&self, tried: &Tried) -> Option<Second> {
        let (errand, now) = (self.errand, Instant::now());
        let request = self.spare.request().filter(|_| !errand.is_resting(now))?;
        let other = errand.pick(&request, tried).filter(|other| !tried.contains(&other.serial))?;
        let allowed = errand.siblings().budget.take_hedge(now, hedge::SHARE, self.retry.budget, self.retry.min_per_second);
        allowed.then_some((other, request))
    }

    /// Where a second try may go beside one at a silent endpoint.
    fn elsewhere(&self, tried: &Tried) -> Option<Second> {
        let errand = self.errand;
        // A session that is kept at one endpoint may be unknown at another.
        if errand.is_upgrade || errand.upstream.balancer.hashes() || !self.retry.may_double(&self.spare.method) {
            return None;
        }
        let request = errand.repeat(self.retry, self.spare, Reason::Silence, Duration::ZERO)?;
        let other = errand.pick(&request, tried).filter(|other| !tried.contains(&other.serial))?;
        Some((other, request))
    }

    /// The first try and a second one.
    async fn beside(
        &self,
        tried: &mut Tried,
        first: impl Future<Output = Outcome> + Unpin,
        (other, request): Second,
        why: Reason,
    ) -> Moved {
        tried.push(other.serial);
        let (outcome, is_second) = self.race(first, &other, request, why).await;
        if !is_second {
            return (outcome, None);
        }
        let (upstream, now) = (self.errand.upstream, Instant::now());
        upstream.outpaced(self.endpoint, now - self.errand.began, now);
        if why == Reason::Silence && outcome.is_ok() {
            upstream.outlier.eject_silent(&upstream.balancer, self.endpoint, now);
        }
        (outcome, Some(other))
    }

    /// The first good answer of two tries, or the last bad one; and whether it is the second's.
    async fn race(
        &self,
        mut first: impl Future<Output = Outcome> + Unpin,
        other: &InFlight,
        mut request: Outgoing,
        why: Reason,
    ) -> (Outcome, bool) {
        let (errand, now, is_silent) = (self.errand, Instant::now(), Cell::default());
        errand.siblings().retried(why);
        request.headers_mut().insert(ATTEMPT, HeaderValue::from(2));
        let tries = errand.tries.as_ref().map(|tries| tries.fork(errand.hop(other), &mut request, now));
        let left = errand.left(now);
        let mut second = Box::pin(errand.attempt_with(tries.as_deref(), other, request, &left, now, &is_silent));
        let is_good = |outcome: &Outcome| self.retry.reason(outcome, &self.spare.method).is_none();
        tokio::select! {
            outcome = &mut first => match is_good(&outcome) {
                true => (outcome, false),
                false => (second.await, true),
            },
            outcome = &mut second => match is_good(&outcome) {
                true => {
                    if why == Reason::Hedge {
                        errand.siblings().hedge_won();
                    }
                    (outcome, true)
                }
                false => (first.await, false),
            },
        }
    }
}
