//! Rules that changed after a router was laid out: a small table beside the large one, so that a change costs what it
//! changes. Lookups ask both, and the better rule wins.

use std::collections::HashSet;

use super::{Head, Rule, host::HostMap, precedence::Precedence, table::Table, tables};

/// So many changes are worth laying all out anew: until then each costs little more than itself.
const MANY: usize = 128;

/// What changed.
#[derive(Debug)]
pub(super) struct Changes<T> {
    rules: HostMap<Table<T>>,
    count: usize,
    /// Places in the config whose rules in the base are out of force.
    gone: HashSet<u64>,
}

impl<T> Changes<T> {
    /// Whether the rules at a place in the config are no longer those of the base.
    pub(super) fn has_taken(&self, position: u64) -> bool {
        self.gone.contains(&position)
    }

    pub(super) fn are_many(&self) -> bool {
        self.count + self.gone.len() > MANY
    }

    /// The new rules, with their values and their places in the config.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&Rule, &T, u64)> {
        self.rules.values().flat_map(Table::rows)
    }

    /// The value of the rule that serves this request, among those of the base that still stand and the new ones.
    pub(super) fn find<'a>(&'a self, base: &'a HostMap<Table<T>>, head: &Head<'_>) -> Option<&'a T> {
        let old = base.find(head.host, |table| table.find_standing(head, |position| !self.has_taken(position)));
        let new = self.rules.find(head.host, |table| table.find_standing(head, |_| true));
        let best = match (old, new) {
            (Some(old), Some(new)) if precedence(new) < precedence(old) => Some(new),
            (old, new) => old.or(new),
        };
        best.map(|(_, value, _)| value)
    }
}

impl<T: Clone> Changes<T> {
    /// What changed before, and now these rules in place of all that stood at the places `gone`.
    pub(super) fn after(before: Option<&Self>, gone: &[u64], rules: impl IntoIterator<Item = (u64, Rule, T)>) -> Self {
        let kept = before.into_iter().flat_map(Self::rows).filter(|(_, _, position)| !gone.contains(position));
        let all: Vec<_> = kept.map(super::owned).chain(rules).collect();
        let before = before.into_iter().flat_map(|before| &before.gone);
        let gone = before.chain(gone).copied().collect();
        Self { count: all.len(), rules: tables(all), gone }
    }
}

fn precedence<T>((rule, _, position): (&Rule, &T, u64)) -> Precedence {
    Precedence::of(rule, position)
}
