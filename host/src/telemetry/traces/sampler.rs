//! Sampling: which traces that begin here are recorded. Decided by the trace's random id alone, so that every gateway
//! that is asked about a trace says the same.

use super::context::TraceId;

/// The bits of a trace id that are certainly random (W3C trace context, level 2, §4.3).
const RANDOM: u64 = (1 << 56) - 1;

/// Records a share of all traces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sampler {
    /// Traces whose random bits are below are not recorded.
    threshold: u64,
}

impl Sampler {
    /// Records this share, between 0 and 1.
    pub fn new(ratio: f64) -> Self {
        let left_out = (1.0 - ratio.clamp(0.0, 1.0)) * (RANDOM + 1) as f64;
        Self { threshold: left_out as u64 }
    }

    /// Whether a trace is recorded.
    #[inline]
    pub fn takes(self, trace: TraceId) -> bool {
        trace.0[1] & RANDOM >= self.threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::RequestIds;

    #[test]
    fn about_as_many_traces_are_recorded_as_were_asked_for() {
        #[track_caller]
        fn check(ratio: f64, least: usize, most: usize) {
            let (ids, sampler) = (RequestIds::new(), Sampler::new(ratio));
            let taken = (0..100_000).filter(|_| sampler.takes(TraceId(ids.next().0))).count();
            assert!((least..=most).contains(&taken), "{taken} of 100 000 at a ratio of {ratio}");
        }
        check(0.0, 0, 0);
        check(1.0, 100_000, 100_000);
        // Five standard deviations either way.
        check(0.01, 840, 1_160);
        check(0.5, 49_200, 50_800);
    }

    #[test]
    fn only_the_random_bits_decide() {
        let half = Sampler::new(0.5);
        assert!(half.takes(TraceId([0, 1 << 55])) && !half.takes(TraceId([u64::MAX, (1 << 55) - 1])));
        assert!(!half.takes(TraceId([1, 0xff << 56])), "the uppermost byte may not be random");
    }
}
