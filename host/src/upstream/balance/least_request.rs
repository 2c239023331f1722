//! The one of two with fewer requests in flight for its weight. The two are drawn by weight and the first wins a draw, so
//! that weights count for an idle upstream as they do for a busy one.

use super::candidates::Candidates;
use super::weighted::Weighted;

/// The lesser of two.
pub fn pick(candidates: &Candidates<'_>, weighted: &Weighted) -> Option<usize> {
    candidates.lesser_of_two(|| weighted.draw(), |member| f64::from(member.endpoint.vitals.in_flight()) * member.load)
}
