//! A response as a test sees it: the head to the letter, the body whole.

use serde_json::Value;

use crate::wire::{Framing, header_lines, values};

/// One response.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The head as it came, up to and with its empty line. For HTTP/2 it is written out as HTTP/1 would.
    pub head: String,
    /// The header lines in order.
    pub headers: Vec<(String, String)>,
    /// The content, without its framing.
    pub body: Vec<u8>,
}

impl Response {
    /// Reads a head; the body comes after.
    ///
    /// # Panics
    /// When it is not the head of a response.
    #[must_use]
    pub fn from_head(head: &[u8]) -> Self {
        let head = String::from_utf8_lossy(head).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("not the head of a response: {head:?}"));
        Self { status, headers: header_lines(&head), head, body: Vec::new() }
    }

    /// The value of a header that may occur once.
    ///
    /// # Panics
    /// When it occurs more often.
    #[must_use]
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let values = self.all(name);
        assert!(values.len() < 2, "{name} occurs once at most: {:?}", self.headers);
        values.first().copied()
    }

    /// All values of a header, in order.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        values(&self.headers, name)
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    /// Checks that this is the gateway's own answer for a reason of its closed list, whole and consistent.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn assert_problem(&self, status: u16, reason: &str) {
        assert_eq!((self.status, self.header("x-gatehouse-error")), (status, Some(reason)), "{}{}", self.head, self.text());
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "the answer is a problem document");
        let problem = self.json();
        assert_eq!(problem["status"], status, "the document repeats the status");
        for member in ["type", "title", "detail", "request_id"] {
            assert!(problem[member].is_string(), "the document has {member}: {problem}");
        }
        assert_eq!(self.header("x-request-id"), problem["request_id"].as_str(), "the id is in the header as well");
    }

    /// How the body of this response is framed, when it answers this method.
    #[must_use]
    pub fn framing(&self, method: &str) -> Framing {
        if method == "HEAD" || self.status < 200 || self.status == 204 || self.status == 304 {
            return Framing::None;
        }
        if self.all("transfer-encoding").iter().any(|coding| coding.eq_ignore_ascii_case("chunked")) {
            return Framing::Chunked;
        }
        match self.header("content-length") {
            Some(length) => Framing::Length(length.parse().expect("the gateway writes lengths as digits")),
            None => Framing::UntilClose,
        }
    }
}
