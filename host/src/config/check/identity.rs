//! Checks of issuers, and of where secrets are.

use super::Findings;
use super::draft::Draft;
use super::gateway::positive;
use super::rules;
use super::upstreams::exactly_one;
use crate::config::document::{Algorithm, Issuer, Jwks, Secret};
use crate::config::place::{Finding, Place};
use crate::config::problem::Code;
use crate::config::units::Period;

/// Checks every issuer.
pub(super) fn review(draft: &Draft, findings: &mut Findings) {
    for slot in &draft.issuers {
        let Ok(issuer) = &slot.item else { continue };
        let root = Place::root(slot.file);
        let list = root.key("issuers");
        review_issuer(&list.index(slot.index), issuer, findings);
    }
}

fn review_issuer(at: &Place<'_>, issuer: &Issuer, findings: &mut Findings) {
    rules::check(&at.key("issuer"), &issuer.issuer, rules::not_empty, findings);
    review_leeway(&at.key("leeway"), issuer.leeway, findings);
    if let Some(jwks) = &issuer.jwks {
        review_jwks(&at.key("jwks"), jwks, findings);
    }
    if let Some(secret) = &issuer.secret {
        review_secret(&at.key("secret"), secret, findings);
        if issuer.jwks.is_some() {
            let want = "one of them, or an issuer for each";
            findings.add(Finding::new(at, Code::Conflict, "jwks and secret", want));
        }
    }
    if let Some(introspection) = &issuer.introspection {
        let at = at.key("introspection");
        if let Some(url) = &introspection.url {
            rules::check(&at.key("url"), url, rules::fetch_url, findings);
        }
        rules::check(&at.key("client_id"), &introspection.client_id, rules::not_empty, findings);
        review_secret(&at.key("client_secret"), &introspection.client_secret, findings);
        positive(&at.key("timeout"), introspection.timeout, findings);
    }
    if issuer.signs() {
        review_tokens(at, issuer, findings);
    } else if issuer.introspection.is_none() {
        let want = "jwks, secret or introspection, or else algorithms, and the issuer is asked where its keys are";
        findings.add(Finding::new(at, Code::Missing, "no keys", want));
    }
}

// RFC 8725: the algorithm is the issuer's choice, never the token's.
fn review_tokens(at: &Place<'_>, issuer: &Issuer, findings: &mut Findings) {
    if issuer.algorithms.is_empty() {
        findings.add(Finding::new(&at.key("algorithms"), Code::Missing, "none", "at least one algorithm such as RS256"));
    }
    for (index, algorithm) in issuer.algorithms.iter().enumerate() {
        review_algorithm(at, index, *algorithm, issuer, findings);
    }
}

fn review_algorithm(at: &Place<'_>, index: usize, algorithm: Algorithm, issuer: &Issuer, findings: &mut Findings) {
    let (key, present) = match algorithm.is_symmetric() {
        true => ("secret", issuer.secret.is_some()),
        // With neither, the keys are those that the issuer names.
        false => ("jwks", issuer.jwks.is_some() || issuer.secret.is_none()),
    };
    if !present {
        let list = at.key("algorithms");
        let want = format!("an algorithm that the issuer has keys for; this one needs {key}");
        findings.add(Finding::new(&list.index(index), Code::Conflict, format!("{algorithm:?}"), want));
    }
}

fn review_leeway(at: &Place<'_>, leeway: Period, findings: &mut Findings) {
    let most = Period::secs(60);
    if leeway > most {
        findings.add(Finding::new(at, Code::Value, leeway.to_string(), format!("{most} or less")));
    }
}

fn review_jwks(at: &Place<'_>, jwks: &Jwks, findings: &mut Findings) {
    if jwks.url.is_some() && jwks.file.is_some() {
        findings.add(Finding::new(at, Code::Conflict, "url and file", "one of them, or neither to ask the issuer"));
    }
    within(&at.key("ttl"), jwks.ttl, [Period::secs(1), Period::secs(86_400)], findings);
    within(&at.key("refetch_floor"), jwks.refetch_floor, [Period::millis(100), Period::secs(3_600)], findings);
    if let Some(url) = &jwks.url {
        rules::check(&at.key("url"), url, rules::fetch_url, findings);
    }
}

fn within(at: &Place<'_>, period: Period, [least, most]: [Period; 2], findings: &mut Findings) {
    if !(least..=most).contains(&period) {
        findings.add(Finding::new(at, Code::Value, period.to_string(), format!("{least} to {most}")));
    }
}

/// Checks where a secret is.
pub(super) fn review_secret(at: &Place<'_>, secret: &Secret, findings: &mut Findings) {
    exactly_one(at, &["file", "env"], &[secret.file.is_some(), secret.env.is_some()], findings);
    if let Some(env) = &secret.env {
        rules::check(&at.key("env"), env, rules::not_empty, findings);
    }
}
