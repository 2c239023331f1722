//! The one of two with less latency times load: (requests in flight + 1) × the peak-sensitive mean of its latency, or
//! the time that it has answered nothing though it was asked. The two
//! are drawn by weight, and a request in flight counts less at an endpoint that is heavier than the mean; so weights count
//! for an idle upstream as they do for a busy one.

use super::candidates::Candidates;
use super::weighted::Weighted;

/// The lesser of two.
pub fn pick(candidates: &Candidates<'_>, weighted: &Weighted) -> Option<usize> {
    let now = candidates.now;
    candidates.lesser_of_two(
        || weighted.draw(),
        |member| {
            let vitals = &member.endpoint.vitals;
            (f64::from(vitals.in_flight()) * member.load + 1.0) * vitals.expected(now)
        },
    )
}
