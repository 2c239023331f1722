//! What a component or module is, by what it exports: a plugin of the contract, or something that other hosts run, too.

use wasmparser::{Parser, Payload};

use super::engine::Tier;
use super::proxy_wasm::abi::Version;
use super::proxy_wasm::load;

/// What a component is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A plugin of the contract: a step of a chain. Also whatever says nothing else of itself.
    Plugin,
    /// Exports `wasi:http/incoming-handler@0.2`: the end of a route.
    Proxy,
    /// Exports `wasi:http/handler@0.3`: the end of a route.
    Service,
    /// Exports `wasi:http/handler@0.3` and imports it: a step of a chain that calls the rest of it.
    Middleware,
    /// A core module with the marker of Proxy-Wasm: a step of a chain.
    ProxyWasm(Version),
}

const PROXY: &str = "wasi:http/incoming-handler@0.2.";
const HANDLER: &str = "wasi:http/handler@0.3.";

impl Kind {
    /// What these bytes are. What is no component is a plugin until somebody looks closer.
    pub fn of(bytes: &[u8]) -> Self {
        if let Some(version) = load::version(bytes) {
            return Kind::ProxyWasm(version);
        }
        let names = Names::of(bytes);
        match (names.exports_handler, names.imports_handler, names.exports_proxy) {
            (true, true, _) => Kind::Middleware,
            (true, false, _) => Kind::Service,
            (false, _, true) => Kind::Proxy,
            (false, _, false) => Kind::Plugin,
        }
    }

    /// The engine that runs it.
    pub fn tier(self) -> Tier {
        match self {
            Kind::Plugin => Tier::Contract,
            Kind::Proxy | Kind::Service | Kind::Middleware => Tier::Foreign,
            Kind::ProxyWasm(_) => Tier::ProxyWasm,
        }
    }

    /// Whether it is told of environment variables, and of no configuration.
    pub fn has_environment(self) -> bool {
        matches!(self, Kind::Proxy | Kind::Service | Kind::Middleware)
    }

    /// Whether it can be a step of a chain.
    pub fn is_step(self) -> bool {
        matches!(self, Kind::Plugin | Kind::Middleware | Kind::ProxyWasm(_))
    }

    /// Whether it can answer at the end of a route.
    pub fn is_end(self) -> bool {
        matches!(self, Kind::Proxy | Kind::Service)
    }

    /// Whether it can be a version of a plugin that is of the other kind.
    pub fn fits_where(self, other: Self) -> bool {
        (self.is_step(), self.is_end(), self.has_environment()) == (other.is_step(), other.is_end(), other.has_environment())
    }

    /// What it is, for people: with an article.
    pub fn describe(self) -> &'static str {
        match self {
            Kind::Plugin => "a plugin: a step of a chain",
            Kind::Proxy => "a wasi:http/incoming-handler@0.2 component: the end of a route, as its `component`",
            Kind::Service => "a wasi:http/handler@0.3 service: the end of a route, as its `component`",
            Kind::Middleware => "a wasi:http/handler@0.3 middleware: a step of a chain",
            Kind::ProxyWasm(Version::V0_1_0) => "a Proxy-Wasm 0.1.0 filter: a step of a chain",
            Kind::ProxyWasm(Version::V0_2_0) => "a Proxy-Wasm 0.2.0 filter: a step of a chain",
            Kind::ProxyWasm(Version::V0_2_1) => "a Proxy-Wasm 0.2.1 filter: a step of a chain",
        }
    }
}

/// Which of the names that matter are there.
#[derive(Default)]
struct Names {
    exports_proxy: bool,
    exports_handler: bool,
    imports_handler: bool,
}

impl Names {
    /// Those of the outermost component. What cannot be read has none; that is for others to complain of.
    fn of(bytes: &[u8]) -> Self {
        let (mut names, mut depth) = (Self::default(), 0_usize);
        for payload in Parser::new(0).parse_all(bytes).map_while(Result::ok) {
            match payload {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentExportSection(exports) if depth == 0 => {
                    exports.into_iter().map_while(Result::ok).for_each(|export| names.exported(export.name.name));
                }
                Payload::ComponentImportSection(imports) if depth == 0 => {
                    let mut imports = imports.into_iter().map_while(Result::ok);
                    names.imports_handler |= imports.any(|import| import.name.name.starts_with(HANDLER));
                }
                _ => {}
            }
        }
        names
    }

    fn exported(&mut self, name: &str) {
        self.exports_proxy |= name.starts_with(PROXY);
        self.exports_handler |= name.starts_with(HANDLER);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_component_is_left_to_the_inspection() {
        for bytes in [&b""[..], b"\0asm\x01\0\0\0", b"\0asm\x0d\0\x01\0", b"\0asm\x0d\0\x01\0\x0b\xff"] {
            assert_eq!(Kind::of(bytes), Kind::Plugin, "{bytes:?}");
        }
    }
}
