//! What a phase decides.

use alloc::vec::Vec;

use crate::bindings::types as raw;
use crate::{Changes, Reply, ResponseChanges};

/// What becomes of a request.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It goes on to the next plugin, then the upstream.
    Next(Changes),
    /// This is the answer. Later plugins and the upstream never see the request.
    Respond(Reply),
}

/// What becomes of a response.
#[derive(Clone, Debug)]
pub enum ResponseVerdict {
    /// It goes on, changed.
    Next(ResponseChanges),
    /// This is the answer instead.
    Respond(Reply),
}

/// What becomes of a chunk of a streamed body.
#[derive(Clone, Debug)]
pub enum Chunk {
    /// It is forwarded as it came. Nothing is copied back.
    Pass,
    /// These bytes take its place; none at all hold it back.
    Replace(Vec<u8>),
    /// The request body stops here and this is the answer. Only while no response has begun.
    Respond(Reply),
}

/// Answer now.
#[must_use]
pub fn respond(reply: Reply) -> Verdict {
    Verdict::Respond(reply)
}

impl From<Changes> for Verdict {
    fn from(changes: Changes) -> Self {
        Self::Next(changes)
    }
}

impl From<Reply> for Verdict {
    fn from(reply: Reply) -> Self {
        Self::Respond(reply)
    }
}

impl From<ResponseChanges> for ResponseVerdict {
    fn from(changes: ResponseChanges) -> Self {
        Self::Next(changes)
    }
}

impl From<Reply> for ResponseVerdict {
    fn from(reply: Reply) -> Self {
        Self::Respond(reply)
    }
}

impl From<Verdict> for raw::RequestVerdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Next(changes) => Self::Next(changes.into_raw()),
            Verdict::Respond(reply) => Self::Respond(reply.into_raw()),
        }
    }
}

impl From<ResponseVerdict> for raw::ResponseVerdict {
    fn from(verdict: ResponseVerdict) -> Self {
        match verdict {
            ResponseVerdict::Next(changes) => Self::Next(changes.into_raw()),
            ResponseVerdict::Respond(reply) => Self::Respond(reply.into_raw()),
        }
    }
}

impl From<Chunk> for raw::ChunkVerdict {
    fn from(chunk: Chunk) -> Self {
        match chunk {
            Chunk::Pass => Self::Pass,
            Chunk::Replace(bytes) => Self::Replace(bytes),
            Chunk::Respond(reply) => Self::Respond(reply.into_raw()),
        }
    }
}
