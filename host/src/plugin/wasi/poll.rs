//! `wasi:io/poll`: everything is ready at once, because a guest that waited would hold up its worker. One that polls
//! until a time has come meets its limit on host calls or on CPU time.

use wasmtime::component::Resource;

use super::Misuse;
use super::wit::io::poll::{Host, HostPollable, Pollable};
use crate::plugin::state::HostState;

impl HostState {
    /// Something to poll, ready from the start.
    pub(super) fn open_ready(&mut self) -> wasmtime::Result<Resource<Pollable>> {
        self.open(0)
    }
}

impl HostPollable for HostState {
    fn ready(&mut self, _: Resource<Pollable>) -> wasmtime::Result<bool> {
        self.count_host_call()?;
        Ok(true)
    }

    fn block(&mut self, _: Resource<Pollable>) -> wasmtime::Result<()> {
        self.count_host_call()
    }

    fn drop(&mut self, _: Resource<Pollable>) -> wasmtime::Result<()> {
        self.close()
    }
}

impl Host for HostState {
    fn poll(&mut self, pollables: Vec<Resource<Pollable>>) -> wasmtime::Result<Vec<u32>> {
        self.count_host_call()?;
        match pollables.is_empty() {
            true => Err(Misuse::EmptyPoll.into()),
            false => Ok((0..).take(pollables.len()).collect()),
        }
    }
}
