//! The tests' clock. It stands still until a test moves it.

use core::cell::Cell;
use core::time::Duration;

std::thread_local! {
    static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Moves the clock that `kv` and `rate_limit` read.
pub fn advance(by: Duration) {
    NOW.set(NOW.get() + by);
}

pub(super) fn now() -> Duration {
    NOW.get()
}
