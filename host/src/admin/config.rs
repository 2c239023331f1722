//! `/v1/config`: everything that this API made, to be read and replaced at once.

use std::sync::Arc;

use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Admin;
use super::change::{How, Order, Outcome, check_seen};
use super::content::{Json, Tagged, Unchecked};
use super::operation::{Call, Operation};
use super::problem::{Invalid, Problem};
use super::scope::Scope;
use crate::config::document::{Client, Document, Issuer, Route, Upstream};
use crate::config::{self, Item, Kind, Made, Problems};

/// The largest configuration that is taken at once.
const LARGEST: u64 = 128 << 20;

/// What this API made; in a request, what is left out is not there afterwards.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Config {
    #[schemars(default)]
    #[expect(dead_code, reason = "the description of what is read piece by piece")]
    routes: Vec<Route>,
    #[schemars(default)]
    #[expect(dead_code, reason = "the description of what is read piece by piece")]
    upstreams: Vec<Upstream>,
    #[schemars(default)]
    #[expect(dead_code, reason = "the description of what is read piece by piece")]
    clients: Vec<Client>,
    #[schemars(default)]
    #[expect(dead_code, reason = "the description of what is read piece by piece")]
    issuers: Vec<Issuer>,
}

/// Which part to show.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Part {
    /// What files declare as well: the whole document that serves.
    all: bool,
}

/// A configuration, or a part of one.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct ShownConfig(Value);

/// What the API does with the whole configuration.
pub fn operations() -> Vec<Operation> {
    let replace = "Replaces everything that this API made, if the whole configuration is right with it.";
    vec![
        Operation::get("/v1/config", Scope::Read, "Everything that this API made, or with `all` everything there is.", show),
        Operation::new(Method::PUT, "/v1/config", Some(Scope::Write), replace, put).limit(LARGEST),
    ]
}

async fn show(call: Call<Part>) -> Result<Tagged<Json<ShownConfig>>, Problem> {
    let (admin, all) = (Arc::clone(&call.admin), call.query.all);
    let revision = admin.current.load().revision;
    super::blocking(move || {
        let value = if all { whole(&admin)? } else { made(&admin.resources.made()) };
        Ok(Tagged { tag: tag(revision), answer: Json(ShownConfig(value)) })
    })
    .await
}

async fn put(call: Call<How, Unchecked<Config>>) -> Result<Tagged<Json<Outcome>>, Problem> {
    let (order, seen) = (Order::of(&call, "replace everything".into()), call.if_match());
    let value = call.body.into_value();
    let wanted = super::blocking(move || read(value)).await?;
    let outcome = order.carry_out(move |state| {
        check_seen(seen.as_deref(), false, Some(&tag(state.revision)))?;
        wanted
            .iter()
            .filter(|item| state.made.get(item.kind(), item.name()) != Some(item))
            .try_for_each(|item| state.refuse_declared(item.kind(), item.name()))?;
        Ok(state.made.changes_to(&wanted))
    });
    let outcome = outcome.await?;
    Ok(Tagged { tag: tag(outcome.revision), answer: Json(outcome) })
}

fn tag(revision: u64) -> String {
    format!("r{revision}")
}

fn made(made: &Made) -> Value {
    let sections = Kind::ALL.iter().map(|kind| (kind.section().to_owned(), made.of(*kind).values().map(Item::to_json).collect()));
    Value::Object(sections.collect())
}

fn whole(admin: &Admin) -> Result<Value, Problem> {
    let declared = admin.resources.declared().map_err(Problem::unavailable)?;
    let loaded = declared.with(&admin.resources.made(), &admin.builder.stock());
    let loaded = loaded.map_err(|problems| Problem::internal(format!("What serves cannot be put together again: {problems}.")))?;
    Ok(serde_json::to_value::<Document>(loaded.document).expect("a document is plain data"))
}

/// Reads all resources, or says everything that is wrong with their shapes.
fn read(value: Value) -> Result<Made, Problem> {
    let Value::Object(sections) = value else { return Err(Problem::bad_request("The body has to be an object.")) };
    let (mut items, mut errors) = (Vec::new(), Vec::new());
    for (section, list) in sections {
        let (Some(kind), Value::Array(list)) = (Kind::of_section(&section), list) else {
            return Err(Problem::bad_request(format!("{section:?} is none of the lists routes, upstreams, clients and issuers.")));
        };
        for (index, value) in list.into_iter().enumerate() {
            match config::read_item(kind, value) {
                Ok(item) => items.push(item),
                Err(problems) => errors.extend(at(&section, index, &problems)),
            }
        }
    }
    if !errors.is_empty() {
        return Err(Problem::invalid(format!("What was sent is wrong in {} places.", errors.len()), errors));
    }
    let count = items.len();
    let made: Made = items.into_iter().collect();
    match made.iter().count() == count {
        true => Ok(made),
        false => Err(Problem::bad_request("A name stands twice in one list.")),
    }
}

fn at(section: &str, index: usize, problems: &Problems) -> Vec<Invalid> {
    let place = |mut error: Invalid| {
        let separator = if error.path.is_empty() || error.path.starts_with('[') { "" } else { "." };
        error.path = format!("{section}[{index}]{separator}{}", error.path);
        error
    };
    problems.iter().map(|problem| place(Invalid::of(problem, ""))).collect()
}

impl JsonSchema for ShownConfig {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ShownConfig".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "object", "description": "Lists of routes, upstreams, clients and issuers; with `all` the whole document."})
    }
}
