//! What became of a test request: an answer, or what went on with the edits applied.

use std::boxed::Box;
use std::string::String;
use std::vec::Vec;

use super::edit::{self, lines};
use super::fake::rate_limit;
use super::request::{ID, has_phase, shown_body, shown_client, shown_fields, wanted};
use super::{Answer, Request, Tested};
use crate::bindings::types as raw;
use crate::{Client, Error};

/// What became of a request.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// It went on.
    Forwarded(Box<Forwarded<'a>>),
    /// The plugin answered.
    Answered(Answer),
}

/// A request that went on, with the plugin's changes made.
#[derive(Debug)]
pub struct Forwarded<'a> {
    plugin: &'a Tested,
    request: Request,
    request_id: Option<String>,
    response: Vec<raw::ResponseEdit>,
    state: Option<Vec<u8>>,
    _places: rate_limit::Held,
}

impl<'a> Outcome<'a> {
    /// The request that went on.
    ///
    /// # Panics
    /// If the plugin answered.
    #[track_caller]
    #[must_use]
    pub fn forwarded(self) -> Forwarded<'a> {
        match self {
            Self::Forwarded(forwarded) => *forwarded,
            Self::Answered(answer) => panic!("the plugin answered: {answer:?}"),
        }
    }

    /// The plugin's own answer.
    ///
    /// # Panics
    /// If the request went on.
    #[track_caller]
    #[must_use]
    pub fn answered(self) -> Answer {
        match self {
            Self::Answered(answer) => answer,
            Self::Forwarded(forwarded) => panic!("the request went on: {forwarded:?}"),
        }
    }
}

impl<'a> Forwarded<'a> {
    pub(super) fn pass(
        plugin: &'a Tested,
        mut request: Request,
        changes: raw::Changes,
        places: rate_limit::Held,
    ) -> Result<Outcome<'a>, Error> {
        let body = match plugin.needs.request_body {
            raw::BodyMode::Streamed => stream(&request.body, |chunk, last| plugin.instance.on_request_body(chunk, last))?,
            _ => Streamed::Body(request.body),
        };
        match body {
            Streamed::Body(body) => request.body = body,
            Streamed::Reply(reply) => return Ok(Outcome::Answered(Answer::from_raw(reply))),
        }
        let mut request_id = None;
        for edit in changes.request {
            edit::request(&mut request, &mut request_id, edit);
        }
        if request.body.len() as u64 > request.body_limit {
            return Ok(Outcome::Answered(Answer::new(413)));
        }
        let (response, state) = (changes.response, changes.state);
        Ok(Outcome::Forwarded(Box::new(Self { plugin, request, request_id, response, state, _places: places })))
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.request.method
    }

    /// The path with its query.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        &self.request.path_and_query
    }

    /// The first line of this header, which must be UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        lines(&self.request.headers, name).first().copied()
    }

    /// Every line of this header.
    #[must_use]
    pub fn header_lines(&self, name: &str) -> Vec<&str> {
        lines(&self.request.headers, name)
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.request.body
    }

    /// Who the plugins after this one take for the caller.
    #[must_use]
    pub fn client(&self) -> Option<&Client> {
        self.request.client.as_ref()
    }

    /// The request id that the plugin chose.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// Answers like an upstream: the plugin's response edits are made and its response phase is called.
    ///
    /// # Panics
    /// If the plugin faults.
    #[track_caller]
    #[must_use]
    pub fn respond(self, upstream: Answer) -> Answer {
        self.try_respond(upstream, false).expect("the plugin does not fault")
    }

    /// Answers in the gateway's own name, as it does when there is no endpoint.
    ///
    /// # Panics
    /// If the plugin faults.
    #[track_caller]
    #[must_use]
    pub fn respond_as_gateway(self, answer: Answer) -> Answer {
        self.try_respond(answer, true).expect("the plugin does not fault")
    }

    fn try_respond(self, mut answer: Answer, from_gateway: bool) -> Result<Answer, Error> {
        edit::response(&mut answer, self.response, from_gateway);
        let Tested { instance, needs } = self.plugin;
        if !has_phase(needs.phases, raw::Phases::RESPONSE) {
            return Ok(answer);
        }
        let all = wanted(needs.wants, raw::Wants::ALL_RESPONSE_HEADERS);
        let (headers, others) = shown_fields(&answer.headers, &needs.response_headers, all);
        let verdict = instance.on_response(raw::Response {
            id: ID,
            status: answer.status(),
            headers,
            others,
            client: shown_client(self.request.client.as_ref(), needs.wants),
            state: self.state,
            from_gateway,
            body: shown_body(answer.body(), needs.response_body, "response"),
        })?;
        match verdict {
            raw::ResponseVerdict::Respond(reply) => return Ok(Answer::from_raw(reply)),
            raw::ResponseVerdict::Next(edits) => edit::response(&mut answer, edits, from_gateway),
        }
        if matches!(needs.response_body, raw::BodyMode::Streamed) {
            match stream(answer.body(), |chunk, last| instance.on_response_body(chunk, last))? {
                Streamed::Body(body) => answer.body = body,
                Streamed::Reply(_) => return Err("a streamed response cannot be answered any more".into()),
            }
        }
        Ok(answer)
    }
}

enum Streamed {
    Body(Vec<u8>),
    Reply(raw::Reply),
}

/// Passes a body through a streaming plugin in two chunks and an empty last one.
fn stream(body: &[u8], mut call: impl FnMut(Vec<u8>, bool) -> Result<raw::ChunkVerdict, Error>) -> Result<Streamed, Error> {
    let (first, second) = body.split_at(body.len() / 2);
    let mut passed = Vec::new();
    for (chunk, last) in [(first, false), (second, false), (&[][..], true)] {
        match call(chunk.to_vec(), last)? {
            raw::ChunkVerdict::Pass => passed.extend_from_slice(chunk),
            raw::ChunkVerdict::Replace(bytes) => passed.extend(bytes),
            raw::ChunkVerdict::Respond(reply) => return Ok(Streamed::Reply(reply)),
        }
    }
    Ok(Streamed::Body(passed))
}

impl core::fmt::Debug for Tested {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_struct("Tested").field("needs", &self.needs).finish_non_exhaustive()
    }
}
