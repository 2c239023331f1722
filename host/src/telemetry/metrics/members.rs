//! Members: who counts in a family, each with a block for every worker, and when they are let go.
//! Slots are used again, so that reloads which rename everything leave memory flat.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;

use super::block::Block;
use super::cells::Handle;

/// Sweeps for which a member that nobody holds keeps its series, so that its last counts are still read.
pub const KEPT_SWEEPS: u32 = 3;

/// The members of a family by index and by labels.
pub struct Members<const N: usize> {
    // The first slot is always the member called `other`.
    slots: Vec<Slot<N>>,
    free: Vec<u32>,
    by_labels: HashMap<Vec<String>, u32>,
    next_stamp: u32,
}

/// One member: its labels, its counts, and which of them are published.
pub struct Member<const N: usize> {
    /// The values of the family's labels.
    pub labels: Vec<String>,
    /// Counts of whoever is no worker, and of workers that are gone.
    common: Block<N>,
    workers: Mutex<Vec<Arc<Block<N>>>>,
    /// Bits of the parts that are published. A part never changes sides with `folded`: its counter would jump.
    pub shown: AtomicU64,
    /// Bits of the parts that count as `other`.
    pub folded: AtomicU64,
}

/// A stretch of the block that is published, or folded, as a whole.
pub struct Part {
    /// Its places in the block.
    pub places: Range<usize>,
    /// Lines that it takes in the published text.
    pub series: usize,
    /// A gauge says how things are, so it ends with whoever set it; a counter's past stays true.
    pub gauge: bool,
}

struct Slot<const N: usize> {
    stamp: u32,
    unheld_sweeps: u32,
    member: Option<Arc<Member<N>>>,
}

// === impl Members ===

impl<const N: usize> Members<N> {
    /// No members; the first to come answers for those that find no room.
    pub fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), by_labels: HashMap::new(), next_stamp: 0 }
    }

    /// The handle of the member with these labels, which joins if there are not `most` others yet.
    pub fn handle(&mut self, labels: Vec<String>, most: usize) -> Handle<N> {
        let index = match self.by_labels.get(&labels) {
            Some(index) => *index,
            None if self.by_labels.len() > most => 0,
            None => self.admit(labels),
        };
        self.handle_at(index)
    }

    /// Every member; the first is the one called `other`.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Member<N>>> {
        self.slots.iter().filter_map(|slot| slot.member.as_ref())
    }

    /// The member called `other`.
    pub fn other(&self) -> Arc<Member<N>> {
        self.slots[0].member.clone().expect("`other` is never retired")
    }

    fn handle_at(&self, index: u32) -> Handle<N> {
        let slot = &self.slots[index as usize];
        Handle::new(index, slot.stamp, slot.member.clone().expect("an index in use has a member"))
    }

    fn admit(&mut self, labels: Vec<String>) -> u32 {
        let slot = Slot { stamp: self.next_stamp, unheld_sweeps: 0, member: Some(Arc::new(Member::new(labels.clone()))) };
        self.next_stamp = self.next_stamp.wrapping_add(1);
        let index = self.place(slot);
        self.by_labels.insert(labels, index);
        index
    }

    fn place(&mut self, slot: Slot<N>) -> u32 {
        if let Some(index) = self.free.pop() {
            self.slots[index as usize] = slot;
            return index;
        }
        self.slots.push(slot);
        u32::try_from(self.slots.len() - 1).expect("members are bounded by the series budget")
    }

    /// Takes out the members that nobody has held for a few sweeps.
    pub fn take_unheld(&mut self) -> Vec<Arc<Member<N>>> {
        let mut gone = Vec::new();
        for (index, slot) in self.slots.iter_mut().enumerate().skip(1) {
            if let Some(member) = slot.take_if_unheld() {
                self.by_labels.remove(&member.labels);
                self.free.push(index as u32);
                gone.push(member);
            }
        }
        gone
    }
}

impl<const N: usize> Slot<N> {
    fn take_if_unheld(&mut self) -> Option<Arc<Member<N>>> {
        // Handles come only from the locked family, so a member held by nobody else stays so while we look.
        if Arc::strong_count(self.member.as_ref()?) > 1 {
            self.unheld_sweeps = 0;
            return None;
        }
        self.unheld_sweeps += 1;
        if self.unheld_sweeps <= KEPT_SWEEPS {
            return None;
        }
        self.member.take()
    }
}

// === impl Member ===

impl<const N: usize> Member<N> {
    fn new(labels: Vec<String>) -> Self {
        Self { labels, common: Block::new(), workers: Mutex::new(Vec::new()), shown: AtomicU64::new(0), folded: AtomicU64::new(0) }
    }

    /// Adds a worker's block.
    pub fn join(&self, block: Arc<Block<N>>) {
        self.workers.lock().push(block);
    }

    /// Adds to a count from any thread.
    pub fn add_shared(&self, place: usize, by: u64) {
        self.common.add_shared(place, by);
    }

    /// The counts, merged over the workers.
    pub fn counts(&self) -> [u64; N] {
        let mut counts = [0; N];
        // The lock spans both reads: `gather` moves counts from the one to the other.
        let workers = self.workers.lock();
        self.common.add_to(&mut counts);
        workers.iter().for_each(|block| block.add_to(&mut counts));
        counts
    }

    /// Takes over the counters of workers that are gone.
    pub fn gather(&self, parts: &[Part]) {
        self.workers.lock().retain(|block| {
            let held = Arc::strong_count(block) > 1;
            if !held {
                self.take_over(block, parts);
            }
            held
        });
    }

    fn take_over(&self, block: &Block<N>, parts: &[Part]) {
        let mut counts = [0; N];
        block.add_to(&mut counts);
        let counters = parts.iter().filter(|part| !part.gauge);
        for place in counters.flat_map(|part| part.places.clone()) {
            self.common.add_shared(place, counts[place]);
        }
    }
}
