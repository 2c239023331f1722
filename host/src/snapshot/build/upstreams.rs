//! The settings of an upstream for balancing, outlier detection, checks and its circuit breaker, from what a document says.

use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::document::{self, BalanceAlgorithm, RetryOn};
use crate::config::text::{HashOn as Written, HedgeAfter};
use crate::config::units::Period;
use crate::upstream::balance::{Algorithm, HashOn, Settings};
use crate::upstream::caps::Limits;
use crate::upstream::circuit::Rules;
use crate::upstream::health::Check;
use crate::upstream::retry::hedge::Hedge;
use crate::upstream::{Outlier, Retry, Timeouts, Transport};

/// How an endpoint is chosen.
pub fn balance(configured: &document::Balance) -> Settings {
    Settings {
        algorithm: algorithm(configured.algorithm),
        hash_on: configured.hash_on.as_ref().and_then(hash_on),
        overload: configured.overload.ratio(),
        slow_start: configured.slow_start.into(),
        panic_threshold: configured.panic_threshold.ratio(),
    }
}

/// When an endpoint goes out of use for its answers.
pub fn outlier(configured: &document::Outlier) -> Outlier {
    Outlier {
        consecutive_5xx: configured.consecutive_5xx,
        consecutive_gateway: configured.consecutive_gateway,
        silence: configured.silence.into(),
        success_rate: configured.success_rate,
        interval: configured.interval.into(),
        base_ejection: configured.base_ejection.into(),
        max_ejection: configured.max_ejection.into(),
        max_ejected: configured.max_ejected.ratio(),
    }
}

/// When the whole upstream is given a rest.
pub fn breaker(configured: &document::CircuitBreaker) -> Rules {
    Rules {
        window: configured.window.into(),
        min_requests: configured.min_requests,
        failure_ratio: configured.failure_ratio.ratio(),
        slow_threshold: configured.slow_threshold.map(Into::into),
        slow_ratio: configured.slow_ratio.ratio(),
        count_500: configured.count_500,
        open: configured.open.into(),
        max_open: configured.max_open.into(),
        probes: configured.probes,
        ramp: configured.ramp.into(),
    }
}

/// What it may have of the gateway at once.
pub fn limits(configured: &document::CircuitBreaker) -> Limits {
    Limits { max_requests: configured.max_requests, max_pending: configured.max_pending, max_buffered: configured.max_buffered.get() }
}

/// What endpoints are asked.
pub fn check(configured: &document::ActiveHealth, transport: &Arc<Transport>) -> Check {
    Check {
        transport: Arc::clone(transport),
        path: configured.path.parse().unwrap_or(PathAndQuery::from_static("/")),
        headers: configured.headers.iter().filter_map(|(name, value)| header(name, value)).collect::<HeaderMap>(),
        port: configured.port,
        interval: configured.interval.into(),
        timeout: configured.timeout.into(),
        healthy: configured.healthy,
        unhealthy: configured.unhealthy,
        expect: configured.expect.iter().map(|statuses| (statuses.first, statuses.last)).collect(),
    }
}

/// When a request is tried again; None where each is tried once.
pub fn retry(configured: &document::Retry) -> Option<Retry> {
    let on = |wanted| configured.on.contains(&wanted);
    (configured.attempts > 1).then(|| Retry {
        attempts: configured.attempts,
        budget: configured.budget.ratio(),
        min_per_second: configured.min_per_second,
        backoff: configured.backoff.into(),
        max_backoff: configured.max_backoff.into(),
        buffer: configured.buffer.as_len(),
        on_connect: on(RetryOn::Connect),
        on_reset: on(RetryOn::Reset),
        on_timeout: on(RetryOn::Timeout),
        statuses: configured.statuses.as_slice().into(),
        hedge: configured.hedge.as_ref().map(|hedge| hedge_after(hedge.after)),
    })
}

/// How long it may take, and each try of a request.
pub fn timeouts(configured: &document::UpstreamTimeouts, per_try: Option<Period>) -> Timeouts {
    let first_byte = per_try.map_or(configured.first_byte, |per_try| per_try.min(configured.first_byte));
    let request: Duration = configured.request.into();
    Timeouts {
        connect: configured.connect.into(),
        first_byte: first_byte.into(),
        request: Some(request).filter(|request| !request.is_zero()),
        idle: configured.idle.into(),
        keep_alive: configured.keep_alive.into(),
        upgraded: configured.upgraded.into(),
        call: None,
    }
}

fn hedge_after(configured: HedgeAfter) -> Hedge {
    match configured {
        HedgeAfter::Percentile(percentile) => Hedge::Quantile(f64::from(percentile) / 100.0),
        HedgeAfter::Time(time) => Hedge::After(time.into()),
    }
}

fn algorithm(configured: BalanceAlgorithm) -> Algorithm {
    match configured {
        BalanceAlgorithm::RoundRobin => Algorithm::RoundRobin,
        BalanceAlgorithm::LeastRequest => Algorithm::LeastRequest,
        BalanceAlgorithm::PeakEwma => Algorithm::PeakEwma,
        BalanceAlgorithm::RingHash => Algorithm::RingHash,
        BalanceAlgorithm::Maglev => Algorithm::Maglev,
        BalanceAlgorithm::Random => Algorithm::Random,
    }
}

// Names of headers were checked with the document; where one is none after all, there is nothing to hash.
fn hash_on(written: &Written) -> Option<HashOn> {
    Some(match written {
        Written::Client => HashOn::Client,
        Written::Address => HashOn::Address,
        Written::Path => HashOn::Path,
        Written::Header(name) => HashOn::Header(HeaderName::from_bytes(name.as_bytes()).ok()?),
        Written::Query(name) => HashOn::Query(name.as_str().into()),
        Written::Cookie(name) => HashOn::Cookie(name.as_str().into()),
    })
}

fn header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?))
}
