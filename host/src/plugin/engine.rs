//! The engine: compiler settings, the pooling allocator and the clock that interrupts guests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

/// How often guests are interrupted to have their CPU time looked at. Each time costs the thread a wake-up, which a
/// request pays for, so it is often only while some call goes on for long.
const SELDOM: Duration = Duration::from_millis(4);
const OFTEN: Duration = Duration::from_millis(1);

/// The largest linear memory that a plugin's limit may ask for; only address space is reserved for it.
pub const MAX_MEMORY: usize = 512 << 20;
/// The largest table that a plugin's limit may ask for.
pub const MAX_TABLE_ELEMENTS: usize = 100_000;
/// Component instances alive at one time in the whole process.
const MAX_INSTANCES: u32 = 1_000;
/// The stack of a guest. A worker's own stack has to be larger.
const MAX_WASM_STACK: usize = 512 << 10;

/// Which of the engines code is for: none runs the others'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// Plugins of the contract, on the hot path.
    Contract,
    /// Other people's components: with the component model's async, which makes every call dearer.
    Foreign,
    /// Proxy-Wasm filters: few instances that live long and may be large, and so are allocated one by one.
    ProxyWasm,
}

/// An engine, and the thread that advances its epoch.
pub struct Engine {
    wasm: wasmtime::Engine,
    alarm: Alarm,
    _ticker: Ticker,
}

/// Tells the ticker that a call goes on and on.
#[derive(Clone, Default)]
pub struct Alarm(Arc<AtomicBool>);

impl Engine {
    /// Starts an engine. Where the address space for the pool cannot be had (a container with a limit on it),
    /// instances are allocated one by one, which is slower and works.
    pub fn start(tier: Tier) -> wasmtime::Result<Self> {
        let wasm = match tier {
            Tier::ProxyWasm => wasmtime::Engine::new(&settings(tier))?,
            Tier::Contract | Tier::Foreign => wasmtime::Engine::new(&pooled(settings(tier))).or_else(|error| {
                tracing::warn!(%error, "no address space for pooled instances; allocating them one by one");
                wasmtime::Engine::new(&settings(tier))
            })?,
        };
        let alarm = Alarm::default();
        let ticker = Ticker::start(wasm.weak(), alarm.clone());
        Ok(Self { wasm, alarm, _ticker: ticker })
    }

    /// wasmtime's engine.
    pub fn wasm(&self) -> &wasmtime::Engine {
        &self.wasm
    }

    /// To be raised by calls that go on for long.
    pub fn alarm(&self) -> &Alarm {
        &self.alarm
    }
}

impl Tier {
    /// All of them.
    pub const ALL: [Tier; 3] = [Tier::Contract, Tier::Foreign, Tier::ProxyWasm];

    /// Its name on the command line of the compiler.
    pub fn name(self) -> &'static str {
        match self {
            Tier::Contract => "contract",
            Tier::Foreign => "foreign",
            Tier::ProxyWasm => "proxy-wasm",
        }
    }
}

impl Alarm {
    /// Has guests interrupted often, for the time being.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn pause(&self) -> Duration {
        if self.0.swap(false, Ordering::Relaxed) { OFTEN } else { SELDOM }
    }
}

/// An engine that only compiles, on one thread. Its code fits the other: pooling is not the compiler's business.
pub fn compiler(tier: Tier) -> wasmtime::Result<wasmtime::Engine> {
    let mut config = settings(tier);
    config.parallel_compilation(false);
    wasmtime::Engine::new(&config)
}

fn settings(tier: Tier) -> Config {
    let mut config = Config::new();
    config
        // Component-model async makes every call two to five times dearer, and the contract has none.
        .concurrency_support(tier == Tier::Foreign)
        // Guests are interrupted by epochs: fuel costs two to three times as much.
        .epoch_interruption(true)
        .max_wasm_stack(MAX_WASM_STACK)
        .async_stack_size(MAX_WASM_STACK + (512 << 10))
        // A tenant's stack is not shown to the next one.
        .async_stack_zeroing(true)
        // Proposals that no toolchain for this contract needs are attack surface.
        .wasm_memory64(false)
        .wasm_tail_call(false)
        .wasm_relaxed_simd(false)
        // Frames are for the author's eyes; a handful tells where, and collecting them is most of a trap's cost. A Rust panic
        // takes about ten of its own.
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(20))
        // File and line, where a component brings what tells them: looked up when a trap is told, and only then.
        .wasm_backtrace_details(wasmtime::WasmBacktraceDetails::Enable)
        .native_unwind_info(false)
        .memory_init_cow(true)
        .cranelift_opt_level(wasmtime::OptLevel::Speed);
    config
}

fn pooled(mut config: Config) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(MAX_INSTANCES)
        .total_core_instances(4 * MAX_INSTANCES)
        .total_memories(MAX_INSTANCES)
        .total_tables(2 * MAX_INSTANCES)
        .total_stacks(MAX_INSTANCES)
        .max_memory_size(MAX_MEMORY)
        .table_elements(MAX_TABLE_ELEMENTS)
        .max_core_instances_per_component(64)
        .max_memories_per_component(4)
        .max_tables_per_component(16)
        .max_core_instance_size(1 << 20)
        .max_component_instance_size(1 << 20)
        // Pages a guest touched stay resident and are reset in place, up to this much; beyond it they are given back.
        .linear_memory_keep_resident(256 << 10)
        .table_keep_resident(16 << 10);
    if swap_is_off() {
        // Resetting only dirty pages halves the cost of an instance. In wasmtime 48.0.8 the scan misses dirty pages
        // that were swapped out (PR 14357), which would show one instance's memory to the next: never with swap.
        pool.pagemap_scan(Enabled::Auto);
    }
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// `/proc/swaps` has one line of heading, and one for each swap area.
fn swap_is_off() -> bool {
    std::fs::read_to_string("/proc/swaps").is_ok_and(|swaps| swaps.lines().count() <= 1)
}

/// The thread that advances the epoch; it ends with the value.
struct Ticker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: wasmtime::EngineWeak, alarm: Alarm) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("gatehouse-tick".into())
            .spawn(move || {
                while !seen.load(Ordering::Relaxed) {
                    std::thread::sleep(alarm.pause());
                    let Some(engine) = engine.upgrade() else { return };
                    engine.increment_epoch();
                }
            })
            .expect("a process that cannot start one thread cannot serve");
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{DefaultHasher, Hash, Hasher};

    use super::*;

    fn mark(tier: Tier) -> u64 {
        let mut hasher = DefaultHasher::new();
        compiler(tier).expect("a compiler").precompile_compatibility_hash().hash(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn compiled_code_tells_which_engine_it_is_for() {
        assert_ne!(mark(Tier::Contract), mark(Tier::Foreign), "the cache keeps them apart by this");
        assert_eq!(mark(Tier::Foreign), mark(Tier::Foreign), "and finds them again");
    }
}
