//! Which of two matching rules wins: the order of the Gateway API as one comparable value, and its reason in words.

use std::{cmp::Reverse, fmt};

use super::{HostPattern, Rule, path::Kind};

/// Where a rule stands; the least comes first. Fields are in the order in which they decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Precedence {
    host: Reverse<(u8, usize)>,
    path: Reverse<(u8, usize)>,
    has_method: Reverse<bool>,
    headers: Reverse<usize>,
    query: Reverse<usize>,
    position: u64,
}

/// What put one rule before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advantage {
    /// An exact host, or the longer wildcard.
    Host,
    /// Exact before regex before prefix, or the longer prefix.
    Path,
    /// Methods are named.
    Method,
    /// More header conditions.
    Headers,
    /// More query conditions.
    Query,
    /// Earlier in the config.
    Position,
}

impl Precedence {
    /// The standing of a rule at that place in the config.
    pub(super) fn of(rule: &Rule, position: u64) -> Self {
        Self {
            host: Reverse(host_rank(&rule.host)),
            path: Reverse(path_rank(&rule.path.0)),
            has_method: Reverse(!rule.methods.is_empty()),
            headers: Reverse(rule.headers.len()),
            query: Reverse(rule.query.len()),
            position,
        }
    }

    /// The first thing in which `self` and a lesser rule differ.
    pub(super) fn advantage_over(&self, lesser: &Self) -> Advantage {
        let differs = [
            (self.host != lesser.host, Advantage::Host),
            (self.path != lesser.path, Advantage::Path),
            (self.has_method != lesser.has_method, Advantage::Method),
            (self.headers != lesser.headers, Advantage::Headers),
            (self.query != lesser.query, Advantage::Query),
        ];
        let first = differs.into_iter().find(|(differs, _)| *differs);
        first.map_or(Advantage::Position, |(_, advantage)| advantage)
    }
}

impl fmt::Display for Advantage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "its host is more specific",
            Self::Path => "its path is more specific",
            Self::Method => "it names a method",
            Self::Headers => "it has more header conditions",
            Self::Query => "it has more query conditions",
            Self::Position => "it comes first in the config",
        })
    }
}

fn host_rank(host: &HostPattern) -> (u8, usize) {
    match host {
        HostPattern::Exact(name) => (2, name.len()),
        HostPattern::Wildcard(parent) => (1, parent.len()),
        HostPattern::Any => (0, 0),
    }
}

fn path_rank(path: &Kind) -> (u8, usize) {
    match path {
        Kind::Exact(_) => (2, 0),
        // The length of an expression says nothing about what it covers, so the predicates decide.
        Kind::Regex { .. } => (1, 0),
        Kind::Prefix(prefix) => (0, prefix.len()),
    }
}
