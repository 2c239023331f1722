//! Time as the limits see it: nanoseconds since the gateway started, from the monotonic clock.
//! Passed in everywhere, so that tests move it by hand.

use std::time::{Duration, Instant};

/// A point in time, counted from the start of its clock. It stops at 36 years, so that bucket arithmetic cannot overflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

/// The monotonic clock that all takers of one table share.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: Instant,
}

// === impl Moment ===

impl Moment {
    /// The start of the clock.
    pub const START: Moment = Moment(0);

    /// The last point in time there is.
    pub const END: Moment = Moment(1 << 60);

    /// This long after the start.
    pub fn after(since_start: Duration) -> Self {
        let nanoseconds = u64::try_from(since_start.as_nanos()).unwrap_or(u64::MAX);
        Self(nanoseconds.min(Self::END.0))
    }

    /// Nanoseconds since the start.
    pub(super) fn nanoseconds(self) -> u64 {
        self.0
    }
}

// === impl Clock ===

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// The same clock at a later time.
    #[must_use]
    pub fn moved_on(self, by: Duration) -> Self {
        Self { started: self.started.checked_sub(by).unwrap_or(self.started) }
    }

    /// The time on this clock.
    pub fn now(&self) -> Moment {
        Moment::after(self.started.elapsed())
    }
}
