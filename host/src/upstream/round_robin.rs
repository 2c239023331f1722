//! Weighted round robin, smooth: with weights 5, 1, 1 the order is a a b a c a a, not a a a a a b c. The order is laid
//! out once; a pick is one atomic addition.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The longest order that is laid out. Weights that need more are scaled down to it.
const LONGEST: u64 = 4_096;

/// Whose turn it is, by weight.
#[derive(Debug)]
pub struct RoundRobin {
    order: Box<[u32]>,
    turn: AtomicUsize,
}

impl RoundRobin {
    /// Lays out the order. A weight of 0 never gets a turn.
    pub fn new(weights: &[u32]) -> Self {
        let order = smooth(&scaled(weights));
        // Each starts somewhere else, so that many gateways started at once do not all begin with the same endpoint.
        let first = if order.is_empty() { 0 } else { fastrand::usize(..order.len()) };
        Self { order, turn: AtomicUsize::new(first) }
    }

    /// The place in the list of weights whose turn it is.
    pub fn pick(&self) -> Option<usize> {
        match &*self.order {
            [] => None,
            [only] => Some(*only as usize),
            order => Some(order[self.turn.fetch_add(1, Ordering::Relaxed) % order.len()] as usize),
        }
    }
}

fn scaled(weights: &[u32]) -> Vec<u64> {
    let common = weights.iter().fold(0, |common, weight| gcd(common, u64::from(*weight))).max(1);
    let reduced: Vec<u64> = weights.iter().map(|weight| u64::from(*weight) / common).collect();
    let total: u64 = reduced.iter().sum();
    if total <= LONGEST {
        return reduced;
    }
    let scale = |weight: u64| if weight == 0 { 0 } else { (weight * LONGEST / total).max(1) };
    reduced.into_iter().map(scale).collect()
}

fn gcd(one: u64, other: u64) -> u64 {
    if other == 0 { one } else { gcd(other, one % other) }
}

/// nginx's smooth weighted round robin: at each turn everyone gains its weight, the richest goes and pays the total.
fn smooth(weights: &[u64]) -> Box<[u32]> {
    let total: u64 = weights.iter().sum();
    let mut credit = vec![0_i64; weights.len()];
    let mut order = Vec::with_capacity(total as usize);
    for _ in 0..total {
        credit.iter_mut().zip(weights).for_each(|(credit, weight)| *credit += *weight as i64);
        // The first of equals, so that the order of the configuration is the order of turns.
        let richest = (0..credit.len()).rev().max_by_key(|place| credit[*place]).unwrap_or_default();
        credit[richest] -= total as i64;
        order.push(richest as u32);
    }
    order.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(weights: &[u64], order: &[u32]) {
        assert_eq!(&*smooth(weights), order, "weights {weights:?}");
    }

    #[test]
    fn turns_are_spread_evenly() {
        check(&[1, 1, 1], &[0, 1, 2]);
        check(&[5, 1, 1], &[0, 0, 1, 0, 2, 0, 0]);
        check(&[2, 0], &[0, 0]);
        check(&[], &[]);
    }

    #[test]
    fn weights_are_kept_over_many_picks() {
        let turns = RoundRobin::new(&[90, 10]);
        let first = (0..1_000).filter(|_| turns.pick() == Some(0)).count();
        assert_eq!(first, 900, "nine of ten");
    }

    #[test]
    fn nobody_gets_a_turn_when_all_weights_are_zero() {
        assert_eq!(RoundRobin::new(&[0, 0]).pick(), None);
    }

    #[test]
    fn huge_weights_are_scaled_and_small_ones_keep_a_turn() {
        let turns = RoundRobin::new(&[u32::MAX, 1]);
        assert!((0..2 * LONGEST).any(|_| turns.pick() == Some(1)), "the small one is not forgotten");
    }
}
