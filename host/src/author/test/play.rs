//! One request through the plugin: what the request path does between the client's socket and the upstream's.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri};
use tokio::sync::mpsc;

use crate::body::Body;
use crate::caller::{Caller, Stated};
use crate::chain::{Chain, Tools, Traveller, reply_response};
use crate::error::Error;
use crate::limit::Clock;
use crate::plugin::capability::http::FetchSender;
use crate::plugin::meter::{Cost, Meter};
use crate::plugin::pool::Pools;
use crate::plugin::{Call, Services};
use crate::telemetry::RequestIds;

use super::bodies::{self, body};
use super::capture;
use super::cases::{Case, Identity, Lines, Request, Turn, Upstream};
use super::compare;
use super::report::Outcome;
use super::upstreams::{Asked, Upstreams};
use super::world::World;

/// What a body may have at the end of the way.
const MAX_BODY: usize = 256 << 20;

/// What came of a request.
pub struct Played {
    /// What the upstream got; None where it was not asked.
    pub sent: Option<Sent>,
    /// Whether the plugin answered.
    pub responded: bool,
    /// What the client got.
    pub response: Answered,
    /// What the gateway says of the plugin's fault.
    pub fault: Option<String>,
    /// Calls that the plugin made.
    pub asked: Vec<Asked>,
    /// The client, after the plugin.
    pub client: Option<String>,
    /// What each call of the plugin cost.
    pub costs: Vec<Cost>,
}

/// A request that went on.
pub struct Sent {
    /// Its method.
    pub method: Method,
    /// Its path and query.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// A response.
pub struct Answered {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// Plays all requests of a case, until one comes to something else than expected.
pub fn all(world: &World, case: &Case) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build_local(tokio::runtime::LocalOptions::default());
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return Outcome::failed(vec![error.to_string()]),
    };
    runtime.block_on(turns(world, case))
}

/// Beside the upstreams that the plugin may call.
async fn turns(world: &World, case: &Case) -> Outcome {
    let (fetch, calls) = mpsc::unbounded_channel();
    let upstreams = Upstreams::new(&world.answers);
    tokio::select! {
        outcome = turn_by_turn(world, case, &upstreams, fetch) => outcome,
        () = upstreams.serve(calls) => Outcome::failed(vec!["the plugin's calls came to an end before the request".into()]),
    }
}

async fn turn_by_turn(world: &World, case: &Case, upstreams: &Upstreams<'_>, fetch: FetchSender) -> Outcome {
    let (pools, mut clock, turns) = (Pools::new(fetch.clone()), Clock::start(), case.turns());
    let mut outcome = Outcome::default();
    for (place, turn) in turns.iter().enumerate() {
        clock = clock.moved_on(turn.after.map_or_else(Default::default, Into::into));
        let logged = capture::so_far().len();
        let differences = match one(world, turn, &pools, world.services(clock, fetch.clone()), upstreams).await {
            Err(error) => vec![error],
            Ok((played, unexpected)) => {
                outcome.costs.extend_from_slice(&played.costs);
                let lines = capture::so_far().split_off(logged);
                unexpected.into_iter().chain(compare::all(world, turn.expect, &played, &lines)).collect()
            }
        };
        if !differences.is_empty() {
            let prefix = if case.steps.is_empty() { String::new() } else { format!("steps[{place}] ") };
            outcome.differences = differences.into_iter().map(|difference| format!("{prefix}{difference}")).collect();
            return outcome;
        }
    }
    outcome
}

/// What came of one request, and the calls of it that the case does not know.
async fn one(
    world: &World,
    turn: &Turn<'_>,
    pools: &Rc<Pools>,
    services: Arc<Services>,
    upstreams: &Upstreams<'_>,
) -> Result<(Played, Vec<String>), String> {
    let mut played = play(world, turn, pools, services).await?;
    played.asked = upstreams.asked.take();
    Ok((played, upstreams.unexpected.take()))
}

/// Plays one request.
pub async fn play(world: &World, turn: &Turn<'_>, pools: &Rc<Pools>, services: Arc<Services>) -> Result<Played, String> {
    let chain = &world.snapshot.routes[0].chain;
    let tools = Tools { pools, metrics: &world.worker };
    let (mut traveller, meter) = traveller(turn.request, services, &world.tokens)?;
    let already = capture::so_far().len();
    let mut way = forward(chain, &mut traveller, &tools, turn.upstream).await?;
    chain.back(&mut traveller, &mut way.response, way.from_gateway, &tools).await;
    let (head, body) = way.response.into_parts();
    let body = body.collect(MAX_BODY).await;
    let said = capture::so_far().split_off(already);
    let fault = said.into_iter().find(|line| !line.is_plugins && line.text.starts_with("plugin ")).map(|line| line.text);
    let fault = fault.or_else(|| body.as_ref().err().map(ToString::to_string));
    Ok(Played {
        sent: way.sent,
        responded: way.responded,
        response: Answered { status: head.status, headers: head.headers, body: body.unwrap_or_default() },
        fault,
        asked: Vec::new(),
        client: traveller.caller().map(|caller| caller.name().to_owned()),
        costs: meter.costs(),
    })
}

/// A request at its farthest point.
pub struct Way {
    /// What the upstream got; None where it was not asked.
    pub sent: Option<Sent>,
    /// Whether the plugin answered.
    pub responded: bool,
    /// What goes back.
    pub response: Response<Body>,
    /// Whether the gateway made that.
    pub from_gateway: bool,
}

/// To the upstream, or to what ended the request before.
pub async fn forward(chain: &Chain, traveller: &mut Traveller, tools: &Tools<'_>, upstream: &Upstream) -> Result<Way, String> {
    match chain.forward(traveller, tools).await {
        Ok(Some(reply)) => return Ok(Way { sent: None, responded: true, response: reply_response(reply), from_gateway: false }),
        Err(error) => return Ok(stopped(traveller, error)),
        Ok(None) => {}
    }
    let body = std::mem::replace(&mut traveller.body, Body::Empty).collect(MAX_BODY).await;
    match body {
        Ok(body) => Ok(Way { sent: Some(sent(traveller, body)), responded: false, response: answer(upstream)?, from_gateway: false }),
        Err(error) => Ok(stopped(traveller, Error::from_request_body(error))),
    }
}

fn stopped(traveller: &mut Traveller, error: Error) -> Way {
    if let Some(reply) = traveller.interruption() {
        return Way { sent: None, responded: true, response: reply_response(reply), from_gateway: false };
    }
    let error = traveller.interrupt.error.borrow_mut().take().unwrap_or(error);
    let response = error.into_response(&traveller.id_text());
    Way { sent: None, responded: false, response, from_gateway: true }
}

fn sent(traveller: &mut Traveller, body: Bytes) -> Sent {
    let head = &mut traveller.head;
    Sent { method: head.method.clone(), path: head.uri.to_string(), headers: std::mem::take(&mut head.headers), body }
}

// === what a case says, as HTTP ===

/// A request of a case, about to enter the chain.
pub fn traveller(request: &Request, services: Arc<Services>, tokens: &BTreeMap<String, String>) -> Result<(Traveller, Meter), String> {
    let mut made = http::Request::new(());
    *made.method_mut() = Method::from_bytes(request.method.as_bytes()).map_err(|_| format!("{:?} is no method", request.method))?;
    let path = with_tokens(&request.path, tokens)?;
    *made.uri_mut() = path.parse::<Uri>().ok().filter(|_| path.starts_with('/')).ok_or_else(|| format!("{path:?} is no path"))?;
    *made.headers_mut() = headers(&request.headers, |text| with_tokens(text, tokens))?;
    made.headers_mut().entry(http::header::HOST).or_insert(HeaderValue::from_static("test.example"));
    let body = body(request.body.as_ref(), &request.chunks)?;
    let meter = Meter::default();
    let mut call = Call::new(RequestIds::new().next(), services, request.address);
    call.meter = Some(meter.clone());
    call.client = request.client.as_ref().map(caller);
    Ok((Traveller::new(made.into_parts().0, body, call, request.secure), meter))
}

fn caller(identity: &Identity) -> Caller {
    Caller::Stated(Arc::new(Stated {
        name: identity.name.clone(),
        method: identity.method.clone(),
        issuer: identity.issuer.clone(),
        scopes: identity.scopes.clone(),
        plan: identity.plan.clone(),
        claims: identity.claims.as_ref().and_then(|claims| serde_json::to_string(claims).ok()),
    }))
}

fn answer(upstream: &Upstream) -> Result<Response<Body>, String> {
    let mut response = Response::new(body(upstream.body.as_ref(), &upstream.chunks)?);
    *response.status_mut() = StatusCode::from_u16(upstream.status).map_err(|_| format!("{} is no status", upstream.status))?;
    *response.headers_mut() = headers(&upstream.headers, |text| Ok(text.to_owned()))?;
    Ok(response)
}

/// Puts tokens where a text names them.
fn with_tokens(text: &str, tokens: &BTreeMap<String, String>) -> Result<String, String> {
    let text = tokens.iter().fold(text.to_owned(), |text, (name, token)| text.replace(&format!("${{token.{name}}}"), token));
    match text.find("${token.") {
        None => Ok(text),
        Some(at) => Err(format!("{:?} is no token of `given.tokens`", &text[at..])),
    }
}

/// Headers of a case, each text changed by `change`.
pub fn headers(lines: &BTreeMap<String, Lines>, change: impl Fn(&str) -> Result<String, String>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, lines) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{name:?} is no name of a header"))?;
        for line in self::lines(lines)? {
            let line = match String::from_utf8(line) {
                Ok(text) => change(&text)?.into_bytes(),
                Err(bytes) => bytes.into_bytes(),
            };
            let value = HeaderValue::from_bytes(&line).map_err(|_| format!("the value of {name} is none of a header"))?;
            headers.append(&name, value);
        }
    }
    Ok(headers)
}

/// The lines that a case means.
pub fn lines(lines: &Lines) -> Result<Vec<Vec<u8>>, String> {
    Ok(match lines {
        Lines::One(text) => vec![text.to_string().into_bytes()],
        Lines::Base64 { base64 } => vec![bodies::decoded(base64)?],
        Lines::Many(lines) => lines.iter().map(|text| text.to_string().into_bytes()).collect(),
    })
}
