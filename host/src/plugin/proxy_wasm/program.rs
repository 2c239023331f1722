//! A module that was compiled and linked, with a configuration: what instances are made from.

use std::sync::Arc;

use crossbeam_queue::ArrayQueue;
use wasmtime::{ExternType, InstancePre, Linker, Module, UnknownImportError};

use crate::plugin::load::Refusal;
use crate::plugin::needs::{BodyMode, Needs};
use crate::plugin::{Capability, Grants, HttpGrant, Limits};

use super::common::Common;
use super::functions;
use super::guest::Guest;
use super::host::Host;

/// Instances that are made ahead.
const AHEAD: usize = 4;

/// What instances are made from.
pub struct Program {
    pub(super) pre: InstancePre<Host>,
    pub(super) config: Arc<[u8]>,
    pub(super) common: Arc<Common>,
    /// Instances that no worker has yet.
    pub(in crate::plugin) ready: ArrayQueue<Box<Guest>>,
}

impl Program {
    /// Links a module with all that this host has. `config` is JSON: a string is given to the guest without its quotes, and an
    /// empty object, which a step without a configuration has, as nothing.
    pub fn link(module: &Module, config: &str, common: Arc<Common>) -> Result<Self, Refusal> {
        let pre = linked(module)?;
        Ok(Self { pre, config: given(config).into(), common, ready: ArrayQueue::new(AHEAD) })
    }

    /// Which callbacks the module has, in the words of components.
    pub fn needs(&self) -> Needs {
        let has = |names: [&str; 2]| names.iter().any(|name| self.pre.module().get_export(name).is_some());
        let body = |names| if has(names) { BodyMode::Streamed } else { BodyMode::None };
        Needs {
            request: true,
            response: true,
            request_body: body(["proxy_on_request_body", "proxy_on_request_trailers"]),
            response_body: body(["proxy_on_response_body", "proxy_on_response_trailers"]),
            all_request_headers: true,
            all_response_headers: true,
            ..Needs::default()
        }
    }
}

/// Checks that a module can be a filter here: its imports, and what the host needs of it.
pub fn check(module: &Module) -> Result<(), Refusal> {
    linked(module).map(drop)
}

/// The names of what it imports.
pub fn imports(module: &Module) -> Vec<String> {
    module.imports().map(|import| format!("{}.{}", import.module(), import.name())).collect()
}

fn linked(module: &Module) -> Result<InstancePre<Host>, Refusal> {
    let mut linker = Linker::new(module.engine());
    functions::link(&mut linker).map_err(not_a_plugin)?;
    if !matches!(module.get_export("memory"), Some(ExternType::Memory(_))) {
        return Err(Refusal::NotAPlugin("it exports no `memory`".into()));
    }
    if !["proxy_on_memory_allocate", "malloc"].iter().any(|name| module.get_export(name).is_some()) {
        return Err(Refusal::NotAPlugin("it exports neither `proxy_on_memory_allocate` nor `malloc`".into()));
    }
    linker.instantiate_pre(module).map_err(|error| match error.downcast_ref::<UnknownImportError>() {
        Some(missing) => Refusal::UnknownImport { import: format!("{}.{}", missing.module(), missing.name()) },
        None => not_a_plugin(error),
    })
}

fn not_a_plugin(error: wasmtime::Error) -> Refusal {
    Refusal::NotAPlugin(format!("{error:#}"))
}

/// The configuration as a guest gets it.
fn given(config: &str) -> Vec<u8> {
    match serde_json::from_str(config) {
        Ok(serde_json::Value::String(text)) => text.into_bytes(),
        Ok(serde_json::Value::Object(members)) if members.is_empty() => Vec::new(),
        _ => config.into(),
    }
}

/// What a filter may consume unless it is configured: one instance serves many requests at a time, and a rule set takes its
/// room and time.
pub fn default_limits() -> Limits {
    Limits { memory: 256 << 20, cpu: std::time::Duration::from_millis(50), wall: std::time::Duration::from_secs(10), ..Limits::default() }
}

/// What a filter may do unless it is configured: what stays within the gateway and has its limits. Calls have to be granted.
pub fn default_grants() -> Grants {
    Grants { interfaces: Arc::new([Capability::Log, Capability::Kv, Capability::Metrics]), http: HttpGrant::Denied, identity: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(config: &str, expected: &str) {
        assert_eq!(String::from_utf8(given(config)).expect("text"), expected);
    }

    #[test]
    fn a_string_is_given_as_it_is_and_all_else_as_json() {
        check(r#""X-Header: 1""#, "X-Header: 1");
        check("{}", "");
        check(r#"{"a":[1]}"#, r#"{"a":[1]}"#);
        check("7", "7");
    }
}
