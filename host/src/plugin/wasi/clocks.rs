//! `wasi:clocks`: real time. There is no waiting for it: what a guest subscribes to is ready at once.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use wasmtime::component::Resource;

use super::wit::clocks::{monotonic_clock, wall_clock};
use super::wit::io::poll::Pollable;
use crate::plugin::state::HostState;

/// What Linux says of both clocks, in nanoseconds.
const RESOLUTION: u32 = 1;

impl monotonic_clock::Host for HostState {
    fn now(&mut self) -> wasmtime::Result<u64> {
        self.count_host_call()?;
        let start = self.wasi.clock_start.get_or_insert_with(Instant::now);
        Ok(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        self.count_host_call()?;
        Ok(RESOLUTION.into())
    }

    fn subscribe_instant(&mut self, _when: u64) -> wasmtime::Result<Resource<Pollable>> {
        self.open_ready()
    }

    fn subscribe_duration(&mut self, _when: u64) -> wasmtime::Result<Resource<Pollable>> {
        self.open_ready()
    }
}

impl wall_clock::Host for HostState {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        self.count_host_call()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(wall_clock::Datetime { seconds: now.as_secs(), nanoseconds: now.subsec_nanos() })
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        self.count_host_call()?;
        Ok(wall_clock::Datetime { seconds: 0, nanoseconds: RESOLUTION })
    }
}
