//! Checks of clients and their keys, and of the pepper that keys are kept with.

use std::collections::HashMap;

use super::Findings;
use super::draft::{Draft, Slot};
use super::identity::review_secret;
use super::rules;
use super::upstreams::exactly_one;
use crate::config::document::{Client, ClientKey};
use crate::config::place::{Finding, Place};
use crate::config::problem::Code;
use crate::config::text::Sha256;

/// Checks every client, every key, and that no key is anybody else's too.
pub(super) fn review(draft: &Draft, findings: &mut Findings) {
    let peppered = review_pepper(draft, findings);
    let mut owners = Owners::with_capacity(draft.clients.len());
    for slot in &draft.clients {
        let Ok(client) = &slot.item else { continue };
        let root = Place::root(slot.file);
        let list = root.key("clients");
        let at = list.index(slot.index);
        review_client(&at, client, peppered, findings);
        owners.add(slot, client, findings);
    }
}

/// Whether there is a pepper, or something that may have been meant for one.
fn review_pepper(draft: &Draft, findings: &mut Findings) -> bool {
    for slot in &draft.identity {
        let Ok(identity) = &slot.item else { return true };
        if let Some(pepper) = &identity.pepper {
            let root = Place::root(slot.file);
            review_secret(&root.key("identity").key("pepper"), pepper, findings);
            return true;
        }
    }
    false
}

fn review_client(at: &Place<'_>, client: &Client, peppered: bool, findings: &mut Findings) {
    review_scopes(&at.key("scopes"), &client.scopes, findings);
    if let Some(plan) = &client.plan {
        rules::check(&at.key("plan"), plan, rules::name, findings);
    }
    let keys = at.key("keys");
    for (index, key) in client.keys.iter().enumerate() {
        review_key(&keys.index(index), key, client, peppered, findings);
    }
}

fn review_key(at: &Place<'_>, key: &ClientKey, client: &Client, peppered: bool, findings: &mut Findings) {
    exactly_one(at, &["sha256", "hmac"], &[key.sha256.is_some(), key.hmac.is_some()], findings);
    if key.hmac.is_some() && !peppered {
        let finding = Finding::new(&at.key("hmac"), Code::Reference, "a digest made with a pepper", "sha256, or identity.pepper");
        findings.add(finding.on_key());
    }
    for (field, text) in [("id", &key.id), ("last4", &key.last4)] {
        if let Some(text) = text {
            rules::check(&at.key(field), text, rules::name, findings);
        }
    }
    let scopes = at.key("scopes");
    for (index, scope) in key.scopes.iter().flatten().enumerate() {
        if !client.scopes.contains(scope) {
            let hint = findings.suggest(scope, client.scopes.iter().map(String::as_str));
            let finding = Finding::new(&scopes.index(index), Code::Reference, format!("{scope:?}"), "a scope that the client has");
            findings.add(finding.maybe_hint(hint));
        }
    }
}

fn review_scopes(at: &Place<'_>, scopes: &[String], findings: &mut Findings) {
    for (index, scope) in scopes.iter().enumerate() {
        rules::check(&at.index(index), scope, rules::scope, findings);
    }
}

/// The first place of each key.
struct Owners<'a>(HashMap<Sha256, (&'a Slot<Client>, &'a Client, usize)>);

impl<'a> Owners<'a> {
    fn with_capacity(clients: usize) -> Self {
        Self(HashMap::with_capacity(clients))
    }

    // A key stands for one client: with two, the second would never be seen. Nothing tells which one is wrong, so both
    // places are shown.
    fn add(&mut self, slot: &'a Slot<Client>, client: &'a Client, findings: &mut Findings) {
        for (index, key) in client.keys.iter().enumerate() {
            let Some(digest) = key.hmac.or(key.sha256) else { continue };
            match self.0.get(&digest) {
                None => drop(self.0.insert(digest, (slot, client, index))),
                Some((other_slot, other, other_index)) => {
                    findings.add(shared(slot, index, key, &other.name));
                    findings.add(shared(other_slot, *other_index, &other.keys[*other_index], &client.name));
                }
            }
        }
    }
}

fn shared(slot: &Slot<Client>, index: usize, key: &ClientKey, other: &str) -> Finding {
    let field = if key.hmac.is_some() { "hmac" } else { "sha256" };
    let root = Place::root(slot.file);
    let list = root.key("clients");
    let item = list.index(slot.index);
    let keys = item.key("keys");
    let at = keys.index(index);
    Finding::new(&at.key(field), Code::Conflict, "a key that stands twice", "a key of its own").hint(format!("{other} has it too"))
}
