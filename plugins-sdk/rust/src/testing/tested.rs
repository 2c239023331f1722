//! A plugin under test.

use std::boxed::Box;
use std::string::String;
use std::vec::Vec;

use super::fake::rate_limit;
use super::outcome::{Forwarded, Outcome};
use super::request::has_phase;
use super::{Answer, Request};
use crate::bindings::types as raw;
use crate::runtime::{Configured, Entry, Instance, PluginEntry};
use crate::{Error, Plugin};

/// A configured plugin under test.
pub struct Tested {
    pub(super) instance: Box<dyn Instance>,
    pub(super) needs: raw::Needs,
}

/// Configures a plugin with a JSON document, as the gateway does.
///
/// # Errors
/// The plugin's own, when it refuses the configuration.
pub fn configure<P: Plugin>(config: &str) -> Result<Tested, Error> {
    let Configured { instance, needs } = PluginEntry::<P>::NEW.configure(config)?;
    Ok(Tested { instance, needs: needs.raw().clone() })
}

impl Tested {
    /// Sends a request, head and body.
    ///
    /// # Panics
    /// If the plugin faults.
    #[track_caller]
    pub fn send(&self, request: Request) -> Outcome<'_> {
        self.try_send(request).expect("the plugin does not fault")
    }

    /// Sends a request, head and body.
    ///
    /// # Errors
    /// The plugin's fault.
    pub fn try_send(&self, request: Request) -> Result<Outcome<'_>, Error> {
        let verdict = match has_phase(self.needs.phases, raw::Phases::REQUEST) {
            true => self.instance.on_request(request.shown(&self.needs))?,
            false => raw::RequestVerdict::Next(raw::Changes { request: Vec::new(), response: Vec::new(), state: None }),
        };
        let places = rate_limit::held();
        match verdict {
            raw::RequestVerdict::Respond(reply) => Ok(Outcome::Answered(Answer::from_raw(reply))),
            raw::RequestVerdict::Next(changes) => Forwarded::pass(self, request, changes, places),
        }
    }

    /// Header names the plugin declared, of the request and of the response.
    #[must_use]
    pub fn declared(&self) -> (&[String], &[String]) {
        (&self.needs.request_headers, &self.needs.response_headers)
    }

    /// Whether the plugin asked for the response phase.
    #[must_use]
    pub fn wants_response(&self) -> bool {
        has_phase(self.needs.phases, raw::Phases::RESPONSE)
    }

    /// Whether the plugin asked for the whole request body, and for the whole response body.
    #[must_use]
    pub fn buffers(&self) -> (bool, bool) {
        let buffered = |mode| matches!(mode, raw::BodyMode::Buffered(_));
        (buffered(self.needs.request_body), buffered(self.needs.response_body))
    }
}
