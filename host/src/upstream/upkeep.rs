//! What upstreams need done in the background: ejections end, success rates are compared, endpoints are asked how they
//! are. One task for the whole process; it looks at the configuration of the moment, so nothing has to tell it of changes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::task::JoinHandle;

use super::health::{self, Check};
use super::{Endpoint, Upstream};

/// The time between two rounds: how late an ejection may end, or a new endpoint be asked for the first time.
const ROUND: Duration = Duration::from_millis(200);

/// Keeps the upstreams of the moment, for as long as the runtime lives.
pub async fn keep(upstreams: impl Fn() -> Vec<Arc<Upstream>>) {
    let mut keeper = Keeper::default();
    let mut rounds = tokio::time::interval(ROUND);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        keeper.round(&upstreams(), Instant::now());
    }
}

#[derive(Default)]
struct Keeper {
    /// When an upstream's interval ends, and the last round that found it, by its name.
    reviews: HashMap<Arc<str>, (Instant, u64)>,
    /// Who is asked, by the endpoint's serial.
    watches: HashMap<u64, Watch>,
    round: u64,
}

/// A task that asks one endpoint.
struct Watch {
    endpoint: Arc<Endpoint>,
    check: Arc<Check>,
    upstream: Arc<ArcSwap<Upstream>>,
    task: JoinHandle<()>,
    /// The last round that found a use for it.
    round: u64,
}

impl Keeper {
    fn round(&mut self, upstreams: &[Arc<Upstream>], now: Instant) {
        self.round += 1;
        for upstream in upstreams {
            upstream.outlier.pardon(&upstream.balancer, now);
            self.review(upstream, now);
            self.watch(upstream);
        }
        let round = self.round;
        self.reviews.retain(|_, (_, seen)| *seen == round);
        self.watches.retain(|_, watch| watch.round == round || watch.end());
    }

    fn review(&mut self, upstream: &Upstream, now: Instant) {
        let next = now + upstream.outlier.interval;
        let (due, seen) = self.reviews.entry(Arc::clone(&upstream.name)).or_insert((next, 0));
        *seen = self.round;
        if now >= *due {
            *due = next;
            upstream.outlier.review(&upstream.balancer, now);
        }
    }

    fn watch(&mut self, upstream: &Arc<Upstream>) {
        let Some(check) = &upstream.check else { return };
        let round = self.round;
        for endpoint in upstream.balancer.set().all() {
            if let Some(watch) = self.watches.get_mut(&endpoint.serial).filter(|watch| watch.check == *check) {
                watch.go_on(upstream, round);
                continue;
            }
            let watch = Watch::begin(endpoint, check, upstream, round);
            if let Some(replaced) = self.watches.insert(endpoint.serial, watch) {
                replaced.task.abort();
            }
        }
    }
}

impl Watch {
    fn begin(endpoint: &Arc<Endpoint>, check: &Arc<Check>, upstream: &Arc<Upstream>, round: u64) -> Self {
        let upstream = Arc::new(ArcSwap::new(Arc::clone(upstream)));
        let task = tokio::spawn(health::watch(Arc::clone(endpoint), Arc::clone(check), Arc::clone(&upstream)));
        Self { endpoint: Arc::clone(endpoint), check: Arc::clone(check), upstream, task, round }
    }

    fn go_on(&mut self, upstream: &Arc<Upstream>, round: u64) {
        self.round = round;
        if !Arc::ptr_eq(&self.upstream.load(), upstream) {
            self.upstream.store(Arc::clone(upstream));
        }
    }

    /// Nobody wants to know any more. False, for who keeps it.
    fn end(&self) -> bool {
        self.task.abort();
        health::forget(&self.endpoint);
        false
    }
}
