//! Outlier detection: an endpoint whose answers to real requests are bad goes out of use for a while. As in Envoy, with a
//! larger share that may be out, and a probation: the first failure of one that came back sends it away again.
//!
//! What ends a request at the client is not counted here; see `server/request.rs`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::balance::{Balancer, Set};
use super::vitals::{Failures, Vitals};
use super::{Endpoint, InFlight};

/// Endpoints that have to be compared for a success rate to stand out.
const ENOUGH_ENDPOINTS: usize = 5;
/// Requests of an interval that make a rate.
const ENOUGH_REQUESTS: u32 = 100;
/// Standard deviations below the mean.
const STANDS_OUT: f64 = 1.9;
/// And so much at least: of five endpoints, one that is a hair worse is always two deviations away.
const LEAST_GAP: f64 = 0.05;

/// When an endpoint goes out of use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outlier {
    /// After so many 5xx in a row; 0 for never.
    pub consecutive_5xx: u32,
    /// After so many failures in a row that are a gateway's: 502, 503, 504, no connection, no answer; 0 for never.
    pub consecutive_gateway: u32,
    /// After two or more requests have waited for this long, or for ten times as long as is usual, and it has answered none
    /// while others answer; zero for never.
    pub silence: Duration,
    /// When its success rate of an interval stands out among five or more.
    pub success_rate: bool,
    /// The time between two looks at success rates; after each without an ejection, the next ejection is shorter.
    pub interval: Duration,
    /// How long it is out at first, and how much longer each further time.
    pub base_ejection: Duration,
    /// The longest that it is out.
    pub max_ejection: Duration,
    /// With this share of the endpoints out, between 0 and 1, no other goes; one may in any case unless this is 0, and one
    /// that is ready stays.
    pub max_ejected: f64,
}

/// Why an endpoint went out of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// 5xx in a row.
    Consecutive5xx,
    /// A gateway's failures in a row.
    ConsecutiveGateway,
    /// Its success rate.
    SuccessRate,
    /// It answers nothing, while others do.
    Silence,
}

impl Reason {
    /// All there are.
    pub const ALL: [Reason; 4] = [Reason::Consecutive5xx, Reason::ConsecutiveGateway, Reason::SuccessRate, Reason::Silence];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Consecutive5xx => "consecutive_5xx",
            Reason::ConsecutiveGateway => "consecutive_gateway",
            Reason::SuccessRate => "success_rate",
            Reason::Silence => "silence",
        }
    }
}

impl Outlier {
    /// Whether silence is looked for.
    #[inline]
    pub(super) fn minds_silence(&self) -> bool {
        !self.silence.is_zero() && self.max_ejected > 0.0
    }

    /// Counts an answer, and ejects where it is one failure too many.
    #[inline]
    pub(super) fn count(&self, balancer: &Balancer, to: &InFlight, status: u16, now: Instant) {
        if self.max_ejected == 0.0 {
            return;
        }
        let failures = to.vitals.failures();
        if self.success_rate && to.peers as usize >= ENOUGH_ENDPOINTS {
            failures.requests.fetch_add(1, Ordering::Relaxed);
            failures.successes.fetch_add(u32::from(status < 500), Ordering::Relaxed);
        }
        match status < 500 {
            true => self.count_success(failures, to, now),
            false => self.count_failure(balancer, to, status, now),
        }
    }

    /// A success ends every row of failures, and silence.
    #[inline]
    fn count_success(&self, failures: &Failures, endpoint: &Endpoint, now: Instant) {
        if failures.silent.load(Ordering::Relaxed) {
            self.bring_back(endpoint, now);
        }
        failures.forgive();
    }

    /// Counts a request that has waited for too long at an endpoint that answers nothing. One of them may simply take its
    /// time; where another waits, too, the endpoint goes out at once.
    pub(super) fn count_silence(&self, balancer: &Balancer, endpoint: &Endpoint, now: Instant) {
        self.count_failure(balancer, endpoint, 504, now);
        if endpoint.vitals.waiting() >= 2 {
            self.eject_silent(balancer, endpoint, now);
        }
    }

    /// Counts an answer whose body came to its end.
    #[inline]
    pub(super) fn count_whole(&self, endpoint: &Endpoint) {
        let broken = &endpoint.vitals.failures().broken;
        if broken.load(Ordering::Relaxed) != 0 {
            broken.store(0, Ordering::Relaxed);
        }
    }

    /// Counts an answer whose body broke off after a good head: a failure of a gateway's kind, in a row of its own, since
    /// the head was a success.
    #[cold]
    pub(super) fn count_broken(&self, balancer: &Balancer, endpoint: &Endpoint, now: Instant) {
        if self.max_ejected > 0.0 && one_too_many(&endpoint.vitals.failures().broken, self.consecutive_gateway) {
            self.eject(balancer, endpoint, Reason::ConsecutiveGateway, now);
        }
    }

    /// Takes out an endpoint that answers nothing, not even what another one has answered meanwhile.
    pub(super) fn eject_silent(&self, balancer: &Balancer, endpoint: &Endpoint, now: Instant) {
        self.eject(balancer, endpoint, Reason::Silence, now);
    }

    #[cold]
    fn count_failure(&self, balancer: &Balancer, endpoint: &Endpoint, status: u16, now: Instant) {
        let failures = endpoint.vitals.failures();
        let is_gateway = matches!(status, 502..=504);
        // Where its checks have it out, and it is used for too few are ready, the first failure proves them right.
        let is_unhealthy = endpoint.vitals.flags().is_unhealthy();
        let limit = |limit: u32| if is_unhealthy { limit.min(1) } else { limit };
        if !is_gateway {
            failures.consecutive_gateway.store(0, Ordering::Relaxed);
        } else if one_too_many(&failures.consecutive_gateway, limit(self.consecutive_gateway)) {
            self.eject(balancer, endpoint, Reason::ConsecutiveGateway, now);
        }
        if one_too_many(&failures.consecutive_5xx, limit(self.consecutive_5xx)) {
            self.eject(balancer, endpoint, Reason::Consecutive5xx, now);
        }
    }

    fn eject(&self, balancer: &Balancer, endpoint: &Endpoint, reason: Reason, now: Instant) {
        let siblings = &endpoint.siblings;
        // Whoever is ejecting at this moment may take the last place; the next failures come soon enough.
        let Some(_alone) = siblings.try_ejecting() else { return };
        if endpoint.vitals.flags().is_ejected() || !self.has_room(&balancer.set(), endpoint) {
            return;
        }
        endpoint.vitals.failures().silent.store(reason == Reason::Silence, Ordering::Relaxed);
        let times = endpoint.vitals.failures().times.fetch_add(1, Ordering::Relaxed) + 1;
        let during = self.base_ejection.saturating_mul(times).min(self.max_ejection.max(self.base_ejection));
        endpoint.vitals.eject(now + during);
        siblings.ejected(reason);
        tracing::warn!(upstream = %siblings.upstream, endpoint = %endpoint.authority, reason = reason.name(), ?during, "endpoint ejected");
    }

    /// Whether one more may be out, and another one is ready.
    fn has_room(&self, set: &Set, endpoint: &Endpoint) -> bool {
        let members = set.members();
        let out = members.iter().filter(|member| member.endpoint.vitals.flags().is_ejected()).count();
        // As in Envoy, the share is that of those who are out already: of five, a half lets three go.
        let may_go = (out as f64) < members.len() as f64 * self.max_ejected;
        may_go && set.ready().any(|member| member.endpoint.serial != endpoint.serial)
    }

    // === in the background ===

    /// Brings back those whose time is over, unless their checks say what would come of it.
    pub(super) fn pardon(&self, balancer: &Balancer, now: Instant) {
        if balancer.siblings().out() == 0 {
            return;
        }
        for endpoint in balancer.set().all() {
            let flags = endpoint.vitals.flags();
            if flags.is_ejected() && !flags.is_unhealthy() && endpoint.vitals.is_ejection_over(now) {
                self.bring_back(endpoint, now);
            }
        }
    }

    /// Ends an ejection, on probation.
    pub(super) fn bring_back(&self, endpoint: &Endpoint, now: Instant) {
        let failures = endpoint.vitals.failures();
        failures.consecutive_5xx.store(self.consecutive_5xx.saturating_sub(1), Ordering::Relaxed);
        failures.consecutive_gateway.store(self.consecutive_gateway.saturating_sub(1), Ordering::Relaxed);
        failures.broken.store(self.consecutive_gateway.saturating_sub(1), Ordering::Relaxed);
        failures.silent.store(false, Ordering::Relaxed);
        let latency = endpoint.siblings.typical_latency(now);
        if endpoint.vitals.pardon() {
            endpoint.vitals.ramp(now, latency);
            endpoint.siblings.pardoned();
            tracing::info!(upstream = %endpoint.siblings.upstream, endpoint = %endpoint.authority, "endpoint back from ejection");
        }
    }

    /// The end of an interval: ejects those whose success rate stands out, and forgets what is past.
    pub(super) fn review(&self, balancer: &Balancer, now: Instant) {
        let set = balancer.set();
        let members = set.members();
        let rates: Vec<Option<f64>> = members.iter().map(|member| rate(&member.endpoint.vitals)).collect();
        let lowest = self.success_rate.then(|| lowest_ordinary(rates.iter().flatten().copied())).flatten();
        for (member, rate) in members.iter().zip(rates) {
            if rate.zip(lowest).is_some_and(|(rate, lowest)| rate < lowest) {
                self.eject(balancer, &member.endpoint, Reason::SuccessRate, now);
            } else if !member.endpoint.vitals.flags().is_ejected() {
                member.endpoint.vitals.failures().grow_milder();
            }
        }
    }
}

impl Failures {
    #[inline]
    fn forgive(&self) {
        // Looked at first, since a look shares the line with other cores and a write does not.
        if self.consecutive_5xx.load(Ordering::Relaxed) | self.consecutive_gateway.load(Ordering::Relaxed) != 0 {
            self.consecutive_5xx.store(0, Ordering::Relaxed);
            self.consecutive_gateway.store(0, Ordering::Relaxed);
        }
    }

    /// An interval without an ejection makes the next one shorter.
    fn grow_milder(&self) {
        let _ = self.times.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |times| times.checked_sub(1));
    }
}

/// Counts one more; true at the limit and at each multiple of it, in case there was no room before.
fn one_too_many(row: &AtomicU32, limit: u32) -> bool {
    let count = row.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
    limit > 0 && count > 0 && count.is_multiple_of(limit)
}

/// The success rate of the interval that ends now, if there were requests enough.
fn rate(vitals: &Vitals) -> Option<f64> {
    let failures = vitals.failures();
    let (requests, successes) = (failures.requests.swap(0, Ordering::Relaxed), failures.successes.swap(0, Ordering::Relaxed));
    (requests >= ENOUGH_REQUESTS).then(|| f64::from(successes) / f64::from(requests))
}

/// The rate below which one stands out; none where too few can be compared.
fn lowest_ordinary(rates: impl Iterator<Item = f64> + Clone) -> Option<f64> {
    let count = rates.clone().count();
    if count < ENOUGH_ENDPOINTS {
        return None;
    }
    let mean = rates.clone().sum::<f64>() / count as f64;
    let variance = rates.map(|rate| (rate - mean).powi(2)).sum::<f64>() / count as f64;
    Some(mean - (STANDS_OUT * variance.sqrt()).max(LEAST_GAP))
}

impl Default for Outlier {
    fn default() -> Self {
        Self {
            consecutive_5xx: 5,
            consecutive_gateway: 5,
            silence: Duration::from_secs(1),
            success_rate: true,
            interval: Duration::from_secs(10),
            base_ejection: Duration::from_secs(30),
            max_ejection: Duration::from_secs(300),
            max_ejected: 0.5,
        }
    }
}

#[cfg(test)]
mod tests;
