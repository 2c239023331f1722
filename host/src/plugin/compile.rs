//! From a component's bytes to code: from the cache if they were compiled before, else by a process of its own, since
//! compiling is where a small file can cost much time and memory. This process only maps what came of it.

use std::path::Path;

use sha2::{Digest, Sha256};
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

mod cache;
mod child;
pub mod confined;

use cache::Cache;
pub use child::{Allowance, Children};

use super::engine::Tier;

/// The SHA-256 of a component's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256Digest(pub [u8; 32]);

impl Sha256Digest {
    /// Hashes a component.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The first twelve hexadecimal digits: a plugin's version in logs and metrics.
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

impl std::fmt::Display for Sha256Digest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Sha256Digest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, formatter)
    }
}

/// What compiling makes.
pub trait Code: Sized {
    /// Machine code, as bytes.
    fn compile(engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Vec<u8>>;

    /// From bytes in memory.
    ///
    /// # Safety
    /// They have to be what [`Code::compile`] made, in this or another process.
    unsafe fn from_memory(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Self>;

    /// Mapped from a file.
    ///
    /// # Safety
    /// The same of what is in it, which may not change any more.
    unsafe fn from_file(engine: &Engine, path: &Path) -> wasmtime::Result<Self>;
}

impl Code for Component {
    fn compile(engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Vec<u8>> {
        engine.precompile_component(bytes)
    }

    unsafe fn from_memory(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Self> {
        // SAFETY: the caller's.
        unsafe { Component::deserialize(engine, compiled) }
    }

    unsafe fn from_file(engine: &Engine, path: &Path) -> wasmtime::Result<Self> {
        // SAFETY: the caller's.
        unsafe { Component::deserialize_file(engine, path) }
    }
}

impl Code for Module {
    fn compile(engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Vec<u8>> {
        engine.precompile_module(bytes)
    }

    unsafe fn from_memory(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Self> {
        // SAFETY: the caller's.
        unsafe { Module::deserialize(engine, compiled) }
    }

    unsafe fn from_file(engine: &Engine, path: &Path) -> wasmtime::Result<Self> {
        // SAFETY: the caller's.
        unsafe { Module::deserialize_file(engine, path) }
    }
}

/// Where components are compiled.
pub enum Workshop {
    /// In this process, as long as it takes: for programs that load no plugins but their own.
    Here,
    /// In processes of their own, with an allowance.
    Children(Children),
}

/// Compiles components and keeps what came of it.
pub struct Compiler {
    cache: Option<Cache>,
    workshop: Workshop,
}

impl Compiler {
    /// With a folder for what was compiled. Without one, or where it cannot be written, every start compiles.
    pub fn new(cache: Option<&Path>, workshop: Workshop) -> Self {
        Self { cache: cache.and_then(open), workshop }
    }

    /// Says that requests are served from now on, and come before compiling. What was compiled and nobody asked for in a
    /// long time goes then: all that this process begins with was asked for by now.
    pub fn give_way(&self) {
        if let Some(cache) = &self.cache {
            cache.tidy();
        }
        if let Workshop::Children(children) = &self.workshop {
            children.give_way();
        }
    }

    /// Removes what was compiled of a component.
    pub fn forget(&self, engine: &Engine, digest: Sha256Digest) {
        if let Some(cache) = &self.cache {
            cache.remove(engine, digest);
        }
    }

    /// The compiled component or module, for the engine of that tier. Blocks. The error says why it does not compile.
    pub fn code<C: Code>(&self, engine: &Engine, tier: Tier, bytes: &[u8], digest: Sha256Digest) -> Result<C, String> {
        if let Some(code) = self.cache.as_ref().and_then(|cache| cache.find(engine, digest)) {
            return Ok(code);
        }
        let compiled = match &self.workshop {
            Workshop::Here => C::compile(engine, bytes).map_err(|error| format!("{error:#}"))?,
            Workshop::Children(children) => children.compile(tier, bytes).map_err(|failure| failure.to_string())?,
        };
        let kept = self.cache.as_ref().and_then(|cache| cache.keep(engine, digest, &compiled));
        kept.map_or_else(|| from_memory(engine, &compiled).map_err(|error| format!("{error:#}")), Ok)
    }
}

fn from_memory<C: Code>(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<C> {
    // SAFETY: the bytes come from this program's compiler, just now, through a pipe that nobody else holds.
    unsafe { C::from_memory(engine, compiled) }
}

fn open(folder: &Path) -> Option<Cache> {
    Cache::open(folder)
        .inspect_err(|error| tracing::warn!(%error, folder = %folder.display(), "no cache for compiled components; every start compiles"))
        .ok()
}
