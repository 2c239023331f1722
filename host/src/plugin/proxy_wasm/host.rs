//! What a store holds beside the guest: its exchanges, what it asked for, and the limits on it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use wasmtime::{Memory, StoreContextMut, TypedFunc, UpdateDeadline};

use crate::plugin::fault::LimitReached;
use crate::plugin::state::{CpuClock, MemoryLimiter};
use crate::plugin::usage::{Shared, Usage};
use crate::plugin::verdict::MAX_HEADER_BYTES;
use crate::plugin::{Capability, Grants, Limits};

use super::abi::Status;
use super::calls::Calls;
use super::common::Common;
use super::memory::Failure;
use super::program::Program;
use super::stream::{Exchange, Exchanges, ROOT};
use super::wasi::Lines;

/// Computing time of what an instance does before it serves: it may compile a thousand rules.
pub(super) const START_CPU: Duration = Duration::from_secs(10);
/// Host calls in that time.
const START_HOST_CALLS: u32 = 100_000;
/// The shortest pause between two ticks.
pub(super) const MIN_TICK: Duration = Duration::from_millis(10);

/// The data of one store.
pub(super) struct Host {
    pub plugin: Arc<Shared>,
    pub limits: Arc<Limits>,
    pub grants: Arc<Grants>,
    /// The plugin's configuration as the guest sees it.
    pub config: Arc<[u8]>,
    pub common: Arc<Common>,
    pub memory: MemoryLimiter,
    pub memory_of_guest: Option<Memory>,
    pub allocator: Option<TypedFunc<u32, u32>>,
    pub exchanges: Exchanges,
    /// The context that host functions work on.
    pub effective: u32,
    pub calls: Calls,
    /// How often the guest wants to be ticked; zero for never.
    pub tick: Duration,
    /// Whether the guest did something that the worker has to see to.
    pub has_news: bool,
    /// Exchanges that the guest is done with, after it had said that it was not.
    pub done: Vec<u32>,
    /// The last that it said as a warning or an error, for the one who configures it.
    pub last_words: Option<String>,
    pub lines: Lines,
    /// When it was made: the zero of its monotonic clock.
    pub started: Instant,
    /// Whether it does not serve yet.
    pub is_starting: bool,
    /// Where queues that it listens to tell it of what came in, and the end of that for the worker to take.
    pub queue: Option<UnboundedSender<u32>>,
    pub queue_news: Option<UnboundedReceiver<u32>>,
    cpu: CpuClock,
    host_calls_left: u32,
    log_bytes_left: usize,
    header_bytes_left: usize,
}

impl Host {
    pub fn new(usage: &Usage, program: &Program) -> Self {
        let limits = Arc::clone(&usage.limits);
        Self {
            plugin: Arc::clone(&usage.plugin),
            memory: MemoryLimiter::new(&limits),
            cpu: CpuClock::new(START_CPU),
            host_calls_left: START_HOST_CALLS,
            log_bytes_left: limits.log_bytes,
            limits,
            grants: Arc::clone(&usage.grants),
            config: Arc::clone(&program.config),
            common: Arc::clone(&program.common),
            memory_of_guest: None,
            allocator: None,
            exchanges: Exchanges::default(),
            effective: ROOT,
            calls: Calls::default(),
            tick: Duration::ZERO,
            has_news: false,
            done: Vec::new(),
            last_words: None,
            lines: Lines::default(),
            started: Instant::now(),
            is_starting: true,
            queue: None,
            queue_news: None,
            header_bytes_left: 0,
        }
    }

    /// Fills up what one callback may use.
    pub fn begin(&mut self, context: u32) {
        self.effective = context;
        self.cpu.start(self.limits.cpu);
        self.host_calls_left = self.limits.host_calls;
        self.log_bytes_left = self.limits.log_bytes;
        self.header_bytes_left = MAX_HEADER_BYTES;
    }

    /// The same for what an instance does before it serves.
    pub fn begin_start(&mut self) {
        self.begin(ROOT);
        self.cpu.start(START_CPU);
        self.host_calls_left = START_HOST_CALLS;
    }

    /// Logs what the guest printed without ending the line.
    pub fn end(&mut self) {
        if !self.lines.is_empty() {
            self.end_lines();
        }
    }

    /// Counts a host call; the one past the limit traps.
    pub fn count(&mut self) -> Result<(), Failure> {
        match self.host_calls_left.checked_sub(1) {
            Some(left) => self.host_calls_left = left,
            None => return Err(Failure::Trap(LimitReached::HostCalls(self.limits.host_calls).into())),
        }
        Ok(())
    }

    /// Takes from what one callback may write into header maps.
    pub fn spend_header_bytes(&mut self, bytes: usize) -> Result<(), Status> {
        self.header_bytes_left = self.header_bytes_left.checked_sub(bytes).ok_or(Status::InternalFailure)?;
        Ok(())
    }

    /// The exchange that host functions work on.
    pub fn exchange(&mut self) -> Result<&mut Exchange, Status> {
        self.exchanges.get(self.effective).ok_or(Status::BadArgument)
    }

    /// Whether a capability was granted. The guest is told of an inner failure where not, as by other hosts.
    pub fn granted(&self, capability: Capability) -> Result<(), Status> {
        if self.grants.allow(capability) { Ok(()) } else { Err(Status::InternalFailure) }
    }

    /// Takes so many bytes of log from what the callback may still write. Otherwise they are counted as dropped.
    pub fn may_log(&mut self, bytes: usize) -> bool {
        if self.plugin.is_shadow || !self.grants.allow(Capability::Log) {
            return false;
        }
        let left = self.log_bytes_left.checked_sub(bytes);
        match left {
            Some(left) => self.log_bytes_left = left,
            None => self.plugin.handle.log_dropped(),
        }
        left.is_some()
    }

    fn look_at_clock(&mut self) -> Result<(), LimitReached> {
        if self.cpu.tick()? {
            self.plugin.alarm.raise();
        }
        Ok(())
    }
}

/// Epoch callback: on until the computing time is used up, then a trap.
pub(super) fn on_epoch(mut store: StoreContextMut<'_, Host>) -> wasmtime::Result<UpdateDeadline> {
    store.data_mut().look_at_clock()?;
    Ok(UpdateDeadline::Continue(1))
}
