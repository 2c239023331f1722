//! A pick among 1,000 endpoints, with its guard: alone, and beside a second thread that picks from the same upstream.
//! Aim: under 200 ns. Every algorithm; a tenth of the endpoints is out.

use std::{
    hint::black_box,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use criterion::Criterion;
use gatehouse::upstream::{
    Asked, Balancer, Endpoints, Keys,
    balance::{Algorithm, HashOn, Settings},
};
use http::{HeaderMap, HeaderValue};

const ENDPOINTS: usize = 1_000;

const ALGORITHMS: [(&str, Algorithm); 6] = [
    ("round_robin", Algorithm::RoundRobin),
    ("least_request", Algorithm::LeastRequest),
    ("peak_ewma", Algorithm::PeakEwma),
    ("ring_hash", Algorithm::RingHash),
    ("maglev", Algorithm::Maglev),
    ("random", Algorithm::Random),
];

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for (name, algorithm) in ALGORITHMS {
        let balancer = balancer(algorithm);
        criterion.bench_function(&format!("pick/{name}_of_1000"), |bencher| {
            bencher.iter_custom(|count| picks(&balancer, count));
        });
        criterion.bench_function(&format!("pick/{name}_of_1000_two_threads"), |bencher| {
            bencher.iter_custom(|count| both(|| picks(&balancer, count)));
        });
    }
    criterion.final_summary();
}

fn balancer(algorithm: Algorithm) -> Balancer {
    let registry = Endpoints::default();
    let siblings = registry.siblings("group");
    let urls: Vec<String> = (0..ENDPOINTS).map(|number| format!("http://10.0.{}.{}:80", number / 250, number % 250)).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let endpoints: Vec<_> = registry.group(&siblings, &urls).into_iter().map(|found| found.expect("a good URL")).collect();
    endpoints.iter().step_by(10).for_each(|endpoint| _ = endpoint.vitals.set_healthy(false));
    let hash_on = Some(HashOn::Header("x-key".parse().expect("a name")));
    let settings = Settings { algorithm, hash_on, ..Settings::default() };
    Balancer::new(settings, siblings, endpoints.into_iter().map(|endpoint| (Arc::clone(&endpoint), 1)).collect())
}

// Eight keys in turn, so that the making of a request is not part of it.
fn picks(balancer: &Balancer, count: u64) -> Duration {
    let headers: Vec<HeaderMap> =
        (0..8_u64).map(|key| HeaderMap::from_iter([("x-key".parse().expect("a name"), HeaderValue::from(key))])).collect();
    let begin = Instant::now();
    for number in 0..count {
        let keys = Keys { headers: &headers[number as usize % 8], path: None, caller: None, address: None };
        black_box(balancer.pick(&Asked { now: begin, tried: &[], keys }));
    }
    begin.elapsed()
}

// The slower of two threads that do the same.
fn both(work: impl Fn() -> Duration + Sync) -> Duration {
    thread::scope(|scope| {
        let workers = [(); 2].map(|()| scope.spawn(&work));
        let times = workers.map(|worker| worker.join().expect("a pick does not panic"));
        times[0].max(times[1])
    })
}
