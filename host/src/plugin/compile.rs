//! From a component's bytes to code: from the cache if they were compiled before, else by a process of its own, since
//! compiling is where a small file can cost much time and memory. This process only maps what came of it.

use std::path::Path;

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

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

    /// The compiled component, for the engine of that tier. Blocks. The error says why it does not compile.
    pub fn component(&self, engine: &Engine, tier: Tier, bytes: &[u8], digest: Sha256Digest) -> Result<Component, String> {
        if let Some(component) = self.cache.as_ref().and_then(|cache| cache.find(engine, digest)) {
            return Ok(component);
        }
        let compiled = match &self.workshop {
            Workshop::Here => engine.precompile_component(bytes).map_err(|error| format!("{error:#}"))?,
            Workshop::Children(children) => children.compile(tier, bytes).map_err(|failure| failure.to_string())?,
        };
        let kept = self.cache.as_ref().and_then(|cache| cache.keep(engine, digest, &compiled));
        kept.map_or_else(|| from_memory(engine, &compiled).map_err(|error| format!("{error:#}")), Ok)
    }
}

fn from_memory(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes come from this program's compiler, just now, through a pipe that nobody else holds.
    unsafe { Component::deserialize(engine, compiled) }
}

fn open(folder: &Path) -> Option<Cache> {
    Cache::open(folder)
        .inspect_err(|error| tracing::warn!(%error, folder = %folder.display(), "no cache for compiled components; every start compiles"))
        .ok()
}
