//! Upstreams that answer the plugin's own calls as a case says, and note what was asked.

use std::cell::RefCell;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use tokio::sync::mpsc;

use crate::plugin::capability::http::{Fetch, FetchError, Fetched, Job};

use super::cases::{Answer, NoAnswer};
use super::{bodies, play};

/// A call that was made.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The upstream.
    pub upstream: String,
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// What upstreams answer.
pub struct Upstreams<'a> {
    /// In the order in which they are tried.
    pub answers: &'a [Answer],
    /// Calls so far.
    pub asked: RefCell<Vec<Asked>>,
    /// Why calls found no answer in the case.
    pub unexpected: RefCell<Vec<String>>,
}

impl<'a> Upstreams<'a> {
    /// Upstreams that nobody asked yet.
    pub fn new(answers: &'a [Answer]) -> Self {
        Self { answers, asked: RefCell::default(), unexpected: RefCell::default() }
    }

    /// Answers for as long as there is anybody to ask.
    pub async fn serve(&self, mut calls: mpsc::UnboundedReceiver<Job>) {
        while let Some(call) = calls.recv().await {
            match call {
                Job::Fetch(call) => self.take(call),
                Job::Relay(_) => self.unexpected.borrow_mut().push("a request of a wasi:http component is not answered in cases".into()),
            }
        }
    }

    fn take(&self, call: Fetch) {
        let answer = self.answer(&call);
        let (upstream, method, path) = (call.upstream, call.method, call.path.to_string());
        self.asked.borrow_mut().push(Asked { upstream, method, path, headers: call.headers, body: call.body });
        // A guest that is gone does not want it any more.
        let _ = call.answer.send(answer);
    }

    fn answer(&self, call: &Fetch) -> Result<Fetched, FetchError> {
        let Some(answer) = self.answers.iter().find(|answer| is_for(answer, call)) else {
            let unexpected = format!("nothing in `given.http` answers {} {} of upstream {}", call.method, call.path, call.upstream);
            self.unexpected.borrow_mut().push(unexpected);
            return Err(FetchError::Unreachable);
        };
        match answer.error {
            Some(NoAnswer::Unreachable) => Err(FetchError::Unreachable),
            Some(NoAnswer::Timeout) => Err(FetchError::Timeout),
            Some(NoAnswer::Reset) => Err(FetchError::Reset),
            Some(NoAnswer::TooLarge) => Err(FetchError::TooLarge),
            None => self.fetched(answer, call.max_body),
        }
    }

    fn fetched(&self, answer: &Answer, max_body: usize) -> Result<Fetched, FetchError> {
        let made = fetched(answer).map_err(|error| {
            self.unexpected.borrow_mut().push(format!("given.http: {error}"));
            FetchError::Unreachable
        })?;
        if made.body.len() > max_body { Err(FetchError::TooLarge) } else { Ok(made) }
    }
}

fn is_for(answer: &Answer, call: &Fetch) -> bool {
    let fits = |wanted: &Option<String>, got: &str| wanted.as_deref().is_none_or(|wanted| wanted == got);
    answer.upstream == call.upstream && fits(&answer.method, call.method.as_str()) && fits(&answer.path, call.path.as_str())
}

fn fetched(answer: &Answer) -> Result<Fetched, String> {
    Ok(Fetched {
        status: StatusCode::from_u16(answer.status).map_err(|_| format!("{} is no status", answer.status))?,
        headers: play::headers(&answer.headers, |text| Ok(text.to_owned()))?,
        body: answer.body.as_ref().map_or(Ok(Bytes::new()), bodies::bytes)?,
    })
}
