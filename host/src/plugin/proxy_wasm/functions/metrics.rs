//! Metrics of the plugin's own, published as those of components are.

use crate::plugin::Capability;
use crate::plugin::proxy_wasm::abi::Status;
use crate::plugin::proxy_wasm::memory::{Failure, Guestside, put_u32, put_u64, slice, split};

pub fn define(guest: &mut Guestside<'_>, kind: u32, name: u32, length: u32, out: u32) -> Result<(), Failure> {
    let (memory, host) = split(guest);
    host.granted(Capability::Metrics)?;
    let name = std::str::from_utf8(slice(memory, name, length)?).map_err(|_| Status::BadArgument)?;
    let metric = host.common.define_metric(kind, name)?;
    Ok(put_u32(memory, out, metric)?)
}

pub fn record(guest: &mut Guestside<'_>, metric: u32, value: u64) -> Result<(), Failure> {
    Ok(guest.data().common.record(metric, value)?)
}

pub fn increment(guest: &mut Guestside<'_>, metric: u32, by: i64) -> Result<(), Failure> {
    Ok(guest.data().common.increment(metric, by)?)
}

pub fn get(guest: &mut Guestside<'_>, metric: u32, out: u32) -> Result<(), Failure> {
    let value = guest.data().common.metric(metric)?;
    Ok(put_u64(split(guest).0, out, value)?)
}
