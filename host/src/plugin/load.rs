//! From bytes to something that can be called: structure, imports against grants, code, configuration.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use thiserror::Error;
use wasmtime::Module;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker};

use crate::telemetry::Metrics;

use super::bindings::PluginPre;
use super::capability::{self, kv_store::KvStore};
use super::compile::{Compiler, Sha256Digest, Workshop};
use super::engine::{Alarm, Engine, Tier};
use super::fault::Fault;
use super::inspect::{self, Malformed};
use super::maker::Maker;
use super::proxy_wasm::{self, Commons, Program};
use super::state::HostState;
use super::usage::{Birth, Code, Indexes, Parts, Shared, Usage};
use super::{Capability, Grants, Isolation, Kind, Limits, section, wasi, wasi_http};

/// Interfaces with calls that wait for the network.
const WAITING: [&str; 2] = ["gatehouse:plugin/http@", "gatehouse:plugin/introspection@"];
/// The package of the contract, in front of every import of it.
const PACKAGE: &str = "gatehouse:plugin/";
const VERSION: &str = "@0.1.0";
/// The interface that needs no grant.
const FREE: &str = "about";
/// Components that are compiled at one time.
const COMPILING: usize = 2;

/// Why a component is not taken.
#[derive(Debug, Error)]
pub enum Refusal {
    /// Not a component, or out of proportion.
    #[error("the file is {0}")]
    Malformed(#[from] Malformed),
    /// It does not compile.
    #[error("the component does not compile: {0}")]
    Compile(String),
    /// It imports a capability that it was not granted.
    #[error("it imports `{import}`, which needs the grant `{grant}`")]
    NotGranted {
        /// The import's full name.
        import: String,
        /// What to write into `grants`.
        grant: &'static str,
    },
    /// It imports something that the gateway does not have.
    #[error("it imports `{import}`, which this gateway does not offer")]
    UnknownImport {
        /// The import's full name.
        import: String,
    },
    /// It does not export the world `plugin`.
    #[error("it is not a plugin: {0}")]
    NotAPlugin(String),
    /// It cannot stand where the versions before it do.
    #[error("it is {is}; the plugin is {was}")]
    OtherKind {
        /// What it is.
        is: &'static str,
        /// What the plugin is.
        was: &'static str,
    },
    /// Only components of `wasi:http` have an environment.
    #[error("it has a configuration and no environment: `env` is for components of `wasi:http`")]
    NoEnvironment,
    /// Its `configure` said no.
    #[error("its configuration is refused: {0}")]
    Config(String),
    /// Its `configure` faulted.
    #[error("it {0} during configure")]
    Configure(Fault),
}

/// A component that was compiled and looked at.
pub struct Artifact {
    /// Of its bytes.
    pub digest: Sha256Digest,
    /// Its size in bytes.
    pub size: usize,
    /// The full names of what it imports.
    pub imports: Vec<String>,
    /// What it is.
    pub kind: Kind,
    /// The JSON Schema of its configuration, where it carries one in a section.
    config_schema: Option<String>,
    code: Built,
}

/// What compiling made of it.
enum Built {
    Component(Component),
    Module(Module),
}

impl Artifact {
    /// Whether it carries the JSON Schema of its configuration in a section.
    pub fn has_schema(&self) -> bool {
        self.config_schema.is_some()
    }

    /// The grants that it needs beyond these, as they are written.
    pub fn missing(&self, grants: &Grants) -> Vec<&'static str> {
        let missing = self.imports.iter().filter_map(|import| match granted(import, grants) {
            Err(Refusal::NotGranted { grant, .. }) => Some(grant),
            _ => None,
        });
        if self.kind == Kind::Plugin { missing.collect() } else { Vec::new() }
    }

    fn waits(&self) -> bool {
        self.kind != Kind::Plugin || self.imports.iter().any(|import| WAITING.iter().any(|waiting| import.starts_with(waiting)))
    }
}

/// What makes a usage: two that agree on all of it are one.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct UsageSpec {
    /// The plugin's name.
    pub plugin: Arc<str>,
    /// Its component.
    pub digest: Sha256Digest,
    /// Its configuration, as JSON.
    pub config: Arc<str>,
    /// How long instances live.
    pub isolation: Isolation,
    /// What it may consume.
    pub limits: Arc<Limits>,
    /// What it may call.
    pub grants: Arc<Grants>,
    /// Whether it only sees copies of requests.
    pub shadow: bool,
}

impl UsageSpec {
    /// The same for another component.
    pub fn of(&self, digest: Sha256Digest, shadow: bool) -> Self {
        Self { digest, shadow, ..self.clone() }
    }
}

/// Loads components and keeps what is loaded while it is in use.
pub struct Loader {
    engine: Engine,
    /// The engines of other people's components and of Proxy-Wasm filters, started with the first of them.
    foreign: Mutex<Option<Engine>>,
    proxy_wasm: Mutex<Option<Engine>>,
    commons: Commons,
    compiler: Compiler,
    maker: Maker,
    metrics: Metrics,
    artifacts: Mutex<HashMap<Sha256Digest, Weak<Artifact>>>,
    usages: Mutex<HashMap<UsageSpec, Weak<Usage>>>,
    stores: Mutex<HashMap<Arc<str>, Arc<KvStore>>>,
    indexes: Indexes,
    serials: AtomicU64,
}

impl Loader {
    /// Starts the engine. `cache` is the folder for compiled components; without one, or where it cannot be written,
    /// every start compiles.
    pub fn start(cache: Option<&Path>, workshop: Workshop, metrics: Metrics) -> wasmtime::Result<Self> {
        Ok(Self {
            engine: Engine::start(Tier::Contract)?,
            foreign: Mutex::default(),
            proxy_wasm: Mutex::default(),
            commons: Commons::default(),
            compiler: Compiler::new(cache, workshop),
            maker: Maker::start(),
            metrics,
            artifacts: Mutex::default(),
            usages: Mutex::default(),
            stores: Mutex::default(),
            indexes: Indexes::default(),
            serials: AtomicU64::new(1),
        })
    }

    /// Says that requests are served from now on, and come before compiling.
    pub fn give_way(&self) {
        self.compiler.give_way();
    }

    /// Removes what was compiled of a component that nobody will ask for again.
    pub fn forget(&self, digest: Sha256Digest) {
        self.compiler.forget(self.engine.wasm(), digest);
        for other in [&self.foreign, &self.proxy_wasm] {
            if let Some(engine) = &*other.lock() {
                self.compiler.forget(engine.wasm(), digest);
            }
        }
    }

    /// Checks and compiles a component, or finds it compiled. Blocks.
    pub fn artifact(&self, bytes: &[u8]) -> Result<Arc<Artifact>, Refusal> {
        let digest = Sha256Digest::of(bytes);
        if let Some(artifact) = self.known(digest) {
            return Ok(artifact);
        }
        let kind = Kind::of(bytes);
        inspect::inspect(bytes)?;
        let engine = self.engine(kind.tier()).map_err(|error| Refusal::Compile(format!("{error:#}")))?;
        let (code, imports) = self.compiled(&engine, kind, bytes, digest)?;
        let config_schema = section::find(bytes, section::CONFIG_SCHEMA).map(|schema| String::from_utf8_lossy(schema).into_owned());
        let artifact = Arc::new(Artifact { digest, size: bytes.len(), imports, kind, config_schema, code });
        self.artifacts.lock().insert(digest, Arc::downgrade(&artifact));
        Ok(artifact)
    }

    fn compiled(&self, engine: &wasmtime::Engine, kind: Kind, bytes: &[u8], digest: Sha256Digest) -> Result<(Built, Vec<String>), Refusal> {
        let tier = kind.tier();
        if tier == Tier::ProxyWasm {
            let module = self.compiler.code(engine, tier, bytes, digest).map_err(Refusal::Compile)?;
            let imports = proxy_wasm::imports(&module);
            return Ok((Built::Module(module), imports));
        }
        let component: Component = self.compiler.code(engine, tier, bytes, digest).map_err(Refusal::Compile)?;
        // The image that instances are copied from is made now, not by the first request.
        component.initialize_copy_on_write_image().map_err(|error| Refusal::Compile(error.to_string()))?;
        let imports = imports(engine, &component);
        Ok((Built::Component(component), imports))
    }

    /// The component of that digest, if it is in use.
    pub fn known(&self, digest: Sha256Digest) -> Option<Arc<Artifact>> {
        self.artifacts.lock().get(&digest).and_then(Weak::upgrade)
    }

    /// The same for several, a few at one time. In their order.
    pub fn artifacts(&self, components: &[&[u8]]) -> Vec<Result<Arc<Artifact>, Refusal>> {
        let (next, made) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let work = || {
            while let Some((place, bytes)) = take(&next, components) {
                let artifact = self.artifact(bytes);
                made.lock().push((place, artifact));
            }
        };
        std::thread::scope(|scope| {
            (1..components.len().min(COMPILING)).for_each(|_| drop(scope.spawn(work)));
            work();
        });
        let mut made = made.into_inner();
        made.sort_unstable_by_key(|(place, _)| *place);
        made.into_iter().map(|(_, artifact)| artifact).collect()
    }

    /// Links a component with what it was granted, configures it, and learns what it needs; or finds the one that
    /// agrees. Blocks, and must not be called from within an async runtime.
    pub fn usage(&self, artifact: &Arc<Artifact>, spec: &UsageSpec) -> Result<Arc<Usage>, Refusal> {
        if let Some(usage) = self.usages.lock().get(spec).and_then(Weak::upgrade) {
            return Ok(usage);
        }
        let usage = self.new_usage(artifact, spec)?;
        self.usages.lock().insert(spec.clone(), Arc::downgrade(&usage));
        Ok(usage)
    }

    /// Makes instances of a usage that nobody calls yet. What cannot be made now is made when it is needed. Blocks.
    pub fn warm(&self, usage: &Usage) {
        if let Err(refusal) = wait_for(usage.warm()) {
            tracing::warn!(plugin = %usage.plugin.name, version = %usage.plugin.version, %refusal, "no instances made ahead");
        }
    }

    /// Makes an instance that nobody calls, to see what that takes. Blocks as `usage` does.
    pub fn birth(&self, usage: &Usage) -> Result<Birth, Refusal> {
        wait_for(usage.birth())
    }

    /// The JSON Schema of the component's configuration, if it has one: in a section, or else by its own word. Blocks as
    /// `usage` does, and does not look at the configuration in `spec`.
    pub fn config_schema(&self, artifact: &Arc<Artifact>, spec: &UsageSpec) -> Result<Option<String>, Refusal> {
        if artifact.config_schema.is_some() {
            return Ok(artifact.config_schema.clone());
        }
        wait_for(Usage::config_schema(self.parts(artifact, spec)?))
    }

    /// Checks imports against grants without configuring anything.
    pub fn link(&self, artifact: &Artifact, grants: &Grants) -> Result<(), Refusal> {
        match &artifact.code {
            Built::Component(component) => self.component(artifact, component, grants, "{}").map(drop),
            Built::Module(module) => proxy_wasm::check(module),
        }
    }

    fn code(&self, artifact: &Artifact, spec: &UsageSpec) -> Result<Code, Refusal> {
        match &artifact.code {
            Built::Component(component) => self.component(artifact, component, &spec.grants, &spec.config),
            Built::Module(module) => {
                let quota = spec.limits.kv_bytes;
                // A shadow's writes and measurements end with it, and nobody else sees them.
                let common = match spec.shadow {
                    false => self.commons.of(&spec.plugin, quota, &self.metrics.plugin_metrics(&spec.plugin)),
                    true => Commons::default().of(&spec.plugin, quota, &Metrics::new().plugin_metrics(&spec.plugin)),
                };
                Program::link(module, &spec.config, common).map(Box::new).map(Code::ProxyWasm)
            }
        }
    }

    fn component(&self, artifact: &Artifact, component: &Component, grants: &Grants, config: &str) -> Result<Code, Refusal> {
        match artifact.kind {
            Kind::Plugin => self.plugin(artifact, component, grants).map(Code::Plugin),
            kind => {
                let linked = wasi_http::link(component, kind, &artifact.imports)?;
                let env: BTreeMap<String, String> = serde_json::from_str(config).map_err(|error| Refusal::Config(error.to_string()))?;
                Ok(Code::Http(linked, env.into_iter().collect()))
            }
        }
    }

    fn plugin(&self, artifact: &Artifact, component: &Component, grants: &Grants) -> Result<PluginPre<HostState>, Refusal> {
        artifact.imports.iter().try_for_each(|import| granted(import, grants))?;
        let mut linker = Linker::new(self.engine.wasm());
        capability::link(&mut linker, grants).and_then(|()| wasi::link(&mut linker)).map_err(not_a_plugin)?;
        let linked = linker.instantiate_pre(component).map_err(not_a_plugin)?;
        PluginPre::new(linked).map_err(not_a_plugin)
    }

    /// Forgets what a plugin stored: whoever has its name next is another.
    pub fn forget_store(&self, plugin: &str) {
        self.stores.lock().remove(plugin);
    }

    /// Forgets what nobody uses any more. To be called after each reload.
    pub fn sweep(&self) {
        self.artifacts.lock().retain(|_, artifact| artifact.strong_count() > 0);
        self.usages.lock().retain(|_, usage| usage.strong_count() > 0);
    }

    fn engine(&self, tier: Tier) -> wasmtime::Result<wasmtime::Engine> {
        let Some(other) = self.other(tier) else { return Ok(self.engine.wasm().clone()) };
        let mut other = other.lock();
        if let Some(engine) = &*other {
            return Ok(engine.wasm().clone());
        }
        Ok(other.insert(Engine::start(tier)?).wasm().clone())
    }

    /// The place of an engine that is not the contract's.
    fn other(&self, tier: Tier) -> Option<&Mutex<Option<Engine>>> {
        match tier {
            Tier::Contract => None,
            Tier::Foreign => Some(&self.foreign),
            Tier::ProxyWasm => Some(&self.proxy_wasm),
        }
    }

    fn alarm(&self, tier: Tier) -> Alarm {
        match self.other(tier) {
            None => self.engine.alarm().clone(),
            Some(other) => other.lock().as_ref().map_or_else(Alarm::default, |engine| engine.alarm().clone()),
        }
    }

    fn new_usage(&self, artifact: &Arc<Artifact>, spec: &UsageSpec) -> Result<Arc<Usage>, Refusal> {
        wait_for(Usage::new(self.parts(artifact, spec)?))
    }

    fn parts(&self, artifact: &Arc<Artifact>, spec: &UsageSpec) -> Result<Parts, Refusal> {
        Ok(Parts {
            serial: self.serials.fetch_add(1, Ordering::Relaxed),
            index: self.indexes.lease(),
            plugin: self.shared(artifact.kind, spec),
            isolation: spec.isolation,
            limits: Arc::clone(&spec.limits),
            grants: Arc::clone(&spec.grants),
            config: Arc::clone(&spec.config),
            code: self.code(artifact, spec)?,
            waits: artifact.waits(),
            maker: self.maker.clone(),
            artifact: Arc::clone(artifact),
        })
    }

    fn shared(&self, kind: Kind, spec: &UsageSpec) -> Arc<Shared> {
        let version: Arc<str> = spec.digest.short().into();
        // A shadow's writes and measurements end with it, and nobody else sees them.
        let (kv, metrics) = match spec.shadow {
            false => (self.store(&spec.plugin, spec.limits.kv_bytes), self.metrics.plugin_metrics(&spec.plugin)),
            true => (Arc::new(KvStore::new(spec.limits.kv_bytes)), Metrics::new().plugin_metrics(&spec.plugin)),
        };
        Arc::new(Shared {
            name: Arc::clone(&spec.plugin),
            is_shadow: spec.shadow,
            kv,
            metrics,
            handle: self.metrics.plugin(&spec.plugin, &version),
            alarm: self.alarm(kind.tier()),
            version,
        })
    }

    /// A plugin's store lives as long as the process, so that a reload or a new version keeps what is in it.
    pub fn store(&self, plugin: &Arc<str>, quota: usize) -> Arc<KvStore> {
        let mut stores = self.stores.lock();
        Arc::clone(stores.entry(Arc::clone(plugin)).or_insert_with(|| Arc::new(KvStore::new(quota))))
    }
}

/// The next component that nobody works on.
fn take<'a>(next: &AtomicUsize, components: &[&'a [u8]]) -> Option<(usize, &'a [u8])> {
    let place = next.fetch_add(1, Ordering::Relaxed);
    components.get(place).map(|bytes| (place, *bytes))
}

/// Runs what asks a guest something before it serves anybody.
fn wait_for<T>(asked: impl Future<Output = Result<T, Fault>>) -> Result<T, Refusal> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(|error| Refusal::Compile(error.to_string()))?;
    runtime.block_on(asked).map_err(|fault| match fault {
        Fault::Failed(message) | Fault::Invalid(message) => Refusal::Config(message),
        fault => Refusal::Configure(fault),
    })
}

fn imports(engine: &wasmtime::Engine, component: &Component) -> Vec<String> {
    let kind = component.component_type();
    let named = kind.imports(engine).filter(|(_, item)| !is_only_types(engine, &item.ty));
    named.map(|(name, _)| name.to_owned()).collect()
}

/// An interface that has types only asks for nothing.
fn is_only_types(engine: &wasmtime::Engine, item: &ComponentItem) -> bool {
    match item {
        ComponentItem::ComponentInstance(instance) => instance.exports(engine).all(|(_, item)| matches!(item.ty, ComponentItem::Type(_))),
        _ => false,
    }
}

fn granted(import: &str, grants: &Grants) -> Result<(), Refusal> {
    let interface = import.strip_prefix(PACKAGE).and_then(|rest| rest.strip_suffix(VERSION));
    if wasi::offers(import) || interface == Some(FREE) {
        return Ok(());
    }
    match interface.and_then(Capability::from_name) {
        Some(capability) if grants.allow(capability) => Ok(()),
        Some(capability) => Err(Refusal::NotGranted { import: import.to_owned(), grant: capability.name() }),
        None => Err(Refusal::UnknownImport { import: import.to_owned() }),
    }
}

fn not_a_plugin(error: wasmtime::Error) -> Refusal {
    Refusal::NotAPlugin(format!("{error:#}"))
}
