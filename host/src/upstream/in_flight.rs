//! A request on its way to an endpoint: counted from the pick until this guard is dropped, which is when the response
//! has ended, the client has gone, or something broke on the way.

use std::ops::Deref;
use std::sync::Arc;

use super::caps::Pending;
use super::{Endpoint, SendError};

/// The endpoint of a request, which counts there for as long as this lives.
pub struct InFlight {
    endpoint: Arc<Endpoint>,
    /// How many endpoints there were to choose from.
    pub(super) peers: u32,
    /// How many may wait for a connection at once.
    pub(super) max_pending: u32,
}

impl InFlight {
    /// Counts one more request.
    pub(super) fn begin(endpoint: Arc<Endpoint>, peers: usize) -> Self {
        endpoint.vitals.enter();
        endpoint.siblings.enter();
        Self { endpoint, peers: peers as u32, max_pending: u32::MAX }
    }

    /// A place among those who wait for a connection to the upstream.
    pub(super) fn pend(&self) -> Result<Pending<'_>, SendError> {
        self.endpoint.siblings.caps.pend(self.max_pending).ok_or(SendError::NoRoom(self.max_pending))
    }

    /// The endpoint, to keep for longer.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }
}

impl Deref for InFlight {
    type Target = Endpoint;

    fn deref(&self) -> &Endpoint {
        &self.endpoint
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.endpoint.vitals.leave();
        self.endpoint.siblings.leave();
    }
}
