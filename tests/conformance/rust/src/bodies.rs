//! Actions on bodies, whole and in chunks. The chunks of one body reach the instance that saw the phase before them, so
//! what they have in common is kept here.

use gatehouse_plugin::{Changes, Chunk, Request, next};

/// A streamed body under way.
#[derive(Default)]
pub struct Body {
    action: String,
    held: Vec<u8>,
}

impl Body {
    /// A body begins, to be treated like this.
    pub fn begin(&mut self, action: &str) {
        self.action = action.to_owned();
        self.held.clear();
    }

    /// What is done to it.
    pub fn action(&self) -> &str {
        &self.action
    }

    /// What becomes of the next chunk.
    pub fn chunk(&mut self, chunk: Vec<u8>, last: bool) -> Chunk {
        match self.action.as_str() {
            "upper" => Chunk::Replace(ended(chunk.to_ascii_uppercase(), last)),
            "hold" => Chunk::Replace(self.hold(&chunk, last)),
            _ => Chunk::Pass,
        }
    }

    fn hold(&mut self, chunk: &[u8], last: bool) -> Vec<u8> {
        self.held.extend_from_slice(chunk);
        if last { std::mem::take(&mut self.held) } else { Vec::new() }
    }
}

fn ended(mut bytes: Vec<u8>, last: bool) -> Vec<u8> {
    if last {
        bytes.extend_from_slice(b"<end>");
    }
    bytes
}

/// The changes of `upper` to a request.
pub fn upper(request: &Request) -> Changes {
    match request.body() {
        Some(body) => next().set_header("x-length", body.len().to_string()).set_body(body.to_ascii_uppercase()),
        None => next().set_header("x-length", "-"),
    }
}
