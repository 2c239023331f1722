//! Routes: which rule a request falls to. A host map, one trie per host, then a short list of predicates.
//! The order is the one of the Gateway API: host, path, method, headers, query, place in the config.
//! Knows nothing of chains or upstreams: what a rule leads to is the caller's `T`.

mod changes;
mod error;
mod explain;
mod hash;
mod header;
mod host;
mod method;
mod path;
mod pattern;
mod precedence;
mod query;
#[cfg(test)]
mod reference;
mod table;
mod trie;

use std::sync::Arc;

use http::{HeaderMap, Method};

use self::{
    changes::Changes,
    host::HostMap,
    table::{Row, Table},
};
pub use self::{
    error::RuleError,
    explain::{Candidate, Outcome},
    header::HeaderMatch,
    host::HostPattern,
    path::PathMatch,
    precedence::Advantage,
    query::QueryMatch,
};

/// All rules of one snapshot, ready for lookups. Never changes once built.
#[derive(Debug)]
pub struct Router<T> {
    /// As last laid out.
    hosts: Arc<HostMap<Table<T>>>,
    /// What changed since then; None if nothing did.
    changes: Option<Arc<Changes<T>>>,
}

/// One row of a route's `match`, for one of its hosts.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The hosts it serves.
    pub host: HostPattern,
    /// The paths it serves.
    pub path: PathMatch,
    /// The methods it serves; empty means every method.
    pub methods: Vec<Method>,
    /// Header conditions, all of which must hold. A second one for the same name is ignored.
    pub headers: Vec<HeaderMatch>,
    /// Query conditions, all of which must hold. A second one for the same name is ignored.
    pub query: Vec<QueryMatch>,
}

/// What a lookup reads of a request.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The authority; case, a port and one trailing dot do not matter.
    pub host: &'a str,
    /// The normalised path without the query.
    pub path: &'a str,
    /// What follows the `?`, still encoded.
    pub query: Option<&'a str>,
    /// The method.
    pub method: &'a Method,
    /// The headers.
    pub headers: &'a HeaderMap,
}

// === impl Router ===

impl<T> Clone for Router<T> {
    fn clone(&self) -> Self {
        Self { hosts: Arc::clone(&self.hosts), changes: self.changes.clone() }
    }
}

impl<T> Router<T> {
    /// Rules earlier in the sequence win over later ones that are otherwise equal.
    pub fn build(rules: impl IntoIterator<Item = (Rule, T)>) -> Self {
        Self::at((0..).zip(rules).map(|(position, (rule, value))| (position, rule, value)))
    }

    /// Rules with their place in the config: the least wins over those that are otherwise equal. Rules at one place are
    /// one route's, and in the order that it has them.
    pub fn at(rules: impl IntoIterator<Item = (u64, Rule, T)>) -> Self {
        Self { hosts: Arc::new(tables(rules)), changes: None }
    }

    /// The value of the rule that serves this request. Takes no lock and allocates nothing of its own;
    /// a regular expression may make its scratch space the first time a thread meets it.
    pub fn find(&self, head: &Head<'_>) -> Option<&T> {
        if let Some(changes) = &self.changes {
            return changes.find(&self.hosts, head);
        }
        // Less specific hosts get their turn only when no rule of a more specific one matches.
        self.hosts.find(head.host, |table| table.find(head))
    }

    /// Every rule, best first, with why it won or lost: first those that match, then the near misses.
    /// Walks all rules one by one, so it is for people and not for the request path.
    pub fn explain(&self, head: &Head<'_>) -> Vec<Candidate<'_, T>> {
        explain::explain(self.rows(), head)
    }

    /// Every rule in force with its value and its place in the config.
    fn rows(&self) -> impl Iterator<Item = (&Rule, &T, u64)> {
        let changes = self.changes.as_deref();
        let stands = move |position| changes.is_none_or(|changes| !changes.has_taken(position));
        let base = self.hosts.values().flat_map(Table::rows).filter(move |(_, _, position)| stands(*position));
        base.chain(changes.into_iter().flat_map(Changes::rows))
    }
}

impl<T: Clone> Router<T> {
    /// The router with these rules in place of all that stood at the places `gone`. Costs what changed since all was
    /// last laid out, which now and then it does again: not what the router is.
    pub fn amend(&self, gone: &[u64], rules: impl IntoIterator<Item = (u64, Rule, T)>) -> Self {
        let changes = Changes::after(self.changes.as_deref(), gone, rules);
        let amended = Self { hosts: Arc::clone(&self.hosts), changes: Some(Arc::new(changes)) };
        match amended.changes.as_ref().is_some_and(|changes| changes.are_many()) {
            true => Self::at(amended.rows().map(owned)),
            false => amended,
        }
    }
}

fn owned<T: Clone>((rule, value, position): (&Rule, &T, u64)) -> (u64, Rule, T) {
    (position, rule.clone(), value.clone())
}

fn tables<T>(rules: impl IntoIterator<Item = (u64, Rule, T)>) -> HostMap<Table<T>> {
    let mut hosts = HostMap::default();
    for (position, mut rule, value) in rules {
        rule.drop_repeated_names();
        let rows: &mut Vec<Row<T>> = hosts.entry(&rule.host);
        rows.push(Row { rule, value, position });
    }
    hosts.map(Table::build)
}

// === impl Rule ===

impl Rule {
    fn drop_repeated_names(&mut self) {
        keep_first(&mut self.headers, |a, b| a.name() == b.name());
        keep_first(&mut self.query, |a, b| a.name() == b.name());
    }

    fn accepts_method(&self, method: &Method) -> bool {
        self.methods.is_empty() || self.methods.contains(method)
    }

    fn accepts_conditions(&self, head: &Head<'_>) -> bool {
        self.headers.iter().all(|header| header.matches(head.headers)) && self.query.iter().all(|query| query.matches(head.query))
    }
}

fn keep_first<M>(matches: &mut Vec<M>, same: impl Fn(&M, &M) -> bool) {
    let mut kept: Vec<M> = Vec::with_capacity(matches.len());
    for candidate in matches.drain(..) {
        if !kept.iter().any(|earlier| same(earlier, &candidate)) {
            kept.push(candidate);
        }
    }
    *matches = kept;
}
