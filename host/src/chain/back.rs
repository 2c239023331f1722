//! The way back: what the steps that a request reached do to its response, the last one first.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::{Response, header};

use crate::body::Body;
use crate::error::Error;
use crate::plugin::pool::Lease;
use crate::plugin::proxy_wasm::Stream;
use crate::plugin::verdict::{self, Reply, ResponseEdit, ResponseVerdict};
use crate::plugin::wasi_http::run::Rest;
use crate::plugin::{BodyMode, Fault, OnError, Usage};
use crate::telemetry::metrics::Phase;

use super::shadow::{self, Answer};
use super::{Chain, Reached, Step, Tools, Traveller, limit, middleware, note, proxy_wasm, reply_response, show, stage};

/// A response on its way back, and what a worker lends for that.
struct Return<'a> {
    response: &'a mut Response<Body>,
    from_gateway: bool,
    tools: &'a Tools<'a>,
}

/// What a version made of a response, with the instance that may go on to see its body.
type Outcome = Result<(ResponseVerdict, Lease), Fault>;

/// A call that is over.
struct Heard {
    outcome: Outcome,
    /// What the plugin wants of the body.
    body: BodyMode,
    began: Instant,
    /// A version that is shown the same.
    shadow: Option<(Answer, shadow::Waiting)>,
}

impl Chain {
    /// Takes a response back through the steps that its request reached.
    pub async fn back(&self, traveller: &mut Traveller, response: &mut Response<Body>, from_gateway: bool, tools: &Tools<'_>) {
        if let Some(call) = &mut traveller.call {
            call.patience = 0;
        }
        let mut way = Return { response, from_gateway, tools };
        while let Some(reached) = traveller.reached.pop() {
            let step = &self.steps[reached.step];
            if let Some(reached) = step.back_now(reached, traveller, &mut way) {
                // Boxed, because futures are moved on the way down, and most steps need none.
                Box::pin(step.back(reached, traveller, &mut way)).await;
            }
        }
    }
}

impl Step {
    /// The common case without a future: a plugin that waits for nothing and has an instance at hand. Where it takes more
    /// than that, what is left to do.
    fn back_now(&self, mut reached: Reached, traveller: &mut Traveller, way: &mut Return<'_>) -> Option<Reached> {
        std::mem::take(&mut reached.edits).into_iter().for_each(|edit| self.apply(edit, traveller, way));
        let usage = &reached.usage;
        if !usage.needs.response {
            return None;
        }
        let body = usage.needs.response_body_of(way.response.headers());
        if usage.waits || matches!(body, BodyMode::Buffered(_)) || reached.shadow.is_some() {
            return Some(reached);
        }
        let began = Instant::now();
        let outcome = match way.tools.pools.at_hand(usage) {
            Ok(None) => return Some(reached),
            Ok(Some(lease)) => self.call_back_now(&reached, lease, traveller, way),
            Err(fault) => Err(fault),
        };
        self.heard_back(usage, Heard { outcome, body, began, shadow: None }, traveller, way);
        None
    }

    async fn back(&self, reached: Reached, traveller: &mut Traveller, way: &mut Return<'_>) {
        let usage = Arc::clone(&reached.usage);
        if let Some(stream) = reached.stream {
            return self.back_proxy_wasm(&usage, stream, traveller, way).await;
        }
        if let Some(rest) = reached.rest {
            return self.back_through(&usage, *rest, traveller, way).await;
        }
        let body = usage.needs.response_body_of(way.response.headers());
        if let BodyMode::Buffered(limit) = body {
            if let Err(error) = buffer(way.response, limit, &self.name).await {
                return self.fault_back(error, traveller, way);
            }
        }
        let shadow = reached.shadow.and_then(|shadow| Some((Answer::copy(way.response, way.from_gateway, body)?, shadow)));
        let began = Instant::now();
        let outcome = self.call_back(&usage, reached.state, traveller, way).await;
        self.heard_back(&usage, Heard { outcome, body, began, shadow }, traveller, way);
    }

    async fn call_back(&self, usage: &Arc<Usage>, state: Option<Vec<u8>>, traveller: &mut Traveller, way: &Return<'_>) -> Outcome {
        let mut lease = way.tools.pools.lease(usage).await?;
        let call = traveller.lend_to(self, usage);
        let shown = show::Shown { response: way.response, state: state.as_deref(), from_gateway: way.from_gateway };
        let (call, outcome) = show::response(lease.instance(), usage, &shown, call).await;
        traveller.call = Some(call);
        Ok((verdict::response(outcome?, usage)?, lease))
    }

    fn call_back_now(&self, reached: &Reached, mut lease: Lease, traveller: &mut Traveller, way: &Return<'_>) -> Outcome {
        let usage = &reached.usage;
        let call = traveller.lend_to(self, usage);
        let shown = show::Shown { response: way.response, state: reached.state.as_deref(), from_gateway: way.from_gateway };
        let (call, outcome) = show::response_now(lease.instance(), usage, &shown, call);
        traveller.call = Some(call);
        Ok((verdict::response(outcome?, usage)?, lease))
    }

    /// Counts a call and does what came of it.
    fn heard_back(&self, usage: &Arc<Usage>, heard: Heard, traveller: &mut Traveller, way: &mut Return<'_>) {
        self.record_back(usage, &heard, traveller, way.tools);
        let (verdict, lease) = match heard.outcome {
            Ok(answer) => answer,
            Err(fault) => return self.fault_back(Error::Plugin { plugin: self.name.to_string(), fault }, traveller, way),
        };
        if let Some((answer, shadow)) = heard.shadow {
            answer.send(&verdict, shadow);
        }
        match verdict {
            ResponseVerdict::Respond(reply) => {
                lease.give_back();
                self.replace(reply, traveller, way);
            }
            ResponseVerdict::Next(edits) => {
                edits.into_iter().for_each(|edit| self.apply(edit, traveller, way));
                match heard.body {
                    BodyMode::Streamed if !way.response.body().is_empty() => {
                        stage::on_response(self, usage, traveller, way.response, lease, way.tools);
                    }
                    _ => lease.give_back(),
                }
            }
        }
    }

    fn record_back(&self, usage: &Arc<Usage>, heard: &Heard, traveller: &Traveller, tools: &Tools<'_>) {
        let took = heard.began.elapsed();
        tools.metrics.plugin_called(&usage.plugin.handle, Phase::Response, took);
        usage.tally.called(took);
        if let Err(fault) = &heard.outcome {
            note(fault, usage, traveller, tools);
        }
        if let Some(recorder) = &traveller.recorder {
            let replied = matches!(heard.outcome, Ok((ResponseVerdict::Respond(_), _)));
            recorder.plugin_done(&self.call(usage, Phase::Response, replied, heard.began, heard.began + took));
        }
    }

    /// The same for a Proxy-Wasm filter, which has had the request.
    async fn back_proxy_wasm(&self, usage: &Arc<Usage>, stream: Rc<Stream>, traveller: &mut Traveller, way: &mut Return<'_>) {
        let began = Instant::now();
        // Who goes on without the filter goes on with what there was before it.
        let before = (self.on_error == OnError::Skip || way.from_gateway).then(|| (way.response.status(), way.response.headers().clone()));
        let outcome = proxy_wasm::back(usage, &stream, way.response).await;
        let took = began.elapsed();
        way.tools.metrics.plugin_called(&usage.plugin.handle, Phase::Response, took);
        usage.tally.called(took);
        if let Some(recorder) = &traveller.recorder {
            recorder.plugin_done(&self.call(usage, Phase::Response, matches!(outcome, Ok(Some(_))), began, began + took));
        }
        match outcome {
            Ok(None) => proxy_wasm::on_response(self, usage, traveller, way.response, &stream, way.tools),
            Ok(Some(reply)) => self.replace(reply, traveller, way),
            Err(fault) => {
                note(&fault, usage, traveller, way.tools);
                if let Some((status, headers)) = before {
                    (*way.response.status_mut(), *way.response.headers_mut()) = (status, headers);
                }
                self.fault_back(Error::Plugin { plugin: self.name.to_string(), fault }, traveller, way);
            }
        }
    }

    /// The same for a middleware of `wasi:http`, which has waited since it had the request.
    async fn back_through(&self, usage: &Arc<Usage>, rest: Rest, traveller: &mut Traveller, way: &mut Return<'_>) {
        let began = Instant::now();
        let outcome = middleware::back(rest, way.response).await;
        let took = began.elapsed();
        way.tools.metrics.plugin_called(&usage.plugin.handle, Phase::Response, took);
        usage.tally.called(took);
        if let Some(recorder) = &traveller.recorder {
            recorder.plugin_done(&self.call(usage, Phase::Response, false, began, began + took));
        }
        if let Err((fault, is_whole)) = outcome {
            note(&fault, usage, traveller, way.tools);
            let error = Error::Plugin { plugin: self.name.to_string(), fault };
            match is_whole {
                true => self.fault_back(error, traveller, way),
                // There is nothing left to go on with.
                false => traveller.replace_by(error, way.response),
            }
        }
    }

    fn replace(&self, reply: Reply, traveller: &mut Traveller, way: &mut Return<'_>) {
        traveller.answered_by = Some(Arc::clone(&self.name));
        *way.response = reply_response(reply);
    }

    /// A response that a plugin was to change must not go out unchanged, unless the operator says so.
    fn fault_back(&self, error: Error, traveller: &mut Traveller, way: &mut Return<'_>) {
        traveller.faulted = true;
        let skip = matches!(error, Error::Plugin { .. }) && (self.on_error == OnError::Skip || way.from_gateway);
        if !skip {
            traveller.replace_by(error, way.response);
        }
    }

    fn apply(&self, edit: ResponseEdit, traveller: &mut Traveller, way: &mut Return<'_>) {
        let response = &mut *way.response;
        match edit {
            ResponseEdit::Header(edit) => edit.apply(response.headers_mut()),
            ResponseEdit::Status(status) => *response.status_mut() = status,
            ResponseEdit::Body(body) => {
                response.headers_mut().remove(header::CONTENT_LENGTH);
                *response.body_mut() = Body::from(body);
            }
            // What the gateway says of an error is short, and must not be lost.
            ResponseEdit::LimitBody(_) if way.from_gateway => {}
            ResponseEdit::LimitBody(limit) => limit::response(&self.name, traveller, response, limit),
        }
    }
}

impl Traveller {
    /// Puts the gateway's own answer in a response's place.
    fn replace_by(&mut self, error: Error, response: &mut Response<Body>) {
        self.faulted = true;
        self.replaced = Some(error.reason());
        *response = error.into_response(&self.id_text());
    }
}

async fn buffer(response: &mut Response<Body>, limit: usize, plugin: &str) -> Result<(), Error> {
    let body = std::mem::replace(response.body_mut(), Body::Empty);
    // To a HEAD the upstream declares what it would have sent, not what the plugin would have made of that.
    response.headers_mut().remove(header::CONTENT_LENGTH);
    if body.is_empty() {
        return Ok(());
    }
    let bytes = body.collect(limit).await.map_err(|error| Error::from_response_body(error, plugin))?;
    *response.body_mut() = Body::from(bytes);
    Ok(())
}
