//! `wasi:io/streams` and `wasi:io/error`: an input that is at its end, and outputs that print to the log. Neither
//! ever fails, so there are no errors to ask about.

use wasmtime::component::Resource;

use super::Misuse;
use super::lines::Output;
use super::wit::io::error::{self, Error};
use super::wit::io::poll::Pollable;
use super::wit::io::streams::{self, InputStream, OutputStream, StreamError};
use crate::plugin::state::HostState;

/// Bytes that may be written at once; WASI's own bound for its blocking writes.
const MAX_WRITE: u64 = 4096;

type Outcome<T> = wasmtime::Result<Result<T, StreamError>>;

impl HostState {
    pub(super) fn open_input(&mut self) -> wasmtime::Result<Resource<InputStream>> {
        self.open(0)
    }

    pub(super) fn open_output(&mut self, output: Output) -> wasmtime::Result<Resource<OutputStream>> {
        self.open(match output {
            Output::Stdout => 1,
            Output::Stderr => 2,
        })
    }

    fn end_of_input<T>(&mut self) -> Outcome<T> {
        self.count_host_call()?;
        Ok(Err(StreamError::Closed))
    }

    fn write_to(&mut self, stream: &Resource<OutputStream>, bytes: &[u8]) -> Outcome<()> {
        self.count_host_call()?;
        at_most(bytes.len() as u64)?;
        self.print(output(stream), bytes);
        Ok(Ok(()))
    }

    fn write_zeroes_to(&mut self, stream: &Resource<OutputStream>, len: u64) -> Outcome<()> {
        at_most(len)?;
        self.write_to(stream, &[0; MAX_WRITE as usize][..len as usize])
    }
}

fn output(stream: &Resource<OutputStream>) -> Output {
    match stream.rep() {
        1 => Output::Stdout,
        _ => Output::Stderr,
    }
}

fn at_most(len: u64) -> Result<(), Misuse> {
    match len > MAX_WRITE {
        true => Err(Misuse::Write { got: len, limit: MAX_WRITE }),
        false => Ok(()),
    }
}

impl streams::Host for HostState {}

impl streams::HostInputStream for HostState {
    fn read(&mut self, _: Resource<InputStream>, _: u64) -> Outcome<Vec<u8>> {
        self.end_of_input()
    }

    fn blocking_read(&mut self, _: Resource<InputStream>, _: u64) -> Outcome<Vec<u8>> {
        self.end_of_input()
    }

    fn skip(&mut self, _: Resource<InputStream>, _: u64) -> Outcome<u64> {
        self.end_of_input()
    }

    fn blocking_skip(&mut self, _: Resource<InputStream>, _: u64) -> Outcome<u64> {
        self.end_of_input()
    }

    fn subscribe(&mut self, _: Resource<InputStream>) -> wasmtime::Result<Resource<Pollable>> {
        self.open_ready()
    }

    fn drop(&mut self, _: Resource<InputStream>) -> wasmtime::Result<()> {
        self.close()
    }
}

impl streams::HostOutputStream for HostState {
    fn check_write(&mut self, _: Resource<OutputStream>) -> Outcome<u64> {
        self.count_host_call()?;
        Ok(Ok(MAX_WRITE))
    }

    fn write(&mut self, stream: Resource<OutputStream>, contents: Vec<u8>) -> Outcome<()> {
        self.write_to(&stream, &contents)
    }

    fn blocking_write_and_flush(&mut self, stream: Resource<OutputStream>, contents: Vec<u8>) -> Outcome<()> {
        self.write_to(&stream, &contents)
    }

    // Rust flushes after each piece of a line, so a flush is no end of one.
    fn flush(&mut self, _: Resource<OutputStream>) -> Outcome<()> {
        self.count_host_call()?;
        Ok(Ok(()))
    }

    fn blocking_flush(&mut self, stream: Resource<OutputStream>) -> Outcome<()> {
        self.flush(stream)
    }

    fn subscribe(&mut self, _: Resource<OutputStream>) -> wasmtime::Result<Resource<Pollable>> {
        self.open_ready()
    }

    fn write_zeroes(&mut self, stream: Resource<OutputStream>, len: u64) -> Outcome<()> {
        self.write_zeroes_to(&stream, len)
    }

    fn blocking_write_zeroes_and_flush(&mut self, stream: Resource<OutputStream>, len: u64) -> Outcome<()> {
        self.write_zeroes_to(&stream, len)
    }

    fn splice(&mut self, _: Resource<OutputStream>, _: Resource<InputStream>, _: u64) -> Outcome<u64> {
        self.end_of_input()
    }

    fn blocking_splice(&mut self, _: Resource<OutputStream>, _: Resource<InputStream>, _: u64) -> Outcome<u64> {
        self.end_of_input()
    }

    fn drop(&mut self, _: Resource<OutputStream>) -> wasmtime::Result<()> {
        self.close()
    }
}

impl error::Host for HostState {}

// No stream fails, so a guest never has one of these to call upon.
impl error::HostError for HostState {
    fn to_debug_string(&mut self, _: Resource<Error>) -> wasmtime::Result<String> {
        self.count_host_call()?;
        Ok("no stream of a plugin fails".into())
    }

    fn drop(&mut self, _: Resource<Error>) -> wasmtime::Result<()> {
        self.close()
    }
}
