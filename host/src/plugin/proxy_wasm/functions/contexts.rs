//! Contexts: which one host functions work on, when one is done, how often the root is ticked.

use std::time::Duration;

use crate::plugin::proxy_wasm::abi::Status;
use crate::plugin::proxy_wasm::host::MIN_TICK;
use crate::plugin::proxy_wasm::memory::{Failure, Guestside};
use crate::plugin::proxy_wasm::stream::ROOT;

/// Zero ends the ticks.
pub fn set_tick(guest: &mut Guestside<'_>, period: u32) -> Result<(), Failure> {
    let host = guest.data_mut();
    host.tick = match period {
        0 => Duration::ZERO,
        period => Duration::from_millis(period.into()).max(MIN_TICK),
    };
    host.has_news = true;
    Ok(())
}

pub fn set_effective(guest: &mut Guestside<'_>, context: u32) -> Result<(), Failure> {
    let host = guest.data_mut();
    if context != ROOT && host.exchanges.get(context).is_none() {
        return Err(Status::BadArgument.into());
    }
    host.effective = context;
    Ok(())
}

/// The guest has finished what it said it had not at `proxy_on_done`.
pub fn done(guest: &mut Guestside<'_>) -> Result<(), Failure> {
    let host = guest.data_mut();
    let context = host.effective;
    if !host.exchange()?.lingers {
        return Err(Status::NotFound.into());
    }
    host.done.push(context);
    host.has_news = true;
    Ok(())
}

/// There are no functions beside the interface's.
pub fn foreign(_: &mut Guestside<'_>, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32) -> Result<(), Failure> {
    Err(Status::NotFound.into())
}
