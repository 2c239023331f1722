//! Operations of the admin API: method, path, scope, and the handler with its types. One list of them both routes
//! requests and makes the OpenAPI document, so the two cannot disagree.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, Method, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;

use super::Admin;
use super::content::{Answer, Content, Described, NoBody, NoQuery};
use super::problem::Problem;
use super::scope::Scope;
use super::tokens::Token;

/// The largest body, unless an operation says otherwise.
const BODY: u64 = 1 << 20;

/// Something the API does.
pub struct Operation {
    /// The method.
    pub method: Method,
    /// The path, with parameters as `{name}`.
    pub path: &'static str,
    /// What a token needs for it; None where none is asked for.
    pub scope: Option<Scope>,
    /// What it does, in a line.
    pub summary: String,
    /// The largest body it takes, in bytes.
    pub limit: u64,
    /// The query it takes.
    pub query: fn(&mut SchemaGenerator) -> Schema,
    /// The body it takes.
    pub content: fn(&mut SchemaGenerator) -> Option<Described>,
    /// What it answers when all is well.
    pub answers: fn(&mut SchemaGenerator) -> Vec<(http::StatusCode, Option<Described>)>,
    handler: Box<dyn Fn(Asked) -> Handling + Send + Sync>,
}

/// A request on its way to a handler.
pub struct Asked {
    /// What the gateway knows.
    pub admin: Arc<Admin>,
    /// Who asks; None where no token is asked for.
    pub token: Option<Arc<Token>>,
    /// The parameters of the path, in order, still encoded.
    pub parameters: Vec<String>,
    /// The query, still encoded.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Incoming,
    /// The largest body, in bytes.
    pub limit: u64,
}

/// A request as its handler sees it.
pub struct Call<Q = NoQuery, B = NoBody> {
    /// What the gateway knows.
    pub admin: Arc<Admin>,
    /// The query.
    pub query: Q,
    /// The body.
    pub body: B,
    /// The headers.
    pub headers: HeaderMap,
    token: Option<Arc<Token>>,
    parameters: Vec<String>,
}

type Handling = Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, Problem>> + Send>>;

impl Operation {
    /// An operation that reads.
    pub fn get<Q, R, F>(
        path: &'static str,
        scope: Scope,
        summary: impl Into<String>,
        handler: impl Fn(Call<Q>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        Q: DeserializeOwned + JsonSchema + Send + 'static,
        R: Answer + 'static,
        F: Future<Output = Result<R, Problem>> + Send + 'static,
    {
        Self::new(Method::GET, path, Some(scope), summary, handler)
    }

    /// Any operation. What the handler takes and gives is what the document says of it.
    pub fn new<Q, B, R, F>(
        method: Method,
        path: &'static str,
        scope: Option<Scope>,
        summary: impl Into<String>,
        handler: impl Fn(Call<Q, B>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        Q: DeserializeOwned + JsonSchema + Send + 'static,
        B: Content,
        R: Answer + 'static,
        F: Future<Output = Result<R, Problem>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let handle = move |asked: Asked| -> Handling {
            let handler = Arc::clone(&handler);
            Box::pin(async move { Ok(handler(Call::read(asked).await?).await?.into_response()) })
        };
        Self {
            method,
            path,
            scope,
            summary: summary.into(),
            limit: BODY,
            query: Q::json_schema,
            content: B::describe,
            answers: R::describe,
            handler: Box::new(handle),
        }
    }

    /// The same, for bodies up to so many bytes.
    #[must_use]
    pub fn limit(mut self, bytes: u64) -> Self {
        self.limit = bytes;
        self
    }

    /// The parameters of a path that is this operation's, still encoded.
    pub fn parameters(&self, path: &str) -> Option<Vec<String>> {
        let mut parameters = Vec::new();
        let (mut wanted, mut got) = (self.path.split('/'), path.split('/'));
        loop {
            match (wanted.next(), got.next()) {
                (None, None) => return Some(parameters),
                (Some(wanted), Some(got)) if wanted.starts_with('{') && !got.is_empty() => parameters.push(got.to_owned()),
                (Some(wanted), Some(got)) if wanted == got => {}
                _ => return None,
            }
        }
    }

    /// Does it.
    pub async fn run(&self, asked: Asked) -> Response<Full<Bytes>> {
        (self.handler)(asked).await.unwrap_or_else(Problem::into_response)
    }
}

// === impl Call ===

impl<Q: DeserializeOwned, B: Content> Call<Q, B> {
    async fn read(asked: Asked) -> Result<Self, Problem> {
        let Asked { admin, token, parameters, query, headers, body, limit } = asked;
        let query = serde_urlencoded::from_str(&query).map_err(|error| Problem::bad_request(format!("The query is wrong: {error}.")))?;
        let parameters = parameters.iter().map(|parameter| decoded(parameter)).collect::<Result<_, _>>()?;
        let body = B::read(&headers, body, limit).await?;
        Ok(Self { admin, query, body, headers, token, parameters })
    }
}

impl<Q, B> Call<Q, B> {
    /// The first parameter of the path.
    pub fn name(&self) -> &str {
        self.parameter(0)
    }

    /// A parameter of the path, from 0. Empty where the path has fewer.
    pub fn parameter(&self, place: usize) -> &str {
        self.parameters.get(place).map(String::as_str).unwrap_or_default()
    }

    /// Who asks, for the audit log.
    pub fn by(&self) -> String {
        self.token.as_ref().map_or_else(|| "nobody".into(), |token| token.to_string())
    }

    /// The tags of which the caller wants one to stand: `If-Match`. None where it does not care.
    pub fn if_match(&self) -> Option<Vec<String>> {
        tags(&self.headers, IF_MATCH)
    }

    /// Whether the caller wants nothing to be there yet: `If-None-Match: *`.
    pub fn if_absent(&self) -> bool {
        tags(&self.headers, IF_NONE_MATCH).is_some_and(|tags| tags.iter().any(|tag| tag == "*"))
    }
}

/// RFC 9110 §8.8.3, without the quotes.
fn tags(headers: &HeaderMap, name: http::HeaderName) -> Option<Vec<String>> {
    let mut values = headers.get_all(name).iter().peekable();
    values.peek()?;
    let texts = values.filter_map(|value| value.to_str().ok());
    Some(texts.flat_map(|text| text.split(',')).map(|tag| tag.trim().trim_matches('"').to_owned()).collect())
}

fn decoded(parameter: &str) -> Result<String, Problem> {
    let text = percent_decode_str(parameter).decode_utf8();
    text.map(Into::into).map_err(|_| Problem::bad_request("The path is not UTF-8."))
}
