//! What a store holds beside the guest: the call at hand, the limits on it, and the plugin's own things.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wasmtime::{ResourceLimiter, StoreContextMut, UpdateDeadline};

use crate::caller::Caller;
use crate::identity::demand::Awaited;
use crate::identity::{Clients, Introspection, Issuers};
use crate::limit::{Clock, Place, Scope, Table};
use crate::telemetry::RequestId;
use crate::telemetry::metrics::Decisions;
use crate::telemetry::traces::context::Context;

use super::capability::http::FetchSender;
use super::fault::LimitReached;
use super::meter::{Cost, Meter};
use super::usage::Shared;
use super::wasi::Wasi;
use super::{Grants, Limits};

/// What the capabilities work on: a snapshot's parts, as one worker sees them.
pub struct Services {
    /// Who signs tokens.
    pub issuers: Arc<Issuers>,
    /// Who is asked about tokens.
    pub introspection: Arc<Introspection>,
    /// Who holds keys.
    pub clients: Arc<Clients>,
    /// Token buckets. They outlive snapshots.
    pub buckets: Arc<Table>,
    /// The buckets' clock.
    pub clock: Clock,
    /// Counts what the capabilities decide.
    pub decisions: Decisions,
    /// Takes HTTP calls to the worker.
    pub fetch: FetchSender,
}

impl Services {
    /// The same, counting somewhere else.
    pub fn counting_for(&self, decisions: &Decisions) -> Self {
        Self {
            issuers: Arc::clone(&self.issuers),
            introspection: Arc::clone(&self.introspection),
            clients: Arc::clone(&self.clients),
            buckets: Arc::clone(&self.buckets),
            clock: self.clock,
            decisions: decisions.clone(),
            fetch: self.fetch.clone(),
        }
    }
}

/// A request as the capabilities see it. It travels with the request and is lent to a store for each call.
pub struct Call {
    /// The request's number.
    pub id: RequestId,
    /// The snapshot's services.
    pub services: Arc<Services>,
    /// The client's address.
    pub address: IpAddr,
    /// Who was authenticated by the plugins so far.
    pub client: Option<Caller>,
    /// Whom a capability authenticated during this call; becomes `client` if the plugin goes on.
    pub candidate: Option<Caller>,
    /// The buckets that have no name of their own: those of this step of this route. None before the first step.
    pub scope: Option<Scope>,
    /// Keys that the plugin's call ended for. It is called again once they are here.
    pub awaited: Option<Box<Awaited>>,
    /// How many more times the request may wait for keys. None on its way back, nor while its body passes.
    pub patience: u8,
    /// The places it holds while it is under way. A list that is empty costs nothing.
    pub places: Vec<Place>,
    /// The span below which the plugin's own calls happen; None where the gateway does not trace.
    pub trace: Option<Context>,
    /// Whether it is a copy of a request, so that nothing it is used for may have an effect.
    pub apart: bool,
    /// Where each call of a plugin is noted; None but for authors.
    pub meter: Option<Meter>,
}

impl Call {
    /// One wait for keys that were fetched before the issuer changed them, one for those it has now.
    const PATIENCE: u8 = 2;

    /// A request that nothing is known of yet.
    pub fn new(id: RequestId, services: Arc<Services>, address: IpAddr) -> Box<Self> {
        Box::new(Self {
            id,
            services,
            address,
            client: None,
            candidate: None,
            scope: None,
            awaited: None,
            patience: Self::PATIENCE,
            places: Vec::new(),
            trace: None,
            apart: false,
            meter: None,
        })
    }

    /// What ends the call that asked, so that it can be made again when the keys are here. None if it may not wait.
    pub(super) fn wait_for(&mut self, awaited: Awaited) -> Option<LimitReached> {
        self.patience = self.patience.checked_sub(1)?;
        self.awaited = Some(Box::new(awaited));
        Some(LimitReached::KeysAwaited)
    }

    /// The same request for a plugin that goes on working on it beside the others.
    pub fn another(&self) -> Box<Self> {
        Box::new(Self {
            id: self.id,
            services: Arc::clone(&self.services),
            address: self.address,
            client: self.client.clone(),
            candidate: None,
            scope: self.scope.clone(),
            awaited: None,
            patience: 0,
            // They stay with the request itself.
            places: Vec::new(),
            trace: self.trace,
            apart: self.apart,
            meter: self.meter.clone(),
        })
    }
}

/// The data of one store.
pub struct HostState {
    pub(super) call: Option<Box<Call>>,
    pub(super) plugin: Arc<Shared>,
    pub(super) limits: Arc<Limits>,
    pub(super) grants: Arc<Grants>,
    pub(super) memory: MemoryLimiter,
    pub(super) cpu: CpuClock,
    pub(super) host_calls_left: u32,
    pub(super) log_bytes_left: usize,
    pub(super) wasi: Wasi,
    /// The thread's CPU time when a call began that is metered.
    metered_since: u64,
}

impl HostState {
    pub(super) fn new(plugin: Arc<Shared>, limits: Arc<Limits>, grants: Arc<Grants>) -> Self {
        let memory = MemoryLimiter::new(&limits);
        let cpu = CpuClock::new(limits.cpu);
        let (host_calls_left, log_bytes_left) = (limits.host_calls, limits.log_bytes);
        Self { call: None, plugin, limits, grants, memory, cpu, host_calls_left, log_bytes_left, wasi: Wasi::default(), metered_since: 0 }
    }

    /// Lends the request to the store and fills up what one call may use.
    pub(super) fn begin(&mut self, call: Option<Box<Call>>) {
        self.call = call;
        self.cpu.start(self.limits.cpu);
        self.host_calls_left = self.limits.host_calls;
        self.log_bytes_left = self.limits.log_bytes;
        if self.call.as_ref().is_some_and(|call| call.meter.is_some()) {
            self.metered_since = thread_cpu_time();
        }
    }

    /// Takes the request back, if one was lent, once the guest's last words on it are in the log.
    pub(super) fn end(&mut self) -> Option<Box<Call>> {
        self.end_lines();
        let call = self.call.take();
        if let Some(meter) = call.as_ref().and_then(|call| call.meter.as_ref()) {
            self.meter(meter);
        }
        call
    }

    #[cold]
    fn meter(&self, meter: &Meter) {
        meter.note(Cost {
            cpu: Duration::from_nanos(thread_cpu_time().saturating_sub(self.metered_since)),
            memory: self.memory.memory(),
            host_calls: self.limits.host_calls - self.host_calls_left,
        });
    }

    /// Looks at the guest's CPU time, and has it looked at more often if this call is one of the long ones.
    fn tick(&mut self) -> Result<(), LimitReached> {
        if self.cpu.tick()? {
            self.plugin.alarm.raise();
        }
        Ok(())
    }

    /// Counts a host call; the one past the limit traps.
    pub(super) fn count_host_call(&mut self) -> wasmtime::Result<()> {
        match self.host_calls_left.checked_sub(1) {
            Some(left) => self.host_calls_left = left,
            None => return Err(LimitReached::HostCalls(self.limits.host_calls).into()),
        }
        Ok(())
    }

    /// Counts a host call that works on a request; traps when there is none (during `configure`).
    pub(super) fn request(&mut self) -> wasmtime::Result<&mut Call> {
        self.count_host_call()?;
        match &mut self.call {
            Some(call) => Ok(call),
            None => Err(LimitReached::Refused("this capability works on a request and there is none during configure".into()).into()),
        }
    }
}

/// Bounds the memories and tables of one instance, all together.
pub(super) struct MemoryLimiter {
    max_memory: usize,
    max_table_elements: usize,
    memory: usize,
    table_elements: usize,
}

impl MemoryLimiter {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { max_memory: limits.memory, max_table_elements: limits.table_elements, memory: 0, table_elements: 0 }
    }

    /// Bytes of linear memory the instance has now; it never shrinks.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    /// Elements of tables it has now.
    pub(super) fn table_elements(&self) -> usize {
        self.table_elements
    }
}

impl ResourceLimiter for MemoryLimiter {
    // Growing past the limit traps instead of returning -1: a guest that is refused memory aborts anyway, and this
    // way the fault says memory and not unreachable.
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let asked = self.memory.saturating_add(desired.saturating_sub(current));
        if asked > self.max_memory {
            return Err(LimitReached::Memory { asked, limit: self.max_memory, unit: "bytes of memory" }.into());
        }
        self.memory = asked;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let asked = self.table_elements.saturating_add(desired.saturating_sub(current));
        if asked > self.max_table_elements {
            let limit = self.max_table_elements;
            return Err(LimitReached::Memory { asked, limit, unit: "table elements" }.into());
        }
        self.table_elements = asked;
        Ok(true)
    }
}

/// The CPU time of one call, read only when the epoch interrupts it: a call shorter than a tick never pays for it.
///
/// Time is the thread's CPU time, so a worker that the machine deschedules does not use up its guests' budgets.
pub(super) struct CpuClock {
    budget: Duration,
    used: Duration,
    /// The thread's CPU time when the guest last began to run, in nanoseconds; 0 when not known yet.
    /// Shared with the future that a yielding guest leaves behind.
    running_since: Arc<AtomicU64>,
}

impl CpuClock {
    pub(super) fn new(budget: Duration) -> Self {
        Self { budget, used: Duration::ZERO, running_since: Arc::new(AtomicU64::new(0)) }
    }

    pub(super) fn start(&mut self, budget: Duration) {
        self.budget = budget;
        self.used = Duration::ZERO;
        self.running_since.store(0, Ordering::Relaxed);
    }

    /// Adds what ran since the last look, and says whether there was a look before. An error once the budget is used up.
    pub(super) fn tick(&mut self) -> Result<bool, LimitReached> {
        let now = thread_cpu_time();
        let since = self.running_since.swap(now, Ordering::Relaxed);
        // The first tick may come any time after the call began, so it only starts the clock.
        let ran = if since == 0 { 0 } else { now.saturating_sub(since) };
        self.used += Duration::from_nanos(ran);
        match self.used >= self.budget {
            true => Err(LimitReached::Cpu(self.budget)),
            false => Ok(since != 0),
        }
    }

    /// To be called when the guest is about to wait for the host.
    pub(super) fn pause(&mut self) {
        if self.running_since.load(Ordering::Relaxed) != 0 {
            let _ = self.tick();
        }
    }

    /// To be called when the wait is over: other tasks had the thread meanwhile.
    pub(super) fn resume(&mut self) {
        self.running_since.store(thread_cpu_time(), Ordering::Relaxed);
    }
}

/// Epoch callback of a store that runs synchronously: on until the budget is used up, then a trap.
pub(super) fn on_tick_sync(mut store: StoreContextMut<'_, HostState>) -> wasmtime::Result<UpdateDeadline> {
    store.data_mut().tick()?;
    Ok(UpdateDeadline::Continue(1))
}

/// Epoch callback of a store that runs on a fibre: lets the worker's other tasks run at each tick.
pub(super) fn on_tick_async(mut store: StoreContextMut<'_, HostState>) -> wasmtime::Result<UpdateDeadline> {
    let state = store.data_mut();
    state.tick()?;
    let running_since = Arc::clone(&state.cpu.running_since);
    let resumed = async move {
        tokio::task::yield_now().await;
        running_since.store(thread_cpu_time(), Ordering::Relaxed);
    };
    Ok(UpdateDeadline::YieldCustom(1, Box::pin(resumed)))
}

pub(super) fn thread_cpu_time() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of ours; the clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
