//! What plugins cost on a request's path: one call with declared headers, and the four-plugin chain of the load bench, in
//! both isolation modes. Real components through the real loader; only the network is missing.

use std::cell::Cell;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use gatehouse::body::Body;
use gatehouse::chain::{Chain, Step, Tools, Traveller};
use gatehouse::identity::issuer::Secret;
use gatehouse::identity::{Clients, Issuers, KeySource, Refresh, Settings};
use gatehouse::limit::{Clock, Table};
use gatehouse::plugin::compile::Workshop;
use gatehouse::plugin::load::{Loader, UsageSpec};
use gatehouse::plugin::pool::Pools;
use gatehouse::plugin::{Call, Grants, Isolation, Limits, OnError, Services, Usage};
use gatehouse::rollout::{Lineup, Seat};
use gatehouse::telemetry::{Metrics, RequestId, WorkerMetrics};
use http::Request;
use tokio::runtime::Runtime;

/// HS256 by the secret below, expires in 2100. Verified once and cached, as a token in use is.
const TOKEN: &str = concat!(
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.",
    "eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlIiwic3ViIjoiYWNtZSIsImF1ZCI6ImFwaSIsImV4cCI6NDEwMjQ0NDgwMH0.",
    "LcKFneowEJVDQm5zMLbV2eqpNt8WZVYsNL8DPKDABf0"
);
const SECRET: &[u8] = b"a secret of the bench and of nothing else, 48 bytes";

struct Bench {
    runtime: Runtime,
    loader: Loader,
    services: Arc<Services>,
    pools: Rc<Pools>,
    metrics: WorkerMetrics,
}

impl Bench {
    fn new() -> Self {
        let metrics = Metrics::new();
        let worker = metrics.worker();
        let (fetch, _) = tokio::sync::mpsc::unbounded_channel();
        let services = Services {
            issuers: Arc::new(Issuers::build(vec![issuer()], None).expect("a good issuer")),
            introspection: Arc::default(),
            clients: Arc::new(Clients::default()),
            buckets: Arc::new(Table::new(1_000)),
            clock: Clock::start(),
            decisions: worker.decisions(),
            fetch: fetch.clone(),
        };
        Self {
            runtime: tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime"),
            loader: Loader::start(None, Workshop::Here, metrics).expect("an engine"),
            services: Arc::new(services),
            pools: Pools::new(fetch),
            metrics: worker,
        }
    }

    fn chain(&self, steps: &[(&str, &str)], isolation: Isolation) -> Chain {
        Chain { steps: steps.iter().map(|(name, config)| self.step(name, config, isolation)).collect() }
    }

    fn step(&self, name: &str, config: &str, isolation: Isolation) -> Step {
        let artifact = self.loader.artifact(&component(name)).expect("it loads");
        let spec = UsageSpec {
            plugin: name.into(),
            digest: artifact.digest,
            config: config.into(),
            isolation,
            limits: Arc::new(Limits::default()),
            grants: Arc::new(Grants::all()),
            shadow: false,
        };
        let stable = self.loader.usage(&artifact, &spec).expect("it takes its configuration");
        Step {
            name: name.into(),
            route: "all".into(),
            upstream: None,
            usage: Arc::clone(&stable),
            previous: None,
            on_error: OnError::Closed,
            scope: self.services.buckets.scope(name),
            seat: Seat::new(spec, Lineup { stable, previous: None, candidate: None }),
        }
    }

    fn traveller(&self) -> Traveller {
        let request = Request::get("/orders/1?page=2")
            .header("host", "api.example.com")
            .header("user-agent", "bench/1.0")
            .header("accept", "application/json")
            .header("authorization", format!("Bearer {TOKEN}"))
            .body(())
            .expect("a good request");
        let call = Call::new(RequestId([1, 2]), Arc::clone(&self.services), IpAddr::V4(Ipv4Addr::LOCALHOST));
        Traveller::new(request.into_parts().0, Body::Empty, call, false)
    }

    /// Time on the path only: between requests the maker may fill up, as it does on a gateway that is not saturated.
    fn time(&self, chain: &Chain, requests: u64) -> Duration {
        let spent = Cell::new(Duration::ZERO);
        for _ in 0..requests {
            chain.steps.iter().for_each(|step| wait_until_ready(&step.usage));
            let mut traveller = self.traveller();
            let tools = Tools { pools: &self.pools, metrics: &self.metrics };
            let began = Instant::now();
            let answered = self.runtime.block_on(chain.forward(&mut traveller, &tools)).expect("no fault");
            spent.set(spent.get() + began.elapsed());
            assert!(black_box(answered).is_none(), "the request goes on");
        }
        spent.get()
    }
}

/// What the gateway's build script built last, read from its file, so that a change of a guest needs no new host.
fn component(name: &str) -> Vec<u8> {
    let built = format!("{}/../target/guests/wasm32-wasip2/guest/gatehouse_{}.wasm", env!("CARGO_MANIFEST_DIR"), name.replace('-', "_"));
    std::fs::read(built).expect("built with the gateway")
}

/// As long as a gateway's own requests would leave it; one that is not ready then is made on the path, and counted there.
fn wait_until_ready(usage: &Arc<Usage>) {
    let began = Instant::now();
    while usage.isolation == Isolation::Request && usage.ready() == 0 && began.elapsed() < Duration::from_millis(5) {
        std::thread::yield_now();
    }
}

fn issuer() -> Settings {
    Settings {
        name: "main".into(),
        issuer: "https://issuer.example".into(),
        audiences: vec!["api".into()],
        algorithms: vec!["HS256".into()],
        keys: KeySource::Secret(Secret(SECRET.to_vec())),
        leeway: Duration::from_secs(30),
        refresh: Refresh::default(),
    }
}

const JWT: (&str, &str) = ("jwt", r#"{"issuer": "main", "claims_to_headers": {"sub": "x-user"}}"#);
const RATE_LIMIT: (&str, &str) = ("rate-limit", r#"{"rate": 1000000000, "burst": 4000000000, "key": "client"}"#);
const TRANSFORM: (&str, &str) = ("transform", r#"{"request": {"headers": {"set": {"x-gateway": "gatehouse"}}}}"#);
const REQUEST_ID: (&str, &str) = ("request-id", "{}");

fn plugins(criterion: &mut Criterion) {
    let bench = Bench::new();
    let cases: [(&str, &[(&str, &str)], Isolation); 7] = [
        ("one call/transform sets a header/reuse", &[TRANSFORM], Isolation::Reuse),
        ("one call/request-id/reuse", &[REQUEST_ID], Isolation::Reuse),
        ("one call/rate-limit/reuse", &[RATE_LIMIT], Isolation::Reuse),
        ("one call/jwt/reuse", &[JWT], Isolation::Reuse),
        ("one call/transform sets a header/request", &[TRANSFORM], Isolation::Request),
        ("chain of four/reuse", &[JWT, RATE_LIMIT, TRANSFORM, REQUEST_ID], Isolation::Reuse),
        ("chain of four/request", &[JWT, RATE_LIMIT, TRANSFORM, REQUEST_ID], Isolation::Request),
    ];
    for (name, steps, isolation) in cases {
        let chain = bench.chain(steps, isolation);
        criterion.bench_function(name, |bencher| bencher.iter_custom(|requests| bench.time(&chain, requests)));
    }
}

criterion_group!(benches, plugins);
criterion_main!(benches);
