//! HTTP calls of an instance: what was asked for and is not under way yet, and the answer that the guest is being shown.

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::plugin::capability::http::{Fetch, FetchError, Fetched};

use super::abi::Status;
use super::message::{Head, Line};

/// Calls of one instance at one time.
const MAX_CALLS: usize = 256;

/// A call that the worker is to make.
pub(super) struct Asked {
    pub token: u32,
    pub fetch: Fetch,
    pub answer: oneshot::Receiver<Result<Fetched, FetchError>>,
}

/// The answer to a call.
pub(super) struct CallAnswer {
    pub head: Head,
    pub body: Bytes,
}

/// The calls of an instance.
#[derive(Default)]
pub(super) struct Calls {
    /// What the worker has not seen yet.
    pub asked: Vec<Asked>,
    /// What the guest is being shown.
    pub answer: Option<CallAnswer>,
    under_way: usize,
    last: u32,
}

impl Calls {
    /// Remembers a call, and says by which number the guest will hear of it.
    pub fn add(&mut self, fetch: Fetch, answer: oneshot::Receiver<Result<Fetched, FetchError>>) -> Result<u32, Status> {
        if self.under_way >= MAX_CALLS {
            return Err(Status::InternalFailure);
        }
        self.under_way += 1;
        // Guests may take 0 for none.
        self.last = self.last.checked_add(1).unwrap_or(1);
        self.asked.push(Asked { token: self.last, fetch, answer });
        Ok(self.last)
    }

    /// Shows the guest what came of one.
    pub fn show(&mut self, fetched: Result<Fetched, FetchError>) {
        self.under_way = self.under_way.saturating_sub(1);
        self.answer = fetched.ok().map(|fetched| CallAnswer {
            head: Head { line: Line::Response(fetched.status), headers: fetched.headers },
            body: fetched.body,
        });
    }
}
