//! Problem details (RFC 9457), the shape of an error answer.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

use crate::Reply;

/// An error answer as `application/problem+json`, its members in the order they were given.
#[derive(Clone, Debug)]
pub struct Problem {
    status: u16,
    kind: &'static str,
    title: String,
    members: Vec<(&'static str, Value)>,
}

impl Problem {
    /// A problem with this status and title, of the type `about:blank`.
    #[must_use]
    pub fn new(status: u16, title: &str) -> Self {
        Self { status, kind: "about:blank", title: title.into(), members: Vec::new() }
    }

    /// The URI of the problem's type.
    #[must_use]
    pub fn kind(mut self, uri: &'static str) -> Self {
        self.kind = uri;
        self
    }

    /// Says what happened this time.
    #[must_use]
    pub fn detail(self, detail: &str) -> Self {
        self.member("detail", detail)
    }

    /// Adds a member.
    #[must_use]
    pub fn member(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.members.push((name, value.into()));
        self
    }

    /// The answer, ready for more headers.
    #[must_use]
    pub fn reply(self) -> Reply {
        self.into()
    }
}

impl From<Problem> for Reply {
    fn from(problem: Problem) -> Self {
        let kind = Value::from(problem.kind);
        let title = Value::from(problem.title);
        let mut body = format!(r#"{{"type":{kind},"title":{title},"status":{}"#, problem.status);
        for (name, value) in problem.members {
            let name = Value::from(name);
            body.push_str(&format!(",{name}:{value}"));
        }
        body.push('}');
        Self::new(problem.status).header("content-type", "application/problem+json").body(body)
    }
}
