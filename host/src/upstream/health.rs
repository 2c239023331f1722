//! Active health checks: each endpoint of an upstream is asked regularly, once for the whole process. What answers decide
//! is pure and here; asking is in [`probe`], and who is asked when, in `upkeep`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::uri::PathAndQuery;
use http::{HeaderMap, StatusCode};

use super::{Endpoint, Transport, Upstream};

mod probe;

/// How much a wait may be shorter or longer, so that endpoints are not all asked at once.
const SPREAD: f64 = 0.2;
/// The first wait for an endpoint that is not healthy; it doubles from there.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What an endpoint is asked, and what its answers mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// How endpoints are spoken to, as for requests.
    pub transport: Arc<Transport>,
    /// The path.
    pub path: PathAndQuery,
    /// Further headers; `host` among them replaces the endpoint's own name.
    pub headers: HeaderMap,
    /// The port, where it is another one than that of requests.
    pub port: Option<u16>,
    /// The time between two questions, give or take a fifth.
    pub interval: Duration,
    /// How long an answer may take, the connection included.
    pub timeout: Duration,
    /// Good answers in a row that bring an endpoint back.
    pub healthy: u32,
    /// Bad answers in a row that take it out.
    pub unhealthy: u32,
    /// Statuses of good answers, as first and last.
    pub expect: Vec<(u16, u16)>,
}

impl Check {
    fn is_good(&self, status: StatusCode) -> bool {
        self.expect.iter().any(|(first, last)| (*first..=*last).contains(&status.as_u16()))
    }
}

/// What the answers of one endpoint come to.
#[derive(Debug, Default)]
struct Record {
    good: u32,
    bad: u32,
    /// Good answers since the last ejection.
    good_since: u32,
    ejections: u32,
    /// Waits since it was found unhealthy.
    waits: u32,
}

/// What follows from an answer.
#[derive(Debug, PartialEq, Eq)]
enum Finding {
    /// It is or stays out.
    Unhealthy,
    /// It is or stays in.
    Healthy,
    /// Nothing yet.
    Undecided,
}

impl Record {
    /// Takes an answer into account; `healthy` is what was found so far. The first answer decides alone.
    fn take(&mut self, good: bool, healthy: Option<bool>, check: &Check) -> Finding {
        match good {
            true => (self.good, self.bad) = (self.good.saturating_add(1), 0),
            false => (self.good, self.bad) = (0, self.bad.saturating_add(1)),
        }
        match (good, healthy) {
            (true, None) => Finding::Healthy,
            (false, None) => Finding::Unhealthy,
            (true, _) if self.good >= check.healthy => Finding::Healthy,
            (false, _) if self.bad >= check.unhealthy => Finding::Unhealthy,
            _ => Finding::Undecided,
        }
    }

    /// Whether enough good answers came since the last ejection to end it.
    fn acquits(&mut self, good: bool, ejections: u32, check: &Check) -> bool {
        if ejections != self.ejections || !good {
            (self.ejections, self.good_since) = (ejections, 0);
        }
        self.good_since += u32::from(good);
        self.good_since >= check.healthy
    }

    /// How long to wait for the next question, without the spread.
    fn wait(&mut self, healthy: bool, check: &Check) -> Duration {
        if healthy {
            self.waits = 0;
            return check.interval;
        }
        let (first, longest) = (FIRST_WAIT.min(check.interval), LONGEST_WAIT.max(check.interval));
        // One that answers well again is asked soon, to be sure.
        let doublings = if self.good > 0 { 0 } else { self.waits.min(16) };
        self.waits += 1;
        (first * (1 << doublings)).min(longest)
    }
}

/// Asks an endpoint until the task is aborted. What is found stays with the endpoint. The upstream is as it was configured
/// last.
pub(super) async fn watch(endpoint: Arc<Endpoint>, check: Arc<Check>, upstream: Arc<ArcSwap<Upstream>>) {
    let mut record = Record { ejections: endpoint.vitals.failures().ejections(), ..Record::default() };
    tokio::time::sleep(check.interval.min(FIRST_WAIT).mul_f64(fastrand::f64() * SPREAD)).await;
    loop {
        let answer = probe::ask(&endpoint, &check).await;
        let good = answer.as_ref().is_ok_and(|status| check.is_good(*status));
        settle(&endpoint, record.take(good, endpoint.vitals.healthy(), &check), &answer);
        let ejected = endpoint.vitals.flags().is_ejected();
        if record.acquits(good, endpoint.vitals.failures().ejections(), &check) && ejected {
            upstream.load().outlier.bring_back(&endpoint, Instant::now());
        }
        let wait = record.wait(!endpoint.vitals.flags().is_unhealthy(), &check);
        tokio::time::sleep(wait.mul_f64(1.0 - SPREAD + fastrand::f64() * 2.0 * SPREAD)).await;
    }
}

fn settle(endpoint: &Endpoint, finding: Finding, answer: &Result<StatusCode, probe::ProbeError>) {
    let (upstream, name) = (&endpoint.siblings.upstream, &endpoint.authority);
    let was_known = endpoint.vitals.healthy().is_some();
    match finding {
        Finding::Undecided => {}
        Finding::Unhealthy => {
            if endpoint.vitals.set_healthy(false) {
                endpoint.siblings.changed();
                match answer {
                    Ok(status) => tracing::warn!(%upstream, endpoint = %name, %status, "endpoint is unhealthy"),
                    Err(error) => tracing::warn!(%upstream, endpoint = %name, %error, "endpoint is unhealthy"),
                }
            }
        }
        Finding::Healthy => {
            let now = Instant::now();
            let latency = endpoint.siblings.typical_latency(now);
            if endpoint.vitals.set_healthy(true) && was_known {
                endpoint.vitals.ramp(now, latency);
                endpoint.siblings.changed();
                tracing::info!(%upstream, endpoint = %name, "endpoint is healthy again");
            }
        }
    }
}

/// Nobody asks this endpoint any more; what was found before no longer counts.
pub(super) fn forget(endpoint: &Endpoint) {
    if endpoint.vitals.forget_checks() {
        endpoint.siblings.changed();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check() -> Check {
        Check {
            transport: Arc::new(Transport::plain()),
            path: PathAndQuery::from_static("/healthz"),
            headers: HeaderMap::new(),
            port: None,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(1),
            healthy: 2,
            unhealthy: 3,
            expect: vec![(200, 399)],
        }
    }

    /// Feeds answers (`+` good, `-` bad) and writes down what is known after each: `?`, `h` or `u`.
    #[track_caller]
    fn check_run(answers: &str, expected: &str) {
        let (mut record, mut healthy, mut seen) = (Record::default(), None, String::new());
        for answer in answers.chars() {
            match record.take(answer == '+', healthy, &check()) {
                Finding::Healthy => healthy = Some(true),
                Finding::Unhealthy => healthy = Some(false),
                Finding::Undecided => {}
            }
            seen.push(healthy.map_or('?', |healthy| if healthy { 'h' } else { 'u' }));
        }
        assert_eq!(seen, expected, "after {answers}");
    }

    #[test]
    fn the_first_answer_decides_and_then_it_takes_a_row() {
        check_run("+", "h");
        check_run("-", "u");
        check_run("+--+---", "hhhhhhu");
        check_run("-+-++", "uuuuh");
    }

    #[test]
    fn one_that_is_out_is_asked_less_and_less_and_soon_again_when_it_answers() {
        let (mut record, check) = (Record { bad: 1, ..Record::default() }, check());
        let waits: Vec<u64> = (0..6).map(|_| record.wait(false, &check).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 10, 10]);
        record.good = 1;
        assert_eq!(record.wait(false, &check), Duration::from_secs(1), "to be sure");
        assert_eq!(record.wait(true, &check), Duration::from_secs(5));
    }

    #[test]
    fn an_ejection_ends_with_good_answers_that_came_after_it() {
        let (mut record, check) = (Record::default(), check());
        assert!(!record.acquits(true, 0, &check));
        assert!(record.acquits(true, 0, &check), "nothing to end, though");
        assert!(!record.acquits(true, 1, &check), "ejected since: this is the first good one after it");
        assert!(!record.acquits(false, 1, &check));
        assert!(!record.acquits(true, 1, &check));
        assert!(record.acquits(true, 1, &check));
    }

    #[test]
    fn good_is_what_is_expected() {
        let mut check = check();
        assert!(check.is_good(StatusCode::FOUND) && !check.is_good(StatusCode::NOT_FOUND));
        check.expect = vec![(204, 204), (404, 404)];
        assert!(check.is_good(StatusCode::NOT_FOUND) && !check.is_good(StatusCode::OK));
    }
}
