//! The endpoints of one pick, and which of them may be taken: ready or at least not ejected, not tried before, and in a slow
//! start only for their share of the picks.

use std::time::{Duration, Instant};

use super::super::vitals::Flags;
use super::Member;
use super::hash_key::mixed;

/// Draws before all are looked at in turn. With half of the endpoints out of use, one pick in 65,000 needs more.
const DRAWS: usize = 16;
/// The same for hashes, whose next place is often the same endpoint again.
const STEPS: usize = 64;
/// An endpoint with fewer requests in flight than this is never too loaded for its keys.
const FEW: u32 = 4;

/// What a pick has to choose from.
pub struct Candidates<'a> {
    pub members: &'a [Member],
    pub now: Instant,
    pub slow_start: Duration,
    /// Serials of those tried before.
    pub tried: &'a [u64],
    /// Too few are ready, so those that only their checks have out are used, too. What ejected the others is real requests.
    pub panics: bool,
}

/// How many requests in flight an endpoint of mean weight may have.
pub struct Bound(f64);

impl Bound {
    /// `overload` above the share of each, when the next request is counted.
    pub fn new(in_flight: u32, endpoints: usize, overload: f64) -> Self {
        Self((1.0 + overload) * f64::from(in_flight + 1) / endpoints as f64)
    }

    fn allows(&self, member: &Member) -> bool {
        let with_this = member.endpoint.vitals.in_flight() + 1;
        with_this <= FEW || f64::from(with_this) * member.load <= self.0.ceil()
    }
}

impl Candidates<'_> {
    /// The first drawn that may be taken.
    #[inline]
    pub fn first(&self, mut draw: impl FnMut() -> usize) -> Option<usize> {
        for _ in 0..DRAWS {
            let place = draw();
            if self.takes(place, || fastrand::u32(..)) {
                return Some(place);
            }
        }
        self.any(fastrand::usize(..self.members.len()), |_| true)
    }

    /// Of two drawn that may be taken, the one with the lower cost; the first of equals.
    #[inline]
    pub fn lesser_of_two(&self, mut draw: impl FnMut() -> usize, cost: impl Fn(&Member) -> f64) -> Option<usize> {
        let one = self.first(&mut draw)?;
        let Some(other) = self.other(one, draw) else { return Some(one) };
        Some(if cost(&self.members[other]) < cost(&self.members[one]) { other } else { one })
    }

    /// The first along a hash's places that may be taken and is not overloaded.
    pub fn along(&self, places: impl Iterator<Item = usize>, hash: u64, bound: &Bound) -> Option<usize> {
        // The same key finds the same endpoint in or out of its slow start, until it is in for good.
        let chance = || mixed(hash, u64::MAX) as u32;
        let mut places = places.take(STEPS);
        let found = places.find(|place| self.takes(*place, chance) && bound.allows(&self.members[*place]));
        let begin = hash as usize % self.members.len();
        found.or_else(|| self.any(begin, |member| bound.allows(member))).or_else(|| self.any(begin, |_| true))
    }

    fn other(&self, one: usize, mut draw: impl FnMut() -> usize) -> Option<usize> {
        for _ in 0..DRAWS / 2 {
            let place = draw();
            if place != one && self.takes(place, || fastrand::u32(..)) {
                return Some(place);
            }
        }
        // Heavy ones may be drawn again and again, and most may be out of use; those that start slowly stay left out.
        let begin = fastrand::usize(..self.members.len());
        self.find(begin, |place| place != one && self.takes(place, || fastrand::u32(..)))
    }

    /// The first from there on, in or out of its slow start.
    fn any(&self, begin: usize, fits: impl Fn(&Member) -> bool) -> Option<usize> {
        self.find(begin, |place| self.takes(place, || 0) && fits(&self.members[place]))
    }

    fn find(&self, begin: usize, fits: impl Fn(usize) -> bool) -> Option<usize> {
        let count = self.members.len();
        (begin..count).chain(0..begin).find(|place| fits(*place))
    }

    #[inline]
    fn takes(&self, place: usize, chance: impl FnOnce() -> u32) -> bool {
        let member = &self.members[place];
        let flags = member.endpoint.vitals.flags();
        (flags.is_clear() || self.takes_flagged(member, flags, chance())) && !self.tried.contains(&member.endpoint.serial)
    }

    fn takes_flagged(&self, member: &Member, flags: Flags, chance: u32) -> bool {
        if flags.is_ejected() || flags.is_unhealthy() && !self.panics {
            return false;
        }
        if !flags.is_ramping() {
            return true;
        }
        f64::from(chance) < member.endpoint.vitals.share(self.now, self.slow_start) * f64::from(u32::MAX)
    }
}
