//! `GET /v1/status`: how the gateway fares, at a glance.

use std::collections::BTreeMap;
use std::time::Instant;

use schemars::JsonSchema;
use serde::Serialize;

use super::Admin;
use super::content::Json;
use super::operation::{Call, Operation};
use super::problem::{Invalid, Problem};
use super::scope::Scope;
use crate::config::text::Timestamp;
use crate::snapshot::Snapshot;
use crate::upstream::{self, EndpointStatus, Upstream};

/// How the gateway fares.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Status {
    /// The gateway's version.
    version: &'static str,
    /// The revision of the configuration that serves.
    revision: u64,
    /// Whether requests should be sent here.
    ready: bool,
    /// Why the files of the configuration are not what serves: the last good ones serve. Empty if all is well.
    refused_files: Vec<Invalid>,
    /// What the store was restored from at the last start; null if it was as it had been left.
    restored_store: Option<RestoredStore>,
    /// Seconds since it started.
    uptime_seconds: u64,
    /// Each worker, and the revision it has in hand.
    workers: Vec<WorkerStatus>,
    /// Routes there are.
    routes: usize,
    /// Clients there are.
    clients: usize,
    /// The upstreams by name.
    upstreams: Vec<UpstreamStatus>,
    /// The plugins in use by name, each version of them.
    plugins: Vec<PluginStatus>,
}

/// One worker.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WorkerStatus {
    /// Its number, from 0.
    worker: usize,
    /// The revision it has in hand. Its next request is served by the newest in any case.
    revision: u64,
}

/// One upstream.
#[derive(Debug, Serialize, JsonSchema)]
pub struct UpstreamStatus {
    /// Its name.
    name: String,
    /// Whether requests are let through: `closed`, or else `half_open` or `open`.
    circuit: &'static str,
    /// How long the circuit stays open; null where it is not.
    open_for_seconds: Option<f64>,
    /// Requests in flight.
    in_flight: u32,
    /// Requests that wait for a connection.
    pending: u32,
    /// Bytes of request bodies that are kept for another try.
    buffered_bytes: u64,
    /// Its endpoints.
    endpoints: Vec<Endpoint>,
}

/// One endpoint.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Endpoint {
    /// Host and port.
    endpoint: String,
    /// Where it is known from: `static`, `dns` or `register`.
    source: &'static str,
    /// Its share relative to the others'.
    weight: u32,
    /// Whether it may take requests.
    ready: bool,
    /// Whether it is out of use for its answers.
    ejected: bool,
    /// What regular questions came to; null where there are none.
    healthy: Option<bool>,
    /// Requests in flight.
    in_flight: u32,
    /// Its latency as the balancer sees it.
    latency_ms: f64,
}

/// One version of a plugin.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PluginStatus {
    /// The plugin's name.
    name: String,
    /// The version: the first digits of the component's digest.
    version: String,
    /// Configurations it is used with.
    usages: usize,
    /// Instances alive.
    instances: usize,
}

/// A store that broke, and what stands in for it.
#[derive(Debug, Serialize, JsonSchema)]
struct RestoredStore {
    /// When the copy was made that it was restored from. Only the history of changes is lost.
    copied: Timestamp,
    /// Where the broken file is; null where it was gone.
    broken_file: Option<String>,
}

/// The status.
pub fn operations() -> Vec<Operation> {
    vec![Operation::get("/v1/status", Scope::Read, "How the gateway fares.", status)]
}

async fn status(call: Call) -> Result<Json<Status>, Problem> {
    Ok(Json(Status::of(&call.admin)))
}

impl Status {
    fn of(admin: &Admin) -> Self {
        let snapshot = admin.current.load();
        let pinned = admin.workers.iter().enumerate();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            revision: snapshot.revision,
            ready: admin.readiness.get(),
            refused_files: refused_files(admin),
            restored_store: restored_store(admin),
            uptime_seconds: admin.readiness.uptime().as_secs(),
            workers: pinned.map(|(worker, pinned)| WorkerStatus { worker, revision: pinned.get() }).collect(),
            routes: snapshot.routes.len(),
            clients: snapshot.clients.len(),
            upstreams: upstreams(&snapshot),
            plugins: plugins(&snapshot),
        }
    }
}

fn restored_store(admin: &Admin) -> Option<RestoredStore> {
    let restored = admin.store.restored()?;
    Some(RestoredStore { copied: restored.copied, broken_file: restored.broken.as_ref().map(|path| path.display().to_string()) })
}

fn refused_files(admin: &Admin) -> Vec<Invalid> {
    let refused = admin.readiness.refused_files();
    refused.iter().flat_map(|problems| problems.iter()).map(|problem| Invalid::of(problem, "")).collect()
}

fn upstreams(snapshot: &Snapshot) -> Vec<UpstreamStatus> {
    let now = Instant::now();
    let by_name: BTreeMap<&str, &Upstream> = snapshot.upstreams.iter().map(|(name, upstream)| (&**name, &**upstream)).collect();
    by_name.into_iter().map(|(name, upstream)| shown(name, upstream.status(now))).collect()
}

fn shown(name: &str, status: upstream::UpstreamStatus) -> UpstreamStatus {
    UpstreamStatus {
        name: name.to_owned(),
        circuit: status.circuit.name(),
        open_for_seconds: status.open_for.map(|open_for| open_for.as_secs_f64()),
        in_flight: status.in_flight,
        pending: status.pending,
        buffered_bytes: status.buffered,
        endpoints: status.endpoints.into_iter().map(endpoint).collect(),
    }
}

fn endpoint(status: EndpointStatus) -> Endpoint {
    Endpoint {
        endpoint: status.endpoint.into(),
        source: status.source,
        weight: status.weight,
        ready: status.ready,
        ejected: status.ejected,
        healthy: status.healthy,
        in_flight: status.in_flight,
        latency_ms: status.latency.as_secs_f64() * 1e3,
    }
}

fn plugins(snapshot: &Snapshot) -> Vec<PluginStatus> {
    let mut plugins: BTreeMap<(&str, &str), PluginStatus> = BTreeMap::new();
    let usages = snapshot.usages();
    for usage in &usages {
        let (name, version) = (&*usage.plugin.name, &*usage.plugin.version);
        let status = plugins.entry((name, version)).or_insert_with(|| PluginStatus {
            name: name.to_owned(),
            version: version.to_owned(),
            usages: 0,
            instances: 0,
        });
        status.usages += 1;
        status.instances += usage.instances();
    }
    plugins.into_values().collect()
}
