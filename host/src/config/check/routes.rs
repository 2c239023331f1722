//! Checks of routes: hosts, conditions, chains, and where they lead.

use std::collections::HashSet;

use serde_json::Value;

use super::Findings;
use super::draft::Draft;
use super::names::{self, Known, Names};
use super::rules::{self, Wanted};
use super::traffic;
use super::upstreams::{exactly_one, review_weights};
use crate::config::document::{PathMatch, Route, RouteMatch, Step, ValueMatch};
use crate::config::place::{Finding, Place};
use crate::config::problem::Code;

// The limits of Gateway API.
const MOST_HOSTS: usize = 16;
const MOST_MATCHES: usize = 64;
const MOST_STEPS: usize = 16;
const MOST_UPSTREAMS: usize = 16;

/// Checks every route.
pub(super) fn review(draft: &Draft, names: &Names<'_>, findings: &mut Findings) {
    // A built-in's name with a source of the user's own is the user's plugin, whose config is its own affair.
    let replaced = draft.plugins.iter().filter_map(|slot| slot.item.as_ref().ok().filter(|plugin| plugin.source.is_some()));
    let replaced: HashSet<&str> = replaced.map(|plugin| plugin.name.as_str()).collect();
    for slot in &draft.routes {
        let Ok(route) = &slot.item else { continue };
        let root = Place::root(slot.file);
        let list = root.key("routes");
        let at = list.index(slot.index);
        review_route(&at, route, names, findings);
        review_chain(&at.key("chain"), &route.chain, names, &replaced, findings);
    }
}

fn review_route(at: &Place<'_>, route: &Route, names: &Names<'_>, findings: &mut Findings) {
    let hosts = at.key("hosts");
    at_most(&hosts, route.hosts.len(), MOST_HOSTS, "hosts", findings);
    for (index, host) in route.hosts.iter().enumerate() {
        rules::check(&hosts.index(index), host, rules::host, findings);
    }
    let matches = at.key("match");
    at_most(&matches, route.matches.len(), MOST_MATCHES, "matches", findings);
    for (index, condition) in route.matches.iter().enumerate() {
        review_match(&matches.index(index), condition, findings);
    }
    let upgrades = at.key("upgrades");
    for (index, protocol) in route.upgrades.iter().enumerate() {
        rules::check(&upgrades.index(index), protocol, rules::upgrade, findings);
    }
    review_destination(at, route, names, findings);
}

fn review_destination(at: &Place<'_>, route: &Route, names: &Names<'_>, findings: &mut Findings) {
    let several = at.key("upstreams");
    if let Some(upstream) = &route.upstream {
        names::expect(&at.key("upstream"), "an upstream", upstream, &names.upstreams, findings);
    }
    if route.upstream.is_some() && !route.upstreams.is_empty() {
        findings.add(Finding::new(&several, Code::Conflict, "upstreams beside upstream", "one of the two").on_key());
    }
    if let Some(component) = &route.component {
        names::expect_plugin(&at.key("component"), component, names, findings);
    }
    traffic::review(at, route, names, findings);
    let leads_nowhere = route.upstream.is_none() && route.upstreams.is_empty() && route.redirect.is_none() && route.component.is_none();
    if leads_nowhere && route.chain.is_empty() {
        let want = "an upstream, a component, a redirect, or a chain that answers";
        findings.add(Finding::new(&at.key("upstream"), Code::Missing, "nothing", want));
    }
    at_most(&several, route.upstreams.len(), MOST_UPSTREAMS, "upstreams", findings);
    for (index, part) in route.upstreams.iter().enumerate() {
        names::expect(&several.index(index).key("name"), "an upstream", &part.name, &names.upstreams, findings);
    }
    review_weights(&several, route.upstreams.iter().map(|part| part.weight), findings);
}

fn review_match(at: &Place<'_>, condition: &RouteMatch, findings: &mut Findings) {
    if let Some(path) = &condition.path {
        review_path(&at.key("path"), path, findings);
    }
    let methods = at.key("methods");
    for (index, method) in condition.methods.iter().enumerate() {
        rules::check(&methods.index(index), method, rules::method, findings);
    }
    review_values(&at.key("headers"), &condition.headers, rules::header_name, findings);
    review_values(&at.key("query"), &condition.query, rules::not_empty, findings);
}

fn review_path(at: &Place<'_>, path: &PathMatch, findings: &mut Findings) {
    let given = [path.exact.is_some(), path.prefix.is_some(), path.regex.is_some()];
    exactly_one(at, &["exact", "prefix", "regex"], &given, findings);
    if let Some(exact) = &path.exact {
        rules::check(&at.key("exact"), exact, rules::path_value, findings);
    }
    if let Some(prefix) = &path.prefix {
        rules::check(&at.key("prefix"), prefix, rules::path_value, findings);
    }
    if let Some(regex) = &path.regex {
        rules::check(&at.key("regex"), regex, rules::regex, findings);
    }
}

fn review_values(at: &Place<'_>, values: &[ValueMatch], name: fn(&str) -> Result<(), Wanted>, findings: &mut Findings) {
    for (index, value) in values.iter().enumerate() {
        let item = at.index(index);
        let given = [value.exact.is_some(), value.regex.is_some(), value.present.is_some()];
        exactly_one(&item, &["exact", "regex", "present"], &given, findings);
        rules::check(&item.key("name"), &value.name, name, findings);
        if let Some(regex) = &value.regex {
            rules::check(&item.key("regex"), regex, rules::regex, findings);
        }
    }
}

fn review_chain(at: &Place<'_>, chain: &[Step], names: &Names<'_>, replaced: &HashSet<&str>, findings: &mut Findings) {
    at_most(at, chain.len(), MOST_STEPS, "steps", findings);
    let mut seen = HashSet::new();
    for (index, step) in chain.iter().enumerate() {
        let item = at.index(index);
        names::expect_plugin(&item.key("plugin"), &step.plugin, names, findings);
        if let Some(name) = step.name.as_deref().filter(|name| !seen.insert(*name)) {
            let want = "a name of its own in the chain";
            findings.add(Finding::new(&item.key("name"), Code::DuplicateName, format!("{name:?}"), want));
        }
        if names.built_ins.contains(step.plugin.as_str()) && !replaced.contains(step.plugin.as_str()) {
            review_references(&item.key("config"), step, names, findings);
        }
    }
}

// A component cannot know which issuers and upstreams there are, so the names in a built-in's config are checked here.
fn review_references(at: &Place<'_>, step: &Step, names: &Names<'_>, findings: &mut Findings) {
    match step.plugin.as_str() {
        "jwt" | "oauth2-introspection" => {
            expect_issuer(&at.key("issuer"), &step.plugin, step.config.get("issuer"), names, findings);
            let list = at.key("issuers");
            let issuers = step.config.get("issuers").and_then(Value::as_array);
            for (index, issuer) in issuers.into_iter().flatten().enumerate() {
                expect_issuer(&list.index(index), &step.plugin, Some(issuer), names, findings);
            }
        }
        "aggregate" => {
            let list = at.key("parts");
            let parts = step.config.get("parts").and_then(Value::as_array);
            for (index, part) in parts.into_iter().flatten().enumerate() {
                let item = list.index(index);
                expect_text(&item.key("upstream"), "an upstream", part.get("upstream"), &names.upstreams, findings);
            }
        }
        _ => {}
    }
}

// An issuer of the other kind would refuse every token, without a word of why.
fn expect_issuer(at: &Place<'_>, plugin: &str, value: Option<&Value>, names: &Names<'_>, findings: &mut Findings) {
    expect_text(at, "an issuer", value, &names.issuers, findings);
    let (unfit, want) = match plugin {
        "jwt" => (&names.opaque, "an issuer with algorithms and keys"),
        _ => (&names.silent, "an issuer with introspection"),
    };
    if let Some(name) = value.and_then(Value::as_str).filter(|name| unfit.contains(name)) {
        findings.add(Finding::new(at, Code::Reference, format!("{name:?}"), want));
    }
}

// Anything but a text is for the plugin itself to refuse.
fn expect_text(at: &Place<'_>, kind: &str, value: Option<&Value>, known: &Known<'_>, findings: &mut Findings) {
    if let Some(name) = value.and_then(Value::as_str) {
        names::expect(at, kind, name, known, findings);
    }
}

pub(super) fn at_most(at: &Place<'_>, count: usize, most: usize, what: &str, findings: &mut Findings) {
    if count > most {
        findings.add(Finding::new(at, Code::Value, format!("{count} {what}"), format!("{most} or fewer")));
    }
}
