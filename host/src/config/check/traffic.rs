//! Checks of redirects, rewrites and mirrors: what excludes each other, and paths that can be made.

use std::collections::HashSet;

use super::Findings;
use super::names::{self, Names};
use super::routes::at_most;
use super::rules;
use crate::config::document::{Mirror, Redirect, Rewrite, Route};
use crate::config::place::{Finding, Place};
use crate::config::problem::Code;

const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];
const MOST_MIRRORS: usize = 2;

/// Checks what a route does besides going to its upstream.
pub(super) fn review(at: &Place<'_>, route: &Route, names: &Names<'_>, findings: &mut Findings) {
    if route.component.is_some() {
        review_component(at, route, findings);
    }
    if let Some(redirect) = &route.redirect {
        review_alone(at, route, findings);
        review_redirect(&at.key("redirect"), redirect, route, findings);
    }
    if let Some(rewrite) = &route.rewrite {
        review_rewrite(&at.key("rewrite"), rewrite, route, findings);
    }
    review_mirrors(&at.key("mirror"), &route.mirror, route, names, findings);
}

/// A request that is sent elsewhere reaches no upstream, so nothing that is for one has an effect.
fn review_alone(at: &Place<'_>, route: &Route, findings: &mut Findings) {
    let beside = [
        ("upstream", route.upstream.is_some()),
        ("upstreams", !route.upstreams.is_empty()),
        ("rewrite", route.rewrite.is_some()),
        ("mirror", !route.mirror.is_empty()),
        ("upgrades", !route.upgrades.is_empty()),
    ];
    for (key, _) in beside.iter().filter(|(_, given)| *given) {
        findings.add(Finding::new(&at.key(key), Code::Conflict, format!("{key} beside redirect"), "one of the two").on_key());
    }
}

/// A component stands where an upstream would, speaks nothing but HTTP, and cannot be had twice for a copy.
fn review_component(at: &Place<'_>, route: &Route, findings: &mut Findings) {
    let beside = [
        ("upstream", route.upstream.is_some()),
        ("upstreams", !route.upstreams.is_empty()),
        ("redirect", route.redirect.is_some()),
        ("upgrades", !route.upgrades.is_empty()),
    ];
    for (key, _) in beside.iter().filter(|(_, given)| *given) {
        findings.add(Finding::new(&at.key(key), Code::Conflict, format!("{key} beside component"), "one of the two").on_key());
    }
}

fn review_redirect(at: &Place<'_>, redirect: &Redirect, route: &Route, findings: &mut Findings) {
    let Redirect { scheme, host, port, path, prefix, status } = redirect;
    let changes = scheme.is_some() || host.is_some() || port.is_some() || path.is_some() || prefix.is_some();
    if !changes {
        let want = "at least one of scheme, host, port, path, prefix: without, clients come back for ever";
        findings.add(Finding::new(at, Code::Missing, "nothing that changes", want));
    }
    if let Some(host) = host {
        rules::check(&at.key("host"), host, rules::lone_host, findings);
    }
    if *port == Some(0) {
        findings.add(Finding::new(&at.key("port"), Code::Value, "0", "1 to 65535"));
    }
    if !REDIRECTS.contains(status) {
        findings.add(Finding::new(&at.key("status"), Code::Value, status.to_string(), "one of 301, 302, 303, 307, 308"));
    }
    review_path(at, path.as_deref(), prefix.as_deref(), route, findings);
}

fn review_rewrite(at: &Place<'_>, rewrite: &Rewrite, route: &Route, findings: &mut Findings) {
    let Rewrite { host, path, prefix } = rewrite;
    if host.is_none() && path.is_none() && prefix.is_none() {
        findings.add(Finding::new(at, Code::Missing, "nothing", "at least one of host, path, prefix"));
    }
    if let Some(host) = host {
        rules::check(&at.key("host"), host, rules::authority, findings);
    }
    if route.component.is_none() {
        needs_upstream(at, "rewrite", route, findings);
    }
    review_path(at, path.as_deref(), prefix.as_deref(), route, findings);
}

fn review_mirrors(at: &Place<'_>, mirrors: &[Mirror], route: &Route, names: &Names<'_>, findings: &mut Findings) {
    if mirrors.is_empty() {
        return;
    }
    at_most(at, mirrors.len(), MOST_MIRRORS, "mirrors", findings);
    needs_upstream(at, "mirror", route, findings);
    let mut seen = HashSet::new();
    for (index, mirror) in mirrors.iter().enumerate() {
        let item = at.index(index);
        let name = item.key("upstream");
        names::expect(&name, "an upstream", &mirror.upstream, &names.upstreams, findings);
        if !seen.insert(&mirror.upstream) {
            findings.add(Finding::new(&name, Code::Conflict, format!("{:?} again", mirror.upstream), "each mirror once"));
        }
    }
}

/// A redirect has its own word to say about what stands beside it.
fn needs_upstream(at: &Place<'_>, key: &str, route: &Route, findings: &mut Findings) {
    if route.upstream.is_none() && route.upstreams.is_empty() && route.redirect.is_none() {
        findings.add(Finding::new(at, Code::Conflict, format!("{key} without an upstream"), "an upstream to ask").on_key());
    }
}

fn review_path(at: &Place<'_>, path: Option<&str>, prefix: Option<&str>, route: &Route, findings: &mut Findings) {
    if path.is_some() && prefix.is_some() {
        findings.add(Finding::new(&at.key("prefix"), Code::Conflict, "prefix beside path", "one of the two").on_key());
    }
    if let Some(path) = path {
        rules::check(&at.key("path"), path, rules::path_value, findings);
    }
    let Some(prefix) = prefix else { return };
    rules::check(&at.key("prefix"), prefix, rules::path_value, findings);
    if route.only_prefix().is_none() {
        let got = match route.matches.len() {
            1 => "a match without a path prefix".to_owned(),
            several => format!("{several} matches"),
        };
        let want = "exactly one match, with a path prefix: that is what is replaced";
        findings.add(Finding::new(&at.key("prefix"), Code::Conflict, got, want).on_key());
    }
}
