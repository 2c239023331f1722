//! The guest's memory: pointers are checked, and what a guest gets is put where its own allocator says.

use wasmtime::Caller;

use super::abi::Status;
use super::host::Host;

/// A host function's view of the guest that called it.
pub(super) type Guestside<'a> = Caller<'a, Host>;

/// Why a host function did not do its work.
pub(super) enum Failure {
    /// The guest is told.
    Told(Status),
    /// The guest is ended.
    Trap(wasmtime::Error),
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Failure::Told(status)
    }
}

impl From<wasmtime::Error> for Failure {
    fn from(error: wasmtime::Error) -> Self {
        Failure::Trap(error)
    }
}

/// What the guest sees of it.
pub(super) fn told(outcome: Result<(), Failure>) -> wasmtime::Result<u32> {
    match outcome {
        Ok(()) => Ok(Status::Ok as u32),
        Err(Failure::Told(status)) => Ok(status as u32),
        Err(Failure::Trap(error)) => Err(error),
    }
}

/// Memory and host, apart.
pub(super) fn split<'a>(guest: &'a mut Guestside<'_>) -> (&'a mut [u8], &'a mut Host) {
    match guest.data().memory_of_guest {
        Some(memory) => memory.data_and_store_mut(guest),
        // Before there is a memory nothing is in it.
        None => (&mut [], guest.data_mut()),
    }
}

/// The bytes at that place.
pub(super) fn slice(memory: &[u8], place: u32, length: u32) -> Result<&[u8], Status> {
    let place = place as usize;
    memory.get(place..place.saturating_add(length as usize)).ok_or(Status::InvalidMemoryAccess)
}

/// The same, to be written.
pub(super) fn slice_mut(memory: &mut [u8], place: u32, length: usize) -> Result<&mut [u8], Status> {
    let place = place as usize;
    memory.get_mut(place..place.saturating_add(length)).ok_or(Status::InvalidMemoryAccess)
}

/// Writes a number.
pub(super) fn put_u32(memory: &mut [u8], place: u32, number: u32) -> Result<(), Status> {
    slice_mut(memory, place, 4).map(|to| to.copy_from_slice(&number.to_le_bytes()))
}

/// Writes a large number.
pub(super) fn put_u64(memory: &mut [u8], place: u32, number: u64) -> Result<(), Status> {
    slice_mut(memory, place, 8).map(|to| to.copy_from_slice(&number.to_le_bytes()))
}

/// Where a guest wants a pointer and a length.
#[derive(Clone, Copy)]
pub(super) struct Outs {
    pub pointer: u32,
    pub length: u32,
}

/// Hands bytes over to the guest.
pub(super) fn hand_over(guest: &mut Guestside<'_>, bytes: impl AsRef<[u8]>, outs: Outs) -> Result<(), Failure> {
    let bytes = bytes.as_ref();
    hand_over_with(guest, bytes.len(), outs, |_, to| to.copy_from_slice(bytes))
}

/// The same for so many bytes that the host writes once there is room for them.
pub(super) fn hand_over_with(
    guest: &mut Guestside<'_>,
    length: usize,
    outs: Outs,
    write: impl FnOnce(&mut Host, &mut [u8]),
) -> Result<(), Failure> {
    let place = match length {
        0 => 0,
        length => allocate(guest, u32::try_from(length).map_err(|_| Status::InternalFailure)?)?,
    };
    let (memory, host) = split(guest);
    put_u32(memory, outs.pointer, place)?;
    put_u32(memory, outs.length, length as u32)?;
    write(host, slice_mut(memory, place, length)?);
    Ok(())
}

/// Room in the guest's memory. The guest's own code finds it, so this may trap.
fn allocate(guest: &mut Guestside<'_>, length: u32) -> Result<u32, Failure> {
    let Some(allocator) = guest.data().allocator.clone() else { return Err(Status::InternalFailure.into()) };
    match allocator.call(&mut *guest, length)? {
        0 => Err(Status::InternalFailure.into()),
        place => Ok(place),
    }
}
