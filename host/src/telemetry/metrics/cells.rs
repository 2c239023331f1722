//! Cells: a worker's own blocks, found by handle on the way of a request without a look-up or a lock.

use std::cell::RefCell;
use std::sync::Arc;

use super::block::Block;
use super::members::Member;

/// The right to count for one member. The member's series live at least as long as one handle to it.
#[derive(Clone)]
pub struct Handle<const N: usize> {
    index: u32,
    /// Tells the members apart that an index is given to one after the other.
    stamp: u32,
    member: Arc<Member<N>>,
}

/// One worker's blocks, by the index of the member.
pub struct Cells<const N: usize> {
    slots: RefCell<Vec<Option<Cell<N>>>>,
}

struct Cell<const N: usize> {
    stamp: u32,
    block: Arc<Block<N>>,
}

// === impl Handle ===

impl<const N: usize> Handle<N> {
    /// A handle to the member that the slot of this index and stamp holds.
    pub fn new(index: u32, stamp: u32, member: Arc<Member<N>>) -> Self {
        Self { index, stamp, member }
    }

    /// Adds one to a count from any thread; for what is too rare to need a worker's own block.
    pub fn add_shared(&self, place: usize) {
        self.member.add_shared(place, 1);
    }

    /// The index of the member's slot.
    #[cfg(test)]
    pub fn index(&self) -> u32 {
        self.index
    }
}

// === impl Cells ===

impl<const N: usize> Cells<N> {
    /// No blocks yet; each joins its member when the worker first counts for it.
    pub fn new() -> Self {
        Self { slots: RefCell::new(Vec::new()) }
    }

    /// Runs `count` on this worker's block of a member.
    #[inline]
    pub fn with(&self, handle: &Handle<N>, count: impl FnOnce(&Block<N>)) {
        let slots = self.slots.borrow();
        if let Some(Some(cell)) = slots.get(handle.index as usize)
            && cell.stamp == handle.stamp
        {
            return count(&cell.block);
        }
        drop(slots);
        count(&self.join(handle));
    }

    #[cold]
    fn join(&self, handle: &Handle<N>) -> Arc<Block<N>> {
        let block = Arc::new(Block::new());
        handle.member.join(block.clone());
        let mut slots = self.slots.borrow_mut();
        let index = handle.index as usize;
        if slots.len() <= index {
            slots.resize_with(index + 1, || None);
        }
        slots[index] = Some(Cell { stamp: handle.stamp, block: block.clone() });
        block
    }
}
