//! What a store of a component holds: WASI that denies, the limits of one request, and the way out to upstreams.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, oneshot};
use wasmtime::{Engine, Store, StoreContextMut, UpdateDeadline};
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::meter::Meter;
use super::next::Onward;
use super::outgoing::Outgoing;
use super::output::Printer;
use crate::plugin::bindings::gatehouse::plugin::log::Level;
use crate::plugin::engine::Alarm;
use crate::plugin::state::MemoryLimiter;
use crate::plugin::usage::Usage;
use crate::telemetry::RequestId;

/// Resources of WASI that a guest may have at one time. Header fields are some of them, of up to 128 KiB each.
const MAX_RESOURCES: usize = 512;
/// Handles that it may hold to them.
const MAX_HANDLES: usize = 1_024;
/// Bytes that it may hand over in one call.
const TRANSFER: usize = 4 << 20;
/// Random bytes that it may ask for at once.
const MAX_RANDOM: u64 = 1 << 20;

/// The data of one store.
pub struct Guest {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    outgoing: Outgoing,
    memory: MemoryLimiter,
    meter: Meter,
    alarm: Alarm,
    /// The way to what is behind a middleware, until it was taken once.
    pub(super) next: Option<oneshot::Sender<Onward>>,
    _permit: OwnedSemaphorePermit,
}

/// What is one request's own.
pub struct Own<'a> {
    /// Its number.
    pub id: RequestId,
    /// The plugin's environment.
    pub env: &'a [(String, String)],
    /// The way out to upstreams.
    pub outgoing: Outgoing,
    /// The way to what is behind a middleware.
    pub next: Option<oneshot::Sender<Onward>>,
    /// The right to be an instance.
    pub permit: OwnedSemaphorePermit,
}

impl Guest {
    /// A store for one request.
    pub fn store(engine: &Engine, usage: &Usage, own: Own<'_>) -> Store<Self> {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        let guest = Self {
            wasi: wasi(usage, &own),
            http: WasiHttpCtx::new(),
            table,
            outgoing: own.outgoing,
            memory: MemoryLimiter::new(&usage.limits),
            meter: Meter::new(usage.limits.cpu),
            alarm: usage.plugin.alarm.clone(),
            next: own.next,
            _permit: own.permit,
        };
        let mut store = Store::new(engine, guest);
        store.limiter(|guest| &mut guest.memory);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(on_tick);
        store.set_max_component_handles(MAX_HANDLES);
        store.set_hostcall_fuel(TRANSFER);
        store
    }

    /// The clock that its future is to be polled under.
    pub fn meter(&self) -> Meter {
        self.meter.clone()
    }
}

/// Clocks, random numbers and output. No arguments, no files; a socket cannot even be made.
fn wasi(usage: &Usage, own: &Own<'_>) -> WasiCtx {
    let printer = Printer::new(Arc::clone(&usage.plugin), own.id, usage.limits.log_bytes);
    let mut wasi = WasiCtxBuilder::new();
    wasi.stdout(printer.output(Level::Info)).stderr(printer.output(Level::Error)).max_random_size(MAX_RANDOM);
    wasi.envs(own.env);
    wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
    wasi.build()
}

/// Lets the worker's other tasks run at each tick, until the budget is used up.
fn on_tick(store: StoreContextMut<'_, Guest>) -> wasmtime::Result<UpdateDeadline> {
    let guest = store.data();
    guest.meter.check()?;
    guest.alarm.raise();
    Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.outgoing }
    }
}
