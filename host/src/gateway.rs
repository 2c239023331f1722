//! The composition root: builds the parts, starts the workers, reloads, drains.

mod admin;
mod amend;
pub mod apply;
mod first;
mod memory;
mod prepare;
mod record;
mod registrations;
mod registries;
pub mod resources;
mod rollouts;

use std::cell::OnceCell;
use std::collections::HashMap;
use std::error::Error;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch as signalled};

use crate::admin::Admin;
use crate::admin::readiness::Readiness;
use crate::config::document::{self, Document};
use crate::config::text::LogTarget;
use crate::config::{Problems, RouteArg};
use crate::identity::credentials::TokenSources;
use crate::identity::fetch::Http;
use crate::identity::jwks;
use crate::limit::{Clock, Table};
use crate::plugin::Loader;
use crate::plugin::compile::{Allowance, Children, Workshop};
use crate::registry;
use crate::rollout::gauges::RolloutGauges;
use crate::rollout::{Rollouts, Seat};
use crate::server::listen;
use crate::snapshot::{Builder, Snapshot};
use crate::telemetry::access_log::Target;
use crate::telemetry::traces::export::{self, Exporter, Inbox};
use crate::telemetry::traces::otlp::Collector;
use crate::telemetry::{AccessLog, Metrics};
use crate::upstream::discovery::gauges::DiscoveryGauges;
use crate::upstream::discovery::{self, Discovery};
use crate::upstream::gauges::EndpointGauges;
use crate::upstream::{Endpoints, Upstream, upkeep};
use crate::watch::{Files, Fingerprint, Watch};
use crate::worker::{self, Listen, Phase, Pinned};

use apply::{Changer, Waiting};
use first::{First, first};
use prepare::{Parts, Prepared};
use registries::Cause;
use resources::Resources;

/// How often names of endpoints are looked up again.
const RESOLVE: Duration = Duration::from_secs(30);
/// How often idle buckets are let go of.
const SWEEP: Duration = Duration::from_secs(30);
/// How often the store is looked at for a copy.
const COPY: Duration = Duration::from_secs(2);
/// A load balancer that asks for readiness does so more often than this.
const ASKED: Duration = Duration::from_secs(60);

/// How long the last spans may take on the way out.
const LAST_SPANS: Duration = Duration::from_secs(5);

/// How to run.
pub struct Settings {
    /// Where the configuration is.
    pub config: ConfigSource,
    /// The folder for compiled plugins.
    pub cache: Option<PathBuf>,
    /// The folder for everything else that is remembered.
    pub data: Option<PathBuf>,
    /// The operator's own token for the admin API.
    pub admin_token: Option<String>,
    /// What compiling one of them may take.
    pub compiling: Allowance,
    /// Where the admin listener is, instead of what the configuration says.
    pub admin: Option<SocketAddr>,
    /// Worker threads.
    pub workers: usize,
}

/// Where a configuration is.
pub enum ConfigSource {
    /// A file, or a folder of files.
    Path(PathBuf),
    /// The command line.
    Arguments {
        /// The routes.
        routes: Vec<RouteArg>,
        /// Where to listen.
        listen: Option<SocketAddr>,
    },
}

/// Why the gateway does not serve.
#[derive(Debug, Error)]
pub enum StartError {
    /// The configuration cannot be used.
    #[error("{0}")]
    Config(Problems),
    /// The machine does not give what is needed.
    #[error("{what}: {cause}")]
    Machine {
        /// What was wanted.
        what: String,
        /// Why it was not had.
        cause: String,
    },
}

fn machine(what: impl Into<String>) -> impl FnOnce(io::Error) -> StartError {
    let what = what.into();
    move |error| StartError::Machine { what, cause: error.to_string() }
}

fn cause(error: &dyn Error) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
}

/// Serves until a signal ends it.
pub fn run(settings: Settings) -> Result<(), StartError> {
    let metrics = Metrics::new();
    let workshop = Workshop::Children(Children::new(settings.compiling));
    let loader = Loader::start(settings.cache.as_deref(), workshop, metrics.clone())
        .map_err(|error| StartError::Machine { what: "plugin engine".into(), cause: error.to_string() })?;
    let buckets = Arc::new(Table::new(Table::DEFAULT_CAPACITY));
    let endpoints = Arc::<Endpoints>::default();
    metrics.publish(Box::new(EndpointGauges::new(Arc::clone(&endpoints))));
    let builder = Arc::new(Builder {
        loader,
        rollouts: Arc::<Rollouts>::default(),
        registries: registries::start(&settings, &metrics),
        endpoints,
        discovery: Discovery::default(),
        tokens: TokenSources::default(),
        metrics: metrics.clone(),
        buckets: Arc::clone(&buckets),
    });

    let First { prepared: Prepared { snapshot, document, files, .. }, resources, refused } = first(&settings, &builder)?;
    let config = Arc::new(settings.config);
    if let Some(resources) = &resources {
        registrations::restore(&resources.store, snapshot.upstreams.values());
    }
    builder.registries.settle();
    applied(&metrics, &snapshot);
    metrics.publish(Box::new(RolloutGauges::new(Arc::clone(&builder.rollouts))));
    let readiness = Arc::new(Readiness::starting());
    if let Some(problems) = refused {
        tracing::error!(revision = snapshot.revision, "configuration refused, the last good one is served: {problems}");
        metrics.config_rejected("invalid");
        degraded(&metrics, &readiness, Some(problems));
    }
    let log = AccessLog::start(target(&document.access_log), metrics.access_log_dropped())
        .map_err(|error| StartError::Machine { what: error.to_string(), cause: cause(&error) })?;

    let (phase, phases) = signalled::channel(Phase::Serving);
    let (spans, inbox) = export::queue(metrics.spans());
    let revision = snapshot.revision;
    let applied_revision = signalled::Sender::new(revision);
    let collector = signalled::Sender::new(collector(&snapshot));
    let current = Arc::new(ArcSwap::from_pointee(snapshot));
    metrics.publish(Box::new(DiscoveryGauges::new(upstreams_of(&current))));
    let (changer, wishes) = apply::queue();
    let shared = worker::Shared {
        current,
        buckets,
        clock: Clock::start(),
        metrics,
        log: Arc::new(log),
        spans,
        phase: phases,
        applied: applied_revision.subscribe(),
        pinned: (0..settings.workers).map(|_| Pinned::default()).collect(),
    };
    let mut gateway = Gateway {
        fingerprint: files.as_ref().map(Files::fingerprint),
        files,
        config,
        builder,
        workers: Vec::new(),
        listening: HashMap::new(),
        document,
        revision,
        phase,
        collector,
        applied: applied_revision,
        shared,
        http: OnceCell::new(),
        readiness,
        resources,
        changer,
        admin: None,
        untidy: Arc::default(),
    };
    gateway.start_workers(settings.workers)?;
    gateway.start_listening()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(machine("runtime"))?;
    runtime.block_on(gateway.serve(settings.admin, settings.admin_token, inbox, wishes))
}

struct Gateway {
    config: Arc<ConfigSource>,
    builder: Arc<Builder>,
    shared: worker::Shared,
    phase: signalled::Sender<Phase>,
    /// Where spans go at the moment.
    collector: signalled::Sender<Option<Arc<Collector>>>,
    /// Tells workers of a new revision.
    applied: signalled::Sender<u64>,
    workers: Vec<WorkerHandle>,
    listening: HashMap<Arc<str>, Listening>,
    /// What is served, as far as it is asked for again: see [`kept`].
    document: Document,
    files: Option<Files>,
    fingerprint: Option<Fingerprint>,
    revision: u64,
    /// Made at the first issuer that needs it: it reads the certificates that the system trusts.
    http: OnceCell<Arc<Http>>,
    readiness: Arc<Readiness>,
    /// What files declare and the admin API made; None where nothing is remembered.
    resources: Option<Arc<Resources>>,
    /// The way to the queue of changes.
    changer: Changer,
    admin: Option<Arc<Admin>>,
    /// Whether little changed, and nobody has tidied up after it.
    untidy: Arc<AtomicBool>,
}

struct WorkerHandle {
    listen: mpsc::UnboundedSender<Listen>,
    thread: JoinHandle<()>,
}

/// A listener with its sockets.
struct Listening {
    /// As configured; port 0 stays 0.
    configured: SocketAddr,
    stop: signalled::Sender<bool>,
}

/// Sockets that are bound and not in use yet.
struct Bound {
    name: Arc<str>,
    configured: SocketAddr,
    sockets: Vec<std::net::TcpListener>,
}

impl Gateway {
    fn start_workers(&mut self, workers: usize) -> Result<(), StartError> {
        for index in 0..workers {
            let (listen, listeners) = mpsc::unbounded_channel();
            let thread = worker::start(index, self.shared.clone(), listeners).map_err(machine("worker thread"))?;
            self.workers.push(WorkerHandle { listen, thread });
        }
        Ok(())
    }

    fn start_listening(&mut self) -> Result<(), StartError> {
        let document = self.document.clone();
        for bound in self.bind(&document)? {
            self.listen(&document, bound);
        }
        Ok(())
    }

    /// Binds the listeners of a document that are not bound yet.
    fn bind(&self, document: &Document) -> Result<Vec<Bound>, StartError> {
        let mut bound = Vec::new();
        for listener in &document.listeners {
            let (name, configured): (Arc<str>, _) = (listener.name.as_str().into(), listener.address.0);
            if self.listening.get(&name).is_some_and(|listening| listening.configured == configured) {
                continue;
            }
            let sockets = listen::bind(configured, self.workers.len()).map_err(machine(format!("listener {name} on {configured}")))?;
            bound.push(Bound { name, configured, sockets });
        }
        Ok(bound)
    }

    fn listen(&mut self, document: &Document, bound: Bound) {
        let secure = document.listeners.iter().any(|listener| *listener.name == *bound.name && listener.tls.is_some());
        let address = bound.sockets[0].local_addr().map_or(bound.configured, |address| address);
        announce(&format!("listening {} {}://{address}", bound.name, if secure { "https" } else { "http" }));
        let (stop, stopped) = signalled::channel(false);
        for (worker, socket) in self.workers.iter().zip(bound.sockets) {
            let _ = worker.listen.send(Listen { name: Arc::clone(&bound.name), socket, stop: stopped.clone() });
        }
        // Where the address changed, the old sockets stop once the new ones accept.
        if let Some(replaced) = self.listening.insert(bound.name, Listening { configured: bound.configured, stop }) {
            let _ = replaced.stop.send(true);
        }
    }

    async fn serve(
        mut self,
        admin_address: Option<SocketAddr>,
        admin_token: Option<String>,
        spans: Inbox,
        mut wishes: mpsc::Receiver<Waiting>,
    ) -> Result<(), StartError> {
        let exporter = Exporter::start(spans, self.collector.subscribe());
        self.start_admin(admin_address, admin_token.as_deref()).await?;
        let mut terminate = signal(SignalKind::terminate()).map_err(machine("signals"))?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(machine("signals"))?;
        let mut hangup = signal(SignalKind::hangup()).map_err(machine("signals"))?;
        self.spawn_upkeep();
        self.adopt(&self.shared.current.load());
        self.spawn_judge();
        self.builder.discovery.settle(upstreams_of(&self.shared.current)()).await;
        self.refresh_keys();
        self.ask_issuers();
        let registries = Arc::clone(&self.builder.registries);
        let mut watch = Watch::start();
        self.watch(&mut watch);
        self.readiness.set(true);
        self.builder.loader.give_way();
        announce("ready");
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hangup.recv() => {
                    self.shared.log.reopen();
                    self.reload(Cause::Files).await;
                    self.watch(&mut watch);
                }
                Some(wish) = wishes.recv() => {
                    self.grant(wish).await;
                    self.watch(&mut watch);
                }
                () = watch.changed() => {
                    if self.has_changed() {
                        self.reload(Cause::Files).await;
                        self.watch(&mut watch);
                    }
                }
                () = registries.offered() => {
                    self.reload(Cause::Registry).await;
                    self.watch(&mut watch);
                }
            }
        }
        if let Some(resources) = &self.resources {
            registrations::leave(&resources.store, &upstreams_of(&self.shared.current)());
        }
        let patience = tokio::select! {
            () = self.drain() => LAST_SPANS,
            // A second signal is somebody who does not want to wait.
            _ = terminate.recv() => Duration::ZERO,
            _ = interrupt.recv() => Duration::ZERO,
        };
        exporter.close(patience).await;
        self.resources.iter().for_each(|resources| resources.store.make_copy());
        self.shared.log.close(Duration::from_secs(1));
        Ok(())
    }

    /// What has to be done now and then, and nothing waits for.
    fn spawn_upkeep(&self) {
        let builder = Arc::clone(&self.builder);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(RESOLVE).await;
                let named = builder.endpoints.named();
                let _ = tokio::task::spawn_blocking(move || named.iter().for_each(|endpoint| endpoint.resolve())).await;
            }
        });
        tokio::spawn(upkeep::keep(upstreams_of(&self.shared.current)));
        tokio::spawn(registry::keep::keep(Arc::clone(&self.builder.registries)));
        tokio::spawn(discovery::keep::keep(self.builder.discovery.bell(), upstreams_of(&self.shared.current)));
        if let Some(resources) = self.resources.clone() {
            tokio::spawn(registrations::keep(Arc::clone(&resources.store), upstreams_of(&self.shared.current)));
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(COPY).await;
                    let store = Arc::clone(&resources.store);
                    let _ = tokio::task::spawn_blocking(move || store.tidy_copy()).await;
                }
            });
        }
        let (buckets, clock) = (Arc::clone(&self.shared.buckets), self.shared.clock.clone());
        let (resources, untidy) = (self.resources.clone(), Arc::clone(&self.untidy));
        let (metrics, builder) = (self.shared.metrics.clone(), Arc::clone(&self.builder));
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                buckets.sweep(clock.now());
                if untidy.swap(false, Ordering::Relaxed) {
                    builder.rollouts.let_go();
                    metrics.sweep();
                    builder.loader.sweep();
                }
                resources.iter().for_each(|resources| resources.tidy());
            }
        });
    }

    fn refresh_keys(&self) {
        let snapshot = self.shared.current.load();
        let fetches = snapshot.issuers.iter().any(|issuer| issuer.remote().is_some());
        if fetches {
            let http = self.http.get_or_init(|| Arc::new(Http::new()));
            jwks::spawn_refresh(&snapshot.issuers, &tokio::runtime::Handle::current(), http);
        }
    }

    /// Takes tokens that are asked about to their issuers, and keeps those that the gateway itself shows to upstreams.
    fn ask_issuers(&self) {
        let (snapshot, tokens) = (self.shared.current.load(), &self.builder.tokens);
        if snapshot.introspection.is_empty() && tokens.is_empty() {
            return;
        }
        let (http, runtime) = (self.http.get_or_init(|| Arc::new(Http::new())), tokio::runtime::Handle::current());
        snapshot.introspection.serve(&runtime, http);
        tokens.attend(&runtime, http);
    }

    fn watch(&self, watch: &mut Watch) {
        if let Some(files) = &self.files {
            watch.set(files);
        }
    }

    fn has_changed(&self) -> bool {
        self.files.as_ref().map(Files::fingerprint) != self.fingerprint
    }

    /// Applies the configuration as it is now, whole or not at all.
    async fn reload(&mut self, cause: Cause) {
        let began = Instant::now();
        // Taken before anything is read: a file that changes meanwhile is then found changed.
        self.fingerprint = self.files.as_ref().map(Files::fingerprint);
        let files = self.files.clone();
        match self.try_reload(cause).await {
            Ok(()) => {
                tracing::info!(revision = self.revision, took = ?began.elapsed(), "configuration applied");
                degraded(&self.shared.metrics, &self.readiness, None);
            }
            Err((reason, error)) => {
                self.shared.metrics.config_rejected(reason);
                if let (StartError::Config(problems), Cause::Files) = (&error, cause) {
                    degraded(&self.shared.metrics, &self.readiness, Some(problems.clone()));
                }
                tracing::error!(revision = self.revision, "configuration refused, the last good one stays: {error}");
            }
        }
        if self.files != files {
            self.fingerprint = self.files.as_ref().map(Files::fingerprint);
        }
    }

    async fn try_reload(&mut self, cause: Cause) -> Result<(), (&'static str, StartError)> {
        let prepared = self.prepare(cause).await?;
        self.settle(&prepared.snapshot).await;
        let bound = self.bind(&prepared.document).map_err(|error| ("listener", error))?;
        let Prepared { snapshot, document, files, .. } = self.record(prepared).await?;
        self.files = files;
        self.swap(snapshot, document, bound);
        self.settle_registries().await;
        Ok(())
    }

    /// Everything that takes time, on a thread of its own: meanwhile signals and the admin listener are heard.
    async fn prepare(&self, cause: Cause) -> Result<Prepared, (&'static str, StartError)> {
        let (config, builder) = (Arc::clone(&self.config), Arc::clone(&self.builder));
        let (current, revision) = (self.shared.current.load_full(), self.revision + 1);
        let keep = self.resources.is_some();
        let made = self.resources.as_ref().map(|resources| resources.made()).unwrap_or_default();
        let prepared = tokio::task::spawn_blocking(move || {
            let parts = Parts { config: &config, made: &made, keep, cause };
            parts.prepare(&builder, Some(&current), revision)
        });
        match prepared.await {
            Ok(prepared) => prepared.map_err(|(reason, problems)| (reason, StartError::Config(problems))),
            Err(error) => Err(("plugin", broke_off(&error))),
        }
    }

    /// Lets upstreams find their endpoints before requests do.
    async fn settle(&self, snapshot: &Snapshot) {
        self.builder.discovery.settle(snapshot.upstreams.values().cloned().collect()).await;
    }

    /// Remembers what is about to be served, where anything is remembered.
    async fn record(&self, mut prepared: Prepared) -> Result<Prepared, (&'static str, StartError)> {
        let Some(resources) = self.resources.clone() else { return Ok(prepared) };
        let config = Arc::clone(&self.config);
        let recorded = tokio::task::spawn_blocking(move || {
            record::replaced(&resources, &config.name(), &mut prepared);
            memory::give_back();
            prepared
        });
        recorded.await.map_err(|error| ("store", broke_off(&error)))
    }

    fn swap(&mut self, snapshot: Snapshot, document: Document, bound: Vec<Bound>) {
        self.revision = snapshot.revision;
        self.collector.send_replace(collector(&snapshot));
        self.adopt(&snapshot);
        let snapshot = Arc::new(snapshot);
        tokio::spawn(memory::retire(self.shared.current.swap(Arc::clone(&snapshot))));
        self.applied.send_replace(snapshot.revision);
        if let Some(admin) = &self.admin {
            admin.renew(snapshot.admin_tls.clone());
        }
        for bound in bound {
            self.listen(&document, bound);
        }
        self.listening.retain(|name, listening| {
            let stays = document.listeners.iter().any(|listener| *listener.name == **name);
            if !stays {
                let _ = listening.stop.send(true);
            }
            stays
        });
        if document.access_log.to != self.document.access_log.to || address(&document) != address(&self.document) {
            tracing::warn!("access_log.to and admin.address take effect at the next start");
        }
        self.document = document;
        applied(&self.shared.metrics, &snapshot);
        self.shared.metrics.sweep();
        self.builder.loader.sweep();
        self.refresh_keys();
        self.ask_issuers();
    }

    /// Swaps in a snapshot that differs from the last one in a few routes, upstreams or clients. What is tidied up after
    /// a whole configuration waits, so that many small changes cost little.
    fn swap_little(&mut self, snapshot: Snapshot, seats: &[Arc<Seat>]) {
        self.revision = snapshot.revision;
        self.adopt_new(&snapshot, seats);
        let snapshot = Arc::new(snapshot);
        tokio::spawn(memory::end(self.shared.current.swap(Arc::clone(&snapshot))));
        self.applied.send_replace(snapshot.revision);
        self.shared.metrics.config_applied(snapshot.revision, snapshot.router_build);
        self.untidy.store(true, Ordering::Relaxed);
        self.ask_issuers();
    }

    /// Readiness off, then no new connections, then no connections.
    async fn drain(&mut self) {
        let drain = self.shared.current.load().drain;
        tracing::info!(ready_delay = ?drain.ready_delay, deadline = ?drain.deadline, "draining");
        self.readiness.set(false);
        let _ = self.phase.send(Phase::Draining);
        if self.readiness.was_asked_within(ASKED) {
            tokio::time::sleep(drain.ready_delay).await;
        }
        for listening in self.listening.values() {
            let _ = listening.stop.send(true);
        }
        // What the kernel had queued is accepted before connections are told to close.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let _ = self.phase.send(Phase::Closing);
        let deadline = Instant::now() + drain.deadline;
        while !self.workers.iter().all(|worker| worker.thread.is_finished()) {
            if Instant::now() >= deadline {
                tracing::warn!("requests were still under way at the deadline");
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// What metrics say of the configuration that serves, and how much they say.
fn applied(metrics: &Metrics, snapshot: &Snapshot) {
    metrics.limit_series(snapshot.series);
    metrics.config_applied(snapshot.revision, snapshot.router_build);
    let listeners = snapshot.listeners.values();
    let certificates =
        listeners.flat_map(|listener| listener.certificates.iter().map(|(file, not_after)| (&*listener.name, file.as_str(), *not_after)));
    metrics.certificates(certificates);
}

fn address(document: &Document) -> Option<SocketAddr> {
    document.admin.as_ref().map(|admin| admin.address.0)
}

/// The upstreams of the moment, whenever they are asked for.
fn upstreams_of(current: &Arc<ArcSwap<Snapshot>>) -> impl Fn() -> Vec<Arc<Upstream>> + Send + Sync + use<> {
    let current = Arc::clone(current);
    move || current.load().upstreams.values().cloned().collect()
}

fn broke_off(error: &tokio::task::JoinError) -> StartError {
    StartError::Machine { what: "building the configuration".into(), cause: error.to_string() }
}

/// Tells everybody that asks whether the files are what serves.
fn degraded(metrics: &Metrics, readiness: &Readiness, problems: Option<Problems>) {
    metrics.config_degraded(problems.is_some());
    readiness.refuse_files(problems);
}

fn collector(snapshot: &Snapshot) -> Option<Arc<Collector>> {
    snapshot.traces.as_ref().map(|traces| Arc::clone(&traces.collector))
}

fn target(log: &document::AccessLog) -> Target {
    match &log.to {
        LogTarget::Stdout => Target::Stdout,
        LogTarget::Stderr => Target::Stderr,
        LogTarget::Off => Target::Off,
        LogTarget::File(path) => Target::File(path.clone()),
    }
}

/// A line for people and scripts that started the process.
fn announce(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
