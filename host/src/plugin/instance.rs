//! One instance in its own store: made, configured, called, dropped. A store is never shared, because a trap poisons
//! all of it.

use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;
use wasmtime::Store;
use wasmtime::component::{ComponentNamedList, Lift, Lower, TypedFunc};

use super::bindings::{self, gatehouse::plugin::types};
use super::fault::Fault;
use super::needs::BodyMode;
use super::state::{Call, HostState, on_tick_async, on_tick_sync};
use super::usage::{Code, Usage};

/// Handles a guest may hold at one time. The contract has no resources; these are WASI's.
const MAX_HANDLES: usize = 1_024;
/// Bytes a guest may hand over in one call, beside the bodies it asked for.
const TRANSFER: usize = 2 << 20;
/// Calls an instance serves before it is replaced, and how far the number is spread so that a pool does not turn over
/// at once and guests cannot count on it.
const CALLS: u32 = 10_000;
const SPREAD: u32 = 2_500;
const MAX_AGE: Duration = Duration::from_secs(300);
/// Resources of WASI that a guest may hold between calls: more than its standard streams is a leak.
const MAX_OPEN: u32 = 64;
/// What a guest's memory may grow by, over what it had after `configure`, before it is replaced.
const MAX_GROWTH: usize = 4 << 20;

/// A configured guest, ready to be called.
pub struct Instance {
    store: Store<HostState>,
    guest: bindings::Plugin,
    calls_left: u32,
    born: Instant,
    memory_when_born: usize,
    pace: Pace,
    _permit: OwnedSemaphorePermit,
}

impl Instance {
    /// Instantiates and configures. Off the request path, except when a pool has run dry.
    pub async fn make(usage: &Usage, permit: OwnedSemaphorePermit) -> Result<(Self, types::Needs), Fault> {
        let mut instance = Self::unconfigured(usage, permit).await?;
        let needs = instance.configure(&usage.config).await?;
        instance.memory_when_born = instance.store.data().memory.memory();
        Ok((instance, needs))
    }

    /// Instantiates only. Such an instance can say which configurations it takes, and nothing else.
    pub async fn unconfigured(usage: &Usage, permit: OwnedSemaphorePermit) -> Result<Self, Fault> {
        let Code::Plugin(pre) = &usage.code else {
            return Err(Fault::NoInstance("it is no plugin of the contract".into()));
        };
        let mut store = new_store(usage, pre.engine());
        store.data_mut().begin(None);
        let guest = match usage.waits {
            true => pre.instantiate_async(&mut store).await,
            false => pre.instantiate(&mut store),
        };
        let guest = guest?;
        Ok(Self {
            store,
            guest,
            calls_left: CALLS - SPREAD + fastrand::u32(..2 * SPREAD),
            born: Instant::now(),
            memory_when_born: 0,
            pace: if usage.waits { Pace::Waiting(usage.limits.wall) } else { Pace::Straight },
            _permit: permit,
        })
    }

    async fn configure(&mut self, config: &str) -> Result<types::Needs, Fault> {
        self.begin(None);
        let outcome = run(&mut self.store, self.pace, self.guest.func_configure(), (config,)).await;
        self.store.data_mut().end();
        outcome
    }

    /// The JSON Schema of the plugin's configuration, if it has one.
    pub async fn config_schema(&mut self) -> Result<Option<String>, Fault> {
        self.begin(None);
        let schema = self.guest.func_config_schema();
        let outcome = match self.pace {
            Pace::Straight => schema.call(&mut self.store, ()),
            Pace::Waiting(wall) => {
                let call = tokio::time::timeout(wall, schema.call_async(&mut self.store, ()));
                call.await.map_err(|_| Fault::Wall(wall))?
            }
        };
        self.store.data_mut().end();
        Ok(outcome?.0)
    }

    /// Calls `on-request`. The call comes back whatever happens, unless the future is dropped.
    pub async fn on_request(&mut self, call: Box<Call>, request: types::Request<'_>) -> (Box<Call>, Result<types::RequestVerdict, Fault>) {
        self.begin(Some(call));
        let outcome = run(&mut self.store, self.pace, self.guest.func_on_request(), (request,)).await;
        (self.end(), outcome)
    }

    /// Calls `on-request` of a plugin that waits for nothing, without a future.
    pub fn on_request_now(&mut self, call: Box<Call>, request: types::Request<'_>) -> (Box<Call>, Result<types::RequestVerdict, Fault>) {
        self.begin(Some(call));
        let outcome = run_now(&mut self.store, self.guest.func_on_request(), (request,));
        (self.end(), outcome)
    }

    /// Calls `on-response`.
    pub async fn on_response(
        &mut self,
        call: Box<Call>,
        response: types::Response<'_>,
    ) -> (Box<Call>, Result<types::ResponseVerdict, Fault>) {
        self.begin(Some(call));
        let outcome = run(&mut self.store, self.pace, self.guest.func_on_response(), (response,)).await;
        (self.end(), outcome)
    }

    /// Calls `on-response` of a plugin that waits for nothing, without a future.
    pub fn on_response_now(
        &mut self,
        call: Box<Call>,
        response: types::Response<'_>,
    ) -> (Box<Call>, Result<types::ResponseVerdict, Fault>) {
        self.begin(Some(call));
        let outcome = run_now(&mut self.store, self.guest.func_on_response(), (response,));
        (self.end(), outcome)
    }

    /// Calls `on-request-body` for a chunk.
    pub async fn on_request_body(&mut self, call: Box<Call>, chunk: &[u8], last: bool) -> (Box<Call>, Result<types::ChunkVerdict, Fault>) {
        self.begin(Some(call));
        let outcome = run(&mut self.store, self.pace, self.guest.func_on_request_body(), (chunk, last)).await;
        (self.end(), outcome)
    }

    /// Calls `on-response-body` for a chunk.
    pub async fn on_response_body(&mut self, call: Box<Call>, chunk: &[u8], last: bool) -> (Box<Call>, Result<types::ChunkVerdict, Fault>) {
        self.begin(Some(call));
        let outcome = run(&mut self.store, self.pace, self.guest.func_on_response_body(), (chunk, last)).await;
        (self.end(), outcome)
    }

    /// Bytes of memory and elements of tables that it has.
    pub(super) fn extent(&self) -> (usize, usize) {
        let memory = &self.store.data().memory;
        (memory.memory(), memory.table_elements())
    }

    /// Whether it may serve another request: young, small and unused enough.
    pub fn is_fit(&self) -> bool {
        self.calls_left > 0
            && self.store.data().memory.memory() <= self.memory_when_born + MAX_GROWTH
            && self.store.data().wasi.open() <= MAX_OPEN
            // The clock is read only now and then; age is a matter of minutes.
            && (!self.calls_left.is_multiple_of(64) || self.born.elapsed() < MAX_AGE)
    }

    /// Whether it has been around for too long.
    pub fn is_old(&self) -> bool {
        self.born.elapsed() >= MAX_AGE
    }

    fn begin(&mut self, call: Option<Box<Call>>) {
        self.store.data_mut().begin(call);
        self.store.set_epoch_deadline(1);
        self.calls_left = self.calls_left.saturating_sub(1);
    }

    fn end(&mut self) -> Box<Call> {
        self.store.data_mut().end().expect("begin put the call there and capabilities only borrow it")
    }
}

/// How a guest is called.
#[derive(Clone, Copy)]
enum Pace {
    /// On the caller's own stack: it cannot wait for anything.
    Straight,
    /// On a fibre, since it may wait for the network, and for so long at most.
    Waiting(Duration),
}

async fn run<P, R>(store: &mut Store<HostState>, pace: Pace, function: TypedFunc<P, (Result<R, String>,)>, params: P) -> Result<R, Fault>
where
    P: ComponentNamedList + Lower,
    R: 'static,
    (Result<R, String>,): ComponentNamedList + Lift,
{
    let outcome = match pace {
        Pace::Straight => return run_now(store, function, params),
        // Boxed, because futures are moved on the way down to here, and this one is large and rarely needed.
        Pace::Waiting(wall) => match Box::pin(tokio::time::timeout(wall, function.call_async(store, params))).await {
            Ok(outcome) => outcome,
            Err(_) => return Err(Fault::Wall(wall)),
        },
    };
    outcome?.0.map_err(Fault::Failed)
}

fn run_now<P, R>(store: &mut Store<HostState>, function: TypedFunc<P, (Result<R, String>,)>, params: P) -> Result<R, Fault>
where
    P: ComponentNamedList + Lower,
    R: 'static,
    (Result<R, String>,): ComponentNamedList + Lift,
{
    function.call(store, params)?.0.map_err(Fault::Failed)
}

fn new_store(usage: &Usage, engine: &wasmtime::Engine) -> Store<HostState> {
    let state = HostState::new(usage.plugin.clone(), usage.limits.clone(), usage.grants.clone());
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.memory);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(if usage.waits { on_tick_async } else { on_tick_sync });
    store.set_max_component_handles(MAX_HANDLES);
    store.set_hostcall_fuel(TRANSFER + usage.limits.reply_bytes + bodies(usage));
    store
}

/// A guest may hand back a body about as large as the one it was shown.
fn bodies(usage: &Usage) -> usize {
    let size = |mode| match mode {
        BodyMode::Buffered(up_to) => 2 * up_to,
        BodyMode::None | BodyMode::Streamed => 0,
    };
    size(usage.needs.request_body).max(size(usage.needs.response_body))
}
