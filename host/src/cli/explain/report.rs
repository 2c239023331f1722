//! What an explanation says, as data: the JSON that `--json` prints, and what the text is made from.

use http::Method;
use serde::Serialize;
use serde_json::Value;

use crate::config::Loaded;
use crate::config::document::{Discovery, Document, Endpoint, Mirror, Redirect, Rewrite, Route};
use crate::plugin::OnError;
use crate::route::{Candidate, Outcome};
use crate::snapshot::build::ExplainedStep;

/// An explanation.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What was asked.
    pub request: Asked,
    /// What the gateway itself would answer; absent where a route takes the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<OwnAnswer>,
    /// Every rule of every route, the nearest first.
    pub candidates: Vec<Judged>,
    /// The route that takes the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<Taken>,
}

/// A request as routes see it.
#[derive(Debug, Serialize)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The host, empty for none.
    pub host: String,
    /// The path, normalised.
    pub path: String,
    /// The query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
}

/// An answer that the gateway makes itself.
#[derive(Debug, Serialize)]
pub struct OwnAnswer {
    /// 400 or 404.
    pub status: u16,
    /// Why.
    pub why: String,
}

/// How a rule fared.
#[derive(Debug, Serialize)]
pub struct Judged {
    /// The route's name.
    pub route: String,
    /// Whether it takes the request.
    pub won: bool,
    /// Why, or why not.
    pub why: String,
}

/// The route that takes the request.
#[derive(Debug, Serialize)]
pub struct Taken {
    /// Its name.
    pub name: String,
    /// Its plugins, in order.
    pub chain: Vec<Plugin>,
    /// Where the client is sent instead, once the chain had its say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect: Option<Redirect>,
    /// What the upstream is asked for instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<Rewrite>,
    /// The plugin that answers in an upstream's place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// Its upstreams; none where the chain always answers, or a component does.
    pub upstreams: Vec<Upstream>,
    /// Where copies go.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mirror: Vec<Mirror>,
}

/// A plugin of the chain.
#[derive(Debug, Serialize)]
pub struct Plugin {
    /// The name of the step.
    pub name: String,
    /// The plugin's.
    pub plugin: String,
    /// The version: the first digits of the component's digest.
    pub version: String,
    /// The reference in a registry that it was pulled by, with the digest of its manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// `closed`, `skip` or `previous`.
    pub on_error: &'static str,
    /// The configuration, with its defaults.
    pub config: Value,
}

/// An upstream of the route.
#[derive(Debug, Serialize)]
pub struct Upstream {
    /// Its name.
    pub name: String,
    /// Its share of the requests relative to the others.
    pub weight: u32,
    /// Its endpoints.
    pub endpoints: Vec<Endpoint>,
    /// Where further ones come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discovery: Option<Discovery>,
}

/// The place of the route that takes the request.
pub fn winner(candidates: &[Candidate<'_, usize>]) -> Option<usize> {
    candidates.iter().find(|candidate| matches!(candidate.outcome, Outcome::Won)).map(|candidate| *candidate.value)
}

// === impl Report ===

impl Report {
    /// A request that is not acceptable whatever the routes are.
    pub fn refused(request: Asked, why: &str) -> Self {
        Self { request, answer: Some(OwnAnswer { status: 400, why: why.to_owned() }), candidates: Vec::new(), route: None }
    }

    /// A request that no route takes.
    pub fn without_route(request: Asked, candidates: &[Candidate<'_, usize>], loaded: &Loaded) -> Self {
        let why = nearest_miss(&request, candidates.first(), &loaded.document);
        Self { request, answer: Some(OwnAnswer { status: 404, why }), candidates: judged(candidates, &loaded.document), route: None }
    }

    /// A request that the route in this place takes.
    pub fn with_route(
        request: Asked,
        candidates: &[Candidate<'_, usize>],
        loaded: &Loaded,
        place: usize,
        chain: Vec<ExplainedStep>,
    ) -> Self {
        let document = &loaded.document;
        let route = &document.routes[place];
        let chain = chain.into_iter().map(Plugin::from).collect();
        let taken = Taken {
            name: route.name.clone(),
            chain,
            redirect: route.redirect.clone(),
            rewrite: route.rewrite.clone(),
            component: route.component.clone(),
            upstreams: upstreams(route, document),
            mirror: route.mirror.clone(),
        };
        Self { request, answer: None, candidates: judged(candidates, document), route: Some(taken) }
    }
}

fn judged(candidates: &[Candidate<'_, usize>], document: &Document) -> Vec<Judged> {
    let judged = candidates.iter().map(|candidate| Judged {
        route: document.routes[*candidate.value].name.clone(),
        won: matches!(candidate.outcome, Outcome::Won),
        why: candidate.outcome.to_string(),
    });
    judged.collect()
}

/// What would have to be otherwise.
fn nearest_miss(asked: &Asked, nearest: Option<&Candidate<'_, usize>>, document: &Document) -> String {
    let Some(nearest) = nearest else { return "there are no routes".into() };
    let route = &document.routes[*nearest.value].name;
    match &nearest.outcome {
        Outcome::Host if asked.host.is_empty() => "no route takes requests without a host".into(),
        Outcome::Host => format!("no route is for the host {}", asked.host),
        Outcome::Path => format!("no route for this host is for the path {}", asked.path),
        Outcome::Method => format!("the path is served, the method {} is not", asked.method),
        other => format!("the nearest is {route}, but {other}"),
    }
}

fn upstreams(route: &Route, document: &Document) -> Vec<Upstream> {
    let one = route.upstream.iter().map(|name| (name, 1));
    let several = route.upstreams.iter().map(|upstream| (&upstream.name, upstream.weight));
    let described = one.chain(several).map(|(name, weight)| {
        let found = document.upstreams.iter().find(|upstream| upstream.name == *name);
        let endpoints = found.map(|upstream| upstream.endpoints.clone()).unwrap_or_default();
        Upstream { name: name.clone(), weight, endpoints, discovery: found.and_then(|upstream| upstream.discovery.clone()) }
    });
    described.collect()
}

impl Asked {
    /// A request.
    pub fn new(method: &Method, host: &str, path: &str, query: Option<&str>) -> Self {
        Self { method: method.to_string(), host: host.to_owned(), path: path.to_owned(), query: query.map(str::to_owned) }
    }
}

impl From<ExplainedStep> for Plugin {
    fn from(step: ExplainedStep) -> Self {
        let on_error = match step.on_error {
            OnError::Closed => "closed",
            OnError::Skip => "skip",
            OnError::Previous => "previous",
        };
        let (version, reference) = (step.version.to_string(), step.reference);
        Self { name: step.name, plugin: step.plugin, version, reference, on_error, config: step.config }
    }
}
