//! The rules of one host, laid out for lookup: sorted so that each trie node owns one run of them, with what
//! most lookups read apart from the rest.

use std::ops::Range;

use http::Method;

use super::{
    Head, Rule,
    method::MethodSet,
    path::Kind,
    precedence::Precedence,
    trie::{self, Node, Trie},
};

/// All rules of one host pattern.
#[derive(Debug)]
pub(super) struct Table<T> {
    trie: Trie<Runs>,
    entries: Box<[Entry<T>]>,
    /// The rule of each entry, for its conditions and for explanations.
    rules: Box<[Rule]>,
}

/// A rule on its way into a table.
#[derive(Debug)]
pub(super) struct Row<T> {
    pub(super) rule: Rule,
    pub(super) value: T,
    /// Its place in the config.
    pub(super) position: u64,
}

/// What a lookup reads of each rule.
#[derive(Debug)]
struct Entry<T> {
    value: T,
    position: u64,
    /// Its place among the rules of this table, in order of precedence.
    rank: u32,
    methods: MethodSet,
    has_conditions: bool,
}

/// The entries of one trie node: exact ones, then expressions, then prefixes, best first in each run.
#[derive(Debug, Default)]
struct Runs {
    start: u32,
    exact_end: u32,
    regex_end: u32,
    end: u32,
}

// === impl Table ===

impl<T> Table<T> {
    pub(super) fn build(mut rows: Vec<Row<T>>) -> Self {
        rows.sort_by_cached_key(Row::precedence);
        let mut ranked: Vec<(u32, Row<T>)> = (0..).zip(rows).collect();
        // Stable, so that the order of precedence holds within each run.
        ranked.sort_by(|(_, a), (_, b)| trie::order(a.path(), b.path()).then(a.run().cmp(&b.run())));
        let trie = Trie::build(runs(&ranked), |runs| runs.exact_end != runs.end);
        let (entries, rules): (Vec<_>, Vec<_>) = ranked.into_iter().map(|(rank, row)| row.split(rank)).unzip();
        Self { trie, entries: entries.into(), rules: rules.into() }
    }

    /// The value of the best rule of this host that accepts the request.
    pub(super) fn find(&self, head: &Head<'_>) -> Option<&T> {
        self.find_index(head, |_| true).map(|index| &self.entries[index].value)
    }

    /// The best rule of this host that accepts the request, of those whose places in the config `stand`.
    pub(super) fn find_standing(&self, head: &Head<'_>, stand: impl Fn(u64) -> bool) -> Option<(&Rule, &T, u64)> {
        self.find_index(head, |entry| stand(entry.position)).map(|index| self.row(index))
    }

    /// Every rule with its value and its place in the config.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&Rule, &T, u64)> {
        (0..self.entries.len()).map(|index| self.row(index))
    }

    fn row(&self, index: usize) -> (&Rule, &T, u64) {
        let entry = &self.entries[index];
        (&self.rules[index], &entry.value, entry.position)
    }

    fn find_index(&self, head: &Head<'_>, stands: impl Fn(&Entry<T>) -> bool) -> Option<usize> {
        let (deepest, whole) = self.trie.walk(head.path)?;
        let accepts = |index: &usize| self.accepts(*index, head) && stands(&self.entries[*index]);
        let exact = if whole { deepest.value.exact().find(accepts) } else { None };
        exact
            .or_else(|| self.find_regex(deepest, head, accepts))
            .or_else(|| self.trie.and_above(deepest).find_map(|node| node.value.prefix().find(accepts)))
    }

    fn find_regex(&self, deepest: &Node<Runs>, head: &Head<'_>, accepts: impl Fn(&usize) -> bool) -> Option<usize> {
        let mut best: Option<usize> = None;
        for node in self.trie.and_above(deepest) {
            let better = |index: &usize| best.is_none_or(|best| self.entries[*index].rank < self.entries[best].rank);
            let mut run = node.value.regex().take_while(better);
            // The conditions are cheaper than the expression.
            best = run.find(|index| accepts(index) && self.rules[*index].path.matches(head.path)).or(best);
        }
        best
    }

    fn accepts(&self, index: usize, head: &Head<'_>) -> bool {
        let entry = &self.entries[index];
        let listed = |method: &Method| self.rules[index].accepts_method(method);
        entry.methods.contains(head.method, listed) && (!entry.has_conditions || self.rules[index].accepts_conditions(head))
    }
}

/// The runs of each path, from rows that are sorted by path.
fn runs<T>(rows: &[(u32, Row<T>)]) -> Vec<(&str, Runs)> {
    let mut start = 0;
    let nodes = rows.chunk_by(|(_, a), (_, b)| a.path() == b.path());
    nodes
        .map(|rows| {
            let end_of = |run| start + short(rows.partition_point(|(_, row)| row.run() <= run));
            let runs = Runs { start, exact_end: end_of(Run::Exact), regex_end: end_of(Run::Regex), end: end_of(Run::Prefix) };
            start = runs.end;
            (rows[0].1.path(), runs)
        })
        .collect()
}

fn short(length: usize) -> u32 {
    u32::try_from(length).expect("a config has fewer than four billion rules")
}

// === impl Row ===

impl<T> Row<T> {
    fn precedence(&self) -> Precedence {
        Precedence::of(&self.rule, self.position)
    }

    /// The path of the trie node that it belongs to.
    fn path(&self) -> &str {
        match &self.rule.path.0 {
            Kind::Exact(path) => path,
            Kind::Prefix(prefix) => prefix,
            Kind::Regex { below, .. } => below,
        }
    }

    fn run(&self) -> Run {
        match self.rule.path.0 {
            Kind::Exact(_) => Run::Exact,
            Kind::Regex { .. } => Run::Regex,
            Kind::Prefix(_) => Run::Prefix,
        }
    }

    fn split(self, rank: u32) -> (Entry<T>, Rule) {
        let Self { rule, value, position } = self;
        let methods = MethodSet::of(&rule.methods);
        let has_conditions = !rule.headers.is_empty() || !rule.query.is_empty();
        (Entry { value, position, rank, methods, has_conditions }, rule)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Run {
    Exact,
    Regex,
    Prefix,
}

// === impl Runs ===

impl Runs {
    fn exact(&self) -> Range<usize> {
        self.start as usize..self.exact_end as usize
    }

    fn regex(&self) -> Range<usize> {
        self.exact_end as usize..self.regex_end as usize
    }

    fn prefix(&self) -> Range<usize> {
        self.regex_end as usize..self.end as usize
    }
}
