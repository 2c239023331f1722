//! The way of spans from the workers to a collector: a queue with a bound, batches, retries. When the collector does not
//! keep up, spans are dropped and counted; no request ever waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::Span;
use prometheus::IntCounter;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::otlp::{Client, Collector, PostError, encode};

/// Spans that may wait, on their way to the collector included; a span takes about a kilobyte.
pub const MOST_WAITING: usize = 8_192;

/// Spans in one POST.
const BATCH: usize = 512;

/// How long a span waits for others to go with it.
const DELAY: Duration = Duration::from_secs(1);

/// The first pause after a failure; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long a batch is tried for.
const PATIENCE: Duration = Duration::from_secs(60);

/// What becomes of spans.
#[derive(Clone)]
pub struct Counters {
    /// Those that a collector took.
    pub exported: IntCounter,
    /// Those that were lost.
    pub dropped: IntCounter,
}

/// The way to the exporter.
#[derive(Clone)]
pub struct Queue {
    chunks: mpsc::UnboundedSender<Vec<Span>>,
    /// Spans on their way; it bounds the channel.
    waiting: Arc<AtomicUsize>,
    dropped: IntCounter,
}

/// The receiving end of a queue, to be given to an exporter.
pub struct Inbox {
    chunks: mpsc::UnboundedReceiver<Vec<Span>>,
    waiting: Arc<AtomicUsize>,
    counters: Counters,
}

/// A task that sends spans to whatever collector is configured at the moment.
pub struct Exporter {
    task: JoinHandle<()>,
    closing: watch::Sender<bool>,
}

struct Sending {
    inbox: Inbox,
    collector: watch::Receiver<Option<Arc<Collector>>>,
    closing: watch::Receiver<bool>,
    client: Client,
    failing: bool,
}

/// A queue, and its end.
pub fn queue(counters: Counters) -> (Queue, Inbox) {
    let (sender, chunks) = mpsc::unbounded_channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let queue = Queue { chunks: sender, waiting: Arc::clone(&waiting), dropped: counters.dropped.clone() };
    (queue, Inbox { chunks, waiting, counters })
}

// === impl Queue ===

impl Queue {
    /// Hands spans over, or drops and counts them where there is no room.
    pub fn hand_over(&self, spans: Vec<Span>) {
        let count = spans.len();
        let waiting = self.waiting.fetch_add(count, Ordering::Relaxed);
        if waiting + count > MOST_WAITING || self.chunks.send(spans).is_err() {
            self.waiting.fetch_sub(count, Ordering::Relaxed);
            self.dropped.inc_by(count as u64);
        }
    }
}

// === impl Exporter ===

impl Exporter {
    /// Starts a task on this runtime. The collector may change at any time.
    pub fn start(inbox: Inbox, collector: watch::Receiver<Option<Arc<Collector>>>) -> Self {
        let (closing, closed) = watch::channel(false);
        let sending = Sending { inbox, collector, closing: closed, client: Client::default(), failing: false };
        Self { task: tokio::spawn(sending.run()), closing }
    }

    /// Sends what is left, for as long as `patience` lasts. Workers have handed over everything by now.
    pub async fn close(self, patience: Duration) {
        let _ = self.closing.send(true);
        let aborted = self.task.abort_handle();
        if timeout(patience, self.task).await.is_err() {
            aborted.abort();
            tracing::warn!(?patience, "spans were left at the end");
        }
    }
}

// === impl Sending ===

impl Sending {
    async fn run(mut self) {
        while let Some(batch) = self.next_batch().await {
            let count = batch.len();
            self.deliver(batch).await;
            self.inbox.waiting.fetch_sub(count, Ordering::Relaxed);
        }
    }

    /// As many spans as there are after a while, or as fit. None at the end.
    async fn next_batch(&mut self) -> Option<Vec<Span>> {
        let mut batch = self.first_chunk().await?;
        let due = Instant::now() + DELAY;
        while batch.len() < BATCH {
            let closing = *self.closing.borrow();
            let chunk = match closing {
                true => self.inbox.chunks.try_recv().ok(),
                false => tokio::select! {
                    chunk = timeout_at(due, self.inbox.chunks.recv()) => chunk.ok().flatten(),
                    () = closed(self.closing.clone()) => continue,
                },
            };
            match chunk {
                Some(chunk) => batch.extend(chunk),
                None => break,
            }
        }
        Some(batch)
    }

    async fn first_chunk(&mut self) -> Option<Vec<Span>> {
        tokio::select! {
            biased;
            chunk = self.inbox.chunks.recv() => chunk,
            () = closed(self.closing.clone()) => self.inbox.chunks.try_recv().ok(),
        }
    }

    async fn deliver(&mut self, batch: Vec<Span>) {
        let count = batch.len() as u64;
        let taken = self.try_for_a_while(batch).await;
        self.inbox.counters.exported.inc_by(taken);
        self.inbox.counters.dropped.inc_by(count.saturating_sub(taken));
    }

    /// How many spans of the batch the collector has in the end.
    async fn try_for_a_while(&mut self, batch: Vec<Span>) -> u64 {
        let Some(collector) = self.collector() else { return 0 };
        let count = batch.len() as u64;
        let encoded = encode(batch, &collector.service_name);
        let give_up = Instant::now() + PATIENCE;
        let mut pause = FIRST_PAUSE;
        loop {
            // A reload may have named another one meanwhile.
            let Some(collector) = self.collector() else { return 0 };
            let error = match self.client.post(&collector, encoded.clone()).await {
                Ok(rejected) => return self.delivered(count, rejected),
                Err(error) => error,
            };
            self.note(&error, &collector);
            let wait = error.retry_after().unwrap_or_else(|| jittered(pause));
            if !error.is_passing() || Instant::now() + wait > give_up || self.is_closing_within(wait).await {
                return 0;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn collector(&self) -> Option<Arc<Collector>> {
        self.collector.borrow().clone()
    }

    fn delivered(&mut self, count: u64, rejected: u64) -> u64 {
        if std::mem::take(&mut self.failing) {
            tracing::info!("the collector takes spans again");
        }
        if rejected > 0 {
            tracing::warn!(rejected, "the collector did not want some spans");
        }
        count.saturating_sub(rejected)
    }

    /// Waits, unless the end comes first.
    async fn is_closing_within(&self, wait: Duration) -> bool {
        tokio::select! {
            () = sleep(wait) => false,
            () = closed(self.closing.clone()) => true,
        }
    }

    /// One warning for a failure that lasts.
    fn note(&mut self, error: &PostError, collector: &Collector) {
        let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        match std::mem::replace(&mut self.failing, true) {
            false => tracing::warn!(collector = %collector.url, %error, cause, "spans do not arrive; they are dropped when too many wait"),
            true => tracing::debug!(collector = %collector.url, %error, cause, "spans do not arrive"),
        }
    }
}

async fn closed(mut closing: watch::Receiver<bool>) {
    // An error means that nobody is left to say so.
    let _ = closing.wait_for(|closing| *closing).await;
}

/// So that several gateways do not come back all at once.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + fastrand::f64() / 2.0)
}
