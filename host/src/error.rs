//! What ends a request, and the answer the client gets for it: `application/problem+json` with a reason from a closed
//! list. Two messages each: the detail that the client reads, and what the log keeps.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use thiserror::Error;

use crate::body::Body;
use crate::plugin::{Fault, Reason as PluginReason};

/// Carries the reason of an answer that the gateway made itself.
pub const ERROR_HEADER: HeaderName = HeaderName::from_static("x-gatehouse-error");
/// Carries the request's id.
pub const REQUEST_ID_HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Why a request ended at the gateway.
#[derive(Debug, Error)]
pub enum Error {
    /// No route matches.
    #[error("no route matches")]
    NoRoute,
    /// The route has neither an upstream nor a plugin that answered.
    #[error("route {0} has no upstream and no plugin answered")]
    NoUpstream(String),
    /// The upstream has no endpoint to send to.
    #[error("upstream {upstream} has no endpoint")]
    NoHealthyEndpoint {
        /// Its name.
        upstream: String,
    },
    /// No connection to the endpoint.
    #[error("connecting to {endpoint} failed: {cause}")]
    UpstreamConnect {
        /// Its address.
        endpoint: String,
        /// What the system said.
        cause: String,
    },
    /// The gateway has no token of its own to show to the upstream.
    #[error("upstream {upstream}: {cause}")]
    NoUpstreamToken {
        /// Its name.
        upstream: String,
        /// Why there is none.
        cause: String,
    },
    /// The endpoint did not answer in time.
    #[error("{endpoint} did not answer within {limit:?}")]
    UpstreamTimeout {
        /// Its address.
        endpoint: String,
        /// How long it had.
        limit: Duration,
    },
    /// The connection broke, or what came was not HTTP.
    #[error("the connection to {endpoint} broke: {cause}")]
    UpstreamReset {
        /// Its address.
        endpoint: String,
        /// What broke.
        cause: String,
    },
    /// The upstream is given a rest.
    #[error("the circuit of upstream {upstream} is open for {retry_after:?}")]
    CircuitOpen {
        /// Its name.
        upstream: String,
        /// How long not to come back.
        retry_after: Duration,
    },
    /// A plugin faulted and its `on_error` is `closed`.
    #[error("plugin {plugin} {fault}")]
    Plugin {
        /// Its name.
        plugin: String,
        /// What it did.
        fault: Fault,
    },
    /// The component at the route's end faulted: what an upstream's failure is elsewhere.
    #[error("component {component} {fault}")]
    Component {
        /// Its name.
        component: String,
        /// What it did.
        fault: Fault,
    },
    /// The body is larger than the route, the listener or a plugin allows.
    #[error("the body is larger than {limit} bytes")]
    BodyTooLarge {
        /// What is allowed.
        limit: u64,
    },
    /// The response is larger than a plugin on its way can take.
    #[error("the response body is larger than the {limit} bytes that plugin {plugin} takes")]
    ResponseTooLarge {
        /// The plugin's name.
        plugin: String,
        /// What it takes.
        limit: u64,
    },
    /// The request is not acceptable HTTP.
    #[error("bad request: {detail}")]
    BadRequest {
        /// 400, or what fits better: 408, 414, 417, 431, 501, 505, 508.
        status: StatusCode,
        /// What is wrong with it.
        detail: String,
    },
    /// The client went away inside its body. One that only stopped sending may still read the answer.
    #[error("the client went away inside its body")]
    ClientGone,
    /// Too much is going on.
    #[error("overloaded: {0}")]
    Overloaded(String),
    /// The gateway is going away.
    #[error("draining")]
    Draining,
}

impl Error {
    /// A 400.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Error::BadRequest { status: StatusCode::BAD_REQUEST, detail: detail.into() }
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Error::NoRoute | Error::NoUpstream(_) => StatusCode::NOT_FOUND,
            Error::Component { fault, .. } => component_status(fault),
            Error::NoHealthyEndpoint { .. }
            | Error::NoUpstreamToken { .. }
            | Error::CircuitOpen { .. }
            | Error::Plugin { .. }
            | Error::Overloaded(_)
            | Error::Draining => StatusCode::SERVICE_UNAVAILABLE,
            Error::UpstreamConnect { .. } | Error::UpstreamReset { .. } | Error::ResponseTooLarge { .. } => StatusCode::BAD_GATEWAY,
            Error::UpstreamTimeout { .. } => StatusCode::GATEWAY_TIMEOUT,
            Error::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Error::BadRequest { status, .. } => *status,
            Error::ClientGone => StatusCode::BAD_REQUEST,
        }
    }

    /// The reason: one of the closed list.
    pub fn reason(&self) -> &'static str {
        match self {
            Error::NoRoute | Error::NoUpstream(_) => "no_route",
            Error::NoHealthyEndpoint { .. } => "no_healthy_endpoint",
            Error::UpstreamConnect { .. } | Error::NoUpstreamToken { .. } => "upstream_connect",
            Error::UpstreamTimeout { .. } => "upstream_timeout",
            Error::UpstreamReset { .. } => "upstream_reset",
            Error::CircuitOpen { .. } => "circuit_open",
            Error::Plugin { fault, .. } | Error::Component { fault, .. } => fault.reason().name(),
            Error::BodyTooLarge { .. } | Error::ResponseTooLarge { .. } => "body_too_large",
            Error::BadRequest { .. } | Error::ClientGone => "bad_request",
            Error::Overloaded(_) => "overloaded",
            Error::Draining => "draining",
        }
    }

    /// Whole seconds after which it may be otherwise; at least 1.
    fn retry_after(&self) -> u64 {
        match self {
            Error::CircuitOpen { retry_after, .. } => retry_after.as_millis().div_ceil(1_000).clamp(1, u128::from(u32::MAX)) as u64,
            _ => 1,
        }
    }

    /// What the client is told. Names of endpoints, limits of plugins and causes stay in the log.
    pub fn detail(&self) -> String {
        match self {
            Error::NoRoute | Error::NoUpstream(_) => "No route of this gateway matches the request.".into(),
            Error::NoHealthyEndpoint { .. } => "There is no endpoint that could take the request.".into(),
            Error::UpstreamConnect { .. } | Error::NoUpstreamToken { .. } => "The service behind this route could not be reached.".into(),
            Error::UpstreamTimeout { .. } => "The service behind this route did not answer in time.".into(),
            Error::UpstreamReset { .. } => "The service behind this route broke off.".into(),
            Error::CircuitOpen { .. } => "The service behind this route is failing and is given a rest.".into(),
            Error::Plugin { plugin, fault } => plugin_detail("plugin", plugin, fault),
            Error::Component { component, fault } => plugin_detail("component", component, fault),
            Error::BodyTooLarge { limit } => format!("The request body is larger than the {limit} bytes allowed here."),
            Error::ResponseTooLarge { .. } => "The response is larger than this route can process.".into(),
            Error::BadRequest { detail, .. } => sentence(detail),
            Error::ClientGone => "The request body ended too soon.".into(),
            Error::Overloaded(_) => "There is too much to do at the moment.".into(),
            Error::Draining => "This gateway is shutting down.".into(),
        }
    }

    /// The answer. `request_id` is the id as it stands in the log.
    pub fn into_response(self, request_id: &str) -> Response<Body> {
        let (status, reason, retry_after) = (self.status(), self.reason(), self.retry_after());
        let mut response = Response::new(Body::from(problem(status, reason, &self.detail(), request_id)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(ERROR_HEADER, HeaderValue::from_static(reason));
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert(REQUEST_ID_HEADER, id);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from(retry_after));
        }
        response
    }
}

/// It stands where an upstream stands, and fails as one does.
fn component_status(fault: &Fault) -> StatusCode {
    match fault.reason() {
        PluginReason::Trap | PluginReason::Memory => StatusCode::BAD_GATEWAY,
        PluginReason::Timeout => StatusCode::GATEWAY_TIMEOUT,
        PluginReason::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn plugin_detail(what: &str, name: &str, fault: &Fault) -> String {
    let did = match fault.reason() {
        PluginReason::Trap => "failed",
        PluginReason::Timeout => "took too long",
        PluginReason::Memory => "needed too much memory",
        PluginReason::Unavailable => "is not available at the moment",
    };
    format!("The {what} {name} of this route {did}.")
}

/// RFC 9457 §3.1. The type is a name, not a page: there is nothing to dereference.
fn problem(status: StatusCode, reason: &str, detail: &str, request_id: &str) -> Bytes {
    let document = serde_json::json!({
        "type": format!("urn:gatehouse:problem:{reason}"),
        "title": status.canonical_reason().unwrap_or("Error"),
        "status": status.as_u16(),
        "detail": detail,
        "request_id": request_id,
    });
    document.to_string().into()
}

fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", characters.as_str())
}
