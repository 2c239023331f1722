//! A request on its way to an endpoint: counted from the pick until this guard is dropped, which is when the response
//! has ended, the client has gone, or something broke on the way.

use std::ops::Deref;
use std::sync::Arc;

use super::Endpoint;

/// The endpoint of a request, which counts there for as long as this lives.
pub struct InFlight {
    endpoint: Arc<Endpoint>,
    /// Whether it counts for the whole upstream too.
    hashed: bool,
    /// How many endpoints there were to choose from.
    pub(super) peers: u32,
}

impl InFlight {
    /// Counts one more request.
    pub(super) fn begin(endpoint: Arc<Endpoint>, hashed: bool, peers: usize) -> Self {
        endpoint.vitals.enter();
        if hashed {
            endpoint.siblings.enter();
        }
        Self { endpoint, hashed, peers: peers as u32 }
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
        if self.hashed {
            self.endpoint.siblings.leave();
        }
    }
}
