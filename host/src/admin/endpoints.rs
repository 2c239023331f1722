//! `/v1/upstreams/{name}/endpoints/{id}`: endpoints register themselves, and do it again before their time is over. Where
//! the configuration is changed is elsewhere: a registration is no part of it and makes no revision.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use http_body_util::Full;
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::Admin;
use super::change::Wait;
use super::content::{Answer, Created, Described, Json, NoContent};
use super::operation::{Call, Operation};
use super::problem::{Invalid, Problem};
use super::scope::Scope;
use crate::config::rules;
use crate::config::units::Period;
use crate::upstream::discovery::Target;
use crate::upstream::discovery::register::Listed;
use crate::upstream::endpoint::Origin;
use crate::upstream::{Discovered, Upstream};

/// How long the name of a new endpoint may take to be resolved.
const RESOLVING: Duration = Duration::from_secs(2);
/// The longest time to live.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// The largest weight, as in the configuration.
const LARGEST_WEIGHT: u32 = 1_000_000;

/// What registers.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// `http://HOST:PORT` or `https://HOST:PORT`, without a path.
    url: String,
    /// Its share of the requests relative to the other endpoints; 0 takes it out of use.
    #[serde(default = "one")]
    weight: u32,
    /// How long it lasts without a renewal; left out, as long as the upstream says.
    #[serde(default)]
    ttl: Option<Period>,
}

/// What is registered.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Registered {
    /// The upstream.
    upstream: String,
    /// The id it goes by.
    id: String,
    /// Its URL.
    url: String,
    /// Its share of the requests relative to the other endpoints.
    weight: u32,
    /// How long it lasts from now on.
    ttl: Period,
}

/// What is registered for an upstream.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RegisteredList {
    /// In the order of their ids.
    items: Vec<Registered>,
}

/// 201 for something new, 200 for something known.
pub struct Put {
    registered: Registered,
    is_new: bool,
}

/// What the API does with endpoints.
pub fn operations() -> Vec<Operation> {
    const LIST: &str = "/v1/upstreams/{name}/endpoints";
    const PATH: &str = "/v1/upstreams/{name}/endpoints/{id}";
    let register = "Registers an endpoint, or renews its registration: 201 the first time, 200 after that.";
    let remove = "Removes a registration at once. Requests under way there end there.";
    vec![
        Operation::get(LIST, Scope::Read, "The endpoints that have registered for an upstream, and how long each lasts.", list),
        Operation::new(Method::PUT, PATH, Some(Scope::Write), register, put),
        Operation::new(Method::DELETE, PATH, Some(Scope::Write), remove, delete),
    ]
}

async fn list(call: Call) -> Result<Json<RegisteredList>, Problem> {
    let upstream = find(&call.admin, call.name())?;
    let registrations = discovered(&upstream)?.source().registrations();
    let listed = registrations.map(|registrations| registrations.list(Instant::now())).unwrap_or_default();
    let registered = |listed: Listed| Registered {
        upstream: upstream.name.to_string(),
        id: listed.id.into(),
        url: listed.target.origin.url(),
        weight: listed.target.weight,
        ttl: Period::millis(listed.left.as_millis() as u64),
    };
    Ok(Json(RegisteredList { items: listed.into_iter().map(registered).collect() }))
}

async fn put(call: Call<Wait, Json<Registration>>) -> Result<Put, Problem> {
    let (wait, admin) = (call.query.clone(), Arc::clone(&call.admin));
    let (upstream, now) = (find(&call.admin, call.name())?, Instant::now());
    let (id, by) = (call.parameter(1).to_owned(), call.by());
    let Json(Registration { url, weight, ttl }) = call.body;
    let discovered = discovered(&upstream)?;
    let ttl = ttl.unwrap_or(Period::from(discovered.ttl()));
    let origin = check(&id, &url, weight, ttl)?;
    let source = discovered.source();
    let is_new = if source.renew(&id, &origin, weight, ttl.into(), now) {
        false
    } else {
        let target = Target::registered(origin.clone(), resolve(&origin, &url).await?, weight);
        let full = |error| Problem::conflict("full", format!("There is no place for one more: {error}."));
        let is_new = source.register(&id, target, ttl.into(), now).map_err(full)?;
        tracing::info!(by, upstream = %upstream.name, id, url, is_new, "endpoint registered");
        is_new
    };
    let registered = Registered { upstream: upstream.name.to_string(), id, url, weight, ttl };
    wait.for_workers(&admin).await;
    Ok(Put { registered, is_new })
}

async fn delete(call: Call<Wait>) -> Result<NoContent, Problem> {
    let (upstream, id) = (find(&call.admin, call.name())?, call.parameter(1));
    match discovered(&upstream)?.source().remove(id) {
        true => {
            tracing::info!(by = call.by(), upstream = %upstream.name, id, "registration removed");
            call.query.for_workers(&call.admin).await;
            Ok(NoContent)
        }
        false => Err(Problem::not_found(format!("No endpoint {id:?} is registered for the upstream {:?}.", &*upstream.name))),
    }
}

fn find(admin: &Admin, name: &str) -> Result<Arc<Upstream>, Problem> {
    let found = admin.current.load().upstreams.get(name).cloned();
    found.ok_or_else(|| Problem::not_found(format!("There is no upstream {name:?}.")))
}

/// Where its endpoints register.
fn discovered(upstream: &Upstream) -> Result<&Discovered, Problem> {
    let discovered = upstream.discovered.as_ref().filter(|discovered| discovered.registrations().is_some());
    discovered.ok_or_else(|| {
        let name = &*upstream.name;
        let detail = format!("Endpoints of the upstream {name:?} do not register: it has no `discovery: {{register: {{}}}}`.");
        Problem::conflict("not_registering", detail)
    })
}

/// Everything that is wrong with a registration, or where it is for.
fn check(id: &str, url: &str, weight: u32, ttl: Period) -> Result<Origin, Problem> {
    let mut errors = Vec::new();
    if let Err(want) = rules::name(id) {
        errors.push(invalid("id", format!("{id:?}"), want));
    }
    if let Err(want) = rules::endpoint_url(url) {
        errors.push(invalid("url", format!("{url:?}"), want));
    }
    if weight > LARGEST_WEIGHT {
        errors.push(invalid("weight", weight.to_string(), format!("{LARGEST_WEIGHT} or less")));
    }
    if Duration::from(ttl).is_zero() || Duration::from(ttl) > LONGEST {
        errors.push(invalid("ttl", ttl.to_string(), format!("more than 0s, and {LONGEST:?} or less")));
    }
    match Origin::parse(url).filter(|_| errors.is_empty()) {
        Some(origin) => Ok(origin),
        None => Err(Problem::invalid("The registration is wrong; nothing was changed.", errors)),
    }
}

/// What the host of a new endpoint stands for. It is looked up again later like those of the configuration.
async fn resolve(origin: &Origin, url: &str) -> Result<Vec<SocketAddr>, Problem> {
    let unknown = |cause: String| {
        let errors = vec![invalid("url", format!("{url:?}"), format!("a host that can be resolved, but {cause}"))];
        Problem::invalid("The registration is wrong; nothing was changed.", errors)
    };
    let looked_up = tokio::time::timeout(RESOLVING, tokio::net::lookup_host(&*origin.authority)).await;
    let found = looked_up.map_err(|_| unknown(format!("there was no answer within {RESOLVING:?}")))?;
    let addresses: Vec<SocketAddr> = found.map_err(|error| unknown(error.to_string()))?.collect();
    if addresses.is_empty() { Err(unknown("it has no address".into())) } else { Ok(addresses) }
}

fn invalid(path: &str, got: String, want: String) -> Invalid {
    Invalid { path: path.into(), file: None, code: "value".into(), got, want, hint: None }
}

impl Answer for Put {
    fn describe(generator: &mut SchemaGenerator) -> Vec<(StatusCode, Option<Described>)> {
        [Json::<Registered>::describe(generator), Created::<Registered>::describe(generator)].concat()
    }

    fn into_response(self) -> Response<Full<Bytes>> {
        match self.is_new {
            true => Created(self.registered).into_response(),
            false => Json(self.registered).into_response(),
        }
    }
}

fn one() -> u32 {
    1
}
