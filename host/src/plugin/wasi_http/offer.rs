//! What components of `wasi:http` may import: all of WASI 0.2 and 0.3 that toolchains link whether it is used or not.
//! There is an interface for files and sockets, but never a file, and no socket can be made.

use wasmtime::component::Linker;
use wasmtime_wasi_http::WasiHttp;

use super::guest::Guest;
use crate::plugin::wasi::is_0_2;
use crate::plugin::{Kind, Refusal};

/// Interfaces of WASI 0.2, beside those that every plugin may import.
const OFFERED_0_2: [&str; 2] = ["http/outgoing-handler", "http/types"];

/// Interfaces of WASI 0.3.
const OFFERED_0_3: [&str; 23] = [
    "cli/environment",
    "cli/exit",
    "cli/stderr",
    "cli/stdin",
    "cli/stdout",
    "cli/terminal-input",
    "cli/terminal-output",
    "cli/terminal-stderr",
    "cli/terminal-stdin",
    "cli/terminal-stdout",
    "cli/types",
    "clocks/monotonic-clock",
    "clocks/system-clock",
    "clocks/types",
    "filesystem/preopens",
    "filesystem/types",
    "http/client",
    "http/types",
    "random/insecure",
    "random/insecure-seed",
    "random/random",
    "sockets/ip-name-lookup",
    "sockets/types",
];
/// And one that is only for those that have something behind them.
const HANDLER: &str = "http/handler";

/// Refuses an import that there is nothing for, by its name.
pub fn offered(import: &str, kind: Kind) -> Result<(), Refusal> {
    match crate::plugin::wasi::offers(import) || is_offered(import, kind) {
        true => Ok(()),
        false => Err(Refusal::UnknownImport { import: import.to_owned() }),
    }
}

fn is_offered(import: &str, kind: Kind) -> bool {
    let Some((interface, version)) = import.strip_prefix("wasi:").and_then(|name| name.split_once('@')) else { return false };
    match (is_0_2(version), is_0_3(version)) {
        (true, _) => OFFERED_0_2.contains(&interface),
        (_, true) if interface == HANDLER => kind == Kind::Middleware,
        (_, true) => OFFERED_0_3.contains(&interface),
        (false, false) => false,
    }
}

/// A release, not one of the drafts before it.
fn is_0_3(version: &str) -> bool {
    version.strip_prefix("0.3.").is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Links all that is offered. An instance gets what its component imports of that and no more.
pub fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    wasmtime_wasi::p3::add_to_linker(linker)?;
    wasmtime_wasi_http::p3::bindings::http::client::add_to_linker::<_, WasiHttp>(linker, wasmtime_wasi_http::WasiHttpView::http)?;
    wasmtime_wasi_http::p3::bindings::http::types::add_to_linker::<_, WasiHttp>(linker, wasmtime_wasi_http::WasiHttpView::http)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(import: &str, kind: Kind, is_taken: bool) {
        assert_eq!(offered(import, kind).is_ok(), is_taken, "{import} of {kind:?}");
    }

    #[test]
    fn releases_of_wasi_are_offered_and_everything_else_is_refused() {
        check("wasi:http/types@0.2.0", Kind::Proxy, true);
        check("wasi:http/outgoing-handler@0.2.12", Kind::Proxy, true);
        check("wasi:sockets/tcp@0.2.9", Kind::Proxy, true);
        check("wasi:cli/environment@0.2.3", Kind::Proxy, true);
        check("wasi:http/client@0.3.0", Kind::Service, true);
        check("wasi:clocks/system-clock@0.3.1", Kind::Service, true);
        check("wasi:http/types@0.3.0-rc-2026-01-06", Kind::Service, false);
        check("wasi:keyvalue/store@0.2.0-draft", Kind::Proxy, false);
        check("wasi:http/types", Kind::Proxy, false);
        check("fermyon:spin/key-value@2.0.0", Kind::Proxy, false);
        check("gatehouse:plugin/log@0.1.0", Kind::Service, false);
    }

    #[test]
    fn only_a_middleware_has_something_behind_it() {
        check("wasi:http/handler@0.3.0", Kind::Middleware, true);
        check("wasi:http/handler@0.3.0", Kind::Service, false);
        check("wasi:http/handler@0.3.0", Kind::Proxy, false);
    }
}
