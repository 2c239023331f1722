//! Checks of listeners, the admin address, the drain and what is told of the gateway.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::Findings;
use super::draft::Draft;
use super::rules;
use crate::config::document::{Admin, Listener, ListenerLimits, ListenerTimeouts, Otlp, Tls, Traces};
use crate::config::place::{Finding, Place};
use crate::config::problem::Code;
use crate::config::units::{Period, Size};

/// Checks everything that stands for the gateway as a whole.
pub(super) fn review(draft: &Draft, findings: &mut Findings) {
    let mut taken = HashMap::new();
    for slot in &draft.listeners {
        let Ok(listener) = &slot.item else { continue };
        let root = Place::root(slot.file);
        let list = root.key("listeners");
        let at = list.index(slot.index);
        review_listener(&at, listener, findings);
        review_address(&at.key("address"), listener.address.0, &listener.name, &mut taken, findings);
    }
    for slot in &draft.admin {
        let Ok(admin) = &slot.item else { continue };
        let root = Place::root(slot.file);
        review_admin(&root.key("admin"), admin, &mut taken, findings);
    }
    for slot in &draft.drain {
        let Ok(drain) = &slot.item else { continue };
        positive(&Place::root(slot.file).key("drain").key("deadline"), drain.deadline, findings);
    }
    for slot in &draft.telemetry {
        let Some(traces) = slot.item.as_ref().ok().and_then(|telemetry| telemetry.traces.as_ref()) else { continue };
        review_traces(&Place::root(slot.file).key("telemetry").key("traces"), traces, findings);
    }
}

/// Finds a duration of nothing where there must be one.
pub(super) fn positive(at: &Place<'_>, period: Period, findings: &mut Findings) {
    if period.is_zero() {
        findings.add(Finding::new(at, Code::Value, period.to_string(), "more than 0s"));
    }
}

fn review_listener(at: &Place<'_>, listener: &Listener, findings: &mut Findings) {
    rules::check(&at.key("via"), &listener.via, rules::pseudonym, findings);
    review_limits(&at.key("limits"), &listener.limits, findings);
    review_timeouts(&at.key("timeouts"), &listener.timeouts, findings);
    if listener.proxy_protocol && listener.trusted_proxies.is_empty() {
        let want = "trusted_proxies: only they are believed";
        findings.add(Finding::new(&at.key("proxy_protocol"), Code::Conflict, "proxy_protocol without trusted_proxies", want).on_key());
    }
    if let Some(tls) = &listener.tls {
        review_tls(&at.key("tls").key("certificates"), tls, findings);
    }
}

fn review_traces(at: &Place<'_>, traces: &Traces, findings: &mut Findings) {
    rules::check(&at.key("service_name"), &traces.service_name, rules::not_empty, findings);
    review_otlp(&at.key("otlp"), &traces.otlp, findings);
}

fn review_otlp(at: &Place<'_>, otlp: &Otlp, findings: &mut Findings) {
    rules::check(&at.key("endpoint"), &otlp.endpoint, rules::collector_url, findings);
    positive(&at.key("timeout"), otlp.timeout, findings);
    for (name, value) in &otlp.headers {
        let headers = at.key("headers");
        let at = headers.key(name);
        rules::check(&at, name, rules::header_name, findings);
        rules::check(&at, value, rules::header_value, findings);
    }
}

fn review_tls(at: &Place<'_>, tls: &Tls, findings: &mut Findings) {
    if tls.certificates.is_empty() {
        findings.add(Finding::new(at, Code::Missing, "an empty list", "at least one certificate"));
    }
}

fn review_limits(at: &Place<'_>, limits: &ListenerLimits, findings: &mut Findings) {
    let (least, most) = (Size::kib(1), Size::mib(1));
    if limits.header_bytes < least || limits.header_bytes > most {
        let want = format!("{least} to {most}");
        findings.add(Finding::new(&at.key("header_bytes"), Code::Value, limits.header_bytes.to_string(), want));
    }
    const MOST_HEADERS: u32 = 1000;
    if limits.headers == 0 || limits.headers > MOST_HEADERS {
        let want = format!("1 to {MOST_HEADERS}");
        findings.add(Finding::new(&at.key("headers"), Code::Value, limits.headers.to_string(), want));
    }
}

fn review_timeouts(at: &Place<'_>, timeouts: &ListenerTimeouts, findings: &mut Findings) {
    positive(&at.key("header"), timeouts.header, findings);
    positive(&at.key("idle"), timeouts.idle, findings);
    positive(&at.key("body"), timeouts.body, findings);
}

fn review_address<'a>(
    at: &Place<'_>,
    address: SocketAddr,
    name: &'a str,
    taken: &mut HashMap<SocketAddr, &'a str>,
    findings: &mut Findings,
) {
    // Port 0 asks the system for a free one, so it is never the same twice.
    if address.port() == 0 {
        return;
    }
    if let Some(other) = taken.insert(address, name) {
        let finding = Finding::new(at, Code::Conflict, address.to_string(), "an address of its own");
        findings.add(finding.hint(format!("{other} listens there too")));
    }
}

fn review_admin(at: &Place<'_>, admin: &Admin, taken: &mut HashMap<SocketAddr, &str>, findings: &mut Findings) {
    let (address, place) = (admin.address.0, at.key("address"));
    review_address(&place, address, "admin", taken, findings);
    let keep = at.key("keep");
    review_range(&keep.key("revisions"), admin.keep.revisions, 1..=1000, findings);
    review_range(&keep.key("audit"), admin.keep.audit, 100..=10_000_000, findings);
    if let Some(tls) = &admin.tls {
        review_tls(&at.key("tls").key("certificates"), tls, findings);
    } else if !address.ip().is_loopback() {
        let finding = Finding::new(&place, Code::Value, address.to_string(), "a loopback address such as 127.0.0.1:9080, or admin.tls");
        findings.add(finding.hint("the admin API is not served to the network without TLS"));
    }
}

fn review_range(at: &Place<'_>, number: u32, wanted: std::ops::RangeInclusive<u32>, findings: &mut Findings) {
    if !wanted.contains(&number) {
        let want = format!("{} to {}", wanted.start(), wanted.end());
        findings.add(Finding::new(at, Code::Value, number.to_string(), want));
    }
}
