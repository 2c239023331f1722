//! Checks of plugins: sources, grants and limits.

use super::Findings;
use super::draft::Draft;
use super::gateway::positive;
use super::names::{self, Names};
use super::upstreams::exactly_one;
use crate::config::document::{Grant, Plugin, PluginLimits, PluginSource};
use crate::config::place::{Finding, Place};
use crate::config::problem::Code;
use crate::config::units::Size;

/// Checks every plugin.
pub(super) fn review(draft: &Draft, names: &Names<'_>, findings: &mut Findings) {
    for slot in &draft.plugins {
        let Ok(plugin) = &slot.item else { continue };
        let root = Place::root(slot.file);
        let list = root.key("plugins");
        review_plugin(&list.index(slot.index), plugin, names, findings);
    }
}

fn review_plugin(at: &Place<'_>, plugin: &Plugin, names: &Names<'_>, findings: &mut Findings) {
    match &plugin.source {
        Some(source) => review_source(&at.key("source"), source, findings),
        None if names.built_ins.contains(plugin.name.as_str()) => {}
        None => {
            let hint = findings.suggest(&plugin.name, names.built_ins.iter().copied());
            let finding = Finding::new(&at.key("source"), Code::Missing, "nothing", "a source, or the name of a built-in plugin");
            findings.add(finding.maybe_hint(hint));
        }
    }
    review_limits(&at.key("limits"), &plugin.limits, findings);
    for (index, grant) in plugin.grants.iter().flatten().enumerate() {
        let grants = at.key("grants");
        review_grant(&grants.index(index), grant, names, findings);
    }
}

fn review_source(at: &Place<'_>, source: &PluginSource, findings: &mut Findings) {
    exactly_one(at, &["file", "oci"], &[source.file.is_some(), source.oci.is_some()], findings);
    // A tag can be moved to other bytes after they were looked at; a digest cannot.
    if let Some(oci) = source.oci.as_ref().filter(|oci| !oci.contains("@sha256:")) {
        let want = "an image by digest: REGISTRY/NAME@sha256:…";
        findings.add(Finding::new(&at.key("oci"), Code::Value, format!("{oci:?}"), want));
    }
}

fn review_grant(at: &Place<'_>, grant: &Grant, names: &Names<'_>, findings: &mut Findings) {
    let Grant::Http(upstreams) = grant else { return };
    let list = at.key("http");
    for (index, upstream) in upstreams.iter().enumerate() {
        names::expect(&list.index(index), "an upstream", upstream, &names.upstreams, findings);
    }
}

fn review_limits(at: &Place<'_>, limits: &PluginLimits, findings: &mut Findings) {
    // A page of WebAssembly has 64 KiB, and its addresses 32 bits.
    let (least, most) = (Size::kib(64), Size::mib(4096));
    if limits.memory < least || limits.memory > most {
        let want = format!("{least} to {most}");
        findings.add(Finding::new(&at.key("memory"), Code::Value, limits.memory.to_string(), want));
    }
    positive(&at.key("cpu"), limits.cpu, findings);
    positive(&at.key("wall"), limits.wall, findings);
    if limits.wall < limits.cpu {
        let want = format!("{} (cpu) or more", limits.cpu);
        findings.add(Finding::new(&at.key("wall"), Code::Conflict, limits.wall.to_string(), want));
    }
    if limits.instances == 0 {
        findings.add(Finding::new(&at.key("instances"), Code::Value, "0", "1 or more"));
    }
}
