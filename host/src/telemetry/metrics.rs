//! Metrics: counted by each worker in blocks of its own, merged and written as Prometheus text when scraped.
//! Counting looks up no label, takes no lock and shares no cache line; handles are resolved when a snapshot is built.

mod block;
mod buckets;
mod cells;
mod family;
mod labels;
mod layout;
mod members;
mod plugin_metrics;
mod publish;
mod text;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use block::Block;
use cells::{Cells, Handle};
use family::{Budget, Family};
use layout::{DECISIONS, PLUGIN, ROUTE, TIMINGS, UPSTREAM};
use plugin_metrics::Store;

use super::traces::export::Counters as SpanCounters;

pub use labels::{
    AuthMethod, AuthResult, Break, FaultReason, InstanceState, LimitResult, LimitSource, Method, MirrorResult, Phase, StatusClass,
};
pub use plugin_metrics::PluginMetrics;

/// Series of routes, upstreams and plugins that are published before labels fold into `other`, until a configuration
/// says how many: ten thousand routes with six each.
const SERIES_BUDGET: usize = 60_000;

/// Routes, upstreams or plugins that have blocks of their own at all, so that their memory is bounded too.
const MOST_MEMBERS: usize = 60_000;

/// The media type of the rendered text.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// All metrics of the gateway.
#[derive(Clone)]
pub struct Metrics {
    shared: Arc<Shared>,
}

/// The counts of one worker. Any other thread that serves requests takes one of its own.
pub struct WorkerMetrics {
    timings: Arc<Block<TIMINGS>>,
    decisions: Decisions,
    no_route: RouteHandle,
    routes: Cells<ROUTE>,
    upstreams: Cells<UPSTREAM>,
    plugins: Cells<PLUGIN>,
}

/// The right to count requests of a route; its series live while a handle does.
#[derive(Clone)]
pub struct RouteHandle(Handle<ROUTE>);

/// The right to count requests to an upstream; its series live while a handle does.
#[derive(Clone)]
pub struct UpstreamHandle(Handle<UPSTREAM>);

/// The right to count for a plugin version; its series live while a handle does.
#[derive(Clone)]
pub struct PluginHandle(Handle<PLUGIN>);

/// Counts what capabilities decide. Unlike the rest of a worker's metrics it may sit in a plugin instance.
/// The default counts for nobody.
#[derive(Clone, Default)]
pub struct Decisions(Arc<Block<DECISIONS>>);

/// One finished request.
#[derive(Clone, Copy)]
pub struct Finished<'a> {
    /// The route; none where nothing matched.
    pub route: Option<&'a RouteHandle>,
    /// The request's method.
    pub method: Method,
    /// The status that the client got.
    pub status: u16,
    /// From the first byte of the head to the last of the answer.
    pub duration: Duration,
    /// The gateway's own share: without the upstream and without waiting for the client's body.
    pub overhead: Duration,
}

struct Shared {
    config: Config,
    access_log_dropped: IntCounter,
    spans: SpanCounters,
    registry: Registry,
    budget: Mutex<Budget>,
    routes: Family<ROUTE>,
    upstreams: Family<UPSTREAM>,
    plugins: Family<PLUGIN>,
    timings: PerWorker<TIMINGS>,
    decisions: PerWorker<DECISIONS>,
    plugin_metrics: Store,
}

/// What is known about configurations; written by reloads only.
struct Config {
    revision: IntGauge,
    last_success: Gauge,
    router_build: Gauge,
    certificates: IntGaugeVec,
    rejects: IntCounterVec,
    degraded: IntGauge,
}

/// Blocks of what has no labels, one for each worker.
struct PerWorker<const N: usize> {
    /// The counts of workers that are gone.
    gone: Block<N>,
    workers: Mutex<Vec<Arc<Block<N>>>>,
}

// === impl Metrics ===

impl Metrics {
    /// Metrics with nothing counted yet.
    pub fn new() -> Self {
        Self::with_budget(SERIES_BUDGET)
    }

    /// Metrics that publish at most so many series of routes, upstreams and plugins by name.
    pub fn with_budget(series: usize) -> Self {
        let registry = Registry::new();
        let shared = Shared {
            config: Config::new(&registry),
            access_log_dropped: access_log_dropped(&registry),
            spans: span_counters(&registry),
            registry,
            budget: Mutex::new(Budget::new(series)),
            routes: Family::new(1, MOST_MEMBERS, layout::counters(ROUTE)),
            upstreams: Family::new(1, MOST_MEMBERS, layout::counters(UPSTREAM)),
            plugins: Family::new(2, MOST_MEMBERS, layout::plugin_parts()),
            timings: PerWorker::new(),
            decisions: PerWorker::new(),
            plugin_metrics: Store::new(publish::RESERVED),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Blocks for one more worker.
    pub fn worker(&self) -> WorkerMetrics {
        WorkerMetrics {
            timings: self.shared.timings.join(),
            decisions: Decisions(self.shared.decisions.join()),
            no_route: self.route("none"),
            routes: Cells::new(),
            upstreams: Cells::new(),
            plugins: Cells::new(),
        }
    }

    /// The handle of a route, by its name.
    pub fn route(&self, name: &str) -> RouteHandle {
        RouteHandle(self.shared.routes.handle(&[name]))
    }

    /// The handle of an upstream, by its name.
    pub fn upstream(&self, name: &str) -> UpstreamHandle {
        UpstreamHandle(self.shared.upstreams.handle(&[name]))
    }

    /// The handle of a plugin version.
    pub fn plugin(&self, name: &str, version: &str) -> PluginHandle {
        PluginHandle(self.shared.plugins.handle(&[name, version]))
    }

    /// The metrics of a plugin's own; all its versions share them.
    pub fn plugin_metrics(&self, plugin: &str) -> PluginMetrics {
        self.shared.plugin_metrics.plugin(plugin)
    }

    /// Publishes at most so many series of routes, upstreams and plugins by name from now on. Those that are published
    /// stay: a counter must not go back.
    pub fn limit_series(&self, series: usize) {
        self.shared.budget.lock().set(series);
    }

    /// Notes that a snapshot of this revision serves from now on, whose routes took so long to be made ready for lookups.
    pub fn config_applied(&self, revision: u64, router_build: Duration) {
        let config = &self.shared.config;
        config.router_build.set(router_build.as_secs_f64());
        config.revision.set(i64::try_from(revision).unwrap_or(i64::MAX));
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        config.last_success.set(now.unwrap_or_default().as_secs_f64());
    }

    /// Says when the certificates that serve end to be valid: listener, file, seconds of Unix time.
    pub fn certificates<'a>(&self, certificates: impl Iterator<Item = (&'a str, &'a str, i64)>) {
        let gauges = &self.shared.config.certificates;
        gauges.reset();
        certificates.for_each(|(listener, file, not_after)| gauges.with_label_values(&[listener, file]).set(not_after));
    }

    /// Counts a configuration that was refused. The reason is one of a closed list.
    pub fn config_rejected(&self, reason: &'static str) {
        self.shared.config.rejects.with_label_values(&[reason]).inc();
    }

    /// Notes whether the last good configuration serves in place of that of the files.
    pub fn config_degraded(&self, degraded: bool) {
        self.shared.config.degraded.set(degraded.into());
    }

    /// Publishes what somebody else counts.
    pub fn publish(&self, collector: Box<dyn Collector>) {
        self.shared.registry.register(collector).expect("our names differ");
    }

    /// The counter of access log lines that were dropped.
    pub fn access_log_dropped(&self) -> IntCounter {
        self.shared.access_log_dropped.clone()
    }

    /// The counters of what became of spans.
    pub fn spans(&self) -> SpanCounters {
        self.shared.spans.clone()
    }

    /// Lets go of series whose handles are gone: the fourth sweep after the last handle was dropped removes them.
    /// To be called after each reload.
    pub fn sweep(&self) {
        let shared = &self.shared;
        let mut budget = shared.budget.lock();
        shared.routes.sweep(&mut budget);
        shared.upstreams.sweep(&mut budget);
        shared.plugins.sweep(&mut budget);
        shared.plugin_metrics.sweep();
        shared.timings.gather();
        shared.decisions.gather();
    }

    /// Everything counted so far in the Prometheus text format 0.0.4.
    pub fn render(&self) -> String {
        let mut families = self.shared.registry.gather();
        families.extend(self.shared.members());
        families.extend(publish::timings(&self.shared.timings.merged()));
        families.extend(publish::decisions(&self.shared.decisions.merged()));
        families.extend(self.shared.plugin_metrics.families());
        families.sort_by(|one, two| one.name().cmp(two.name()));
        text::write(families)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

// === impl WorkerMetrics ===

impl WorkerMetrics {
    /// Counts a finished request and its times. Without a route it counts under the route `none`.
    #[inline]
    pub fn finish(&self, request: &Finished<'_>) {
        let route = request.route.unwrap_or(&self.no_route);
        let place = layout::request(request.method, StatusClass::of(request.status));
        self.routes.with(&route.0, |block| block.add(place, 1));
        buckets::REQUEST.observe(&self.timings, 0, request.duration);
        buckets::OVERHEAD.observe(&self.timings, layout::OVERHEAD, request.overhead);
    }

    /// Counts one try of an upstream: its status, 502 to 504 where none came, and the time until it was known.
    #[inline]
    pub fn upstream_tried(&self, upstream: &UpstreamHandle, status: u16, took: Duration) {
        let class = StatusClass::of(status);
        self.upstreams.with(&upstream.0, |block| block.add(class as usize, 1));
        buckets::REQUEST.observe(&self.timings, layout::TRIES, took);
    }

    /// Counts a request that ended before the last byte of its answer.
    pub fn broken(&self, upstream: &UpstreamHandle, reason: Break) {
        self.upstreams.with(&upstream.0, |block| block.add(layout::BROKEN + reason as usize, 1));
    }

    /// Counts what became of a copy of a request that was for another upstream.
    pub fn mirrored(&self, upstream: &UpstreamHandle, result: MirrorResult) {
        self.upstreams.with(&upstream.0, |block| block.add(layout::MIRRORED + result as usize, 1));
    }

    /// Counts one call of a plugin.
    #[inline]
    pub fn plugin_called(&self, plugin: &PluginHandle, phase: Phase, took: Duration) {
        self.plugins.with(&plugin.0, |block| {
            buckets::PLUGIN.observe(block, phase as usize * layout::PHASE_WIDTH, took);
        });
    }

    /// Says how many instances of a plugin this worker has in a state.
    #[inline]
    pub fn plugin_instances(&self, plugin: &PluginHandle, state: InstanceState, instances: usize) {
        self.plugins.with(&plugin.0, |block| {
            block.set(layout::INSTANCES + state as usize, instances as u64);
        });
    }

    /// This worker's counts of what capabilities decide.
    pub fn decisions(&self) -> Decisions {
        self.decisions.clone()
    }
}

// === impl PluginHandle ===

impl PluginHandle {
    /// Counts a fault; any thread may.
    pub fn fault(&self, reason: FaultReason) {
        self.0.add_shared(layout::FAULTS + reason as usize);
    }

    /// Counts a log line of the plugin that was dropped; any thread may.
    pub fn log_dropped(&self) {
        self.0.add_shared(layout::LOG_DROPPED);
    }
}

// === impl Decisions ===

impl Decisions {
    /// Counts a decision about tokens.
    #[inline]
    pub fn limit(&self, result: LimitResult, source: LimitSource) {
        self.0.add_shared(layout::limit(result, source), 1);
    }

    /// Counts what became of a credential.
    #[inline]
    pub fn auth(&self, method: AuthMethod, result: AuthResult) {
        self.0.add_shared(layout::auth(method, result), 1);
    }
}

// === impl Shared ===

impl Shared {
    fn members(&self) -> Vec<MetricFamily> {
        // One budget at a time is spent by one reader at a time.
        let mut budget = self.budget.lock();
        let mut families = vec![publish::routes(&self.routes.rows(&mut budget))];
        families.extend(publish::upstreams(&self.upstreams.rows(&mut budget)));
        families.extend(publish::plugins(&self.plugins.rows(&mut budget)));
        families
    }
}

impl Config {
    fn new(registry: &Registry) -> Self {
        let revision = IntGauge::new("gatehouse_config_revision", "Revision of the snapshot that serves.");
        let last_success =
            Gauge::new("gatehouse_config_last_success_timestamp_seconds", "When a configuration was last applied, in Unix time.");
        let router_build = Gauge::new("gatehouse_router_build_seconds", "Time to make the routes that serve ready for lookups.");
        let certificates = Opts::new("gatehouse_tls_cert_not_after", "When a certificate ends to be valid, in Unix time.");
        let rejects = Opts::new("gatehouse_config_rejects_total", "Configurations that were refused.");
        let degraded = IntGauge::new("gatehouse_config_degraded", "1 while the files are refused and the last good configuration serves.");
        Self {
            degraded: registered(registry, degraded),
            revision: registered(registry, revision),
            last_success: registered(registry, last_success),
            router_build: registered(registry, router_build),
            certificates: registered(registry, IntGaugeVec::new(certificates, &["listener", "certificate"])),
            rejects: registered(registry, IntCounterVec::new(rejects, &["reason"])),
        }
    }
}

fn access_log_dropped(registry: &Registry) -> IntCounter {
    let help = "Access log lines dropped because the writer could not keep up.";
    registered(registry, IntCounter::new("gatehouse_access_log_dropped_total", help))
}

fn span_counters(registry: &Registry) -> SpanCounters {
    let counter = |name, help| registered(registry, IntCounter::new(name, help));
    SpanCounters {
        exported: counter("gatehouse_spans_exported_total", "Spans that the collector took."),
        dropped: counter("gatehouse_spans_dropped_total", "Spans dropped because the collector did not take them or could not keep up."),
    }
}

fn registered<C: Collector + Clone + 'static>(registry: &Registry, metric: prometheus::Result<C>) -> C {
    let metric = metric.expect("our names are valid");
    registry.register(Box::new(metric.clone())).expect("our names differ");
    metric
}

// === impl PerWorker ===

impl<const N: usize> PerWorker<N> {
    fn new() -> Self {
        Self { gone: Block::new(), workers: Mutex::default() }
    }

    fn join(&self) -> Arc<Block<N>> {
        let block: Arc<Block<N>> = Arc::default();
        self.workers.lock().push(block.clone());
        block
    }

    fn merged(&self) -> [u64; N] {
        let mut counts = [0; N];
        let workers = self.workers.lock();
        self.gone.add_to(&mut counts);
        workers.iter().for_each(|block| block.add_to(&mut counts));
        counts
    }

    fn gather(&self) {
        self.workers.lock().retain(|block| {
            let held = Arc::strong_count(block) > 1;
            if !held {
                self.gone.take_over(block);
            }
            held
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(route: Option<&RouteHandle>, status: u16, duration: Duration) -> Finished<'_> {
        Finished { route, method: Method::Get, status, duration, overhead: Duration::from_micros(60) }
    }

    /// Metrics with at least one sample under every name.
    fn busy() -> Metrics {
        let metrics = Metrics::new();
        let (orders, upstream) = (metrics.route("orders"), metrics.upstream("orders"));
        let jwt = metrics.plugin("jwt", "1.0.0");
        for _ in 0..2 {
            let worker = metrics.worker();
            worker.finish(&finished(Some(&orders), 200, Duration::from_millis(2)));
            worker.finish(&finished(None, 404, Duration::from_micros(90)));
            worker.upstream_tried(&upstream, 200, Duration::from_millis(1));
            worker.plugin_called(&jwt, Phase::Request, Duration::from_nanos(700));
            worker.plugin_instances(&jwt, InstanceState::Idle, 3);
            worker.decisions().limit(LimitResult::Limited, LimitSource::Local);
            worker.decisions().auth(AuthMethod::Jwt, AuthResult::Expired);
            std::mem::forget(worker);
        }
        jwt.fault(FaultReason::Timeout);
        jwt.log_dropped();
        metrics.config_applied(7, Duration::from_millis(3));
        metrics.config_rejected("invalid");
        metrics.plugin_metrics("acme").count("hits", &[("kind", "a")], 1);
        metrics.plugin_metrics("acme").gauge("level", &[], 0.5);
        metrics.plugin_metrics("acme").observe("wait_seconds", &[], 0.5);
        metrics.plugin_metrics("acme").observe("Wait", &[], 0.5);
        metrics
    }

    #[test]
    fn what_crosses_threads_may() {
        fn shared<T: Send + Sync>() {}
        fn moved<T: Send>() {}
        shared::<Metrics>();
        shared::<RouteHandle>();
        shared::<PluginHandle>();
        shared::<PluginMetrics>();
        // In the data of a plugin instance, which wasmtime wants to be `Send`.
        shared::<Decisions>();
        moved::<WorkerMetrics>();
    }

    #[test]
    fn every_name_of_the_contract_is_published_with_its_labels() {
        let text = busy().render();
        for line in [
            r#"gatehouse_requests_total{method="GET",route="orders",status_class="2xx"} 2"#,
            r#"gatehouse_requests_total{method="GET",route="none",status_class="4xx"} 2"#,
            r#"gatehouse_request_duration_seconds_bucket{le="0.0005"} 2"#,
            r#"gatehouse_request_duration_seconds_count 4"#,
            r#"gatehouse_overhead_seconds_bucket{le="0.00005"} 0"#,
            r#"gatehouse_overhead_seconds_bucket{le="0.000075"} 4"#,
            r#"gatehouse_upstream_duration_seconds_sum 0.002"#,
            r#"gatehouse_upstream_requests_total{status_class="2xx",upstream="orders"} 2"#,
            r#"gatehouse_plugin_duration_seconds_bucket{plugin="jwt",version="1.0.0",phase="request",le="0.000001"} 2"#,
            r#"gatehouse_plugin_faults_total{plugin="jwt",version="1.0.0",reason="timeout"} 1"#,
            r#"gatehouse_plugin_instances{plugin="jwt",version="1.0.0",state="idle"} 6"#,
            r#"gatehouse_plugin_log_dropped_total{plugin="jwt",version="1.0.0"} 1"#,
            r#"gatehouse_ratelimit_decisions_total{result="limited",source="local"} 2"#,
            r#"gatehouse_auth_total{method="jwt",result="expired"} 2"#,
            r#"gatehouse_config_revision 7"#,
            r#"gatehouse_config_rejects_total{reason="invalid"} 1"#,
            r#"gatehouse_router_build_seconds 0.003"#,
            r#"gatehouse_access_log_dropped_total 0"#,
            r#"gatehouse_spans_dropped_total 0"#,
            r#"gatehouse_spans_exported_total 0"#,
            r#"gatehouse_plugin_hits_total{plugin="acme",kind="a"} 1"#,
        ] {
            assert!(
                text.lines().any(|present| present == line),
                "{line} is missing in
{text}"
            );
        }
        assert!(
            text.contains(
                "
gatehouse_config_last_success_timestamp_seconds 1"
            ),
            "a time of our days"
        );
    }

    #[test]
    fn every_family_is_written_once_with_help_and_type() {
        let text = busy().render();
        let mut types: Vec<&str> = text.lines().filter(|line| line.starts_with("# TYPE ")).collect();
        let helps = text.lines().filter(|line| line.starts_with("# HELP ")).count();
        assert_eq!(types.len(), helps, "a help for every type");
        types.dedup();
        assert_eq!(types.len(), helps, "no family twice");
    }

    #[test]
    fn a_worker_that_is_gone_leaves_its_counts() {
        let metrics = Metrics::new();
        let orders = metrics.route("orders");
        metrics.worker().finish(&finished(Some(&orders), 200, Duration::ZERO));
        for _ in 0..2 {
            metrics.sweep();
            let text = metrics.render();
            assert!(
                text.contains(r#"route="orders",status_class="2xx"} 1"#),
                "the route's count in
{text}"
            );
            assert!(
                text.contains("gatehouse_request_duration_seconds_count 1"),
                "the time in
{text}"
            );
        }
    }

    #[test]
    fn a_thousand_reloads_leave_only_the_routes_that_stayed() {
        let metrics = Metrics::new();
        let (worker, stays) = (metrics.worker(), metrics.route("stays"));
        for reload in 0..1000 {
            let renamed = metrics.route(&format!("route-{reload}"));
            worker.finish(&finished(Some(&renamed), 200, Duration::ZERO));
            worker.finish(&finished(Some(&stays), 200, Duration::ZERO));
            metrics.sweep();
        }
        let text = metrics.render();
        assert!(text.contains(r#"route="stays",status_class="2xx"} 1000"#), "all counts of what stayed");
        let series = text.lines().filter(|line| line.starts_with("gatehouse_requests_total")).count();
        assert!(series <= 5, "{series} series are left of 1001");
    }

    #[test]
    fn routes_past_the_budget_fold_into_other() {
        let metrics = Metrics::with_budget(2);
        let worker = metrics.worker();
        let routes = ["a", "b", "c", "d"].map(|name| metrics.route(name));
        for route in &routes {
            worker.finish(&finished(Some(route), 200, Duration::ZERO));
        }
        let text = metrics.render();
        let requests: Vec<&str> = text.lines().filter(|line| line.starts_with("gatehouse_requests_total")).collect();
        let line = |route, n| format!(r#"gatehouse_requests_total{{method="GET",route="{route}",status_class="2xx"}} {n}"#);
        assert_eq!(requests, [line("other", 2), line("a", 1), line("b", 1)], "two by name, the rest together");
    }

    #[test]
    fn a_smaller_budget_leaves_what_is_published() {
        let metrics = Metrics::with_budget(2);
        let worker = metrics.worker();
        let routes = ["a", "b", "c"].map(|name| metrics.route(name));
        worker.finish(&finished(Some(&routes[0]), 200, Duration::ZERO));
        metrics.render();
        metrics.limit_series(1);
        routes.iter().for_each(|route| worker.finish(&finished(Some(route), 200, Duration::ZERO)));
        let text = metrics.render();
        for line in [r#"route="a",status_class="2xx"} 2"#, r#"route="other",status_class="2xx"} 2"#] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
