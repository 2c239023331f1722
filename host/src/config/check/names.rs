//! Names: which there are, that each is used once, and which one was probably meant.

use std::collections::{HashMap, HashSet};

use super::Findings;
use super::draft::{Draft, Named, Slot};
use super::rules;
use crate::config::document::Issuer;
use crate::config::place::{Finding, Place};
use crate::config::problem::Code;
use crate::config::stock::Stock;

/// The names that a document may refer to.
pub(super) struct Names<'a> {
    pub(super) upstreams: Known<'a>,
    pub(super) issuers: Known<'a>,
    /// Issuers that sign no tokens which the gateway verifies.
    pub(super) opaque: HashSet<&'a str>,
    /// Issuers that cannot be asked about tokens.
    pub(super) silent: HashSet<&'a str>,
    pub(super) plugins: Known<'a>,
    pub(super) built_ins: HashSet<&'a str>,
    stock: &'a Stock,
}

/// The names of one section.
pub(super) struct Known<'a> {
    names: HashSet<&'a str>,
    /// Whether these are all. Otherwise a name that is not among them may be right all the same.
    whole: bool,
}

impl<'a> Names<'a> {
    /// The names of all items. Finds names that are no names, and names used twice. With `whole` unset, there may be
    /// items that could not be seen.
    pub(super) fn collect(draft: &'a Draft, stock: &'a Stock, whole: bool, findings: &mut Findings) -> Self {
        unique("listeners", &draft.listeners, findings);
        unique("clients", &draft.clients, findings);
        unique("routes", &draft.routes, findings);
        let mut names = Names {
            upstreams: unique("upstreams", &draft.upstreams, findings),
            issuers: unique("issuers", &draft.issuers, findings),
            opaque: issuers(draft, |issuer| !issuer.signs()),
            silent: issuers(draft, |issuer| issuer.introspection.is_none()),
            plugins: unique("plugins", &draft.plugins, findings),
            built_ins: stock.built_ins.iter().copied().collect(),
            stock,
        };
        names.plugins.names.extend(&stock.built_ins);
        names.plugins.names.extend(stock.uploaded.iter().flatten().map(String::as_str));
        for known in [&mut names.upstreams, &mut names.issuers, &mut names.plugins] {
            known.whole &= whole;
        }
        names
    }
}

fn issuers<'a>(draft: &'a Draft, which: fn(&Issuer) -> bool) -> HashSet<&'a str> {
    let issuers = draft.issuers.iter().filter_map(|slot| slot.item.as_ref().ok());
    issuers.filter(|issuer| which(issuer)).map(|issuer| issuer.name.as_str()).collect()
}

/// Finds a reference to something that is not there.
pub(super) fn expect(at: &Place<'_>, kind: &str, name: &str, known: &Known<'_>, findings: &mut Findings) {
    expect_or_advise(at, kind, name, known, || None, findings);
}

/// Finds a use of a plugin that is not there.
pub(super) fn expect_plugin(at: &Place<'_>, name: &str, names: &Names<'_>, findings: &mut Findings) {
    expect_or_advise(at, "a plugin", name, &names.plugins, || Some(names.stock.advice(name)), findings);
}

fn expect_or_advise(
    at: &Place<'_>,
    kind: &str,
    name: &str,
    known: &Known<'_>,
    advice: impl FnOnce() -> Option<String>,
    findings: &mut Findings,
) {
    if known.names.contains(name) || !known.whole {
        return;
    }
    let hint = findings.suggest(name, known.names.iter().copied()).or_else(advice);
    let finding = Finding::new(at, Code::Reference, format!("{name:?}"), format!("the name of {kind}"));
    findings.add(finding.maybe_hint(hint));
}

/// The candidate most like `word`, in whichever case, if one is like it at all.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let reach = word.chars().count().div_ceil(3).min(4);
    let small = word.to_lowercase();
    let near = candidates.into_iter().filter_map(|candidate| {
        let distance = strsim::damerau_levenshtein(&small, &candidate.to_lowercase());
        (distance <= reach).then_some((distance, candidate))
    });
    near.min().map(|(_, candidate)| candidate)
}

fn unique<'a, T: Named>(section: &str, slots: &'a [Slot<T>], findings: &mut Findings) -> Known<'a> {
    let mut first: HashMap<&str, &Slot<T>> = HashMap::with_capacity(slots.len());
    for slot in slots {
        let Some(name) = slot.name() else { continue };
        let root = Place::root(slot.file);
        let list = root.key(section);
        let at = list.index(slot.index);
        rules::check(&at.key("name"), name, rules::name, findings);
        match first.get(name) {
            None => drop(first.insert(name, slot)),
            Some(other) => {
                let want = "a name of its own";
                let finding = Finding::new(&at.key("name"), Code::DuplicateName, format!("{name:?}"), want);
                findings.add(finding.hint(format!("{section}[{}] has the same", other.index)));
            }
        }
    }
    Known { names: first.into_keys().collect(), whole: slots.iter().all(|slot| slot.name().is_some()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_if_it_is_near() {
        let names = ["orders", "order-items", "users"];
        assert_eq!(nearest("ordres", names), Some("orders"), "two letters changed places");
        assert_eq!(nearest("user", names), Some("users"), "a letter is missing");
        assert_eq!(nearest("payments", names), None, "nothing is near");
        assert_eq!(nearest("", names), None, "nothing is like nothing");
    }
}
