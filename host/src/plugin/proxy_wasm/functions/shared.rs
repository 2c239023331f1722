//! Data and queues that all instances of the plugin share.

use tokio::sync::mpsc::unbounded_channel;

use crate::plugin::Capability;
use crate::plugin::proxy_wasm::memory::{Failure, Guestside, Outs, hand_over, put_u32, slice, split};

pub fn get(guest: &mut Guestside<'_>, key: u32, key_length: u32, out: u32, out_length: u32, out_cas: u32) -> Result<(), Failure> {
    let (memory, host) = split(guest);
    host.granted(Capability::Kv)?;
    let (value, written) = host.common.get(slice(memory, key, key_length)?)?;
    put_u32(memory, out_cas, written)?;
    hand_over(guest, value, Outs { pointer: out, length: out_length })
}

pub fn set(guest: &mut Guestside<'_>, key: u32, key_length: u32, value: u32, value_length: u32, cas: u32) -> Result<(), Failure> {
    let (memory, host) = split(guest);
    host.granted(Capability::Kv)?;
    Ok(host.common.set(slice(memory, key, key_length)?, slice(memory, value, value_length)?, cas)?)
}

pub fn register(guest: &mut Guestside<'_>, name: u32, length: u32, out: u32) -> Result<(), Failure> {
    let (memory, host) = split(guest);
    host.granted(Capability::Kv)?;
    let name = slice(memory, name, length)?;
    if host.queue.is_none() {
        let (sender, news) = unbounded_channel();
        (host.queue, host.queue_news, host.has_news) = (Some(sender), Some(news), true);
    }
    let Some(listener) = host.queue.clone() else { return Ok(()) };
    let queue = host.common.register(name, listener)?;
    Ok(put_u32(memory, out, queue)?)
}

/// All instances of a plugin are one machine, whatever the guest calls it.
pub fn resolve(guest: &mut Guestside<'_>, _vm: u32, _vm_length: u32, name: u32, length: u32, out: u32) -> Result<(), Failure> {
    let (memory, host) = split(guest);
    host.granted(Capability::Kv)?;
    let queue = host.common.resolve(slice(memory, name, length)?)?;
    Ok(put_u32(memory, out, queue)?)
}

pub fn enqueue(guest: &mut Guestside<'_>, queue: u32, item: u32, length: u32) -> Result<(), Failure> {
    let (memory, host) = split(guest);
    host.granted(Capability::Kv)?;
    Ok(host.common.enqueue(queue, slice(memory, item, length)?)?)
}

pub fn dequeue(guest: &mut Guestside<'_>, queue: u32, out: u32, out_length: u32) -> Result<(), Failure> {
    guest.data().granted(Capability::Kv)?;
    let item = guest.data().common.dequeue(queue)?;
    hand_over(guest, item, Outs { pointer: out, length: out_length })
}
