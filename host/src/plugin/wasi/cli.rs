//! `wasi:cli`: no environment, no arguments, no terminal, an input at its end, outputs that print to the log, and an
//! exit that is a fault, since a plugin is not a program of its own.

use wasmtime::component::Resource;

use super::Misuse;
use super::lines::Output;
use super::wit::cli::{environment, exit, stderr, stdin, stdout};
use super::wit::cli::{terminal_input, terminal_output, terminal_stderr, terminal_stdin, terminal_stdout};
use super::wit::io::streams::{InputStream, OutputStream};
use crate::plugin::state::HostState;

use terminal_input::TerminalInput;
use terminal_output::TerminalOutput;

impl environment::Host for HostState {
    fn get_environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        self.count_host_call()?;
        Ok(Vec::new())
    }

    fn get_arguments(&mut self) -> wasmtime::Result<Vec<String>> {
        self.count_host_call()?;
        Ok(Vec::new())
    }

    fn initial_cwd(&mut self) -> wasmtime::Result<Option<String>> {
        self.count_host_call()?;
        Ok(None)
    }
}

impl exit::Host for HostState {
    fn exit(&mut self, _status: Result<(), ()>) -> wasmtime::Result<()> {
        Err(Misuse::Exit.into())
    }

    fn exit_with_code(&mut self, _code: u8) -> wasmtime::Result<()> {
        Err(Misuse::Exit.into())
    }
}

impl stdin::Host for HostState {
    fn get_stdin(&mut self) -> wasmtime::Result<Resource<InputStream>> {
        self.open_input()
    }
}

impl stdout::Host for HostState {
    fn get_stdout(&mut self) -> wasmtime::Result<Resource<OutputStream>> {
        self.open_output(Output::Stdout)
    }
}

impl stderr::Host for HostState {
    fn get_stderr(&mut self) -> wasmtime::Result<Resource<OutputStream>> {
        self.open_output(Output::Stderr)
    }
}

impl terminal_input::Host for HostState {}

impl terminal_input::HostTerminalInput for HostState {
    fn drop(&mut self, _: Resource<TerminalInput>) -> wasmtime::Result<()> {
        self.close()
    }
}

impl terminal_output::Host for HostState {}

impl terminal_output::HostTerminalOutput for HostState {
    fn drop(&mut self, _: Resource<TerminalOutput>) -> wasmtime::Result<()> {
        self.close()
    }
}

impl terminal_stdin::Host for HostState {
    fn get_terminal_stdin(&mut self) -> wasmtime::Result<Option<Resource<TerminalInput>>> {
        self.count_host_call()?;
        Ok(None)
    }
}

impl terminal_stdout::Host for HostState {
    fn get_terminal_stdout(&mut self) -> wasmtime::Result<Option<Resource<TerminalOutput>>> {
        self.count_host_call()?;
        Ok(None)
    }
}

impl terminal_stderr::Host for HostState {
    fn get_terminal_stderr(&mut self) -> wasmtime::Result<Option<Resource<TerminalOutput>>> {
        self.count_host_call()?;
        Ok(None)
    }
}
