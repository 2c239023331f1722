//! `wasi:random`: the kernel's randomness for all three interfaces, so that no guest can learn of a weaker generator's
//! state.

use std::io::{Error, ErrorKind};

use super::Misuse;
use super::wit::random::{insecure, insecure_seed, random};
use crate::plugin::state::HostState;

/// Bytes in one call.
const MAX_BYTES: u64 = 64 << 10;

impl HostState {
    fn random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.count_host_call()?;
        if len > MAX_BYTES {
            return Err(Misuse::Random { got: len, limit: MAX_BYTES }.into());
        }
        let mut bytes = vec![0; len as usize];
        fill(&mut bytes)?;
        Ok(bytes)
    }

    fn random_number(&mut self) -> wasmtime::Result<u64> {
        self.count_host_call()?;
        let mut bytes = [0; 8];
        fill(&mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }
}

fn fill(bytes: &mut [u8]) -> Result<(), Error> {
    let mut filled = 0;
    while filled < bytes.len() {
        let rest = &mut bytes[filled..];
        // SAFETY: the pointer and the length are of one slice of ours.
        let got = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match usize::try_from(got) {
            Ok(got) => filled += got,
            Err(_) => interrupted(Error::last_os_error())?,
        }
    }
    Ok(())
}

/// A signal in between is no failure.
fn interrupted(error: Error) -> Result<(), Error> {
    match error.kind() {
        ErrorKind::Interrupted => Ok(()),
        _ => Err(error),
    }
}

impl random::Host for HostState {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(len)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.random_number()
    }
}

impl insecure::Host for HostState {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.random_number()
    }
}

impl insecure_seed::Host for HostState {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((self.random_number()?, self.random_number()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_answer_is_filled_to_its_end() {
        let mut bytes = vec![0; MAX_BYTES as usize];
        fill(&mut bytes).expect("the kernel has randomness");
        let tail = &bytes[bytes.len() - 64..];
        assert!(tail.iter().any(|byte| *byte != 0), "64 zeroes in a row come once in 2^512 times");
    }
}
