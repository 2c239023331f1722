//! What becomes of a stream: it goes on, it is closed, it is answered here.

use bytes::Bytes;

use crate::plugin::proxy_wasm::abi::Status;
use crate::plugin::proxy_wasm::memory::{Failure, Guestside, Outs, hand_over, put_u32, slice, split};
use crate::plugin::proxy_wasm::message::{Head, Line, field_value, pairs};
use crate::plugin::proxy_wasm::stream::Direction;
use crate::plugin::verdict::{self, Reply};

pub fn go_on(guest: &mut Guestside<'_>, stream: u32) -> Result<(), Failure> {
    match stream {
        0 => resume(guest, Direction::Request),
        1 => resume(guest, Direction::Response),
        2 | 3 => Err(Status::Unimplemented.into()),
        _ => Err(Status::BadArgument.into()),
    }
}

pub fn go_on_with_request(guest: &mut Guestside<'_>) -> Result<(), Failure> {
    resume(guest, Direction::Request)
}

pub fn go_on_with_response(guest: &mut Guestside<'_>) -> Result<(), Failure> {
    resume(guest, Direction::Response)
}

fn resume(guest: &mut Guestside<'_>, direction: Direction) -> Result<(), Failure> {
    let exchange = guest.data_mut().exchange()?;
    exchange.side(direction).resumed = true;
    exchange.wake();
    Ok(())
}

pub fn close(guest: &mut Guestside<'_>, stream: u32) -> Result<(), Failure> {
    if stream > 3 {
        return Err(Status::BadArgument.into());
    }
    let exchange = guest.data_mut().exchange()?;
    exchange.closed = true;
    exchange.wake();
    Ok(())
}

/// Routes are found once, before the chain.
pub fn clear_route(_: &mut Guestside<'_>) -> Result<(), Failure> {
    Ok(())
}

/// What became of the last call: nothing is told of gRPC here.
pub fn status(guest: &mut Guestside<'_>, out_code: u32, out: u32, out_length: u32) -> Result<(), Failure> {
    put_u32(split(guest).0, out_code, 0)?;
    hand_over(guest, b"", Outs { pointer: out, length: out_length })
}

#[expect(clippy::too_many_arguments, reason = "the interface has as many")]
pub fn respond(
    guest: &mut Guestside<'_>,
    code: u32,
    _details: u32,
    _details_length: u32,
    body: u32,
    body_length: u32,
    headers: u32,
    headers_length: u32,
    grpc: i32,
) -> Result<(), Failure> {
    let (memory, host) = split(guest);
    let limit = host.limits.reply_bytes;
    let (body, headers) = (slice(memory, body, body_length)?, slice(memory, headers, headers_length)?);
    if body.len() + headers.len() > limit {
        return Err(Status::InternalFailure.into());
    }
    let mut reply = reply(code, &pairs::read(headers)?, body)?;
    if let Ok(grpc @ 0..) = u32::try_from(grpc) {
        reply.headers.insert("grpc-status", grpc.into());
    }
    let exchange = host.exchange()?;
    // The first one counts.
    exchange.reply.get_or_insert(reply);
    exchange.wake();
    Ok(())
}

/// Text, where the guest does not say what it is: as other hosts have it.
fn reply(code: u32, headers: &[(&[u8], &[u8])], body: &[u8]) -> Result<Reply, Status> {
    let code = u16::try_from(code).map_err(|_| Status::BadArgument)?;
    let status = verdict::status(code).map_err(|_| Status::BadArgument)?;
    let mut head = Head { line: Line::Response(status), ..Head::default() };
    for (name, value) in headers.iter().filter(|(name, _)| !name.starts_with(b":")) {
        head.add(name, value)?;
    }
    if !body.is_empty() && !head.headers.contains_key(http::header::CONTENT_TYPE) {
        head.headers.insert(http::header::CONTENT_TYPE, field_value(b"text/plain")?);
    }
    Ok(Reply { status, headers: head.headers, body: Bytes::copy_from_slice(body) })
}
