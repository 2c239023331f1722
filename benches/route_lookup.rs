//! Route lookup at 1 to 100,000 routes, hit and miss: many hosts with one route each, and one host with many paths.
//! Each lookup is another request than the one before, so that caches help as little as they do in production.

use std::{hint::black_box, time::Duration};

use criterion::{BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main, measurement::WallTime};
use gatehouse::route::{Head, HostPattern, PathMatch, Router, Rule};
use http::{HeaderMap, Method};

const SIZES: [usize; 5] = [1, 10, 100, 10_000, 100_000];
/// Requests in turn; prime, so that the routes they fall to are spread over the table.
const REQUESTS: usize = 10_007;

/// How the routes of a config differ, and the requests that they answer or miss.
#[derive(Clone, Copy)]
struct Layout {
    name: &'static str,
    rule: fn(usize) -> Rule,
    hit: fn(usize) -> Target,
    miss: fn(usize) -> Target,
}

struct Target {
    host: String,
    path: String,
}

const LAYOUTS: [Layout; 4] = [
    Layout {
        name: "many_hosts",
        rule: |n| rule(Some(&format!("tenant-{n}.example.com")), PathMatch::prefix("/v1/orders")),
        hit: |n| target(&format!("tenant-{n}.example.com:8443"), "/v1/orders/4711".into()),
        miss: |n| target(&format!("tenant-{n}.example.org:8443"), "/v1/orders/4711".into()),
    },
    Layout {
        name: "one_host_prefix",
        rule: |n| rule(Some("api.example.com"), PathMatch::prefix(&format!("/service-{n}/v1/orders"))),
        hit: |n| target("api.example.com", format!("/service-{n}/v1/orders/4711/items")),
        miss: |n| target("api.example.com", format!("/service-{n}/v2/orders/4711/items")),
    },
    Layout {
        name: "one_host_exact",
        rule: |n| rule(Some("api.example.com"), PathMatch::exact(&format!("/api/v1/resource-{n}"))),
        hit: |n| target("api.example.com", format!("/api/v1/resource-{n}")),
        miss: |n| target("api.example.com", format!("/api/v1/resource-{n}x")),
    },
    Layout {
        name: "one_host_regex",
        rule: |n| rule(None, PathMatch::regex(&format!("/service-{n}/users/[0-9]+"))),
        hit: |n| target("api.example.com", format!("/service-{n}/users/4711")),
        miss: |n| target("api.example.com", format!("/service-{n}/users/none")),
    },
];

fn rule<E: std::error::Error>(host: Option<&str>, path: Result<PathMatch, E>) -> Rule {
    let host = host.map_or(HostPattern::Any, |name| HostPattern::parse(name).expect("the bench names sound hosts"));
    let path = path.expect("the bench names sound paths");
    Rule { host, path, methods: vec![Method::GET], headers: Vec::new(), query: Vec::new() }
}

fn target(host: &str, path: String) -> Target {
    Target { host: host.into(), path }
}

fn lookup(c: &mut Criterion) {
    for layout in LAYOUTS {
        let mut group = c.benchmark_group(format!("route_lookup/{}", layout.name));
        for size in SIZES {
            // A hundred thousand compiled expressions measure the compiler's memory, not the lookup.
            if layout.name == "one_host_regex" && size > 10_000 {
                continue;
            }
            let router = Router::build((0..size).map(|n| ((layout.rule)(n), n)));
            measure(&mut group, "hit", &router, size, layout.hit);
            measure(&mut group, "miss", &router, size, layout.miss);
        }
    }
}

fn measure(group: &mut BenchmarkGroup<'_, WallTime>, what: &str, router: &Router<usize>, size: usize, make: fn(usize) -> Target) {
    let method = Method::GET;
    let headers = HeaderMap::new();
    let targets: Vec<Target> = (0..REQUESTS).map(|n| make(n * 7919 % size)).collect();
    let heads: Vec<Head<'_>> =
        targets.iter().map(|Target { host, path }| Head { host, path, query: None, method: &method, headers: &headers }).collect();
    let hit = what == "hit";
    assert!(heads.iter().all(|head| router.find(head).is_some() == hit), "each request is a {what}");
    group.bench_function(BenchmarkId::new(what, size), |b| {
        let mut turn = heads.iter().cycle();
        b.iter(|| turn.next().map(|head| black_box(router.find(black_box(head)))));
    });
}

fn build(c: &mut Criterion) {
    let mut group = c.benchmark_group("route_build");
    group.sample_size(10);
    for layout in &LAYOUTS[..3] {
        for size in [10_000, 100_000] {
            group.bench_function(BenchmarkId::new(layout.name, size), |b| {
                let rules = || (0..size).map(|n| ((layout.rule)(n), n)).collect::<Vec<_>>();
                b.iter_with_large_drop(|| Router::build(black_box(rules())));
            });
        }
    }
}

fn short() -> Criterion {
    Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1))
}

criterion_group! { name = benches; config = short(); targets = lookup, build }
criterion_main!(benches);
