//! An instance in its own store: made, started, configured; its callbacks by name.

use std::time::Instant;

use tokio::sync::OwnedSemaphorePermit;
use wasmtime::{Instance, Store, TypedFunc, WasmParams, WasmResults};

use crate::plugin::fault::Fault;
use crate::plugin::usage::Usage;

use super::host::{Host, on_epoch};
use super::program::Program;
use super::stream::ROOT;
use super::wasi::Exit;

/// A configured instance that may move to a worker.
pub struct Guest {
    pub(super) store: Store<Host>,
    pub(super) callbacks: Callbacks,
    memory_when_born: usize,
    _permit: OwnedSemaphorePermit,
}

/// A callback for headers: those of 0.1.0 are not told whether anything follows.
pub(super) enum OnHeaders {
    Told(TypedFunc<(u32, u32, u32), u32>),
    Untold(TypedFunc<(u32, u32), u32>),
}

/// What the module has of the callbacks that this host makes.
#[derive(Default)]
pub(super) struct Callbacks {
    pub context_create: Option<TypedFunc<(u32, u32), ()>>,
    pub request_headers: Option<OnHeaders>,
    pub request_body: Option<TypedFunc<(u32, u32, u32), u32>>,
    pub request_trailers: Option<TypedFunc<(u32, u32), u32>>,
    pub response_headers: Option<OnHeaders>,
    pub response_body: Option<TypedFunc<(u32, u32, u32), u32>>,
    pub response_trailers: Option<TypedFunc<(u32, u32), u32>>,
    pub call_response: Option<TypedFunc<(u32, u32, u32, u32, u32), ()>>,
    pub tick: Option<TypedFunc<u32, ()>>,
    pub queue_ready: Option<TypedFunc<(u32, u32), ()>>,
    pub done: Option<TypedFunc<u32, u32>>,
    pub log: Option<TypedFunc<u32, ()>>,
    pub delete: Option<TypedFunc<u32, ()>>,
}

impl Guest {
    /// Instantiates, starts and configures. Takes as long as the guest does, and so happens on no worker.
    pub fn make(usage: &Usage, program: &Program, permit: OwnedSemaphorePermit) -> Result<Self, Fault> {
        let began = Instant::now();
        let mut store = Store::new(program.pre.module().engine(), Host::new(usage, program));
        store.limiter(|host| &mut host.memory);
        store.epoch_deadline_callback(on_epoch);
        store.set_epoch_deadline(1);
        store.data_mut().begin_start();
        let instance = program.pre.instantiate(&mut store)?;
        let (memory, allocator) = allocation(&mut store, instance)?;
        let host = store.data_mut();
        (host.memory_of_guest, host.allocator) = (Some(memory), Some(allocator));
        initialise(&mut store, instance)?;
        let callbacks = Callbacks::of(&mut store, instance)?;
        let mut guest = Self { store, callbacks, memory_when_born: 0, _permit: permit };
        guest.start(instance)?;
        guest.store.data_mut().is_starting = false;
        guest.memory_when_born = guest.store.data().memory.memory();
        let plugin = &usage.plugin;
        tracing::debug!(plugin = %plugin.name, version = %plugin.version, took_us = began.elapsed().as_micros() as u64, "instance made");
        Ok(guest)
    }

    /// Root context, `proxy_on_vm_start`, `proxy_on_configure`: either of them may refuse.
    fn start(&mut self, instance: Instance) -> Result<(), Fault> {
        if let Some(create) = &self.callbacks.context_create {
            create.call(&mut self.store, (ROOT, 0))?;
        }
        let size = self.store.data().config.len() as u32;
        for (name, size) in [("proxy_on_vm_start", 0), ("proxy_on_configure", size)] {
            let Ok(callback) = instance.get_typed_func::<(u32, u32), u32>(&mut self.store, name) else { continue };
            let taken = callback.call(&mut self.store, (ROOT, size))?;
            self.store.data_mut().end();
            if taken == 0 {
                let said = self.store.data_mut().last_words.take();
                return Err(Fault::Failed(format!("{name} said no{}", said.map_or_else(String::new, |said| format!(": {said}")))));
            }
        }
        Ok(())
    }

    /// Makes a callback for a context.
    pub(super) fn call<P: WasmParams, R: WasmResults>(
        store: &mut Store<Host>,
        context: u32,
        callback: &TypedFunc<P, R>,
        params: P,
    ) -> Result<R, Fault> {
        store.data_mut().begin(context);
        store.set_epoch_deadline(1);
        let outcome = callback.call(&mut *store, params);
        store.data_mut().end();
        Ok(outcome?)
    }

    /// Whether it has come near its limit, so that another is to take its place before it meets it.
    pub(super) fn is_worn(&self) -> bool {
        let host = self.store.data();
        let room = host.limits.memory.saturating_sub(self.memory_when_born);
        host.memory.memory() - self.memory_when_born > room / 4 * 3
    }
}

fn allocation(store: &mut Store<Host>, instance: Instance) -> Result<(wasmtime::Memory, TypedFunc<u32, u32>), Fault> {
    let memory = instance.get_memory(&mut *store, "memory").ok_or_else(|| Fault::Invalid("no memory".into()))?;
    let names = ["proxy_on_memory_allocate", "malloc"];
    let allocator = names.iter().find_map(|name| instance.get_typed_func::<u32, u32>(&mut *store, name).ok());
    Ok((memory, allocator.ok_or_else(|| Fault::Invalid("no allocator of one number".into()))?))
}

/// A library is initialised and may have a `main`; a program is started. Its first calls are made without a configuration.
fn initialise(store: &mut Store<Host>, instance: Instance) -> Result<(), Fault> {
    let initialize = instance.get_typed_func::<(), ()>(&mut *store, "_initialize").ok();
    let Some(initialize) = initialize else {
        return match instance.get_typed_func::<(), ()>(&mut *store, "_start") {
            Ok(start) => ended_well(start.call(&mut *store, ())),
            Err(_) => Ok(()),
        };
    };
    ended_well(initialize.call(&mut *store, ()))?;
    if let Ok(main) = instance.get_typed_func::<(u32, u32), u32>(&mut *store, "main") {
        ended_well(main.call(&mut *store, (0, 0)).map(drop))?;
    } else if let Ok(main) = instance.get_typed_func::<(), u32>(&mut *store, "__main_void") {
        ended_well(main.call(&mut *store, ()).map(drop))?;
    }
    Ok(())
}

/// A program that exits without an error has done what it had to, and is called all the same.
fn ended_well(outcome: wasmtime::Result<()>) -> Result<(), Fault> {
    match outcome {
        Err(error) if matches!(error.downcast_ref(), Some(Exit(0))) => Ok(()),
        outcome => Ok(outcome?),
    }
}

impl Callbacks {
    fn of(store: &mut Store<Host>, instance: Instance) -> Result<Self, Fault> {
        let mut find = Finder { store, instance };
        Ok(Self {
            context_create: find.callback("proxy_on_context_create")?,
            request_headers: find.headers("proxy_on_request_headers")?,
            request_body: find.callback("proxy_on_request_body")?,
            request_trailers: find.callback("proxy_on_request_trailers")?,
            response_headers: find.headers("proxy_on_response_headers")?,
            response_body: find.callback("proxy_on_response_body")?,
            response_trailers: find.callback("proxy_on_response_trailers")?,
            call_response: find.callback("proxy_on_http_call_response")?,
            tick: find.callback("proxy_on_tick")?,
            queue_ready: find.callback("proxy_on_queue_ready")?,
            done: find.callback("proxy_on_done")?,
            log: find.callback("proxy_on_log")?,
            delete: find.callback("proxy_on_delete")?,
        })
    }
}

struct Finder<'a> {
    store: &'a mut Store<Host>,
    instance: Instance,
}

impl Finder<'_> {
    /// None where the module has no such export. One of another type is no callback.
    fn callback<P: WasmParams, R: WasmResults>(&mut self, name: &str) -> Result<Option<TypedFunc<P, R>>, Fault> {
        let Some(function) = self.instance.get_func(&mut *self.store, name) else { return Ok(None) };
        function.typed(&*self.store).map(Some).map_err(|error| Fault::Invalid(format!("`{name}` of another type: {error:#}")))
    }

    fn headers(&mut self, name: &str) -> Result<Option<OnHeaders>, Fault> {
        if let Ok(Some(untold)) = self.callback(name) {
            return Ok(Some(OnHeaders::Untold(untold)));
        }
        Ok(self.callback(name)?.map(OnHeaders::Told))
    }
}

impl OnHeaders {
    pub fn call(&self, store: &mut Store<Host>, context: u32, count: u32, ended: bool) -> Result<u32, Fault> {
        match self {
            OnHeaders::Told(callback) => Guest::call(store, context, callback, (context, count, u32::from(ended))),
            OnHeaders::Untold(callback) => Guest::call(store, context, callback, (context, count)),
        }
    }
}
