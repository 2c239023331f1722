//! A request as an origin got it.

use crate::wire::{Framing, header_lines, values};

/// One request, to the byte.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Which of the origin's connections it came on, from 0.
    pub connection: usize,
    /// The head with its empty line.
    pub head: String,
    /// Every byte: the head, then the body with its framing.
    pub raw: Vec<u8>,
    /// The content of the body.
    pub body: Vec<u8>,
    /// Whether the body has ended.
    pub whole: bool,
}

impl Recorded {
    pub(super) fn new(connection: usize, head: Vec<u8>) -> Self {
        let text = String::from_utf8_lossy(&head).into_owned();
        Self { connection, head: text, raw: head, body: Vec::new(), whole: false }
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &str {
        self.head.split(' ').next().unwrap_or_default()
    }

    /// The target: path and query.
    #[must_use]
    pub fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// The header lines in order.
    #[must_use]
    pub fn headers(&self) -> Vec<(String, String)> {
        header_lines(&self.head)
    }

    /// The value of a header that may occur once.
    ///
    /// # Panics
    /// When it occurs more often.
    #[must_use]
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<String> {
        let values = self.all(name);
        assert!(values.len() < 2, "{name} occurs once at most: {:?}", self.head);
        values.into_iter().next()
    }

    /// All values of a header, in order.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<String> {
        values(&self.headers(), name).into_iter().map(str::to_owned).collect()
    }

    /// The names of all headers, in lower case, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.headers().into_iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        names.sort_unstable();
        names
    }

    pub(super) fn framing(&self) -> Framing {
        if self.header("transfer-encoding").is_some() {
            return Framing::Chunked;
        }
        let length = self.header("content-length").and_then(|length| length.parse().ok());
        length.map_or(Framing::None, Framing::Length)
    }
}
