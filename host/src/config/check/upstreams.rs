//! Checks of upstreams: endpoints, weights, and settings that belong together.

use std::collections::HashSet;

use super::Findings;
use super::draft::Draft;
use super::gateway::positive;
use super::identity::review_secret;
use super::names::{self, Names};
use super::rules;
use crate::config::document::{
    ActiveHealth, Balance, BalanceAlgorithm, CircuitBreaker, ClientCredentials, Discovery, DnsDiscovery, DnsRecord, Endpoint, Health,
    Retry, Upstream, UpstreamTimeouts,
};
use crate::config::place::{Finding, Place};
use crate::config::problem::Code;
use crate::config::text::HashOn;

/// The largest weight: sums of weights must stay far from the end of the integers.
pub(super) const LARGEST_WEIGHT: u32 = 1_000_000;

/// Checks every upstream.
pub(super) fn review(draft: &Draft, names: &Names<'_>, findings: &mut Findings) {
    for slot in &draft.upstreams {
        let Ok(upstream) = &slot.item else { continue };
        let root = Place::root(slot.file);
        let list = root.key("upstreams");
        let at = list.index(slot.index);
        review_upstream(&at, upstream, findings);
        if let Some(auth) = &upstream.auth {
            review_credentials(&at.key("auth").key("client_credentials"), &auth.client_credentials, names, findings);
        }
    }
}

/// Finds weights that are too large, or that leave nothing.
pub(super) fn review_weights(at: &Place<'_>, weights: impl Iterator<Item = u32>, findings: &mut Findings) {
    let mut any = None;
    for (index, weight) in weights.enumerate() {
        any = Some(any.unwrap_or(false) || weight > 0);
        if weight > LARGEST_WEIGHT {
            let want = format!("{LARGEST_WEIGHT} or less");
            findings.add(Finding::new(&at.index(index).key("weight"), Code::Value, weight.to_string(), want));
        }
    }
    if any == Some(false) {
        findings.add(Finding::new(at, Code::Value, "only weights of 0", "a weight above 0"));
    }
}

fn review_upstream(at: &Place<'_>, upstream: &Upstream, findings: &mut Findings) {
    if upstream.endpoints.is_empty() && upstream.discovery.is_none() {
        findings.add(Finding::new(&at.key("endpoints"), Code::Missing, "nothing", "endpoints or discovery"));
    }
    review_endpoints(&at.key("endpoints"), &upstream.endpoints, findings);
    review_timeouts(&at.key("timeouts"), &upstream.timeouts, findings);
    review_tls(&at.key("tls"), upstream, findings);
    if let Some(discovery) = &upstream.discovery {
        review_discovery(&at.key("discovery"), discovery, findings);
    }
    if let Some(balance) = &upstream.balance {
        review_balance(&at.key("balance"), balance, findings);
    }
    if let Some(health) = &upstream.health {
        review_health(&at.key("health"), health, findings);
    }
    if let Some(breaker) = &upstream.circuit_breaker {
        review_breaker(&at.key("circuit_breaker"), breaker, findings);
    }
    if let Some(retry) = &upstream.retry {
        review_retry(&at.key("retry"), retry, findings);
    }
}

fn review_endpoints(at: &Place<'_>, endpoints: &[Endpoint], findings: &mut Findings) {
    let mut seen = HashSet::new();
    for (index, endpoint) in endpoints.iter().enumerate() {
        let item = at.index(index);
        let url = item.key("url");
        rules::check(&url, &endpoint.url, rules::endpoint_url, findings);
        if !seen.insert(endpoint.url.trim_end_matches('/')) {
            let finding = Finding::new(&url, Code::Conflict, format!("{:?} again", endpoint.url), "each endpoint once");
            findings.add(finding.hint("give it a larger weight instead"));
        }
    }
    review_weights(at, endpoints.iter().map(|endpoint| endpoint.weight), findings);
}

/// Finds TLS that would protect nothing.
fn review_tls(at: &Place<'_>, upstream: &Upstream, findings: &mut Findings) {
    let secure = upstream.endpoints.iter().any(|endpoint| endpoint.url.starts_with("https://"));
    let may_find_secure = upstream.discovery.as_ref().is_some_and(|discovery| discovery.dns.as_ref().is_none_or(|dns| dns.tls));
    if upstream.tls.is_some() && !may_find_secure && !secure {
        findings.add(Finding::new(at, Code::Conflict, "tls, and only http:// endpoints", "https:// endpoints").on_key());
    }
}

fn review_timeouts(at: &Place<'_>, timeouts: &UpstreamTimeouts, findings: &mut Findings) {
    // A `request` of 0s means no limit, as in Gateway API.
    positive(&at.key("connect"), timeouts.connect, findings);
    positive(&at.key("first_byte"), timeouts.first_byte, findings);
    positive(&at.key("idle"), timeouts.idle, findings);
    positive(&at.key("keep_alive"), timeouts.keep_alive, findings);
    positive(&at.key("upgraded"), timeouts.upgraded, findings);
}

fn review_discovery(at: &Place<'_>, discovery: &Discovery, findings: &mut Findings) {
    let given = [discovery.dns.is_some(), discovery.etcd.is_some(), discovery.register.is_some()];
    exactly_one(at, &["dns", "etcd", "register"], &given, findings);
    if let Some(register) = &discovery.register {
        positive(&at.key("register").key("ttl"), register.ttl, findings);
    }
    if let Some(etcd) = &discovery.etcd {
        rules::check(&at.key("etcd").key("prefix"), &etcd.prefix, rules::not_empty, findings);
    }
    if let Some(dns) = &discovery.dns {
        review_dns(&at.key("dns"), dns, findings);
    }
}

fn review_dns(at: &Place<'_>, dns: &DnsDiscovery, findings: &mut Findings) {
    rules::check(&at.key("name"), &dns.name, rules::dns_name, findings);
    match (dns.port, dns.record) {
        (Some(_), DnsRecord::Srv) => {
            findings.add(
                Finding::new(&at.key("port"), Code::Conflict, "a port", "record: address, since SRV records bring their own").on_key(),
            );
        }
        (Some(0), DnsRecord::Address) => findings.add(Finding::new(&at.key("port"), Code::Value, "0", "1 to 65535")),
        _ => {}
    }
    for (index, server) in dns.servers.iter().enumerate().filter(|(_, server)| server.0.port() == 0) {
        findings.add(Finding::new(&at.key("servers").index(index), Code::Value, server.to_string(), "a port from 1 to 65535, such as 53"));
    }
    positive(&at.key("min_ttl"), dns.min_ttl, findings);
    if dns.max_ttl < dns.min_ttl {
        let want = format!("{} (min_ttl) or more", dns.min_ttl);
        findings.add(Finding::new(&at.key("max_ttl"), Code::Conflict, dns.max_ttl.to_string(), want));
    }
}

/// Finds none or several where exactly one must be.
pub(super) fn exactly_one(at: &Place<'_>, keys: &[&str], given: &[bool], findings: &mut Findings) {
    let present: Vec<&str> = keys.iter().zip(given).filter(|(_, given)| **given).map(|(key, _)| *key).collect();
    let want = format!("exactly one of {}", keys.join(", "));
    match present.as_slice() {
        [_] => {}
        [] => findings.add(Finding::new(at, Code::Missing, "none", want)),
        several => findings.add(Finding::new(at, Code::Conflict, several.join(" and "), want)),
    }
}

fn review_balance(at: &Place<'_>, balance: &Balance, findings: &mut Findings) {
    let hashes = matches!(balance.algorithm, BalanceAlgorithm::RingHash | BalanceAlgorithm::Maglev);
    match &balance.hash_on {
        None if hashes => {
            let want = "what to hash on, such as client";
            findings.add(Finding::new(&at.key("hash_on"), Code::Missing, "nothing", want));
        }
        Some(hash_on) if !hashes => {
            let want = "ring_hash or maglev as the algorithm";
            findings.add(Finding::new(&at.key("hash_on"), Code::Conflict, hash_on.to_string(), want));
        }
        Some(HashOn::Header(name)) => rules::check(&at.key("hash_on"), name, rules::header_name, findings),
        _ => {}
    }
}

fn review_health(at: &Place<'_>, health: &Health, findings: &mut Findings) {
    if let Some(active) = &health.active {
        review_active(&at.key("active"), active, findings);
    }
    if let Some(outlier) = &health.outlier {
        let at = at.key("outlier");
        positive(&at.key("interval"), outlier.interval, findings);
        positive(&at.key("base_ejection"), outlier.base_ejection, findings);
        if outlier.base_ejection > outlier.max_ejection {
            let want = format!("at most max_ejection, which is {}", outlier.max_ejection);
            findings.add(Finding::new(&at.key("base_ejection"), Code::Conflict, outlier.base_ejection.to_string(), want));
        }
    }
}

fn review_active(at: &Place<'_>, active: &ActiveHealth, findings: &mut Findings) {
    rules::check(&at.key("path"), &active.path, rules::probe_target, findings);
    positive(&at.key("interval"), active.interval, findings);
    positive(&at.key("timeout"), active.timeout, findings);
    at_least_one(&at.key("healthy"), active.healthy, findings);
    at_least_one(&at.key("unhealthy"), active.unhealthy, findings);
    if active.expect.is_empty() {
        findings.add(Finding::new(&at.key("expect"), Code::Value, "no status", "a status such as 2xx"));
    }
    if active.port == Some(0) {
        findings.add(Finding::new(&at.key("port"), Code::Value, "0", "1 to 65535"));
    }
    for (name, value) in &active.headers {
        let headers = at.key("headers");
        let field = headers.key(name);
        rules::check(&field, name, rules::header_name, findings);
        rules::check(&field, value, rules::header_value, findings);
    }
}

fn review_breaker(at: &Place<'_>, breaker: &CircuitBreaker, findings: &mut Findings) {
    positive(&at.key("window"), breaker.window, findings);
    positive(&at.key("open"), breaker.open, findings);
    at_least_one(&at.key("min_requests"), breaker.min_requests, findings);
    at_least_one(&at.key("probes"), breaker.probes, findings);
    at_least_one(&at.key("max_requests"), breaker.max_requests, findings);
    at_least_one(&at.key("max_pending"), breaker.max_pending, findings);
    if let Some(slow) = breaker.slow_threshold {
        positive(&at.key("slow_threshold"), slow, findings);
    }
    if breaker.max_open < breaker.open {
        let want = format!("{} (open) or more", breaker.open);
        findings.add(Finding::new(&at.key("max_open"), Code::Conflict, breaker.max_open.to_string(), want));
    }
}

fn review_retry(at: &Place<'_>, retry: &Retry, findings: &mut Findings) {
    const MOST: u32 = 10;
    if retry.attempts == 0 || retry.attempts > MOST {
        let want = format!("1 to {MOST}");
        findings.add(Finding::new(&at.key("attempts"), Code::Value, retry.attempts.to_string(), want));
    }
    let statuses = at.key("statuses");
    for (index, status) in retry.statuses.iter().enumerate().filter(|(_, status)| !(400..=599).contains(*status)) {
        findings.add(Finding::new(&statuses.index(index), Code::Value, status.to_string(), "400 to 599"));
    }
    if retry.hedge.is_some() && retry.attempts == 1 {
        findings.add(Finding::new(&at.key("hedge"), Code::Conflict, "attempts of 1", "attempts of 2 or more"));
    }
    if let Some(timeout) = retry.per_try_timeout {
        positive(&at.key("per_try_timeout"), timeout, findings);
    }
}

fn review_credentials(at: &Place<'_>, credentials: &ClientCredentials, names: &Names<'_>, findings: &mut Findings) {
    exactly_one(at, &["token_url", "issuer"], &[credentials.token_url.is_some(), credentials.issuer.is_some()], findings);
    if let Some(url) = &credentials.token_url {
        rules::check(&at.key("token_url"), url, rules::fetch_url, findings);
    }
    if let Some(issuer) = &credentials.issuer {
        names::expect(&at.key("issuer"), "an issuer", issuer, &names.issuers, findings);
    }
    rules::check(&at.key("client_id"), &credentials.client_id, rules::not_empty, findings);
    review_secret(&at.key("client_secret"), &credentials.client_secret, findings);
    let scopes = at.key("scopes");
    for (index, scope) in credentials.scopes.iter().enumerate() {
        rules::check(&scopes.index(index), scope, rules::scope, findings);
    }
}

fn at_least_one(at: &Place<'_>, count: u32, findings: &mut Findings) {
    if count == 0 {
        findings.add(Finding::new(at, Code::Value, "0", "1 or more"));
    }
}
