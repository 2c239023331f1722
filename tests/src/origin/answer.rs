//! What an origin does about a request: a script of bytes, waits and endings.

use std::time::Duration;

/// How an origin answers one request.
#[derive(Clone, Debug)]
pub struct Answer {
    pub(super) reading: Reading,
    pub(super) steps: Vec<Step>,
}

/// When an origin reads the body of a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reading {
    /// Before it answers.
    First,
    /// Before it answers, and it sends `100 Continue` for it.
    Invited,
    /// Before it answers, after a pause.
    After(Duration),
    /// Never: it answers at once.
    Never,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Send(Vec<u8>),
    Wait(Duration),
    /// So many bytes of no meaning.
    Flood(usize),
    /// Nothing more, until the gateway leaves.
    Stall,
    Close,
    /// A TCP reset.
    Reset,
}

impl Answer {
    /// 200 with a body and its length.
    #[must_use]
    pub fn ok(body: impl AsRef<[u8]>) -> Self {
        Self::new(200, &[], body)
    }

    /// A status, headers, and a body with its length.
    #[must_use]
    pub fn new(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Self {
        let length = body.as_ref().len().to_string();
        let headers: Vec<_> = headers.iter().copied().chain([("content-length", length.as_str())]).collect();
        Self::head(status, &headers).then_send(body)
    }

    /// A JSON document.
    #[must_use]
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status, &[("content-type", "application/json")], body.to_string())
    }

    /// A status and exactly these headers. A body, if any, is sent by further steps.
    #[must_use]
    pub fn head(status: u16, headers: &[(&str, &str)]) -> Self {
        let mut head = format!("HTTP/1.1 {status} Scripted\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        Self::raw(head + "\r\n")
    }

    /// 200 with a body in chunks.
    #[must_use]
    pub fn chunked(chunks: &[&str]) -> Self {
        let answer = chunks.iter().fold(Self::head(200, &[("transfer-encoding", "chunked")]), |answer, chunk| answer.then_chunk(chunk));
        answer.then_send("0\r\n\r\n")
    }

    /// Bytes as they are.
    #[must_use]
    pub fn raw(bytes: impl AsRef<[u8]>) -> Self {
        Self { reading: Reading::First, steps: vec![Step::Send(bytes.as_ref().to_vec())] }
    }

    /// No answer: silence until the gateway leaves.
    #[must_use]
    pub fn silence() -> Self {
        Self { reading: Reading::First, steps: vec![Step::Stall] }
    }

    /// Waits before anything is sent.
    #[must_use]
    pub fn delayed(mut self, by: Duration) -> Self {
        self.steps.insert(0, Step::Wait(by));
        self
    }

    /// Answers at once and never reads the body of the request.
    #[must_use]
    pub fn without_reading(mut self) -> Self {
        self.reading = Reading::Never;
        self
    }

    /// Sends `100 Continue` before it reads the body of the request.
    #[must_use]
    pub fn inviting(mut self) -> Self {
        self.reading = Reading::Invited;
        self
    }

    /// Lets the body of the request wait before it reads it.
    #[must_use]
    pub fn reading_after(mut self, pause: Duration) -> Self {
        self.reading = Reading::After(pause);
        self
    }

    /// Then sends these bytes.
    #[must_use]
    pub fn then_send(self, bytes: impl AsRef<[u8]>) -> Self {
        self.then(Step::Send(bytes.as_ref().to_vec()))
    }

    /// Then sends a chunk.
    #[must_use]
    pub fn then_chunk(self, content: &str) -> Self {
        self.then_send(format!("{:x}\r\n{content}\r\n", content.len()))
    }

    /// Then sends so many bytes of no meaning.
    #[must_use]
    pub fn then_flood(self, length: usize) -> Self {
        self.then(Step::Flood(length))
    }

    /// Then waits.
    #[must_use]
    pub fn then_wait(self, pause: Duration) -> Self {
        self.then(Step::Wait(pause))
    }

    /// Then does nothing until the gateway leaves.
    #[must_use]
    pub fn then_stall(self) -> Self {
        self.then(Step::Stall)
    }

    /// Then closes the connection.
    #[must_use]
    pub fn then_close(self) -> Self {
        self.then(Step::Close)
    }

    /// Then resets the connection.
    #[must_use]
    pub fn then_reset(self) -> Self {
        self.then(Step::Reset)
    }

    fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}
