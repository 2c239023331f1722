//! Several takes at once: from all the buckets, or from none.
//!
//! Why this is exact. The shards of all the buckets are held alone while it lasts, always in rising order, so two such
//! calls cannot wait for each other in a circle, and every other take, which holds its shard in common, comes wholly
//! before or wholly after. When one bucket has too little, the others are put back to what they were, to the tick, before
//! anybody could look. So the history of each bucket is one of plain takes that were allowed, one after the other, and what
//! holds for those holds here: admitted ≤ R·t + B in every window of time t, to the nanosecond.
//!
//! That it holds for plain takes, whatever the order in which workers with clock readings a₁ … aₙ of one window [s, e] come:
//! each makes the bucket's tick V into max(V, aᵢ) + costᵢ and is refused where that is above aᵢ + B. After the first, V ≥ s +
//! cost₁; every other adds its cost; and after the last, V ≤ e + B. So the costs add up to no more than (e − s) + B, in ticks.
//!
//! The obvious other way, taking one after the other without locks and giving back on a refusal, is not exact: a token on
//! loan may turn away somebody who had a right to it, and what is given back to a bucket that has filled up meanwhile
//! is one more than it ever held.

use parking_lot::RwLockWriteGuard;
use smallvec::SmallVec;

use super::{Key, Scope, Slot, Slots, Table};
use crate::limit::{Decision, Moment, Policy};

/// One of several takes.
#[derive(Debug, Clone)]
pub struct Charge<'a> {
    /// The set of buckets.
    pub scope: &'a Scope,
    /// Whose bucket of it.
    pub client: &'a [u8],
    /// How it fills.
    pub policy: Policy,
    /// Tokens to take.
    pub cost: u32,
}

/// What each of several takes was told, in their order.
pub type Decisions = SmallVec<[Decision; Charge::MAX]>;

// The shards of some buckets, held alone.
struct Held<'a> {
    table: &'a Table,
    shards: SmallVec<[(usize, RwLockWriteGuard<'a, Slots>); Charge::MAX]>,
}

impl Charge<'_> {
    /// As many as one request may need; more work, but slower.
    pub const MAX: usize = 8;
}

impl Table {
    /// Takes what each charge asks for, or, if one of the buckets has too little, nothing at all. Each decision says
    /// whether its own bucket had enough.
    pub fn take_all(&self, charges: &[Charge<'_>], now: Moment) -> Decisions {
        let keys: SmallVec<[Key; Charge::MAX]> = charges.iter().map(|charge| charge.scope.key(charge.client)).collect();
        let mut held = Held::new(self, &keys);
        let mut before: SmallVec<[Slot; Charge::MAX]> = SmallVec::new();
        let mut decisions = Decisions::new();
        for (charge, key) in charges.iter().zip(&keys) {
            before.push(held.slot(*key, charge, now).clone());
            decisions.push(held.take(*key, charge, charge.cost, now));
        }
        if decisions.iter().all(|decision| decision.allowed) {
            return decisions;
        }
        // In reverse, so that a bucket charged twice ends as it was first.
        for ((charge, key), slot) in charges.iter().zip(&keys).zip(before).rev() {
            *held.slot(*key, charge, now) = slot;
        }
        let asked = charges.iter().zip(&keys).zip(&mut decisions).filter(|(_, decision)| decision.allowed);
        asked.for_each(|((charge, key), decision)| *decision = held.take(*key, charge, 0, now));
        decisions
    }
}

// === impl Held ===

impl<'a> Held<'a> {
    fn new(table: &'a Table, keys: &[Key]) -> Self {
        let mut indexes: SmallVec<[usize; Charge::MAX]> = keys.iter().map(|key| key.shard_index()).collect();
        indexes.sort_unstable();
        indexes.dedup();
        Self { table, shards: indexes.into_iter().map(|index| (index, table.shards[index].0.write())).collect() }
    }

    fn slot(&mut self, key: Key, charge: &Charge<'_>, now: Moment) -> &mut Slot {
        let (_, slots) = self.shards.iter_mut().find(|(index, _)| *index == key.shard_index()).expect("the shards of all keys are held");
        self.table.slot(slots, key, &charge.policy, now)
    }

    fn take(&mut self, key: Key, charge: &Charge<'_>, cost: u32, now: Moment) -> Decision {
        let slot = self.slot(key, charge, now);
        slot.adopt(&charge.policy, now);
        slot.bucket.take(&charge.policy, cost, now)
    }
}

#[cfg(test)]
mod tests;
