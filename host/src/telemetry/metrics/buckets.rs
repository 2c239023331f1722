//! Buckets: the bounds of a histogram and the quick way from a duration to its bucket.
//! A histogram is a stretch of a block: one count for each bound, one for what lies above, and the sum in nanoseconds.

use std::time::Duration;

use prometheus::proto::Metric;

use super::block::Block;
use super::text;

/// The upper bounds of `N` buckets in nanoseconds, rising.
pub struct Buckets<const N: usize> {
    bounds: [u64; N],
    /// For each bit length, the first bucket that a value of that length can fall into.
    first: [u8; 65],
}

/// Requests and upstreams: 0.5 ms to 10 s.
pub static REQUEST: Buckets<14> = Buckets::new([
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
]);

/// The gateway's own share: from 50 µs, close together where a healthy gateway lives, to 10 s.
pub static OVERHEAD: Buckets<20> = Buckets::new([
    50_000,
    75_000,
    100_000,
    150_000,
    250_000,
    350_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
]);

/// Plugin calls: 0.5 µs to 1 s.
pub static PLUGIN: Buckets<20> = Buckets::new([
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
]);

impl<const N: usize> Buckets<N> {
    /// Places that a histogram of these buckets takes in a block.
    pub const WIDTH: usize = N + 2;

    const fn new(bounds: [u64; N]) -> Self {
        let mut first = [0; 65];
        let mut bits = 1;
        while bits < first.len() {
            let smallest = 1u64 << (bits - 1);
            let mut bucket = first[bits - 1];
            while (bucket as usize) < N && bounds[bucket as usize] < smallest {
                bucket += 1;
            }
            first[bits] = bucket;
            bits += 1;
        }
        Self { bounds, first }
    }

    /// Counts a duration in the histogram that starts at `place`; only this thread writes to the block.
    #[inline]
    pub fn observe<const M: usize>(&self, block: &Block<M>, place: usize, duration: Duration) {
        let nanos = nanos(duration);
        block.add(place + self.index(nanos), 1);
        block.add(place + N + 1, nanos);
    }

    /// A histogram with these labels from its stretch of a merged block.
    pub fn metric(&self, labels: &[(&str, &str)], counts: &[u64]) -> Metric {
        let bounds = self.bounds.map(seconds);
        text::histogram(labels, &bounds, &counts[..=N], seconds(counts[N + 1]))
    }

    /// The bucket of a value: the first whose bound is not below it, `N` where there is none.
    #[inline]
    fn index(&self, nanos: u64) -> usize {
        let bits = u64::BITS - nanos.leading_zeros();
        let mut bucket = usize::from(self.first[bits as usize]);
        while bucket < N && self.bounds[bucket] < nanos {
            bucket += 1;
        }
        bucket
    }
}

#[inline]
fn nanos(duration: Duration) -> u64 {
    let whole = duration.as_secs().saturating_mul(1_000_000_000);
    whole.saturating_add(u64::from(duration.subsec_nanos()))
}

fn seconds(nanos: u64) -> f64 {
    // Dividing gives the double nearest to the decimal figure, so that 500 000 ns print as 0.0005.
    nanos as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(nanos: u64, expected: usize) {
        assert_eq!(PLUGIN.index(nanos), expected, "bucket of {nanos} ns");
    }

    #[test]
    fn a_value_on_a_bound_belongs_below_it() {
        check(0, 0);
        check(1, 0);
        check(500, 0);
        check(501, 1);
        check(1_000, 1);
        check(1_001, 2);
        check(1_024, 2);
        check(1_000_000_000, 19);
        check(1_000_000_001, 20);
        check(u64::MAX, 20);
    }

    #[test]
    fn the_quick_way_agrees_with_a_plain_search_around_every_bound() {
        fn agree<const N: usize>(buckets: &Buckets<N>) {
            let powers = (0..64).map(|bits| 1u64 << bits);
            for near in buckets.bounds.into_iter().chain(powers) {
                for value in [near - 1, near, near + 1] {
                    let plain = buckets.bounds.partition_point(|bound| *bound < value);
                    assert_eq!(buckets.index(value), plain, "bucket of {value} ns");
                }
            }
        }
        agree(&REQUEST);
        agree(&OVERHEAD);
        agree(&PLUGIN);
    }

    #[test]
    fn bounds_are_published_as_short_decimals() {
        let metric = PLUGIN.metric(&[], &[0; 22]);
        let buckets = metric.get_histogram().get_bucket();
        let bounds: Vec<String> = buckets.iter().map(|bucket| bucket.upper_bound().to_string()).collect();
        assert_eq!(bounds[0], "0.0000005", "half a microsecond");
        assert_eq!(bounds[2], "0.0000025", "two and a half microseconds");
        assert_eq!(bounds[19], "1", "one second");
    }

    #[test]
    fn a_histogram_counts_buckets_and_sums_seconds() {
        let block = Block::<{ Buckets::<14>::WIDTH }>::new();
        for millis in [1, 2, 20_000] {
            REQUEST.observe(&block, 0, Duration::from_millis(millis));
        }
        let mut counts = [0; 16];
        block.add_to(&mut counts);
        let metric = REQUEST.metric(&[], &counts);
        let histogram = metric.get_histogram();
        let below: Vec<u64> = histogram.get_bucket().iter().map(|bucket| bucket.cumulative_count()).collect();
        assert_eq!(below[..4], [0, 1, 2, 2], "1 ms and 2 ms have passed by 2.5 ms");
        assert_eq!(below[13], 2, "20 s lie above every bound");
        assert_eq!(histogram.get_sample_count(), 3, "all three are counted");
        assert_eq!(histogram.get_sample_sum(), 20.003, "the sum is in seconds");
    }
}
