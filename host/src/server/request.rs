//! The life of one request, top to bottom: checks, route, chain, upstream, chain back, answer.
//!
//! [`serve`] never fails: whatever ends a request becomes an answer in it, and that answer goes back through the chain
//! too, so that CORS and request ids apply to the gateway's own errors.

use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, MAX_FORWARDS};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::{Body as _, Incoming};

use crate::body::{Body, BodyError, Passage, Watched};
use crate::chain::{self, Tools, Traveller};
use crate::error::{ERROR_HEADER, Error};
use crate::plugin::Call;
use crate::route;
use crate::snapshot::Route;
use crate::telemetry::access_log::Flag;
use crate::telemetry::traces::{Hop, Trace};
use crate::upstream::{Asked, Errand, Keys, Refusal, SendError, Sent, Upstream};

use super::client_certificate::CLIENT_CERTIFICATE;
use super::finish::Facts;
use super::head_guard::Violation;
use super::{Answer, Connection, component, grpc, hop_by_hop, mirror, target, upgrade};

/// Serves a request. Dropped by hyper when the client goes away, which cancels whatever is under way for it.
pub async fn serve(connection: Rc<Connection>, request: Request<Incoming>) -> Result<Response<Answer>, Infallible> {
    let admitted = connection.admit();
    let (head, incoming) = request.into_parts();
    let mut facts = Facts::new(&connection, &head);
    let response = match admitted {
        Ok(admission) => {
            facts.admission = admission;
            handle(&connection, &mut facts, head, incoming).await
        }
        Err(violation) => facts.problem(violation.into()),
    };
    Ok(finish(&connection, facts, response))
}

async fn handle(connection: &Rc<Connection>, facts: &mut Facts, mut head: http::request::Parts, incoming: Incoming) -> Response<Body> {
    if let Some(response) = last_hop(&mut head) {
        return response;
    }
    upgrade::translate(&mut head);
    let (route, mut traveller) = match arrive(connection, facts, head, incoming) {
        Ok(arrived) => arrived,
        Err(error) => return facts.problem(error),
    };
    let tools = Tools { pools: &connection.worker.pools, metrics: &connection.worker.metrics };
    let (mut response, from_gateway) = match proceed(connection, facts, &route, &mut traveller, &tools).await {
        Ok(response) => (response, false),
        Err(error) => stopped(connection, facts, &mut traveller, error),
    };
    route.chain.back(&mut traveller, &mut response, from_gateway, &tools).await;
    facts.learn(traveller);
    response
}

/// What a request that did not get through is answered with: a plugin's own reply if one stopped the body, else a problem.
fn stopped(connection: &Connection, facts: &mut Facts, traveller: &mut Traveller, error: Error) -> (Response<Body>, bool) {
    if let Some(reply) = traveller.interruption() {
        return (chain::reply_response(reply), false);
    }
    facts.request_id = traveller.request_id.take();
    let error = traveller.interrupt.error.borrow_mut().take().unwrap_or(error);
    (facts.problem(connection.explain(error, facts)), true)
}

/// From the chain to the upstream, or to the plugin that answers.
async fn proceed(
    connection: &Rc<Connection>,
    facts: &mut Facts,
    route: &Arc<Route>,
    traveller: &mut Traveller,
    tools: &Tools<'_>,
) -> Result<Response<Body>, Error> {
    if let Some(reply) = route.chain.forward(traveller, tools).await? {
        return Ok(traveller.answered(reply));
    }
    if let Some(redirect) = &route.redirect {
        return redirect.answer(&traveller.head, connection.secure);
    }
    if let Some(rewrite) = &route.rewrite {
        rewrite.apply(&mut traveller.head)?;
    }
    let Some(split) = &route.upstream else {
        // Boxed, because nearly all routes end in an upstream.
        return Box::pin(component::answer(connection, facts, route, traveller)).await;
    };
    let upstream = split.pick().ok_or_else(|| Error::NoHealthyEndpoint { upstream: route.name.to_string() })?;
    facts.upstream = Some(Arc::clone(upstream));
    if !route.mirrors.is_empty() && facts.upgrade.is_none() {
        mirror::copy(&connection.worker, &route.mirrors, traveller, facts.address);
    }
    send(connection, facts, route, upstream, traveller).await
}

/// Checks the head, finds the route, and makes the request ready for the chain.
fn arrive(
    connection: &Rc<Connection>,
    facts: &mut Facts,
    mut head: http::request::Parts,
    incoming: Incoming,
) -> Result<(Arc<Route>, Traveller), Error> {
    if head.method == Method::TRACE {
        return Err(Error::BadRequest { status: StatusCode::METHOD_NOT_ALLOWED, detail: "TRACE is not served here".into() });
    }
    let resolved = target::resolve(&head.method, &head.uri, &head.headers, head.version)?;
    let authority = resolved.authority.unwrap_or_default().to_owned();
    let route = find(facts, &head, &resolved)?;
    let path = PathAndQuery::try_from(&*resolved.path_and_query()).map_err(|_| Error::bad_request("the target is not a path"))?;
    facts.route = Some(Arc::clone(&route));
    expect(&mut head.headers)?;
    let limit = route.max_body.unwrap_or(connection.listener.max_body);
    declared_length(&head.headers, limit)?;

    head.uri = path.into();
    let asked = hop_by_hop::strip(&mut head.headers);
    let mut forwarding = connection.forwarding.borrow_mut();
    let address = forwarding.client_address(&head.headers);
    forwarding
        .apply(&mut head.headers, &authority, head.version)
        .map_err(|looped| Error::BadRequest { status: StatusCode::LOOP_DETECTED, detail: looped.to_string() })?;
    facts.address = Some(address);
    if let Some(certificate) = &connection.client_certificate {
        head.headers.insert(CLIENT_CERTIFICATE, certificate.clone());
    }
    facts.upgrade = upgrade::ask(facts, &mut head, asked.upgrade, &route.upgrades, !incoming.is_end_stream())?;
    as_http1(&mut head, &authority, asked.trailers)?;

    let body = received(connection, facts, incoming, limit);
    let mut call = Call::new(facts.id, Arc::clone(&facts.view.services), address);
    call.trace = facts.trace.as_ref().map(Trace::context);
    let mut traveller = Traveller::new(head, body, call, connection.secure);
    traveller.recorder = facts.recorder().cloned();
    Ok((route, traveller))
}

/// Answers an OPTIONS request that is to go no further than here (RFC 9110 §7.6.2), and counts down one that is.
fn last_hop(head: &mut http::request::Parts) -> Option<Response<Body>> {
    if head.method != Method::OPTIONS {
        return None;
    }
    let left: u32 = head.headers.get(MAX_FORWARDS)?.to_str().ok()?.parse().ok()?;
    match left.checked_sub(1) {
        Some(left) => {
            head.headers.insert(MAX_FORWARDS, HeaderValue::from(left));
            None
        }
        None => Some(Response::new(Body::Empty)),
    }
}

fn find(facts: &Facts, head: &http::request::Parts, resolved: &target::Target<'_>) -> Result<Arc<Route>, Error> {
    let wanted = route::Head {
        host: resolved.authority.unwrap_or_default(),
        path: &resolved.path,
        query: resolved.query,
        method: &head.method,
        headers: &head.headers,
    };
    facts.view.snapshot.router.find(&wanted).cloned().ok_or(Error::NoRoute)
}

/// hyper sends the 100 itself when the body is first read, which is after the chain had its say.
fn expect(headers: &mut HeaderMap) -> Result<(), Error> {
    match headers.remove(EXPECT) {
        None => Ok(()),
        Some(value) if value.as_bytes().eq_ignore_ascii_case(b"100-continue") => Ok(()),
        Some(_) => Err(Error::BadRequest { status: StatusCode::EXPECTATION_FAILED, detail: "the expectation is not 100-continue".into() }),
    }
}

fn declared_length(headers: &HeaderMap, limit: u64) -> Result<(), Error> {
    let Some(length) = headers.get(CONTENT_LENGTH) else { return Ok(()) };
    let length: u64 = length
        .to_str()
        .ok()
        .and_then(|length| length.parse().ok())
        .ok_or_else(|| Error::bad_request("the content-length is not a number"))?;
    match length > limit {
        true => Err(Error::BodyTooLarge { limit }),
        false => Ok(()),
    }
}

/// Upstreams are spoken to in HTTP/1.1, whatever the client speaks.
fn as_http1(head: &mut http::request::Parts, authority: &str, trailers: bool) -> Result<(), Error> {
    let host_is_right = head.headers.get(HOST).is_some_and(|host| host.as_bytes() == authority.as_bytes());
    if !host_is_right && !authority.is_empty() {
        let host = HeaderValue::from_str(authority).map_err(|_| Error::bad_request("the host is not valid"))?;
        head.headers.insert(HOST, host);
    }
    if head.version == Version::HTTP_2 {
        join_cookies(&mut head.headers);
    }
    if trailers {
        head.headers.insert(http::header::TE, HeaderValue::from_static("trailers"));
        head.headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    head.version = Version::HTTP_11;
    Ok(())
}

/// HTTP/2 may split cookies over several fields; HTTP/1.1 has one (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() > 1 {
        if let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
            headers.insert(COOKIE, cookie);
        }
    }
}

fn received(connection: &Connection, facts: &Facts, incoming: Incoming, limit: u64) -> Body {
    match incoming.is_end_stream() {
        true => Body::Empty,
        false => Body::Incoming(Watched::new(incoming, limit, connection.listener.body_stall, Rc::clone(&facts.received))),
    }
}

async fn send(
    connection: &Rc<Connection>,
    facts: &mut Facts,
    route: &Route,
    upstream: &Arc<Upstream>,
    traveller: &mut Traveller,
) -> Result<Response<Body>, Error> {
    let began = Instant::now();
    let admission = upstream.admit(began).map_err(|refusal| refused(refusal, upstream))?;
    let picked = upstream.pick(&asked(traveller, facts, began));
    let endpoint = picked.ok_or_else(|| Error::NoHealthyEndpoint { upstream: upstream.name.to_string() })?;
    let endpoint = facts.endpoint.insert(endpoint);
    let mut timeouts = upstream.timeouts;
    timeouts.request = route.timeout.or(timeouts.request);
    if facts.is_call {
        timeouts.limit_call(grpc::timeout(&traveller.head.headers));
    }

    let mut request = onward(traveller, &endpoint.authority);
    if let Some(pending) = &facts.upgrade {
        pending.write(&mut request);
    }
    let hop = Hop { upstream: &upstream.name, authority: &endpoint.authority, tls: endpoint.tls };
    let worker = &connection.worker;
    let took = Cell::default();
    let mut errand = Errand {
        upstream,
        admission: &admission,
        retry: upstream.retry.as_ref(),
        connections: &worker.connections,
        metrics: &worker.metrics,
        timeouts,
        tries: facts.trace.as_ref().and_then(|trace| trace.send_on(&worker.traces, hop, &mut request, began)),
        uploading: request.body().is_passing().then(|| Rc::clone(&facts.received)),
        caller: traveller.caller(),
        address: facts.address,
        is_upgrade: facts.upgrade.is_some(),
        is_clients_fault: &|| connection.is_clients_fault(&facts.received),
        is_fresh: Cell::default(),
        attempts: &facts.attempts,
        began,
        took: &took,
    };
    let sent = errand.send(endpoint, request).await;
    facts.upstream_took = Some(took.get());

    let Sent { mut response, passage } = sent.map_err(|error| failed(error, upstream, &endpoint.authority))?;
    facts.passage = Some(passage);
    facts.is_good = !response.status().is_server_error();
    let asked = hop_by_hop::strip(response.headers_mut());
    if asked.is_coded {
        let cause = "its body has a transfer coding that nobody asked for";
        return Err(failed(SendError::Broken(cause.into()), upstream, &endpoint.authority));
    }
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let agreed = match &mut facts.upgrade {
            Some(pending) => pending.agree(&mut response, asked.upgrade.as_ref(), timeouts.upgraded),
            None => Err("it switched protocols unasked"),
        };
        agreed.map_err(|cause| failed(SendError::Broken(cause.into()), upstream, &endpoint.authority))?;
    }
    // Only the gateway says what went wrong at the gateway.
    response.headers_mut().remove(&ERROR_HEADER);
    Ok(response)
}

/// What the pick of an endpoint goes by.
fn asked<'a>(traveller: &'a Traveller, facts: &Facts, now: Instant) -> Asked<'a> {
    let head = &traveller.head;
    let keys = Keys { headers: &head.headers, path: head.uri.path_and_query(), caller: traveller.caller(), address: facts.address };
    Asked { now, tried: &[], keys }
}

/// What goes to the upstream: the traveller's head and body.
fn onward(traveller: &mut Traveller, authority: &str) -> Box<Request<Body>> {
    let mut request = Box::new(Request::new(std::mem::replace(&mut traveller.body, Body::Empty)));
    *request.method_mut() = traveller.head.method.clone();
    *request.uri_mut() = traveller.head.uri.clone();
    *request.headers_mut() = std::mem::take(&mut traveller.head.headers);
    // An HTTP/1.0 client may have named no host; HTTP/1.1 has to.
    if !request.headers().contains_key(HOST) {
        if let Ok(host) = HeaderValue::from_str(authority) {
            request.headers_mut().insert(HOST, host);
        }
    }
    request
}

fn refused(refusal: Refusal, upstream: &Upstream) -> Error {
    match refusal {
        Refusal::CircuitOpen { retry_after } => Error::CircuitOpen { upstream: upstream.name.to_string(), retry_after },
        Refusal::Full(_) => Error::Overloaded(format!("upstream {}: {refusal}", upstream.name)),
    }
}

fn failed(error: SendError, upstream: &Upstream, endpoint: &str) -> Error {
    let endpoint = endpoint.to_owned();
    match error {
        SendError::Connect(cause) => Error::UpstreamConnect { endpoint, cause },
        SendError::Timeout(limit) => Error::UpstreamTimeout { endpoint, limit },
        SendError::Broken(cause) | SendError::Refused(cause) => Error::UpstreamReset { endpoint, cause },
        SendError::NoToken(cause) => Error::NoUpstreamToken { upstream: upstream.name.to_string(), cause: cause.to_string() },
        SendError::NoRoom(_) => Error::Overloaded(format!("upstream {}: {error}", upstream.name)),
    }
}

fn finish(connection: &Rc<Connection>, mut facts: Box<Facts>, mut response: Response<Body>) -> Response<Answer> {
    if facts.is_call && facts.is_answered_here() {
        // The flags of the log go by what it is before it is gRPC's 200.
        facts.decided(response.status().as_u16());
        response = grpc::refusal(response);
    }
    let (mut head, mut body) = response.into_parts();
    if facts.upgrade.is_some() {
        facts = match upgrade::switch(connection, facts, &mut head) {
            Ok(switched) => return switched,
            Err(facts) => facts,
        };
    }
    let is_head = facts.method == Method::HEAD;
    // A plugin may have made this of an answer that has a body.
    if matches!(head.status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED) && !is_head {
        body = Body::Empty;
    }
    // It may also have made a HEAD of a GET. What is declared and does not come is an error of the stream in HTTP/2.
    if head.status == StatusCode::NO_CONTENT || body.is_empty() && !is_head && head.status != StatusCode::NOT_MODIFIED {
        head.headers.remove(CONTENT_LENGTH);
    }
    let is_http1 = facts.version != Version::HTTP_2;
    // hyper holds a body back from the answer to a HEAD in HTTP/1 alone; what it would have said of its length is kept.
    if is_head && !is_http1 {
        declare_length(&mut head.headers, &std::mem::replace(&mut body, Body::Empty));
    }
    // After a request that could be read in two ways nothing on the connection is to be trusted.
    if is_http1 && (connection.worker.is_draining() || facts.flags.contains(Flag::BadRequest)) {
        head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let bodiless = is_head || body.is_empty();
    let answer = facts.answered(head.status.as_u16(), body);
    let answer = if bodiless { answer.without_body() } else { answer };
    Response::from_parts(head, answer)
}

fn declare_length(headers: &mut HeaderMap, body: &Body) {
    if let Some(length) = body.size_hint().exact().filter(|_| !body.is_empty()) {
        headers.entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
    }
}

impl Connection {
    /// Whether a request failed because its body did, or never came: not what the upstream is to be blamed for.
    fn is_clients_fault(&self, received: &Passage) -> bool {
        received.error.get().is_some() || self.body_violation().is_some()
    }

    /// The error that really ended the request: sending fails when the client's own body does, and that is not the
    /// upstream's fault.
    fn explain(&self, error: Error, facts: &Facts) -> Error {
        if !matches!(error, Error::UpstreamReset { .. } | Error::Component { .. }) {
            return error;
        }
        match (self.body_violation(), facts.received.error.get()) {
            (Some(violation), _) => violation.into(),
            (None, Some(body)) => Error::from_request_body(body),
            (None, None) => error,
        }
    }
}

impl Facts {
    /// The gateway's own answer.
    fn problem(&mut self, error: Error) -> Response<Body> {
        self.flags.insert(flag(&error));
        self.error = Some(error.reason());
        let id = self.id_text();
        tracing::debug!(request_id = id, reason = error.reason(), %error, "request not served");
        error.into_response(&id)
    }

    /// Keeps what the log will want of the traveller.
    fn learn(&mut self, mut traveller: Traveller) {
        self.caller = traveller.caller().cloned();
        self.places = traveller.call.as_mut().map_or_else(Vec::new, |call| std::mem::take(&mut call.places));
        self.request_id = traveller.request_id.or_else(|| self.request_id.take());
        self.took = traveller.took;
        if traveller.faulted {
            self.flags.insert(Flag::PluginFault);
        }
        if let Some(reason) = traveller.replaced {
            self.error = Some(reason);
            self.flags.insert(if reason == "body_too_large" { Flag::TooLarge } else { Flag::PluginFault });
        }
        if traveller.answered_by.is_some() {
            self.flags.insert(Flag::PluginReply);
            self.answered_by = traveller.answered_by;
        }
    }
}

impl Error {
    /// A request body that did not come through.
    pub fn from_request_body(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge(limit) => Error::BodyTooLarge { limit },
            BodyError::Stalled(_) | BodyError::Late => Error::BadRequest { status: StatusCode::REQUEST_TIMEOUT, detail: error.to_string() },
            BodyError::Cut => Error::ClientGone,
            BodyError::Broken | BodyError::Plugin | BodyError::Answered => Error::bad_request(error.to_string()),
        }
    }

    /// A response body that a plugin was to have whole.
    pub fn from_response_body(error: BodyError, plugin: &str) -> Self {
        match error {
            BodyError::TooLarge(limit) => Error::ResponseTooLarge { plugin: plugin.to_owned(), limit },
            BodyError::Stalled(limit) => Error::UpstreamTimeout { endpoint: "the upstream".into(), limit },
            BodyError::Late => Error::UpstreamTimeout { endpoint: "the upstream".into(), limit: std::time::Duration::ZERO },
            BodyError::Cut | BodyError::Broken | BodyError::Plugin | BodyError::Answered => {
                Error::UpstreamReset { endpoint: "the upstream".into(), cause: error.to_string() }
            }
        }
    }
}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        Error::BadRequest { status: violation.status(), detail: violation.to_string() }
    }
}

impl From<target::BadTarget> for Error {
    fn from(bad: target::BadTarget) -> Self {
        let status = match bad {
            target::BadTarget::Connect => StatusCode::NOT_IMPLEMENTED,
            _ => StatusCode::BAD_REQUEST,
        };
        Error::BadRequest { status, detail: bad.to_string() }
    }
}

fn flag(error: &Error) -> Flag {
    match error {
        Error::NoRoute | Error::NoUpstream(_) => Flag::NoRoute,
        Error::NoHealthyEndpoint { .. } => Flag::NoHealthyEndpoint,
        Error::UpstreamConnect { .. } | Error::NoUpstreamToken { .. } => Flag::UpstreamConnect,
        Error::UpstreamTimeout { .. } => Flag::UpstreamTimeout,
        Error::UpstreamReset { .. } => Flag::UpstreamReset,
        Error::CircuitOpen { .. } => Flag::CircuitOpen,
        Error::Plugin { .. } | Error::Component { .. } => Flag::PluginFault,
        Error::BodyTooLarge { .. } | Error::ResponseTooLarge { .. } => Flag::TooLarge,
        Error::ClientGone => Flag::ClientGone,
        Error::BadRequest { .. } => Flag::BadRequest,
        Error::Overloaded(_) => Flag::Overloaded,
        Error::Draining => Flag::Draining,
    }
}
