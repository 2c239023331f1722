//! Maglev: a table in which endpoints take turns to claim their next preferred slot, so that each has its share to within
//! a slot or two, and few keys move when one leaves. Preferences depend on the endpoint's address alone, so that every
//! gateway has the same table. (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", §3.4)

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::hash_key::mixed;

/// Slots of the table: a prime.
const SLOTS: usize = 65_537;

/// Who has each slot.
pub struct Maglev {
    owners: Box<[u32]>,
}

/// An endpoint on its way through its preferences.
struct Claimant {
    slot: usize,
    skip: usize,
    /// Slots of its share, relative to the heaviest.
    share: f64,
    /// Turns it has had.
    turns: f64,
}

impl Maglev {
    /// A table of these endpoints and weights.
    pub fn new(endpoints: &[(&str, u32)]) -> Self {
        const FREE: u32 = u32::MAX;
        let mut owners = vec![FREE; if endpoints.is_empty() { 0 } else { SLOTS }];
        let heaviest = endpoints.iter().map(|(_, weight)| *weight).max().unwrap_or(1);
        let mut claimants: Vec<Claimant> = endpoints.iter().map(|endpoint| Claimant::new(endpoint, heaviest)).collect();
        let (mut left, mut round) = (owners.len(), 0.0);
        while left > 0 {
            round += 1.0;
            for (place, claimant) in claimants.iter_mut().enumerate().filter(|(_, claimant)| claimant.turns < claimant.share * round) {
                if left == 0 {
                    break;
                }
                let slot = claimant.claim(|slot| owners[slot] == FREE);
                owners[slot] = place as u32;
                left -= 1;
            }
        }
        Self { owners: owners.into() }
    }

    /// The endpoint that a hash belongs to, and those of further slots, here and there: the neighbour of a slot is often
    /// the same endpoint's, which would then get all the keys of another that is out.
    pub fn from(&self, hash: u64) -> impl Iterator<Item = usize> {
        (0..).map(move |number| self.owners[(mixed(hash, number) % SLOTS as u64) as usize] as usize)
    }
}

impl Claimant {
    fn new((name, weight): &(&str, u32), heaviest: u32) -> Self {
        let slot = xxh3_64_with_seed(name.as_bytes(), 0) as usize % SLOTS;
        let skip = xxh3_64_with_seed(name.as_bytes(), 1) as usize % (SLOTS - 1) + 1;
        Self { slot, skip, share: f64::from(*weight) / f64::from(heaviest), turns: 0.0 }
    }

    /// The next slot of its preferences that is free. There has to be one.
    fn claim(&mut self, is_free: impl Fn(usize) -> bool) -> usize {
        self.turns += 1.0;
        loop {
            let slot = self.slot;
            self.slot = (slot + self.skip) % SLOTS;
            if is_free(slot) {
                return slot;
            }
        }
    }
}
