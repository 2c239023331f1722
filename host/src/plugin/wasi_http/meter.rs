//! Computing time of a guest that waits: counted while its future is polled, so that what the worker does meanwhile is
//! not its own. The contract's plugins have a simpler clock, in `plugin/state`.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::plugin::fault::LimitReached;
use crate::plugin::state::thread_cpu_time;

/// The clock of one guest. Copies share it.
#[derive(Clone)]
pub struct Meter(Arc<Reading>);

struct Reading {
    budget: Duration,
    /// Nanoseconds of polls that are over.
    used: AtomicU64,
    /// The thread's computing time when the poll at hand began, in nanoseconds.
    since: AtomicU64,
}

impl Meter {
    /// A guest that may compute for so long in all.
    pub fn new(budget: Duration) -> Self {
        Self(Arc::new(Reading { budget, used: AtomicU64::new(0), since: AtomicU64::new(0) }))
    }

    /// An error once the budget is used up. To be called from within a poll.
    pub(in crate::plugin) fn check(&self) -> Result<(), LimitReached> {
        let Reading { budget, used, since } = &*self.0;
        let running = thread_cpu_time().saturating_sub(since.load(Ordering::Relaxed));
        match Duration::from_nanos(used.load(Ordering::Relaxed) + running) >= *budget {
            true => Err(LimitReached::Cpu(*budget)),
            false => Ok(()),
        }
    }

    fn begin(&self) {
        self.0.since.store(thread_cpu_time(), Ordering::Relaxed);
    }

    fn end(&self) {
        let ran = thread_cpu_time().saturating_sub(self.0.since.load(Ordering::Relaxed));
        self.0.used.fetch_add(ran, Ordering::Relaxed);
    }
}

/// A future that is metered. It fails when a guest spent its budget without the epoch noticing, in calls of the host.
pub struct Metered<F> {
    meter: Meter,
    inner: Pin<Box<F>>,
}

impl<F> Metered<F> {
    /// Counts what polling takes.
    pub fn new(meter: Meter, inner: F) -> Self {
        Self { meter, inner: Box::pin(inner) }
    }
}

impl<T, F: Future<Output = wasmtime::Result<T>>> Future for Metered<F> {
    type Output = wasmtime::Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.meter.begin();
        let polled = self.inner.as_mut().poll(context);
        let checked = self.meter.check();
        self.meter.end();
        match (polled, checked) {
            (Poll::Pending, Err(limit)) => Poll::Ready(Err(limit.into())),
            (polled, _) => polled,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn compute() {
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(1) {
            std::hint::spin_loop();
        }
    }

    #[tokio::test]
    async fn a_guest_that_computes_in_many_short_polls_runs_out_all_the_same() {
        let endless = async {
            loop {
                compute();
                tokio::task::yield_now().await;
            }
        };
        let outcome: wasmtime::Result<()> = Metered::new(Meter::new(Duration::from_millis(5)), endless).await;
        assert!(outcome.is_err_and(|error| error.is::<LimitReached>()), "it is stopped");
    }

    #[tokio::test]
    async fn what_others_compute_meanwhile_is_not_counted() {
        let meter = Meter::new(Duration::from_millis(200));
        let guest = Metered::new(meter.clone(), async {
            tokio::task::yield_now().await;
            wasmtime::Result::Ok(())
        });
        let others = async {
            for _ in 0..300 {
                compute();
            }
        };
        let (outcome, ()) = tokio::join!(guest, others);
        assert!(outcome.is_ok(), "others took 300 ms, it took nothing");
    }
}
