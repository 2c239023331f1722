//! Routes: which rule a request falls to. A host map, one trie per host, then a short list of predicates.
//! The order is the one of the Gateway API: host, path, method, headers, query, place in the config.
//! Knows nothing of chains or upstreams: what a rule leads to is the caller's `T`.

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

use http::{HeaderMap, Method};

pub use self::{
    error::RuleError,
    explain::{Candidate, Outcome},
    header::HeaderMatch,
    host::HostPattern,
    path::PathMatch,
    precedence::Advantage,
    query::QueryMatch,
};
use self::{
    host::HostMap,
    table::{Row, Table},
};

/// All rules of one snapshot, ready for lookups. Never changes once built.
#[derive(Debug)]
pub struct Router<T> {
    hosts: HostMap<Table<T>>,
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

impl<T> Router<T> {
    /// Rules earlier in the sequence win over later ones that are otherwise equal.
    pub fn build(rules: impl IntoIterator<Item = (Rule, T)>) -> Self {
        let mut hosts = HostMap::default();
        for (position, (mut rule, value)) in rules.into_iter().enumerate() {
            rule.drop_repeated_names();
            let rows: &mut Vec<Row<T>> = hosts.entry(&rule.host);
            rows.push(Row { rule, value, position });
        }
        Self { hosts: hosts.map(Table::build) }
    }

    /// The value of the rule that serves this request. Takes no lock and allocates nothing of its own;
    /// a regular expression may make its scratch space the first time a thread meets it.
    pub fn find(&self, head: &Head<'_>) -> Option<&T> {
        // Less specific hosts get their turn only when no rule of a more specific one matches.
        self.hosts.find(head.host, |table| table.find(head))
    }

    /// Every rule, best first, with why it won or lost: first those that match, then the near misses.
    /// Walks all rules one by one, so it is for people and not for the request path.
    pub fn explain(&self, head: &Head<'_>) -> Vec<Candidate<'_, T>> {
        explain::explain(self.hosts.values().flat_map(Table::rows), head)
    }
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
