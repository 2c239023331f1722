//! Header maps: of the request, the response, and the answer to a call.

use crate::plugin::proxy_wasm::abi::{Map, Status};
use crate::plugin::proxy_wasm::host::Host;
use crate::plugin::proxy_wasm::memory::{Failure, Guestside, Outs, hand_over, hand_over_with, put_u32, slice, split};
use crate::plugin::proxy_wasm::message::{Head, pairs as encoding};
use crate::plugin::proxy_wasm::stream::Side;

pub fn size(guest: &mut Guestside<'_>, map: u32, out: u32) -> Result<(), Failure> {
    let (memory, host) = split(guest);
    let bytes = readable(host, map)?.map_or(0, encoding::size);
    Ok(put_u32(memory, out, bytes as u32)?)
}

pub fn pairs(guest: &mut Guestside<'_>, map: u32, out: u32, out_length: u32) -> Result<(), Failure> {
    let outs = Outs { pointer: out, length: out_length };
    let size = readable(guest.data_mut(), map)?.map_or(0, encoding::size);
    hand_over_with(guest, size, outs, |host, to| {
        // The allocator is the guest's own code, and calls nothing that could have changed the map.
        if let Ok(Some(head)) = readable(host, map) {
            if encoding::size(head) == to.len() {
                encoding::write(head, to);
            }
        }
    })
}

pub fn get(guest: &mut Guestside<'_>, map: u32, key: u32, key_length: u32, out: u32, out_length: u32) -> Result<(), Failure> {
    let (memory, host) = split(guest);
    let key = slice(memory, key, key_length)?;
    let value = readable(host, map)?.and_then(|head| head.get(key)).ok_or(Status::NotFound)?;
    hand_over(guest, value, Outs { pointer: out, length: out_length })
}

pub fn set_pairs(guest: &mut Guestside<'_>, map: u32, pairs: u32, length: u32) -> Result<(), Failure> {
    let (memory, host) = split(guest);
    let pairs = encoding::read(slice(memory, pairs, length)?)?;
    Ok(writable(host, map)?.replace(&pairs)?)
}

pub fn add(guest: &mut Guestside<'_>, map: u32, key: u32, key_length: u32, value: u32, value_length: u32) -> Result<(), Failure> {
    let (memory, host) = split(guest);
    let (key, value) = (slice(memory, key, key_length)?, slice(memory, value, value_length)?);
    host.spend_header_bytes(key.len() + value.len())?;
    Ok(writable(host, map)?.add(key, value)?)
}

pub fn replace(guest: &mut Guestside<'_>, map: u32, key: u32, key_length: u32, value: u32, value_length: u32) -> Result<(), Failure> {
    let (memory, host) = split(guest);
    let (key, value) = (slice(memory, key, key_length)?, slice(memory, value, value_length)?);
    host.spend_header_bytes(key.len() + value.len())?;
    Ok(writable(host, map)?.set(key, value)?)
}

pub fn remove(guest: &mut Guestside<'_>, map: u32, key: u32, key_length: u32) -> Result<(), Failure> {
    let (memory, host) = split(guest);
    let key = slice(memory, key, key_length)?;
    Ok(writable(host, map)?.remove(key)?)
}

/// A map, or None where it is not there yet.
fn readable(host: &mut Host, map: u32) -> Result<Option<&Head>, Status> {
    Ok(match Map::of(map).ok_or(Status::BadArgument)? {
        Map::RequestHeaders => Some(&host.exchange()?.request.head),
        Map::RequestTrailers => host.exchange()?.request.trailers.as_ref(),
        Map::ResponseHeaders => Some(&host.exchange()?.response.head),
        Map::ResponseTrailers => host.exchange()?.response.trailers.as_ref(),
        Map::CallHeaders => host.calls.answer.as_ref().map(|answer| &answer.head),
        Map::CallTrailers => None,
    })
}

/// A map that is still the guest's to change.
fn writable(host: &mut Host, map: u32) -> Result<&mut Head, Status> {
    match Map::of(map).ok_or(Status::BadArgument)? {
        Map::RequestHeaders => open_head(&mut host.exchange()?.request),
        Map::RequestTrailers => host.exchange()?.request.trailers.as_mut().ok_or(Status::BadArgument),
        Map::ResponseHeaders => open_head(&mut host.exchange()?.response),
        Map::ResponseTrailers => host.exchange()?.response.trailers.as_mut().ok_or(Status::BadArgument),
        Map::CallHeaders | Map::CallTrailers => Err(Status::BadArgument),
    }
}

fn open_head(side: &mut Side) -> Result<&mut Head, Status> {
    if side.headers_open { Ok(&mut side.head) } else { Err(Status::BadArgument) }
}
