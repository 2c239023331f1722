//! The trait a plugin implements. Every phase has a default that changes nothing.

use alloc::vec::Vec;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{Changes, Chunk, Needs, Request, Response, ResponseChanges, ResponseVerdict, Result, Verdict};

/// A plugin: made once per instance from its configuration, then called for each request.
///
/// Instances are pooled and the phases of one request may run on different ones: what the response phase must
/// know goes into [`Changes::state`], what requests share into [`crate::kv`].
pub trait Plugin: Sized + 'static {
    /// The configuration, as in the route's `config`. Add `#[serde(deny_unknown_fields)]`, so that a typo is refused.
    type Config: DeserializeOwned;

    /// Takes the configuration. Runs off the request path: parse and build tables here.
    ///
    /// # Errors
    /// An error refuses the configuration with its message.
    fn new(config: Self::Config) -> Result<Self>;

    /// What the plugin wants to see. The gateway shows nothing else and calls no other phase.
    fn needs(&self) -> Needs {
        Needs::new()
    }

    /// The JSON Schema (draft 2020-12) of the configuration. `gatehouse check` reports what does not fit it by line.
    #[must_use]
    fn config_schema() -> Option<&'static str> {
        None
    }

    /// Decides about a request.
    ///
    /// # Errors
    /// An error in this or any other phase is a fault: the instance is dropped and the plugin's `on_error` decides.
    fn on_request(&self, request: Request) -> Result<Verdict> {
        drop(request);
        Ok(Changes::new().into())
    }

    /// Takes one chunk of a streamed request body. `last` marks the final call, whose chunk may be empty.
    ///
    /// # Errors
    /// As in [`Plugin::on_request`].
    fn on_request_body(&self, chunk: Vec<u8>, last: bool) -> Result<Chunk> {
        let _ = (chunk, last);
        Ok(Chunk::Pass)
    }

    /// Decides about a response, the gateway's own error answers among them.
    ///
    /// # Errors
    /// As in [`Plugin::on_request`].
    fn on_response(&self, response: Response) -> Result<ResponseVerdict> {
        drop(response);
        Ok(ResponseChanges::new().into())
    }

    /// Takes one chunk of a streamed response body. The head is already under way: `Chunk::Respond` is a fault here.
    ///
    /// # Errors
    /// As in [`Plugin::on_request`].
    fn on_response_body(&self, chunk: Vec<u8>, last: bool) -> Result<Chunk> {
        let _ = (chunk, last);
        Ok(Chunk::Pass)
    }
}

/// The configuration of a plugin that has none. Any key is refused.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}
