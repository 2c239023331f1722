//! What a component costs: calls through the gateway's own chain, instances, memory, size; against another build of it.

use std::fmt::Write as _;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;
use thiserror::Error;
use tokio::sync::mpsc;

use crate::chain::Tools;
use crate::config::document::Isolation;
use crate::limit::Clock;
use crate::plugin::Services;
use crate::plugin::pool::Pools;
use crate::snapshot::Builder;

use super::test::cases::{Case, Cases, Turn};
use super::test::upstreams::Upstreams;
use super::test::world::World;
use super::test::{self, Plan, TestError, capture, play};

/// Calls before any counts.
const WARM_UP: usize = 100;
/// Calls that count at most.
const MOST_CALLS: usize = 200_000;
/// Instances that are made to see what one takes.
const BIRTHS: usize = 15;

/// What to measure with.
pub struct Load {
    /// Part of the name of the case whose request is sent; the first case that is no refusal, if this says nothing.
    pub case: Option<String>,
    /// The configuration, instead of the case's.
    pub config: Option<Value>,
    /// How long to call.
    pub time: Duration,
}

/// Why nothing was measured.
#[derive(Debug, Error)]
pub enum BenchError {
    /// The cases cannot be read.
    #[error("{0}")]
    Cases(#[from] TestError),
    /// The gateway does not take the plugin so.
    #[error("the plugin is refused: {0}")]
    Refused(String),
    /// The request cannot be made, or the plugin faults on it.
    #[error("{0}")]
    Call(String),
    /// No case is fit.
    #[error("no case of that name")]
    NoCase,
}

/// What a component costs.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// Bytes of the component.
    pub size: u64,
    /// Microseconds to instantiate and configure one instance, in the middle of some.
    pub instantiation_us: f64,
    /// Bytes of linear memory of an instance then.
    pub memory: usize,
    /// Calls that were made.
    pub calls: usize,
    /// Requests that one worker could take through this plugin in a second if it did nothing else.
    pub calls_per_second: f64,
    /// Microseconds of a request's way through the plugin, in the middle.
    pub p50_us: f64,
    /// The same of the slowest hundredth.
    pub p99_us: f64,
}

/// Measures a component, on reused instances unless the cases declare something else. Blocks, and must not be called from
/// within an async runtime.
pub fn run(plan: &Plan, load: &Load, builder: &Builder, place: usize) -> Result<Measured, BenchError> {
    let mut cases = if plan.cases.is_file() { test::read(&plan.cases)? } else { Cases::default() };
    cases.plugin.isolation.get_or_insert(Isolation::Reuse);
    let case = case(&mut cases, load)?;
    let (lines, measured) = capture::during(|| measure(plan, &cases, &case, place, load, builder));
    let fault = lines.into_iter().find(|line| !line.is_plugins && line.text.starts_with("plugin "));
    match fault {
        Some(fault) => Err(BenchError::Call(fault.text)),
        None => measured,
    }
}

fn case(cases: &mut Cases, load: &Load) -> Result<Case, BenchError> {
    let fits = |case: &Case| match &load.case {
        Some(part) => case.name.contains(part.as_str()),
        None => case.expect.refused.is_none() && case.expect.fault.is_none(),
    };
    let mut case = match cases.cases.iter().position(fits) {
        Some(place) => cases.cases.swap_remove(place),
        None if load.case.is_some() => return Err(BenchError::NoCase),
        None => Case::default(),
    };
    case.config = load.config.clone().or(case.config);
    Ok(case)
}

fn measure(plan: &Plan, cases: &Cases, case: &Case, place: usize, load: &Load, builder: &Builder) -> Result<Measured, BenchError> {
    let world = World::make(plan, cases, case, place, builder).map_err(|refusals| BenchError::Refused(refusals.join("; ")))?;
    let (instantiation, memory) = births(&world, builder)?;
    let size = std::fs::metadata(&plan.component).map_or(0, |metadata| metadata.len());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build_local(tokio::runtime::LocalOptions::default());
    let runtime = runtime.map_err(|error| BenchError::Call(error.to_string()))?;
    let mut times = runtime.block_on(calls(&world, &case.turns()[0], load.time)).map_err(BenchError::Call)?;
    times.sort_unstable();
    let total: Duration = times.iter().sum();
    Ok(Measured {
        size,
        instantiation_us: micros(instantiation),
        memory,
        calls: times.len(),
        calls_per_second: times.len() as f64 / total.as_secs_f64().max(f64::MIN_POSITIVE),
        p50_us: micros(at(&times, 0.50)),
        p99_us: micros(at(&times, 0.99)),
    })
}

fn births(world: &World, builder: &Builder) -> Result<(Duration, usize), BenchError> {
    let usage = &world.snapshot.routes[0].chain.steps[0].usage;
    let mut births = Vec::with_capacity(BIRTHS);
    for _ in 0..BIRTHS {
        births.push(builder.loader.birth(usage).map_err(|refusal| BenchError::Call(refusal.to_string()))?);
    }
    births.sort_unstable_by_key(|birth| birth.took);
    let middle = births[BIRTHS / 2];
    Ok((middle.took, middle.memory))
}

/// The times of requests through the plugin, one after the other.
async fn calls(world: &World, turn: &Turn<'_>, time: Duration) -> Result<Vec<Duration>, String> {
    let (fetch, calls) = mpsc::unbounded_channel();
    let upstreams = Upstreams::new(&world.answers);
    let services = world.services(Clock::start(), fetch);
    tokio::select! {
        times = timed(world, turn, services, time) => times,
        () = upstreams.serve(calls) => Err("the plugin's calls came to an end before the request".into()),
    }
}

async fn timed(world: &World, turn: &Turn<'_>, services: Arc<Services>, time: Duration) -> Result<Vec<Duration>, String> {
    let pools = Pools::new(services.fetch.clone());
    for _ in 0..WARM_UP {
        once(world, turn, &pools, &services).await?;
    }
    let (began, mut times) = (Instant::now(), Vec::new());
    while times.len() < MOST_CALLS && (times.is_empty() || began.elapsed() < time) {
        times.push(once(world, turn, &pools, &services).await?);
    }
    Ok(times)
}

/// The time of one request, from its head to its answer. Making the request is not in it.
async fn once(world: &World, turn: &Turn<'_>, pools: &Rc<Pools>, services: &Arc<Services>) -> Result<Duration, String> {
    let chain = &world.snapshot.routes[0].chain;
    let tools = Tools { pools, metrics: &world.worker };
    let (mut traveller, _) = play::traveller(turn.request, Arc::clone(services), &world.tokens)?;
    if let Some(call) = &mut traveller.call {
        call.meter = None;
    }
    let began = Instant::now();
    let mut way = play::forward(chain, &mut traveller, &tools, turn.upstream).await?;
    chain.back(&mut traveller, &mut way.response, way.from_gateway, &tools).await;
    let took = began.elapsed();
    match traveller.faulted {
        true => Err("the plugin faults on this request".into()),
        false => Ok(took),
    }
}

fn at(sorted: &[Duration], share: f64) -> Duration {
    let place = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(place).copied().unwrap_or_default()
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

// === what people read ===

/// A table of one component, or of two and how they compare.
pub fn table(new: &Measured, against: Option<&Measured>) -> String {
    let rows: [(&str, fn(&Measured) -> f64, fn(f64) -> String); 6] = [
        ("size", |measured| measured.size as f64, bytes),
        ("instantiation", |measured| measured.instantiation_us, time),
        ("memory", |measured| measured.memory as f64, bytes),
        ("calls/s", |measured| measured.calls_per_second, |rate| format!("{rate:.0}")),
        ("p50", |measured| measured.p50_us, time),
        ("p99", |measured| measured.p99_us, time),
    ];
    let mut text = match against {
        Some(_) => format!("{:<14} {:>12} {:>12} {:>8}\n", "", "this", "against", "ratio"),
        None => String::new(),
    };
    for (name, value, shown) in rows {
        let _ = match against {
            Some(old) => {
                writeln!(text, "{name:<14} {:>12} {:>12} {:>8.2}", shown(value(new)), shown(value(old)), value(new) / value(old))
            }
            None => writeln!(text, "{name:<14} {:>12}", shown(value(new))),
        };
    }
    text
}

fn bytes(bytes: f64) -> String {
    match bytes {
        bytes if bytes >= 1_048_576.0 => format!("{:.1} MiB", bytes / 1_048_576.0),
        bytes => format!("{:.1} KiB", bytes / 1024.0),
    }
}

fn time(micros: f64) -> String {
    match micros {
        micros if micros >= 1_000.0 => format!("{:.1} ms", micros / 1_000.0),
        micros => format!("{micros:.2} us"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_calls_that_there_are() {
        let times: Vec<Duration> = (1..=100).map(Duration::from_micros).collect();
        assert_eq!(at(&times, 0.50), Duration::from_micros(51));
        assert_eq!(at(&times, 0.99), Duration::from_micros(100));
        assert_eq!(at(&times[..1], 0.99), Duration::from_micros(1));
        assert_eq!(at(&[], 0.50), Duration::ZERO);
    }

    #[test]
    fn a_table_compares_what_it_shows() {
        let measured = |factor: f64| Measured {
            size: 1024,
            instantiation_us: 1500.0 * factor,
            memory: 2 << 20,
            calls: 10,
            calls_per_second: 1000.0 / factor,
            p50_us: 1.5,
            p99_us: 2.0,
        };
        let alone = table(&measured(1.0), None);
        assert!(alone.contains("instantiation        1.5 ms\n") && alone.contains("memory              2.0 MiB\n"), "{alone}");
        let both = table(&measured(2.0), Some(&measured(1.0)));
        assert!(both.contains("3.0 ms       1.5 ms     2.00\n") && both.contains("500         1000     0.50\n"), "{both}");
    }
}
