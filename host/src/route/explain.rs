//! Why a request goes where it goes, for people. One rule after the other, without the tables of the
//! lookup, so that it is also a check on them.

use std::fmt;

use super::{
    Head, HeaderMatch, QueryMatch, Rule,
    precedence::{Advantage, Precedence},
};

/// A rule and how it fared.
#[derive(Debug)]
pub struct Candidate<'a, T> {
    /// The rule, without conditions that repeat a name.
    pub rule: &'a Rule,
    /// What it leads to.
    pub value: &'a T,
    /// How it fared.
    pub outcome: Outcome<'a>,
}

/// How a rule fared. Its text goes behind the rule's name and a colon.
#[derive(Clone, Debug)]
pub enum Outcome<'a> {
    /// It takes the request.
    Won,
    /// It matches too, but the winner goes first.
    Outranked(Advantage),
    /// This query condition does not hold; the rest before it does.
    Query(&'a QueryMatch),
    /// This header condition does not hold.
    Header(&'a HeaderMatch),
    /// It serves other methods.
    Method,
    /// It serves other paths.
    Path,
    /// It serves other hosts.
    Host,
}

pub(super) fn explain<'a, T: 'a>(rows: impl Iterator<Item = (&'a Rule, &'a T, u64)>, head: &Head<'_>) -> Vec<Candidate<'a, T>> {
    let mut rows: Vec<_> = rows.map(|(rule, value, position)| (judge(rule, head), Precedence::of(rule, position), rule, value)).collect();
    rows.sort_by_key(|(failure, precedence, ..)| (failure.as_ref().map_or(0, Outcome::distance), *precedence));
    let Some(&(_, winner, ..)) = rows.first() else { return Vec::new() };
    let outcome = |failure: Option<_>, precedence| failure.unwrap_or_else(|| rank(winner, precedence));
    rows.into_iter().map(|(failure, precedence, rule, value)| Candidate { rule, value, outcome: outcome(failure, precedence) }).collect()
}

/// The first condition that does not hold, if any.
fn judge<'a>(rule: &'a Rule, head: &Head<'_>) -> Option<Outcome<'a>> {
    if !rule.host.matches(head.host) {
        return Some(Outcome::Host);
    }
    if !rule.path.matches(head.path) {
        return Some(Outcome::Path);
    }
    if !rule.accepts_method(head.method) {
        return Some(Outcome::Method);
    }
    if let Some(failed) = rule.headers.iter().find(|header| !header.matches(head.headers)) {
        return Some(Outcome::Header(failed));
    }
    rule.query.iter().find(|query| !query.matches(head.query)).map(Outcome::Query)
}

/// The outcome of a rule that matches, for the first of those has won.
fn rank<'a>(winner: Precedence, precedence: Precedence) -> Outcome<'a> {
    if winner == precedence {
        return Outcome::Won;
    }
    Outcome::Outranked(winner.advantage_over(&precedence))
}

// === impl Outcome ===

impl Outcome<'_> {
    /// How far from a match, so that near misses come first.
    fn distance(&self) -> u8 {
        match self {
            Self::Won | Self::Outranked(_) => 0,
            Self::Query(_) => 1,
            Self::Header(_) => 2,
            Self::Method => 3,
            Self::Path => 4,
            Self::Host => 5,
        }
    }
}

impl fmt::Display for Outcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Won => f.write_str("won"),
            Self::Outranked(advantage) => write!(f, "another rule matches and {advantage}"),
            Self::Query(query) => write!(f, "the query lacks {query}"),
            Self::Header(header) => write!(f, "the headers lack {header}"),
            Self::Method => f.write_str("it serves other methods"),
            Self::Path => f.write_str("it serves other paths"),
            Self::Host => f.write_str("it serves other hosts"),
        }
    }
}
