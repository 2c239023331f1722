//! A plugin with a configuration, ready to be called: what a step of a chain points at. Routes whose steps agree on
//! component, configuration, limits and grants share one, and so its instances.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_queue::ArrayQueue;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::telemetry::metrics::{PluginHandle, PluginMetrics};

use super::bindings::PluginPre;
use super::breaker::Breaker;
use super::capability::kv_store::KvStore;
use super::engine::Alarm;
use super::fault::Fault;
use super::instance::Instance;
use super::load::Artifact;
use super::maker::Maker;
use super::proxy_wasm::{Guest, Program};
use super::state::{HostState, thread_cpu_time};
use super::tally::Tally;
use super::wasi_http::Linked;
use super::{Grants, Isolation, Limits, Needs};

/// Instances that are kept ready at first, and at most, of a plugin that keeps spares.
const FIRST_DEPTH: usize = 4;
const MAX_DEPTH: usize = 64;

/// What all versions and configurations of one plugin share.
pub struct Shared {
    /// The plugin's name.
    pub name: Arc<str>,
    /// The version: the first digits of the component's digest.
    pub version: Arc<str>,
    /// Whether it only sees copies of requests: then nothing it does has an effect.
    pub is_shadow: bool,
    /// Its key-value store.
    pub kv: Arc<KvStore>,
    /// Its own metrics.
    pub metrics: PluginMetrics,
    /// The right to count calls and faults of this version.
    pub handle: PluginHandle,
    /// For calls that go on for long.
    pub(super) alarm: Alarm,
}

/// What is instantiated, linked with what it was granted.
pub(super) enum Code {
    /// A component of the contract.
    Plugin(PluginPre<HostState>),
    /// Somebody else's component, with its environment: one request each, in an engine of their own.
    Http(Linked, Vec<(String, String)>),
    /// A Proxy-Wasm filter: an instance on each worker, that has all requests there.
    ProxyWasm(Box<Program>),
}

/// A plugin with a configuration.
pub struct Usage {
    /// Unique for the life of the process.
    pub serial: u64,
    /// Small and dense, for tables indexed by it; given to another usage once this one is gone.
    pub index: usize,
    /// Name, version, store.
    pub plugin: Arc<Shared>,
    /// What it asked to see.
    pub needs: Needs,
    /// How long its instances live.
    pub isolation: Isolation,
    /// What it may consume.
    pub limits: Arc<Limits>,
    /// What it may call.
    pub grants: Arc<Grants>,
    /// Suspends it when it keeps faulting.
    pub breaker: Breaker,
    /// What it did, for comparing versions.
    pub tally: Tally,
    pub(super) config: Arc<str>,
    pub(super) code: Code,
    /// Whether it imports something that waits for the network, and so is called on a fibre.
    pub waits: bool,
    /// One for each instance alive.
    pub(super) permits: Arc<Semaphore>,
    /// Instances made ahead of time.
    pub(super) ready: ArrayQueue<Box<Instance>>,
    depth: AtomicUsize,
    pub(super) refilling: AtomicBool,
    pub(super) maker: Maker,
    /// Kept so that a reload finds it compiled.
    pub artifact: Arc<Artifact>,
    pub(super) _index: IndexLease,
}

/// The parts of a usage that its maker decides on.
pub(super) struct Parts {
    pub(super) serial: u64,
    pub(super) index: IndexLease,
    pub(super) plugin: Arc<Shared>,
    pub(super) isolation: Isolation,
    pub(super) limits: Arc<Limits>,
    pub(super) grants: Arc<Grants>,
    pub(super) config: Arc<str>,
    pub(super) code: Code,
    pub(super) waits: bool,
    pub(super) maker: Maker,
    pub(super) artifact: Arc<Artifact>,
}

/// What it takes to make an instance: instantiated and configured.
#[derive(Debug, Clone, Copy)]
pub struct Birth {
    /// Elapsed time.
    pub took: Duration,
    /// CPU time.
    pub cpu: Duration,
    /// Bytes of memory it has then.
    pub memory: usize,
    /// Elements of tables.
    pub table_elements: usize,
}

impl Usage {
    /// Makes an instance that nobody calls, to see what that takes.
    pub(super) async fn birth(&self) -> Result<Birth, Fault> {
        let (began, cpu) = (Instant::now(), thread_cpu_time());
        let (instance, _) = Instance::make(self, self.first_permit()?).await?;
        let (took, cpu) = (began.elapsed(), Duration::from_nanos(thread_cpu_time().saturating_sub(cpu)));
        let (memory, table_elements) = instance.extent();
        Ok(Birth { took, cpu, memory, table_elements })
    }

    /// Configures a first instance to learn what the plugin needs, and lets it go: it was made before its needs were known.
    pub(super) async fn new(parts: Parts) -> Result<Arc<Self>, Fault> {
        let mut usage = Self::from_parts(parts);
        usage.needs = match &usage.code {
            Code::Plugin(_) => usage.learn_needs().await?,
            Code::Http(..) => Needs::everything(),
            Code::ProxyWasm(program) => usage.configure(program)?,
        };
        let usage = Arc::new(usage);
        if usage.keeps_spares() {
            usage.maker.refill(&usage);
        }
        Ok(usage)
    }

    /// Makes instances ahead of the first requests, so that those do not pay for a version that is new to them.
    pub(super) async fn warm(&self) -> Result<(), Fault> {
        while self.is_plugin() && self.ready.len() < FIRST_DEPTH.min(self.limits.instances.div_ceil(2)) {
            let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else { return Ok(()) };
            let (instance, _) = Instance::make(self, permit).await?;
            let _ = self.ready.push(Box::new(instance));
        }
        Ok(())
    }

    /// Asks an instance that is not configured for the schema of its configuration.
    pub(super) async fn config_schema(parts: Parts) -> Result<Option<String>, Fault> {
        let usage = Self::from_parts(parts);
        if !usage.is_plugin() {
            return Ok(None);
        }
        Instance::unconfigured(&usage, usage.first_permit()?).await?.config_schema().await
    }

    fn from_parts(parts: Parts) -> Self {
        let permits = Arc::new(Semaphore::new(parts.limits.instances));
        Self {
            serial: parts.serial,
            index: parts.index.index,
            plugin: parts.plugin,
            needs: Needs::default(),
            isolation: parts.isolation,
            limits: parts.limits,
            grants: parts.grants,
            breaker: Breaker::default(),
            tally: Tally::default(),
            config: parts.config,
            code: parts.code,
            waits: parts.waits,
            permits,
            ready: ArrayQueue::new(MAX_DEPTH),
            depth: AtomicUsize::new(FIRST_DEPTH),
            refilling: AtomicBool::new(false),
            maker: parts.maker,
            artifact: parts.artifact,
            _index: parts.index,
        }
    }

    /// Whether it is one of the contract, and so has instances that are called phase by phase.
    pub fn is_plugin(&self) -> bool {
        matches!(self.code, Code::Plugin(_))
    }

    /// What it is made from, if it is a Proxy-Wasm filter.
    pub fn proxy_wasm(&self) -> Option<&Program> {
        match &self.code {
            Code::ProxyWasm(program) => Some(program),
            Code::Plugin(_) | Code::Http(..) => None,
        }
    }

    /// Configures a first instance of a Proxy-Wasm filter, which a worker will take.
    fn configure(&self, program: &Program) -> Result<Needs, Fault> {
        let guest = Guest::make(self, program, self.first_permit()?)?;
        let _ = program.ready.push(Box::new(guest));
        Ok(program.needs())
    }

    /// Another instance of a Proxy-Wasm filter. Blocks while the guest starts.
    pub(super) fn new_guest(&self) -> Result<Guest, Fault> {
        let program = self.proxy_wasm().ok_or_else(|| Fault::NoInstance("it is no Proxy-Wasm filter".into()))?;
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        Guest::make(self, program, permit.map_err(|_| Fault::NoInstance(format!("all {} are in use", self.limits.instances)))?)
    }

    /// Whether it is a middleware of `wasi:http`, as far as a step of a chain can be one of `wasi:http` at all.
    pub fn is_middleware(&self) -> bool {
        matches!(self.code, Code::Http(..))
    }

    async fn learn_needs(&self) -> Result<Needs, Fault> {
        let (_, declared) = Instance::make(self, self.first_permit()?).await?;
        Needs::try_from(declared).map_err(Fault::Invalid)
    }

    fn first_permit(&self) -> Result<OwnedSemaphorePermit, Fault> {
        Arc::clone(&self.permits).try_acquire_owned().map_err(|_| Fault::NoInstance("limits.instances is 0".into()))
    }

    /// Whether instances are made ahead of requests: single-use ones are, and those that take long to make.
    pub(super) fn keeps_spares(&self) -> bool {
        self.is_plugin() && (self.isolation == Isolation::Request || super::starts_slowly(self.artifact.size))
    }

    /// How many instances to keep ready: never more than half of those allowed, so that some are left to
    /// be made inline.
    pub(super) fn depth(&self) -> usize {
        self.depth.load(Ordering::Relaxed).min(self.limits.instances.div_ceil(2)).min(MAX_DEPTH)
    }

    /// A request found none ready: keep more.
    pub(super) fn deepen(&self) {
        let depth = self.depth.load(Ordering::Relaxed);
        self.depth.store((depth * 2).min(MAX_DEPTH), Ordering::Relaxed);
    }

    /// Plugin and configuration: what versions of one plugin at one place have in common.
    pub fn key(&self) -> (Arc<str>, Arc<str>) {
        (Arc::clone(&self.plugin.name), Arc::clone(&self.config))
    }

    /// Instances alive, ready or in use.
    pub fn instances(&self) -> usize {
        self.limits.instances - self.permits.available_permits()
    }

    /// Instances made ahead that wait for a request.
    pub fn ready(&self) -> usize {
        self.ready.len()
    }
}

/// Small numbers for live usages, so that workers can keep their pools in a plain vector.
#[derive(Clone, Default)]
pub(super) struct Indexes(Arc<Mutex<(usize, Vec<usize>)>>);

/// One number, given back on drop.
pub(super) struct IndexLease {
    index: usize,
    from: Indexes,
}

impl Indexes {
    pub(super) fn lease(&self) -> IndexLease {
        let mut state = self.0.lock();
        let index = state.1.pop().unwrap_or_else(|| {
            state.0 += 1;
            state.0 - 1
        });
        IndexLease { index, from: self.clone() }
    }
}

impl Drop for IndexLease {
    fn drop(&mut self) {
        self.from.0.lock().1.push(self.index);
    }
}
