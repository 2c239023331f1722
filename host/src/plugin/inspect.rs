//! Structure limits: one streaming pass over a component's bytes, before anything is compiled. Compiling is where a
//! small file can cost much, so what is out of proportion is refused by counting alone.

use thiserror::Error;
use wasmparser::{Encoding, Parser, Payload, Validator, WasmFeatures};

use super::Kind;
use super::engine::Tier;

/// Bytes of a component.
pub const MAX_BYTES: usize = 32 << 20;
const MAX_FUNCTIONS: u32 = 100_000;
const MAX_FUNCTION_BYTES: usize = 1 << 20;
const MAX_MODULES: u32 = 64;
const MAX_COMPONENTS: u32 = 256;
const MAX_MEMORIES: u64 = 4;
const MAX_DEPTH: usize = 8;

/// What is out of proportion, or not a component at all.
#[derive(Debug, Error)]
pub enum Malformed {
    /// The file is too large.
    #[error("{got} bytes where {MAX_BYTES} are allowed")]
    TooLarge {
        /// Its size.
        got: usize,
    },
    /// A core module, text, machine code or something else.
    #[error("not a WebAssembly component{hint}")]
    NotAComponent {
        /// What it seems to be.
        hint: &'static str,
    },
    /// One of the structure limits.
    #[error("{got} {what} where {limit} are allowed")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How much.
        got: u64,
        /// How much is allowed.
        limit: u64,
    },
    /// Not valid WebAssembly.
    #[error("not valid: {0}")]
    Invalid(#[from] wasmparser::BinaryReaderError),
}

/// Checks size, form and structure, and that the binary is valid for its engine.
pub fn inspect(bytes: &[u8]) -> Result<(), Malformed> {
    if bytes.len() > MAX_BYTES {
        return Err(Malformed::TooLarge { got: bytes.len() });
    }
    let tier = Kind::of(bytes).tier();
    let is_what_it_is_taken_for = if tier == Tier::ProxyWasm { Parser::is_core_wasm } else { Parser::is_component };
    if !is_what_it_is_taken_for(bytes) {
        return Err(Malformed::NotAComponent { hint: hint(bytes) });
    }
    count(bytes)?;
    Validator::new_with_features(features(tier)).validate_all(bytes)?;
    Ok(())
}

fn hint(bytes: &[u8]) -> &'static str {
    match bytes {
        _ if Parser::is_core_wasm(bytes) => {
            " but a core module, and no Proxy-Wasm filter, which exports `proxy_abi_version_0_2_1`: build for wasm32-wasip2, or run \
             `wasm-tools component new`"
        }
        [0x7f, b'E', b'L', b'F', ..] => " but machine code, which is never accepted",
        [b'(', ..] => " but text: assemble it first",
        _ => "",
    }
}

/// What the engine is configured for, so that a refusal comes before the compiler.
fn features(tier: Tier) -> WasmFeatures {
    let off = WasmFeatures::MEMORY64
        | WasmFeatures::TAIL_CALL
        | WasmFeatures::RELAXED_SIMD
        | WasmFeatures::THREADS
        | WasmFeatures::GC
        | WasmFeatures::EXCEPTIONS;
    match tier {
        Tier::Contract | Tier::ProxyWasm => WasmFeatures::all().difference(off | WasmFeatures::CM_ASYNC),
        Tier::Foreign => WasmFeatures::all().difference(off),
    }
}

#[derive(Default)]
struct Counts {
    functions: u32,
    modules: u32,
    components: u32,
    memories: u64,
    depth: usize,
}

fn count(bytes: &[u8]) -> Result<(), Malformed> {
    let mut counts = Counts::default();
    for payload in Parser::new(0).parse_all(bytes) {
        counts.add(payload?)?;
    }
    Ok(())
}

impl Counts {
    fn add(&mut self, payload: Payload<'_>) -> Result<(), Malformed> {
        match payload {
            Payload::CodeSectionStart { count, .. } => self.functions = self.functions.saturating_add(count),
            Payload::CodeSectionEntry(body) => at_most("bytes in one function", body.range().len() as u64, MAX_FUNCTION_BYTES as u64)?,
            Payload::MemorySection(memories) => self.memories += u64::from(memories.count()),
            Payload::Version { encoding: Encoding::Module, .. } => self.modules += 1,
            Payload::Version { encoding: Encoding::Component, .. } => self.components += 1,
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => self.depth += 1,
            Payload::End(_) => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        at_most("functions", u64::from(self.functions), u64::from(MAX_FUNCTIONS))?;
        at_most("core modules", u64::from(self.modules), u64::from(MAX_MODULES))?;
        at_most("components", u64::from(self.components), u64::from(MAX_COMPONENTS))?;
        at_most("memories", self.memories, MAX_MEMORIES)?;
        at_most("levels of nesting", self.depth as u64, MAX_DEPTH as u64)
    }
}

fn at_most(what: &'static str, got: u64, limit: u64) -> Result<(), Malformed> {
    match got > limit {
        true => Err(Malformed::TooMany { what, got, limit }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(bytes: &[u8], why: &str) {
        let refusal = inspect(bytes).expect_err("refused").to_string();
        assert!(refusal.contains(why), "{refusal:?} should say {why:?}");
    }

    #[test]
    fn what_is_not_a_component_is_refused_with_a_hint() {
        refused(b"\0asm\x01\0\0\0", "core module");
        refused(b"\x7fELF....", "machine code");
        refused(b"(component)", "text");
        refused(b"", "not a WebAssembly component");
    }

    #[test]
    fn a_truncated_component_is_not_valid() {
        refused(b"\0asm\x0d\0\x01\0\x01\xff", "not valid");
    }

    #[test]
    fn more_modules_than_a_plugin_needs_are_refused() {
        let module = b"\0asm\x01\0\0\0";
        let mut component = b"\0asm\x0d\0\x01\0".to_vec();
        for _ in 0..MAX_MODULES + 1 {
            component.extend([1, module.len() as u8]);
            component.extend(module);
        }
        refused(&component, "core modules");
    }
}
