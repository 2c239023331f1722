//! What single calls of a plugin cost, for its author. The gateway's own requests carry no meter.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

/// Notes the calls that a request makes of plugins. Copies note in one place.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<Mutex<Vec<Cost>>>);

/// What one call cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// CPU time of the thread, what the host did for the guest included.
    pub cpu: Duration,
    /// Bytes of linear memory that the instance has, after it.
    pub memory: usize,
    /// Calls into the host.
    pub host_calls: u32,
}

impl Meter {
    /// What was noted so far.
    pub fn costs(&self) -> Vec<Cost> {
        self.0.lock().clone()
    }

    pub(super) fn note(&self, cost: Cost) {
        self.0.lock().push(cost);
    }
}
