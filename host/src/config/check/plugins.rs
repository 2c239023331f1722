//! Checks of plugins: sources, grants and limits.

use super::Findings;
use super::draft::Draft;
use super::gateway::positive;
use super::identity::review_secret;
use super::names::{self, Names};
use super::rules;
use super::upstreams::exactly_one;
use crate::config::document::{Grant, Oci, OciArtifact, Plugin, PluginLimits, PluginSource};
use crate::config::place::{Finding, Place};
use crate::config::problem::Code;
use crate::config::units::{Period, Size};

/// Checks every plugin.
pub(super) fn review(draft: &Draft, names: &Names<'_>, findings: &mut Findings) {
    for slot in &draft.plugins {
        let Ok(plugin) = &slot.item else { continue };
        let root = Place::root(slot.file);
        let list = root.key("plugins");
        review_plugin(&list.index(slot.index), plugin, names, findings);
    }
}

/// Checks who has to sign what.
pub(super) fn review_signatures(draft: &Draft, findings: &mut Findings) {
    for slot in &draft.plugin_signatures {
        let Ok(policy) = &slot.item else { continue };
        let root = Place::root(slot.file);
        let list = root.key("plugin_signatures");
        let at = list.index(slot.index);
        if !is_pattern(&policy.names) {
            let want = "the name of a plugin, in which * stands for any letters";
            findings.add(Finding::new(&at.key("names"), Code::Value, format!("{:?}", policy.names), want));
        }
        if policy.keys.is_empty() {
            findings.add(Finding::new(&at.key("keys"), Code::Missing, "no key", "a key: `gatehouse plugin sign --new-key` makes one"));
        }
    }
}

fn is_pattern(names: &str) -> bool {
    let letters = names.replace('*', "");
    rules::name(&letters).is_ok() || (letters.is_empty() && !names.is_empty())
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
    let is_built_in = plugin.source.is_none();
    review_limits(&at.key("limits"), &plugin.limits, is_built_in, findings);
    for (index, grant) in plugin.grants.iter().flatten().enumerate() {
        let grants = at.key("grants");
        review_grant(&grants.index(index), grant, names, findings);
    }
}

fn review_source(at: &Place<'_>, source: &PluginSource, findings: &mut Findings) {
    exactly_one(at, &["file", "oci", "uploaded"], &[source.file.is_some(), source.oci.is_some(), source.uploaded], findings);
    match &source.oci {
        None => {}
        Some(Oci::Reference(reference)) => rules::check(&at.key("oci"), reference, rules::artifact, findings),
        Some(Oci::Artifact(artifact)) => review_artifact(&at.key("oci"), artifact, findings),
    }
}

fn review_artifact(at: &Place<'_>, artifact: &OciArtifact, findings: &mut Findings) {
    rules::check(&at.key("reference"), &artifact.reference, rules::artifact, findings);
    if artifact.refresh < SHORTEST_REFRESH {
        let want = format!("{SHORTEST_REFRESH} or more");
        findings.add(Finding::new(&at.key("refresh"), Code::Value, artifact.refresh.to_string(), want));
    }
    if artifact.ca.is_some() && artifact.insecure == Some(true) {
        findings.add(Finding::new(&at.key("ca"), Code::Conflict, "a file", "nothing: with insecure: true there is no TLS"));
    }
    if let Some(auth) = &artifact.auth {
        let at = at.key("auth");
        rules::check(&at.key("username"), &auth.username, rules::not_empty, findings);
        review_secret(&at.key("password"), &auth.password, findings);
    }
}

/// A registry is somebody else's server.
const SHORTEST_REFRESH: Period = Period::secs(1);

fn review_grant(at: &Place<'_>, grant: &Grant, names: &Names<'_>, findings: &mut Findings) {
    let Grant::Http(upstreams) = grant else { return };
    let list = at.key("http");
    for (index, upstream) in upstreams.iter().enumerate() {
        names::expect(&list.index(index), "an upstream", upstream, &names.upstreams, findings);
    }
}

/// The defaults of a plugin that is no built-in.
const PLAIN_CPU: Period = Period::millis(10);
const PLAIN_WALL: Period = Period::secs(1);

fn review_limits(at: &Place<'_>, limits: &PluginLimits, is_built_in: bool, findings: &mut Findings) {
    // A page of WebAssembly has 64 KiB, and its addresses 32 bits.
    let (least, most) = (Size::kib(64), Size::mib(4096));
    if let Some(memory) = limits.memory.filter(|memory| !(least..=most).contains(memory)) {
        let want = format!("{least} to {most}");
        findings.add(Finding::new(&at.key("memory"), Code::Value, memory.to_string(), want));
    }
    let (cpu, wall) = (limits.cpu.unwrap_or(PLAIN_CPU), limits.wall.unwrap_or(PLAIN_WALL));
    positive(&at.key("cpu"), cpu, findings);
    positive(&at.key("wall"), wall, findings);
    // A built-in may have longer ones of its own.
    let known = !is_built_in || (limits.cpu.is_some() && limits.wall.is_some());
    if known && wall < cpu {
        let want = format!("{cpu} (cpu) or more");
        findings.add(Finding::new(&at.key("wall"), Code::Conflict, wall.to_string(), want));
    }
    if limits.instances == 0 {
        findings.add(Finding::new(&at.key("instances"), Code::Value, "0", "1 or more"));
    }
}
