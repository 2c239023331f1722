//! Bodies and configurations.

use crate::plugin::proxy_wasm::abi::{Buffer, Status};
use crate::plugin::proxy_wasm::host::Host;
use crate::plugin::proxy_wasm::memory::{Failure, Guestside, Outs, hand_over_with, put_u32, slice, split};
use crate::plugin::proxy_wasm::rope::Rope;

pub fn get(guest: &mut Guestside<'_>, kind: u32, start: u32, length: u32, out: u32, out_length: u32) -> Result<(), Failure> {
    let kind = Buffer::of(kind).ok_or(Status::BadArgument)?;
    let (start, outs) = (start as usize, Outs { pointer: out, length: out_length });
    let size = size(guest.data_mut(), kind)?;
    let length = (length as usize).min(size.saturating_sub(start));
    hand_over_with(guest, length, outs, |host, to| copy(host, kind, start, to))
}

/// The configuration, as 0.1.0 asks for it.
pub fn configuration(guest: &mut Guestside<'_>, out: u32, out_length: u32) -> Result<(), Failure> {
    let outs = Outs { pointer: out, length: out_length };
    let length = guest.data().config.len();
    hand_over_with(guest, length, outs, |host, to| copy(host, Buffer::PluginConfiguration, 0, to))
}

pub fn status(guest: &mut Guestside<'_>, kind: u32, out_length: u32, out_flags: u32) -> Result<(), Failure> {
    let kind = Buffer::of(kind).ok_or(Status::BadArgument)?;
    let (memory, host) = split(guest);
    put_u32(memory, out_length, size(host, kind)? as u32)?;
    Ok(put_u32(memory, out_flags, 0)?)
}

/// A body that is held may be changed; nothing else.
pub fn set(guest: &mut Guestside<'_>, kind: u32, start: u32, length: u32, bytes: u32, bytes_length: u32) -> Result<(), Failure> {
    let kind = Buffer::of(kind).ok_or(Status::BadArgument)?;
    let (memory, host) = split(guest);
    let bytes = slice(memory, bytes, bytes_length)?;
    let limit = host.limits.held_bytes;
    let body = body(host, kind)?;
    if body.len().saturating_add(bytes.len()) > limit.saturating_mul(2) {
        return Err(Status::InternalFailure.into());
    }
    body.splice(start as usize, length as usize, bytes);
    Ok(())
}

fn size(host: &mut Host, kind: Buffer) -> Result<usize, Status> {
    match kind {
        Buffer::RequestBody | Buffer::ResponseBody => Ok(body(host, kind)?.len()),
        Buffer::CallBody => host.calls.answer.as_ref().map(|answer| answer.body.len()).ok_or(Status::NotFound),
        Buffer::VmConfiguration => Ok(0),
        Buffer::PluginConfiguration => Ok(host.config.len()),
    }
}

/// The size is known, so nothing is cut off and nothing is left over.
fn copy(host: &mut Host, kind: Buffer, start: usize, to: &mut [u8]) {
    let whole: &[u8] = match kind {
        Buffer::RequestBody | Buffer::ResponseBody => {
            if let Ok(body) = body(host, kind) {
                body.copy(start, to);
            }
            return;
        }
        Buffer::CallBody => host.calls.answer.as_ref().map_or(&[], |answer| &answer.body),
        Buffer::VmConfiguration => &[],
        Buffer::PluginConfiguration => &host.config,
    };
    if let Some(part) = whole.get(start..start + to.len()) {
        to.copy_from_slice(part);
    }
}

fn body(host: &mut Host, kind: Buffer) -> Result<&mut Rope, Status> {
    let exchange = host.exchange().map_err(|_| Status::NotFound)?;
    let side = match kind {
        Buffer::RequestBody => &mut exchange.request,
        Buffer::ResponseBody => &mut exchange.response,
        Buffer::CallBody | Buffer::VmConfiguration | Buffer::PluginConfiguration => return Err(Status::BadArgument),
    };
    if side.body_open { Ok(&mut side.body) } else { Err(Status::NotFound) }
}
