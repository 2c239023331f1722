//! A step that is a middleware of `wasi:http`: it has the request as a whole, and calls what is behind it, which is the
//! rest of the chain and the upstream. It waits in its instance until the response comes back.

use std::sync::Arc;

use http::header::{CONNECTION, HOST, TE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, uri};

use crate::body::Body;
use crate::error::{ERROR_HEADER, Error};
use crate::plugin::verdict::Reply;
use crate::plugin::wasi_http::run::{self, Asked, Passed, Rest};
use crate::plugin::{Fault, OnError, Usage};
use crate::server::hop_by_hop;

use super::{Reached, Step, Tools, Traveller, reply_response};

/// Takes a request through the middleware. The outer error is the request's own.
pub async fn forward(
    step: &Step,
    place: usize,
    usage: &Arc<Usage>,
    traveller: &mut Traveller,
    tools: &Tools<'_>,
) -> Result<Result<Option<Reply>, Fault>, Error> {
    let before = Before::of(step, traveller);
    let kept = [HOST, TE].map(|name| traveller.head.headers.get(&name).cloned().map(|value| (name, value)));
    let call = traveller.call.as_ref().expect("the call is back between two calls of plugins");
    let (id, fetch, trace) = (call.id, call.services.fetch.clone(), call.trace);
    let asked = Asked { request: traveller.whole_request()?, id, fetch, trace, timeout: None };
    match run::through(usage, tools.pools, asked).await {
        Ok(Passed::On(mut request, rest)) => {
            hop_by_hop::strip(request.headers_mut());
            // Where a request was sent to is not a middleware's to change: routes go by it. And what is said of the
            // connection it cannot pass on.
            for (name, value) in kept.into_iter().flatten() {
                if name == TE {
                    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("te"));
                }
                request.headers_mut().insert(name, value);
            }
            traveller.take_on(request);
            traveller.reached.push(Reached {
                step: place,
                usage: Arc::clone(usage),
                state: None,
                edits: Vec::new(),
                shadow: None,
                stream: None,
                rest: Some(rest),
            });
            Ok(Ok(None))
        }
        Ok(Passed::Back(response)) => Ok(Ok(Some(traveller.reply(cleaned(response))))),
        Err(fault) => match before {
            None if step.on_error != OnError::Closed => Err(lost(step, fault, usage, traveller, tools)),
            None => Ok(Err(fault)),
            Some(before) => {
                before.restore(traveller);
                Ok(Err(fault))
            }
        },
    }
}

/// Takes a response through the middleware that its request went through.
///
/// # Errors
/// The fault, and whether the response is as it was: the middleware may have been reading a body that was on its way.
pub async fn back(rest: Rest, response: &mut Response<Body>) -> Result<(), (Fault, bool)> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        // What follows is no HTTP any more.
        return Ok(());
    }
    let kept = copy(response.body());
    let mut shown = Response::new(std::mem::replace(response.body_mut(), Body::Empty));
    *shown.status_mut() = response.status();
    *shown.headers_mut() = response.headers().clone();
    match rest.back(shown).await {
        Ok(made) => *response = cleaned(made),
        Err(fault) => {
            let is_whole = kept.is_some();
            *response.body_mut() = kept.unwrap_or(Body::Empty);
            return Err((fault, is_whole));
        }
    }
    Ok(())
}

/// A body that can be had twice.
fn copy(body: &Body) -> Option<Body> {
    match body {
        Body::Empty => Some(Body::Empty),
        Body::Full(bytes) => Some(Body::Full(bytes.clone())),
        Body::Incoming(_) | Body::Staged(_) => None,
    }
}

/// A body that was passing went with the fault, so that nobody can go on without the middleware.
fn lost(step: &Step, fault: Fault, usage: &Arc<Usage>, traveller: &mut Traveller, tools: &Tools<'_>) -> Error {
    traveller.faulted = true;
    super::note(&fault, usage, traveller, tools);
    Error::Plugin { plugin: step.name.to_string(), fault }
}

fn cleaned(mut response: Response<Body>) -> Response<Body> {
    hop_by_hop::strip(response.headers_mut());
    // Only the gateway says what went wrong at the gateway.
    response.headers_mut().remove(&ERROR_HEADER);
    response
}

/// The request as it was, for a step that may be left out. A body on its way cannot be had twice.
struct Before {
    headers: HeaderMap,
    body: Body,
}

impl Before {
    fn of(step: &Step, traveller: &Traveller) -> Option<Self> {
        if step.on_error == OnError::Closed {
            return None;
        }
        Some(Self { body: copy(&traveller.body)?, headers: traveller.head.headers.clone() })
    }

    fn restore(self, traveller: &mut Traveller) {
        traveller.head.headers = self.headers;
        traveller.body = self.body;
    }
}

impl Traveller {
    /// The head and body as a request with a whole address. The method and the target stay.
    ///
    /// # Errors
    /// When the host is none.
    pub fn whole_request(&mut self) -> Result<Request<Body>, Error> {
        let head = &mut self.head;
        let host = head.headers.get(HOST).map_or(&b"localhost"[..], |host| host.as_bytes());
        let address = Uri::builder()
            .scheme(if self.secure { uri::Scheme::HTTPS } else { uri::Scheme::HTTP })
            .authority(host)
            .path_and_query(head.uri.path_and_query().map_or("/", uri::PathAndQuery::as_str))
            .build()
            .map_err(|error| Error::bad_request(format!("the address is not whole: {error}")))?;
        let mut request = Request::new(std::mem::replace(&mut self.body, Body::Empty));
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = address;
        *request.headers_mut() = std::mem::take(&mut head.headers);
        Ok(request)
    }

    /// A plugin's reply as a response, with its body where that is made while it passes.
    pub fn answered(&mut self, reply: Reply) -> Response<Body> {
        let mut response = reply_response(reply);
        if let Some(body) = self.reply_body.take() {
            *response.body_mut() = *body;
        }
        response
    }

    fn take_on(&mut self, request: Request<Body>) {
        let (head, body) = request.into_parts();
        self.head.method = head.method;
        self.head.uri = head.uri.path_and_query().cloned().unwrap_or_else(|| uri::PathAndQuery::from_static("/")).into();
        self.head.headers = head.headers;
        self.body = if http_body::Body::is_end_stream(&body) { Body::Empty } else { body };
    }

    fn reply(&mut self, response: Response<Body>) -> Reply {
        let (head, body) = response.into_parts();
        if !body.is_empty() {
            self.reply_body = Some(Box::new(body));
        }
        Reply { status: head.status, headers: head.headers, body: Default::default() }
    }
}
