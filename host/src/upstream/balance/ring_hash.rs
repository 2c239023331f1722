//! A hash ring: each endpoint has many points on it, and a key belongs to the next point. When an endpoint leaves, only
//! its own keys move. Points depend on the endpoint's address alone, so that every gateway has the same ring.

use xxhash_rust::xxh3::xxh3_64;

use super::hash_key::mixed;

/// Points of an endpoint of mean weight, however many there are: if it depended on that, keys of others would move when one
/// leaves. Shares are even to about 5 %, and two endpoints have the 1,024 points that a ring should have at least.
const EACH: u64 = 512;
/// The most points on a ring.
const MOST: u64 = 8_000_000;

/// Points in the order of the ring.
pub struct Ring {
    points: Box<[u64]>,
    owners: Box<[u32]>,
    /// The first point at or after each of equal parts of the ring, about as many as there are points.
    starts: Box<[u32]>,
    shift: u32,
}

impl Ring {
    /// A ring of these endpoints and weights.
    pub fn new(endpoints: &[(&str, u32)]) -> Self {
        let mut points: Vec<(u64, u32)> = Vec::new();
        for (owner, ((name, _), count)) in endpoints.iter().zip(counts(endpoints)).enumerate() {
            let first = xxh3_64(name.as_bytes());
            points.extend((0..count).map(|number| (mixed(first, number), owner as u32)));
        }
        points.sort_unstable();
        let bits = points.len().max(2).ilog2();
        let shift = u64::BITS - bits;
        let starts = (0..1_u64 << bits).map(|part| points.partition_point(|(point, _)| *point < part << shift) as u32).collect();
        let (points, owners): (Vec<u64>, Vec<u32>) = points.into_iter().unzip();
        Self { points: points.into(), owners: owners.into(), starts, shift }
    }

    /// The endpoint that a hash belongs to, and those after it, around and around.
    pub fn from(&self, hash: u64) -> impl Iterator<Item = usize> {
        let start = self.starts[(hash >> self.shift) as usize] as usize;
        let begin = (start..self.points.len()).find(|place| self.points[*place] >= hash).unwrap_or_default();
        self.owners[begin..].iter().chain(self.owners.iter().cycle()).map(|owner| *owner as usize)
    }
}

/// Points of each, by weight.
fn counts(endpoints: &[(&str, u32)]) -> impl Iterator<Item = u64> {
    let total: u64 = endpoints.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let points = (EACH * endpoints.len() as u64).min(MOST);
    endpoints.iter().map(move |(_, weight)| (u64::from(*weight) * points).div_ceil(total.max(1)))
}
