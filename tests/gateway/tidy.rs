//! The invariants of `host/ARCHITECTURE.md` that can be read off the sources: who may name what.

use gatehouse_tests::sources::{Source, host};

/// Checks that none of these names stands outside of these modules.
#[track_caller]
fn only_in(modules: &[&str], words: &[&str]) {
    let mut offences = Vec::new();
    for source in host().iter().filter(|source| !modules.iter().any(|module| source.is_in(module))) {
        offences.extend(words.iter().flat_map(|word| source.lines_naming(word)).map(|line| offence(source, line)));
    }
    assert!(offences.is_empty(), "only {modules:?} may name {words:?}:\n{}", offences.join("\n"));
}

fn offence(source: &Source, line: &str) -> String {
    format!("{}: {}", source.path.display(), line.trim())
}

#[test]
fn only_the_plugin_host_names_wasmtime() {
    only_in(&["plugin"], &["wasmtime", "wasmparser"]);
}

#[test]
fn only_the_edges_name_hyper() {
    // `fetch` is the worker's end of plugins' calls, `identity/fetch` gets key sets, `otlp` sends spans: each a client of its own.
    only_in(&["server", "upstream", "admin", "body", "fetch", "identity/fetch", "telemetry/traces/otlp"], &["hyper", "hyper_util"]);
}

#[test]
fn the_config_never_meets_a_runtime_type() {
    let runtime = ["server", "upstream", "chain", "plugin", "worker", "snapshot", "gateway", "admin", "limit", "identity", "telemetry"];
    let mut offences = Vec::new();
    for source in host().iter().filter(|source| source.is_in("config")) {
        for module in runtime {
            let path = format!("crate::{module}");
            offences.extend(source.code.lines().filter(|line| line.contains(&path)).map(|line| offence(source, line)));
        }
    }
    assert!(offences.is_empty(), "config knows documents only:\n{}", offences.join("\n"));
}

#[test]
fn no_module_hides_in_a_file_called_mod() {
    let hidden: Vec<_> = host().into_iter().filter(|source| source.path.ends_with("mod.rs")).map(|source| source.path).collect();
    assert!(hidden.is_empty(), "a file is named for what it holds: {hidden:?}");
}

#[test]
fn nothing_unfinished_is_shipped() {
    let marks = ["todo!(", "unimplemented!(", "dbg!("];
    let unfinished = host()
        .iter()
        .flat_map(|source| {
            let found = source.code.lines().filter(|line| marks.iter().any(|mark| line.contains(mark)));
            found.map(|line| offence(source, line)).collect::<Vec<_>>()
        })
        .collect::<Vec<_>>();
    assert!(unfinished.is_empty(), "{}", unfinished.join("\n"));
}
