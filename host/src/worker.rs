//! A worker: one thread with a single-threaded runtime, and everything a request touches that is not shared: its
//! listening sockets, instances, upstream connections, counts and log buffer.

use std::cell::{Cell, RefCell};
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::{ArcSwap, Cache};
use tokio::sync::{mpsc, watch};

use crate::fetch;
use crate::limit::{Clock, Table};
use crate::plugin::Services;
use crate::plugin::capability::http::FetchSender;
use crate::plugin::pool::Pools;
use crate::server::listen;
use crate::snapshot::Snapshot;
use crate::telemetry::metrics::{Decisions, InstanceState};
use crate::telemetry::traces::export::Queue;
use crate::telemetry::{AccessLog, Metrics, RequestIds, WorkerLog, WorkerMetrics, WorkerTraces};
use crate::upstream::Connections;

/// How often a worker tidies up.
const SWEEP: Duration = Duration::from_secs(1);
/// How often it hands over its log lines.
const FLUSH: Duration = Duration::from_millis(100);
/// Its stack: guests run on it, up to their own limit.
const STACK: usize = 4 << 20;

/// What all workers share.
#[derive(Clone)]
pub struct Shared {
    /// The configuration at the moment.
    pub current: Arc<ArcSwap<Snapshot>>,
    /// Token buckets.
    pub buckets: Arc<Table>,
    /// Their clock.
    pub clock: Clock,
    /// All counts.
    pub metrics: Metrics,
    /// Where log lines go.
    pub log: Arc<AccessLog>,
    /// Where spans go.
    pub spans: Queue,
    /// How far the gateway has gone on its way out.
    pub phase: watch::Receiver<Phase>,
    /// The revision that was applied last: idle workers hear of it.
    pub applied: watch::Receiver<u64>,
    /// Which revision each worker has in hand.
    pub pinned: Arc<[Pinned]>,
}

/// The revision that a worker has in hand; 0 before the first.
#[derive(Debug, Default)]
pub struct Pinned(AtomicU64);

/// On the way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Not at all.
    Serving,
    /// Connections are accepted, but asked to go after their next answer.
    Draining,
    /// No connection is accepted; those there are closed when their requests end.
    Closing,
}

/// A socket to accept on.
pub struct Listen {
    /// The listener's name.
    pub name: Arc<str>,
    /// Bound, listening.
    pub socket: TcpListener,
    /// Says when to stop.
    pub stop: watch::Receiver<bool>,
}

/// A snapshot as one worker sees it.
pub struct View {
    /// The snapshot.
    pub snapshot: Arc<Snapshot>,
    /// What its plugins may call.
    pub services: Arc<Services>,
}

/// One worker.
pub struct Worker {
    /// Its instances.
    pub pools: Rc<Pools>,
    /// Its upstream connections.
    pub connections: Rc<Connections>,
    /// Its counts.
    pub metrics: WorkerMetrics,
    /// Its end of the access log.
    pub log: WorkerLog,
    /// Its end of tracing.
    pub traces: Rc<WorkerTraces>,
    /// Its request ids.
    pub ids: RequestIds,
    index: usize,
    shared: Shared,
    cache: RefCell<Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>>,
    view: RefCell<Rc<View>>,
    decisions: Decisions,
    fetch: FetchSender,
    live: Cell<usize>,
}

/// Starts a worker. It ends when the gateway is closing and its last connection is gone.
pub fn start(index: usize, shared: Shared, listen: mpsc::UnboundedReceiver<Listen>) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(format!("gatehouse-{index}")).stack_size(STACK).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // Fewer looks at the clock and the sockets between tasks: a request is a handful of short ones.
            .event_interval(61)
            .build_local(tokio::runtime::LocalOptions::default())
            .expect("a worker without a runtime cannot serve");
        runtime.block_on(run(index, shared, listen));
    })
}

async fn run(index: usize, shared: Shared, mut listen: mpsc::UnboundedReceiver<Listen>) {
    let (fetch, jobs) = mpsc::unbounded_channel();
    let worker = Rc::new(Worker::new(index, shared, fetch));
    tokio::task::spawn_local(fetch::serve(Rc::clone(&worker), jobs));
    tokio::task::spawn_local(tidy(Rc::clone(&worker)));
    loop {
        tokio::select! {
            listener = listen.recv() => match listener {
                Some(listener) => worker.listen(listener),
                None => worker.closing().await,
            },
            () = worker.closing() => break,
        }
    }
    worker.emptied().await;
    worker.flush();
}

async fn tidy(worker: Rc<Worker>) {
    let (mut flush, mut sweep) = (tokio::time::interval(FLUSH), tokio::time::interval(SWEEP));
    let mut applied = worker.shared.applied.clone();
    worker.start_filters();
    loop {
        tokio::select! {
            _ = flush.tick() => worker.flush(),
            _ = sweep.tick() => {
                worker.pools.sweep();
                worker.report_instances();
                worker.connections.sweep();
            }
            // An idle worker lets go of an old snapshot, too.
            Ok(()) = applied.changed() => worker.start_filters(),
        }
    }
}

impl Worker {
    fn new(index: usize, shared: Shared, fetch: FetchSender) -> Self {
        let metrics = shared.metrics.worker();
        let decisions = metrics.decisions();
        let mut cache = Cache::new(Arc::clone(&shared.current));
        let snapshot = Arc::clone(cache.load());
        shared.pinned[index].set(snapshot.revision);
        let view = Rc::new(view(&shared, &decisions, &fetch, snapshot));
        Self {
            pools: Pools::new(fetch.clone()),
            connections: Rc::default(),
            metrics,
            log: shared.log.worker(),
            traces: WorkerTraces::new(shared.spans.clone()),
            ids: RequestIds::new(),
            cache: RefCell::new(cache),
            view: RefCell::new(view),
            decisions,
            fetch,
            live: Cell::new(0),
            index,
            shared,
        }
    }

    /// The configuration at the moment.
    pub fn view(&self) -> Rc<View> {
        let mut cache = self.cache.borrow_mut();
        let current = cache.load();
        let mut seen = self.view.borrow_mut();
        if !Arc::ptr_eq(current, &seen.snapshot) {
            *seen = Rc::new(view(&self.shared, &self.decisions, &self.fetch, Arc::clone(current)));
            self.shared.pinned[self.index].set(current.revision);
        }
        Rc::clone(&seen)
    }

    /// Has an instance of each Proxy-Wasm filter made: what they do on their own waits for no request.
    fn start_filters(&self) {
        let view = self.view();
        for seat in view.snapshot.seats.values().filter_map(Weak::upgrade) {
            let stable = seat.now().stable;
            if stable.proxy_wasm().is_some() {
                self.pools.vms.start(&stable);
            }
        }
    }

    /// Whether connections are asked to go.
    pub fn is_draining(&self) -> bool {
        *self.shared.phase.borrow() >= Phase::Draining
    }

    /// Resolves when connections are to be closed.
    pub async fn closing(&self) {
        // An error means that nobody is left to say so.
        let _ = self.shared.phase.clone().wait_for(|phase| *phase == Phase::Closing).await;
    }

    /// Hands over log lines and spans.
    fn flush(&self) {
        self.log.flush();
        self.traces.flush();
    }

    /// Counts a connection for as long as the guard lives.
    pub fn count_connection(self: &Rc<Self>) -> Live {
        self.live.set(self.live.get() + 1);
        Live(Rc::clone(self))
    }

    fn listen(self: &Rc<Self>, listener: Listen) {
        let worker = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let name = Arc::clone(&listener.name);
            if let Err(error) = listen::accept(worker, listener.name, listener.socket, listener.stop).await {
                tracing::error!(%error, listener = %name, "listener ended");
            }
        });
    }

    fn report_instances(&self) {
        self.pools.report(|usage, idle, busy| {
            self.metrics.plugin_instances(&usage.plugin.handle, InstanceState::Idle, idle);
            self.metrics.plugin_instances(&usage.plugin.handle, InstanceState::Busy, busy);
        });
    }

    async fn emptied(&self) {
        while self.live.get() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn view(shared: &Shared, decisions: &Decisions, fetch: &FetchSender, snapshot: Arc<Snapshot>) -> View {
    let services = Services {
        issuers: Arc::clone(&snapshot.issuers),
        introspection: Arc::clone(&snapshot.introspection),
        clients: Arc::clone(&snapshot.clients),
        buckets: Arc::clone(&shared.buckets),
        clock: shared.clock.clone(),
        decisions: decisions.clone(),
        fetch: fetch.clone(),
    };
    View { snapshot, services: Arc::new(services) }
}

impl Pinned {
    /// The revision.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, revision: u64) {
        self.0.store(revision, Ordering::Relaxed);
    }
}

/// A connection that counts.
pub struct Live(Rc<Worker>);

impl Drop for Live {
    fn drop(&mut self) {
        self.0.live.set(self.0.live.get() - 1);
    }
}
