//! What requests of the admin API bring along and what answers take home, each with its description: the types that
//! serve are those that the OpenAPI document is made of.

use std::marker::PhantomData;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::problem::Problem;

/// How long a body that is read whole may take.
const BODY_TIME: Duration = Duration::from_secs(30);

/// A media type, and the schema of what has it.
pub type Described = (&'static str, Schema);

/// What the body of a request is read into.
pub trait Content: Sized + Send + 'static {
    /// What the body has to be; None where there is none.
    fn describe(generator: &mut SchemaGenerator) -> Option<Described>;

    /// Reads it, up to so many bytes.
    fn read(headers: &HeaderMap, body: Incoming, limit: u64) -> impl Future<Output = Result<Self, Problem>> + Send;
}

/// What an answer is made of.
pub trait Answer: Sized {
    /// The statuses it may have, with what stands in them.
    fn describe(generator: &mut SchemaGenerator) -> Vec<(StatusCode, Option<Described>)>;

    /// The answer.
    fn into_response(self) -> Response<Full<Bytes>>;
}

/// No query: a parameter is a mistake.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoQuery {}

/// No body: what comes is not read.
#[derive(Debug)]
pub struct NoBody;

/// JSON, in a request or with 200.
#[derive(Debug)]
pub struct Json<T>(pub T);

/// JSON of which only the description is a `T`: what is wrong with it is said by whoever takes it, all at once.
#[derive(Debug)]
pub struct Unchecked<T>(Value, PhantomData<fn() -> T>);

/// JSON with 201: something new is there.
#[derive(Debug)]
pub struct Created<T>(pub T);

/// 204: done, nothing to say.
#[derive(Debug)]
pub struct NoContent;

/// An answer with the tag of the state that it shows.
#[derive(Debug)]
pub struct Tagged<A> {
    /// The tag, without quotes.
    pub tag: String,
    /// The rest.
    pub answer: A,
}

/// Lines for people, or for Prometheus.
#[derive(Debug)]
pub struct Text {
    /// 200, or 503 where it says that something is not so.
    pub status: StatusCode,
    /// Its media type.
    pub kind: &'static str,
    /// The lines.
    pub text: String,
}

// === impl Content ===

impl Content for NoBody {
    fn describe(_: &mut SchemaGenerator) -> Option<Described> {
        None
    }

    async fn read(_: &HeaderMap, _: Incoming, _: u64) -> Result<Self, Problem> {
        Ok(NoBody)
    }
}

impl<T: DeserializeOwned + JsonSchema + Send + 'static> Content for Json<T> {
    fn describe(generator: &mut SchemaGenerator) -> Option<Described> {
        Some(("application/json", generator.subschema_for::<T>()))
    }

    async fn read(headers: &HeaderMap, body: Incoming, limit: u64) -> Result<Self, Problem> {
        read_json(headers, body, limit).await.map(Json)
    }
}

impl<T: JsonSchema + 'static> Content for Unchecked<T> {
    fn describe(generator: &mut SchemaGenerator) -> Option<Described> {
        Some(("application/json", generator.subschema_for::<T>()))
    }

    async fn read(headers: &HeaderMap, body: Incoming, limit: u64) -> Result<Self, Problem> {
        read_json(headers, body, limit).await.map(|value| Self(value, PhantomData))
    }
}

impl<T> Unchecked<T> {
    /// The JSON as it came.
    pub fn into_value(self) -> Value {
        self.0
    }
}

async fn read_json<T: DeserializeOwned>(headers: &HeaderMap, body: Incoming, limit: u64) -> Result<T, Problem> {
    if !is_json(headers) {
        let detail = "The body has to be application/json.";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
    }
    let bytes = read_whole(body, limit).await?;
    serde_json::from_slice(&bytes).map_err(|error| Problem::bad_request(format!("The body is not what it has to be: {error}.")))
}

/// All of a body, in time.
pub async fn read_whole(body: Incoming, limit: u64) -> Result<Bytes, Problem> {
    let limited = Limited::new(body, usize::try_from(limit).unwrap_or(usize::MAX)).collect();
    let collected = tokio::time::timeout(BODY_TIME, limited).await;
    let collected = collected.map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", "The body did not arrive in time."))?;
    match collected {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Problem::too_large(limit)),
        Err(error) => Err(Problem::bad_request(format!("The body broke off: {error}."))),
    }
}

/// A client that does not say what it sends means JSON.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(CONTENT_TYPE) else { return true };
    let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

// === impl Answer ===

impl<T: Serialize + JsonSchema> Answer for Json<T> {
    fn describe(generator: &mut SchemaGenerator) -> Vec<(StatusCode, Option<Described>)> {
        vec![(StatusCode::OK, Some(("application/json", generator.subschema_for::<T>())))]
    }

    fn into_response(self) -> Response<Full<Bytes>> {
        json(StatusCode::OK, &self.0)
    }
}

impl<T: Serialize + JsonSchema> Answer for Created<T> {
    fn describe(generator: &mut SchemaGenerator) -> Vec<(StatusCode, Option<Described>)> {
        vec![(StatusCode::CREATED, Some(("application/json", generator.subschema_for::<T>())))]
    }

    fn into_response(self) -> Response<Full<Bytes>> {
        json(StatusCode::CREATED, &self.0)
    }
}

impl Answer for NoContent {
    fn describe(_: &mut SchemaGenerator) -> Vec<(StatusCode, Option<Described>)> {
        vec![(StatusCode::NO_CONTENT, None)]
    }

    fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::NO_CONTENT;
        response
    }
}

impl<A: Answer> Answer for Tagged<A> {
    fn describe(generator: &mut SchemaGenerator) -> Vec<(StatusCode, Option<Described>)> {
        A::describe(generator)
    }

    fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = self.answer.into_response();
        let tag = HeaderValue::from_str(&format!("\"{}\"", self.tag)).expect("tags are digits and letters");
        response.headers_mut().insert(ETAG, tag);
        response
    }
}

impl Answer for Text {
    fn describe(generator: &mut SchemaGenerator) -> Vec<(StatusCode, Option<Described>)> {
        vec![(StatusCode::OK, Some(("text/plain", generator.subschema_for::<String>())))]
    }

    fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.text.into()));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.kind));
        response
    }
}

fn json(status: StatusCode, value: &impl Serialize) -> Response<Full<Bytes>> {
    let body = match serde_json::to_vec(value) {
        Ok(body) => body,
        Err(error) => return Problem::internal(format!("The answer cannot be written: {error}.")).into_response(),
    };
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
