//! A step that is a Proxy-Wasm filter: the head is lent to its instance, and comes back when the filter lets it go on. Bodies
//! pass it on their way.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, Method, Response, Uri};

use crate::body::Body;
use crate::error::Error;
use crate::plugin::proxy_wasm::{Direction, Facts, Flow, Head, Line, Stream};
use crate::plugin::verdict::Reply;
use crate::plugin::{Fault, OnError, Usage};

use super::{Reached, Step, Tools, Traveller};

mod body;

pub use body::on_response;

/// The parts of a request that a filter may change.
type RequestHead = (Method, Uri, HeaderMap);

/// Takes a request through the filter. The outer error is the request's own.
pub async fn forward(
    step: &Step,
    place: usize,
    usage: &Arc<Usage>,
    traveller: &mut Traveller,
    tools: &Tools<'_>,
) -> Result<Result<Option<Reply>, Fault>, Error> {
    let stream = match open(step, usage, traveller, tools).await {
        Ok(stream) => Rc::new(stream),
        Err(fault) => return Ok(Err(fault)),
    };
    // Who goes on without the filter goes on with what there was before it.
    let before = (step.on_error != OnError::Closed).then(|| copy(&traveller.head));
    let shown = show(&stream, usage, traveller).await;
    if let Some(head) = stream.close_headers(Direction::Request) {
        put(head, &mut traveller.head);
    }
    let outcome = match shown {
        Ok(Flow::Reply(reply)) => Some(reply),
        Ok(_) => {
            body::on_request(step, place, usage, traveller, &stream, tools);
            None
        }
        Err(fault) => {
            if let Some((method, uri, headers)) = before {
                (traveller.head.method, traveller.head.uri, traveller.head.headers) = (method, uri, headers);
            }
            return Ok(Err(fault));
        }
    };
    usage.breaker.succeeded();
    // It is shown what it answered, too, as in other hosts.
    let usage = Arc::clone(usage);
    traveller.reached.push(Reached { step: place, usage, state: None, edits: Vec::new(), shadow: None, stream: Some(stream), rest: None });
    Ok(Ok(outcome))
}

/// Takes a response through the filter that its request went through.
pub async fn back(usage: &Usage, stream: &Rc<Stream>, response: &mut Response<Body>) -> Result<Option<Reply>, Fault> {
    let head = Head { line: Line::Response(response.status()), headers: std::mem::take(response.headers_mut()) };
    let mut shown = stream.headers(Direction::Response, head, response.body().is_empty());
    if let Ok(Flow::Pause | Flow::PauseHeaders) = shown {
        shown = resumed(stream, usage, Direction::Response).await;
    }
    if let Some(head) = stream.close_headers(Direction::Response) {
        if let Line::Response(status) = head.line {
            *response.status_mut() = status;
        }
        *response.headers_mut() = head.headers;
    }
    match shown? {
        Flow::Reply(reply) => Ok(Some(reply)),
        Flow::Continue | Flow::Pause | Flow::PauseHeaders => Ok(None),
    }
}

async fn open(step: &Step, usage: &Arc<Usage>, traveller: &Traveller, tools: &Tools<'_>) -> Result<Stream, Fault> {
    let call = traveller.call.as_ref().expect("the call is back between two calls of plugins");
    let vm = tools.pools.vms.get(usage).await?;
    vm.open(Facts {
        id: call.id,
        address: call.address,
        route: Arc::clone(&step.route),
        upstream: step.upstream.clone(),
        began: Instant::now(),
        trace: call.trace,
    })
}

/// Shows the request's head, and waits as long as the filter has it wait.
async fn show(stream: &Stream, usage: &Usage, traveller: &mut Traveller) -> Result<Flow, Fault> {
    let secure = traveller.is_secure();
    let head = &mut traveller.head;
    let line = Line::Request { method: std::mem::take(&mut head.method), uri: std::mem::take(&mut head.uri), secure };
    let headers = std::mem::take(&mut head.headers);
    match stream.headers(Direction::Request, Head { line, headers }, traveller.body.is_empty())? {
        Flow::Pause | Flow::PauseHeaders => resumed(stream, usage, Direction::Request).await,
        flow => Ok(flow),
    }
}

/// Waits until the filter lets a head go on. A call of the filter's own may take half of the time.
async fn resumed(stream: &Stream, usage: &Usage, direction: Direction) -> Result<Flow, Fault> {
    let limit = usage.limits.wall * 2;
    let resumed = poll_fn(|context| stream.poll_resumed(direction, context));
    tokio::time::timeout(limit, resumed).await.unwrap_or(Err(Fault::Wall(limit)))
}

fn copy(head: &http::request::Parts) -> RequestHead {
    (head.method.clone(), head.uri.clone(), head.headers.clone())
}

fn put(from: Head, head: &mut http::request::Parts) {
    if let Line::Request { method, uri, .. } = from.line {
        (head.method, head.uri) = (method, uri);
    }
    head.headers = from.headers;
}
