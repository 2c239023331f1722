//! `/v1/{routes,upstreams,clients,issuers}`: the resources, those of the files to be read and those of this API to be
//! changed as well.

use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use http::header::HeaderName;
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::change::{How, Order, Outcome, Written, check_seen, invalid, tag};
use super::content::{Answer, Described, Json, Tagged, Unchecked};
use super::operation::{Call, Operation};
use super::problem::Problem;
use super::scope::Scope;
use crate::config::document::{Client, Issuer, Route, Upstream};
use crate::config::{self, Change, Item, Kind};
use crate::gateway::apply::State;
use crate::gateway::resources::{Origin, Resources};

/// Items of a page unless the caller says otherwise, and at most.
const PAGE: usize = 100;
const LONGEST_PAGE: usize = 1000;
/// Where a resource came from: `api`, or `file` and its name.
const ORIGIN: HeaderName = HeaderName::from_static("x-gatehouse-origin");

/// A kind of resource as the API shows it.
pub trait Resource: JsonSchema + Serialize + Send + 'static {
    /// What it is.
    const KIND: Kind;
    /// The path of all of them.
    const ALL: &'static str;
    /// The path of one.
    const ONE: &'static str;
}

/// Which page of a list.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Page {
    /// So many items at most, 1000 at most [100].
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<usize>,
    /// Those after this name: the `next` of the page before.
    pub after: Option<String>,
}

/// A page of a list, in the order of the names.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{R}Page")]
pub struct Listed<R: JsonSchema> {
    /// The resources.
    items: Vec<Entry<R>>,
    /// Where the next page begins; null if this is the last.
    next: Option<String>,
}

/// One resource of a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{R}Entry")]
pub struct Entry<R: JsonSchema> {
    /// Its name.
    name: String,
    /// `api` where this API made it, else `file`.
    origin: &'static str,
    /// The file that declares it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// The tag of its state, for `If-Match`.
    etag: String,
    /// The resource itself.
    #[schemars(with = "R")]
    value: Value,
    #[serde(skip)]
    kind: PhantomData<R>,
}

/// One resource, with where it came from in a header.
pub struct Shown<R> {
    item: Item,
    origin: Origin,
    kind: PhantomData<R>,
}

/// What the API does with all kinds of resources.
pub fn operations() -> Vec<Operation> {
    [of::<Route>(), of::<Upstream>(), of::<Client>(), of::<Issuer>()].into_iter().flatten().collect()
}

fn of<R: Resource>() -> Vec<Operation> {
    let (noun, section) = (R::KIND.noun(), R::KIND.section());
    let all = format!("The {section}, in the order of their names: those of files and those that this API made.");
    let put = format!("Makes or replaces a {noun}, if the whole configuration is right with it.");
    let delete = format!("Deletes a {noun} that this API made, if nothing needs it.");
    vec![
        Operation::get(R::ALL, Scope::Read, all, list::<R>),
        Operation::get(R::ONE, Scope::Read, format!("One {noun}, as it would stand in a configuration."), show::<R>),
        Operation::new(Method::PUT, R::ONE, Some(Scope::Write), put, put_one::<R>),
        Operation::new(Method::DELETE, R::ONE, Some(Scope::Write), delete, delete_one::<R>),
    ]
}

async fn list<R: Resource>(call: Call<Page>) -> Result<Json<Listed<R>>, Problem> {
    let (resources, page) = (Arc::clone(&call.admin.resources), call.query);
    super::blocking(move || page_of(&resources, &page).map(Json)).await
}

fn page_of<R: Resource>(resources: &Resources, page: &Page) -> Result<Listed<R>, Problem> {
    let limit = limit(page.limit, PAGE)?;
    let (declared, made) = (resources.declared().map_err(Problem::unavailable)?, resources.made());
    let mut names: Vec<&str> = declared.names(R::KIND);
    names.extend(made.of(R::KIND).keys().map(String::as_str));
    if let Some(after) = &page.after {
        names.retain(|name| *name > after.as_str());
    }
    names.sort_unstable();
    names.dedup();
    let next = (names.len() > limit).then(|| names[limit - 1].to_owned());
    names.truncate(limit);
    let find = |name: &&str| match declared.find(R::KIND, name) {
        Some((item, file)) => Some((item, Origin::File(file.to_owned()))),
        None => made.get(R::KIND, name).map(|item| (item.clone(), Origin::Made)),
    };
    Ok(Listed { items: names.iter().filter_map(find).map(entry).collect(), next })
}

/// How many items a caller wants at most.
pub fn limit(wanted: Option<usize>, plain: usize) -> Result<usize, Problem> {
    let limit = wanted.unwrap_or(plain);
    match (1..=LONGEST_PAGE).contains(&limit) {
        true => Ok(limit),
        false => Err(Problem::bad_request(format!("The limit is {limit}; it has to be 1 to {LONGEST_PAGE}."))),
    }
}

fn entry<R: JsonSchema>((item, origin): (Item, Origin)) -> Entry<R> {
    let (origin, file) = match origin {
        Origin::Made => ("api", None),
        Origin::File(file) => ("file", Some(file)),
    };
    Entry { name: item.name().to_owned(), origin, file, etag: tag(&item), value: item.to_json(), kind: PhantomData }
}

async fn show<R: Resource>(call: Call) -> Result<Tagged<Shown<R>>, Problem> {
    let (resources, name) = (Arc::clone(&call.admin.resources), call.name().to_owned());
    super::blocking(move || {
        let found = resources.find(R::KIND, &name).map_err(Problem::unavailable)?;
        let (item, origin) = found.ok_or_else(|| Problem::not_found(format!("There is no {} {name:?}.", R::KIND.noun())))?;
        Ok(Tagged { tag: tag(&item), answer: Shown { item, origin, kind: PhantomData } })
    })
    .await
}

async fn put_one<R: Resource>(call: Call<How, Unchecked<R>>) -> Result<Tagged<Written>, Problem> {
    let name = call.name().to_owned();
    let mut order = Order::of(&call, format!("put {} {name}", R::KIND.noun()));
    order.sent = sent(R::KIND, &name);
    let (seen, absent) = (call.if_match(), call.if_absent());
    let item = read(R::KIND, &name, call.body.into_value())?;
    let tag = tag(&item);
    let outcome = order.carry_out(move |state| {
        state.refuse_declared(R::KIND, &name)?;
        check_seen(seen.as_deref(), absent, tag_of(state, R::KIND, &name).as_deref())?;
        Ok(vec![Change::Put(item)])
    });
    let outcome = outcome.await?;
    let created = !outcome.dry_run && outcome.changes.iter().any(|change| change.before.is_none());
    Ok(Tagged { tag, answer: Written { created, outcome } })
}

async fn delete_one<R: Resource>(call: Call<How>) -> Result<Json<Outcome>, Problem> {
    let name = call.name().to_owned();
    let order = Order::of(&call, format!("delete {} {name}", R::KIND.noun()));
    let seen = call.if_match();
    let outcome = order.carry_out(move |state| {
        state.made(R::KIND, &name)?;
        check_seen(seen.as_deref(), false, tag_of(state, R::KIND, &name).as_deref())?;
        Ok(vec![Change::Delete(R::KIND, name)])
    });
    outcome.await.map(Json)
}

fn tag_of(state: &State, kind: Kind, name: &str) -> Option<String> {
    state.made.get(kind, name).map(tag)
}

/// The path of a resource in the configuration.
fn sent(kind: Kind, name: &str) -> String {
    config::KeyPath::default().key(kind.section()).key(name).to_string()
}

/// Reads a resource that was sent to a path of this name, or says everything that is wrong with its shape.
fn read(kind: Kind, name: &str, mut value: Value) -> Result<Item, Problem> {
    if let Value::Object(fields) = &mut value {
        let given = fields.entry("name").or_insert_with(|| name.into());
        if given.is_string() && given != name {
            return Err(Problem::bad_request(format!("The name in the body is {given}, that in the path {name:?}.")));
        }
    }
    config::read_item(kind, value).map_err(|problems| invalid(&problems, ""))
}

impl<R: Resource> Answer for Shown<R> {
    fn describe(generator: &mut SchemaGenerator) -> Vec<(StatusCode, Option<Described>)> {
        vec![(StatusCode::OK, Some(("application/json", generator.subschema_for::<R>())))]
    }

    fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.item.to_json().to_string().into()));
        let origin = match &self.origin {
            Origin::Made => "api".to_owned(),
            Origin::File(file) => format!("file {file}"),
        };
        let headers = response.headers_mut();
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.extend(HeaderValue::from_str(origin.trim()).map(|origin| (ORIGIN, origin)));
        response
    }
}

macro_rules! resources {
    ($($type:ident $kind:ident $section:literal)*) => {$(
        impl Resource for $type {
            const KIND: Kind = Kind::$kind;
            const ALL: &'static str = concat!("/v1/", $section);
            const ONE: &'static str = concat!("/v1/", $section, "/{name}");
        }
    )*};
}

resources!(Route Routes "routes" Upstream Upstreams "upstreams" Client Clients "clients" Issuer Issuers "issuers");
