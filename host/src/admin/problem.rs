//! What the admin API says when it does not do what it was asked: problem documents (RFC 9457).

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderName, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use schemars::JsonSchema;
use serde::Serialize;

use crate::config;
use crate::store::StoreError;

/// A refusal or a failure.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Problem {
    /// What kind of problem, as a name that does not change.
    #[serde(rename = "type")]
    kind: String,
    /// The status in words.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// What happened.
    detail: String,
    /// Everything that is wrong with what was sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Invalid>,
    #[serde(skip)]
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// One thing that is wrong with what was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Invalid {
    /// Where: inside of what was sent, or else from the top of the whole configuration.
    pub path: String,
    /// The file, line and column, where it stands in a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The kind of problem.
    pub code: String,
    /// What stands there.
    pub got: String,
    /// What should.
    pub want: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Problem {
    /// A problem of this kind. The kind is a word of the API: lower case, with underscores.
    pub fn new(status: StatusCode, kind: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:gatehouse:problem:{kind}"),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// 400: the request itself cannot be understood.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    /// 401: no token, or none that is known.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail).header(WWW_AUTHENTICATE, "Bearer realm=\"gatehouse admin\"")
    }

    /// 403: the token has not this scope.
    pub fn forbidden(scope: &str) -> Self {
        let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"");
        let problem = Self::new(StatusCode::FORBIDDEN, "forbidden", format!("This token has not the scope `{scope}`."));
        problem.header(WWW_AUTHENTICATE, &challenge)
    }

    /// 404: nothing of that name.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// 405: the path is there for these methods.
    pub fn method_not_allowed(allowed: &str) -> Self {
        let problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", format!("Allowed here: {allowed}."));
        problem.header(ALLOW, allowed)
    }

    /// 409: it stands against what is there.
    pub fn conflict(kind: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, kind, detail)
    }

    /// 412: it is no longer what the caller saw.
    pub fn precondition_failed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", detail)
    }

    /// 413: more than so many bytes.
    pub fn too_large(limit: u64) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", format!("The body is larger than the {limit} bytes allowed here."))
    }

    /// 422: understood, and wrong.
    pub fn invalid(detail: impl Into<String>, errors: Vec<Invalid>) -> Self {
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail) }
    }

    /// 500: it is the gateway's own fault, or its machine's.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// 503: not at the moment.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
    }

    /// The same, with a header. One that cannot be a header's value is left out.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.extend(HeaderValue::from_str(value).map(|value| (name, value)));
        self
    }

    /// The status of the answer.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The answer.
    pub fn into_response(self) -> Response<Full<Bytes>> {
        let body = serde_json::to_vec(&self).expect("a problem is plain data");
        let mut response = Response::new(Full::new(body.into()));
        *response.status_mut() = StatusCode::from_u16(self.status).expect("problems are made of statuses");
        response.headers_mut().extend(self.headers);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}

impl Invalid {
    /// What the check of a configuration found. Inside of `sent`, a path of the configuration, paths begin there.
    pub fn of(problem: &config::Problem, sent: &str) -> Self {
        let place = |file: &str| if problem.line > 0 { format!("{file}:{}:{}", problem.line, problem.column) } else { file.to_owned() };
        let within = problem.path.strip_prefix(sent).filter(|_| !sent.is_empty() && problem.file.is_empty());
        let inside = within.filter(|rest| rest.is_empty() || rest.starts_with(['.', '['])).map(|rest| rest.trim_start_matches('.'));
        Self {
            path: inside.unwrap_or(&problem.path).to_owned(),
            file: Some(problem.file.as_str()).filter(|file| !file.is_empty()).map(place),
            code: serde_json::to_value(problem.code).ok().and_then(|code| code.as_str().map(str::to_owned)).unwrap_or_default(),
            got: problem.got.clone(),
            want: problem.want.clone(),
            hint: problem.hint.clone(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "admin API");
        Problem::internal("The store of this gateway failed; nothing was changed. Its log says why.")
    }
}
