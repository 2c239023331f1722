//! By chance, by weight.

use super::candidates::Candidates;
use super::weighted::Weighted;

/// One that may be taken.
pub fn pick(candidates: &Candidates<'_>, weighted: &Weighted) -> Option<usize> {
    candidates.first(|| weighted.draw())
}
