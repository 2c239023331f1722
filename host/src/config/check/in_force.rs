//! Warnings: settings that are accepted but have no effect in this version, upstreams nothing leads to, and issuers whose
//! tokens may be meant for anybody or signed by anybody.

use std::collections::HashSet;
use std::net::IpAddr;

use serde_json::Value;

use super::draft::{Draft, Slot};
use crate::config::document::{Grant, Issuer, Upstream};
use crate::config::place::{Finding, Place};
use crate::config::problem::Code;

/// What an author should know about a document that is otherwise right.
pub(super) fn review(draft: &Draft) -> Vec<Finding> {
    let mut warnings = Vec::new();
    for (slot, upstream) in healthy(&draft.upstreams) {
        warn(slot, "upstreams", &unused_by_upstreams(upstream), &mut warnings);
    }
    for (slot, issuer) in healthy(&draft.issuers) {
        warn_of_any_audience(slot, issuer, &mut warnings);
        warn_of_open_keys(slot, issuer, &mut warnings);
    }
    add_unreached(draft, &mut warnings);
    warnings
}

// Whoever brings one of these to life deletes its line.
fn unused_by_upstreams(upstream: &Upstream) -> [(&'static str, bool); 1] {
    [("discovery", upstream.discovery.as_ref().is_some_and(|discovery| discovery.etcd.is_some()))]
}

// RFC 8725 §3.9: a token is for an audience. Some issuers name none, so it is not an error.
fn warn_of_any_audience(slot: &Slot<Issuer>, issuer: &Issuer, warnings: &mut Vec<Finding>) {
    if !issuer.audiences.is_empty() || !issuer.signs() {
        return;
    }
    let root = Place::root(slot.file);
    let list = root.key("issuers");
    let at = list.index(slot.index);
    let want = "an audience: without one, tokens that are meant for other services are accepted";
    warnings.push(Finding::new(&at.key("audiences"), Code::Risk, "none", want));
}

// Inside a network that is trusted it may be meant, so it is not an error.
fn warn_of_open_keys(slot: &Slot<Issuer>, issuer: &Issuer, warnings: &mut Vec<Finding>) {
    let Some(url) = issuer.jwks.as_ref().and_then(|jwks| jwks.url.as_deref()).filter(|url| is_open(url)) else { return };
    let root = Place::root(slot.file);
    let list = root.key("issuers");
    let (item, want) = (list.index(slot.index), "https: whoever can change the keys on their way here can sign tokens");
    warnings.push(Finding::new(&item.key("jwks").key("url"), Code::Risk, format!("{url:?}"), want));
}

fn is_open(url: &str) -> bool {
    let Ok(uri) = url.parse::<http::Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let stays_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    uri.scheme_str() == Some("http") && !stays_here
}

fn warn<T>(slot: &Slot<T>, section: &str, settings: &[(&'static str, bool)], warnings: &mut Vec<Finding>) {
    let root = Place::root(slot.file);
    let list = root.key(section);
    let at = list.index(slot.index);
    for (key, _) in settings.iter().filter(|(_, given)| *given) {
        let want = "to be left out: accepted, not in force in this version";
        warnings.push(Finding::new(&at.key(key), Code::NoEffect, *key, want).on_key());
    }
}

// Any text in the config of a plugin may name an upstream, since only the plugin knows what its config means.
fn add_unreached(draft: &Draft, warnings: &mut Vec<Finding>) {
    let mut reached: HashSet<&str> = HashSet::new();
    for (_, route) in healthy(&draft.routes) {
        reached.extend(route.upstream.as_deref());
        reached.extend(route.upstreams.iter().map(|part| part.name.as_str()));
        reached.extend(route.mirror.iter().map(|mirror| mirror.upstream.as_str()));
        route.chain.iter().for_each(|step| collect_texts(&step.config, &mut reached));
    }
    for (_, plugin) in healthy(&draft.plugins) {
        let grants = plugin.grants.iter().flatten();
        reached.extend(
            grants
                .flat_map(|grant| match grant {
                    Grant::Http(upstreams) => upstreams.as_slice(),
                    _ => &[],
                })
                .map(String::as_str),
        );
    }
    for (slot, upstream) in healthy(&draft.upstreams) {
        if !reached.contains(upstream.name.as_str()) {
            let root = Place::root(slot.file);
            let list = root.key("upstreams");
            let finding = Finding::new(
                &list.index(slot.index),
                Code::NoEffect,
                format!("the upstream {:?}", upstream.name),
                "a route or a grant that leads to it",
            );
            warnings.push(finding);
        }
    }
}

fn healthy<T>(slots: &[Slot<T>]) -> impl Iterator<Item = (&Slot<T>, &T)> {
    slots.iter().filter_map(|slot| Some((slot, slot.item.as_ref().ok()?)))
}

fn collect_texts<'a>(value: &'a Value, texts: &mut HashSet<&'a str>) {
    match value {
        Value::String(text) => drop(texts.insert(text)),
        Value::Array(items) => items.iter().for_each(|item| collect_texts(item, texts)),
        Value::Object(map) => map.values().for_each(|item| collect_texts(item, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
