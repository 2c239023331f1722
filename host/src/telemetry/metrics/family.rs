//! Families: the counts of all routes, all upstreams or all plugins, merged over the workers when somebody reads them.
//! Past a budget of series, labels fold into `other`.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;

use super::cells::Handle;
use super::members::{Member, Members, Part};

/// The label value under which everything past the budget is counted.
pub const OTHER: &str = "other";

/// Members of one kind, each with a block of `N` counts for each worker.
pub struct Family<const N: usize> {
    parts: Vec<Part>,
    most: usize,
    members: Mutex<Members<N>>,
}

/// Series that may still be published.
pub struct Budget {
    most: usize,
    published: usize,
}

/// One member with its counts merged over the workers.
pub struct Row<const N: usize> {
    member: Arc<Member<N>>,
    /// The merged block.
    pub counts: [u64; N],
    shown: u64,
}

// === impl Family ===

impl<const N: usize> Family<N> {
    /// A family whose members carry `labels` labels; past `most` members the rest count as `other`.
    pub fn new(labels: usize, most: usize, parts: Vec<Part>) -> Self {
        assert!(parts.len() <= 64, "one bit for each part");
        let family = Self { parts, most, members: Mutex::new(Members::new()) };
        family.handle(&vec![OTHER; labels]);
        family
    }

    /// The handle of the member with these label values, which joins the family if it is new.
    pub fn handle(&self, labels: &[&str]) -> Handle<N> {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        self.members.lock().handle(labels, self.most)
    }

    /// Every member with its counts; what does not fit into the budget is added to `other`.
    pub fn rows(&self, budget: &mut Budget) -> Vec<Row<N>> {
        let mut rows: Vec<Row<N>> = self.members.lock().all().map(Row::new).collect();
        let (other, named) = rows.split_first_mut().expect("`other` is never retired");
        for row in named {
            self.admit_parts(row, budget);
            self.fold(row, other);
        }
        self.show_all(other);
        rows
    }

    /// Retires members that nobody has held for a few sweeps and gives their series back to the budget.
    pub fn sweep(&self, budget: &mut Budget) {
        let mut members = self.members.lock();
        let other = members.other();
        for gone in members.take_unheld() {
            budget.published -= self.published(&gone);
            self.leave_folded(&gone, &other);
        }
        members.all().for_each(|member| member.gather(&self.parts));
    }

    fn admit_parts(&self, row: &mut Row<N>, budget: &mut Budget) {
        let decided = row.shown | row.member.folded.load(Relaxed);
        for (bit, part) in self.undecided(decided, &row.counts) {
            let side = match budget.take(part.series) {
                true => &row.member.shown,
                false => &row.member.folded,
            };
            side.fetch_or(bit, Relaxed);
        }
        row.shown = row.member.shown.load(Relaxed);
    }

    fn show_all(&self, other: &mut Row<N>) {
        let counted: u64 = self.undecided(other.shown, &other.counts).map(|(bit, _)| bit).sum();
        other.shown |= counted;
        other.member.shown.store(other.shown, Relaxed);
    }

    /// The parts that have counted something and are neither published nor folded yet.
    fn undecided<'a>(&'a self, decided: u64, counts: &'a [u64; N]) -> impl Iterator<Item = (u64, &'a Part)> {
        self.bits().filter(move |(bit, part)| {
            let counted = counts[part.places.clone()].iter().any(|count| *count != 0);
            decided & bit == 0 && counted
        })
    }

    fn fold(&self, row: &Row<N>, other: &mut Row<N>) {
        for part in self.folded(&row.member) {
            for place in part.places.clone() {
                other.counts[place] = other.counts[place].wrapping_add(row.counts[place]);
            }
        }
    }

    fn published(&self, member: &Member<N>) -> usize {
        let shown = member.shown.load(Relaxed);
        let published = self.bits().filter(|(bit, _)| shown & bit != 0);
        published.map(|(_, part)| part.series).sum()
    }

    /// Leaves the folded counts of a retired member with `other`, whose counters must not go back.
    fn leave_folded(&self, gone: &Member<N>, other: &Member<N>) {
        let counts = gone.counts();
        for part in self.folded(gone).filter(|part| !part.gauge) {
            for place in part.places.clone() {
                other.add_shared(place, counts[place]);
            }
        }
    }

    fn folded<'a>(&'a self, member: &Member<N>) -> impl Iterator<Item = &'a Part> + use<'a, N> {
        let folded = member.folded.load(Relaxed);
        self.bits().filter(move |(bit, _)| folded & bit != 0).map(|(_, part)| part)
    }

    fn bits(&self) -> impl Iterator<Item = (u64, &Part)> {
        self.parts.iter().enumerate().map(|(at, part)| (1 << at, part))
    }
}

// === impl Budget ===

impl Budget {
    /// A budget of so many series.
    pub fn new(series: usize) -> Self {
        Self { most: series, published: 0 }
    }

    /// Allows so many from now on. What is published already stays so: a counter that folded would go back.
    pub fn set(&mut self, series: usize) {
        self.most = series;
    }

    fn take(&mut self, series: usize) -> bool {
        let fits = self.published + series <= self.most;
        if fits {
            self.published += series;
        }
        fits
    }
}

// === impl Row ===

impl<const N: usize> Row<N> {
    fn new(member: &Arc<Member<N>>) -> Self {
        Self { counts: member.counts(), shown: member.shown.load(Relaxed), member: member.clone() }
    }

    /// The values of the family's labels.
    pub fn labels(&self) -> &[String] {
        &self.member.labels
    }

    /// Whether the part of this number is published for this member.
    pub fn shows(&self, part: usize) -> bool {
        self.shown & (1 << part) != 0
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::super::cells::Cells;
    use super::super::members::KEPT_SWEEPS;
    use super::*;

    const PAIR: [(Range<usize>, bool); 2] = [(0..1, false), (1..2, true)];

    /// A family of one counter (place 0) and one gauge (place 1).
    fn family(most: usize) -> Family<2> {
        let parts = PAIR.map(|(places, gauge)| Part { places, series: 1, gauge });
        Family::new(1, most, parts.into())
    }

    #[track_caller]
    fn check(family: &Family<2>, budget: &mut Budget, expected: &[(&str, u64)]) {
        let rows = family.rows(budget);
        let shown = rows.iter().filter(|row| row.shows(0));
        let counters: Vec<_> = shown.map(|row| (row.labels()[0].as_str(), row.counts[0])).collect();
        assert_eq!(counters, expected, "the published counters");
    }

    fn count(cells: &Cells<2>, handle: &Handle<2>, by: u64) {
        cells.with(handle, |block| block.add(0, by));
    }

    #[test]
    fn the_counts_of_several_workers_add_up() {
        let family = family(10);
        let orders = family.handle(&["orders"]);
        let counted = std::thread::scope(|scope| {
            let workers = [1, 2, 3].map(|times| {
                let orders = &orders;
                scope.spawn(move || {
                    let cells = Cells::new();
                    (0..1000 * times).for_each(|_| count(&cells, orders, 1));
                    1000 * times
                })
            });
            workers.map(|worker| worker.join().unwrap()).into_iter().sum()
        });
        let mut budget = Budget::new(10);
        check(&family, &mut budget, &[("orders", counted)]);
        family.sweep(&mut budget);
        check(&family, &mut budget, &[("orders", counted)]);
    }

    #[test]
    fn what_the_budget_does_not_hold_counts_as_other_and_stays_there() {
        let family = family(10);
        let (cells, mut budget) = (Cells::new(), Budget::new(1));
        let first = family.handle(&["first"]);
        let second = family.handle(&["second"]);
        count(&cells, &first, 1);
        count(&cells, &second, 10);
        check(&family, &mut budget, &[("other", 10), ("first", 1)]);

        drop(first);
        (0..=KEPT_SWEEPS).for_each(|_| family.sweep(&mut budget));
        assert_eq!(budget.published, 0, "the retired series is free again");
        count(&cells, &second, 10);
        check(&family, &mut budget, &[("other", 20)]);

        drop(second);
        (0..=KEPT_SWEEPS).for_each(|_| family.sweep(&mut budget));
        check(&family, &mut budget, &[("other", 20)]);
    }

    #[test]
    fn members_past_the_most_share_the_handle_of_other() {
        let family = family(1);
        let cells = Cells::new();
        for name in ["first", "second", "third", "other"] {
            count(&cells, &family.handle(&[name]), 1);
        }
        check(&family, &mut Budget::new(10), &[("other", 3), ("first", 1)]);
    }

    #[test]
    fn a_member_that_is_gone_disappears_and_those_that_stay_keep_their_counts() {
        let family = family(10);
        let (cells, mut budget) = (Cells::new(), Budget::new(10));
        let (stays, goes) = (family.handle(&["stays"]), family.handle(&["goes"]));
        count(&cells, &stays, 1);
        count(&cells, &goes, 1);
        drop(goes);
        for _ in 0..KEPT_SWEEPS {
            family.sweep(&mut budget);
            check(&family, &mut budget, &[("stays", 1), ("goes", 1)]);
        }
        family.sweep(&mut budget);
        check(&family, &mut budget, &[("stays", 1)]);

        let new = family.handle(&["new"]);
        assert_eq!(new.index(), 2, "the index is used again");
        count(&cells, &new, 5);
        check(&family, &mut budget, &[("stays", 1), ("new", 5)]);
    }

    #[test]
    fn a_member_that_comes_back_in_time_goes_on_counting() {
        let family = family(10);
        let (cells, mut budget) = (Cells::new(), Budget::new(10));
        count(&cells, &family.handle(&["orders"]), 1);
        for _ in 0..10 {
            (0..KEPT_SWEEPS).for_each(|_| family.sweep(&mut budget));
            let back = family.handle(&["orders"]);
            family.sweep(&mut budget);
            drop(back);
        }
        count(&cells, &family.handle(&["orders"]), 1);
        check(&family, &mut budget, &[("orders", 2)]);
    }

    #[test]
    fn a_gauge_ends_with_its_worker_and_a_counter_does_not() {
        let family = family(10);
        let orders = family.handle(&["orders"]);
        let mut budget = Budget::new(10);
        let cells = Cells::new();
        cells.with(&orders, |block| {
            block.add(0, 7);
            block.set(1, 4);
        });
        assert_eq!(family.rows(&mut budget)[1].counts, [7, 4], "while the worker lives");
        drop(cells);
        family.sweep(&mut budget);
        assert_eq!(family.rows(&mut budget)[1].counts, [7, 0], "after it is gone");
    }
}
