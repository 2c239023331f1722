//! `/v1/revisions`: what was applied, what changed with it, and the way back.

use std::sync::Arc;

use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::change::{How, Order, Outcome};
use super::content::Json;
use super::operation::{Call, Operation};
use super::problem::Problem;
use super::scope::Scope;
use crate::config::{Change, Item, Kind};
use crate::gateway::apply::State;
use crate::store::number;
use crate::store::revisions::{Difference, Differences, FileDifference, FileDifferences, NoWayBack, Revision};

/// Items of a page unless the caller says otherwise.
const PAGE: usize = 50;

/// Which page of a list that begins with the newest.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Backwards {
    /// So many items at most, 1000 at most [50].
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<usize>,
    /// Those before this one: the `next` of the page before.
    pub before: Option<u64>,
}

/// A page of revisions, the newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RevisionList {
    /// The revisions.
    items: Vec<Revision>,
    /// Where the next page begins; null if this is the last.
    next: Option<u64>,
}

/// A revision, and what changed with it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ShownRevision {
    /// When, by whom, why.
    #[serde(flatten)]
    revision: Revision,
    /// What changed of the resources that the admin API made; null where that is not kept any more.
    differences: Option<Vec<Difference>>,
    /// What changed of what files declare: the first thousand parts.
    file_differences: Vec<FileDifference>,
}

/// What the API does with revisions.
pub fn operations() -> Vec<Operation> {
    let back = "Makes what this API made what it was at that revision. What files declare stays.";
    vec![
        Operation::get("/v1/revisions", Scope::Read, "What was applied, the newest first.", list),
        Operation::get("/v1/revisions/{number}", Scope::Read, "What changed with a revision.", show),
        Operation::new(Method::POST, "/v1/revisions/{number}/rollback", Some(Scope::Write), back, rollback),
    ]
}

impl Backwards {
    /// How many items at most.
    pub fn limit(&self) -> Result<usize, Problem> {
        super::resources::limit(self.limit, PAGE)
    }

    /// The key that all of them are before.
    pub fn before(&self) -> Option<String> {
        self.before.map(number)
    }
}

async fn list(call: Call<Backwards>) -> Result<Json<RevisionList>, Problem> {
    let (store, page) = (Arc::clone(&call.admin.store), call.query);
    let limit = page.limit()?;
    super::blocking(move || {
        let mut items = store.read()?.page_back::<Revision>(page.before().as_deref(), limit + 1)?;
        let next = (items.len() > limit).then(|| items.pop()).flatten().and_then(|_| items.last().map(|(_, last)| last.number));
        Ok(Json(RevisionList { items: items.into_iter().map(|(_, revision)| revision).collect(), next }))
    })
    .await
}

async fn show(call: Call) -> Result<Json<ShownRevision>, Problem> {
    let (store, wanted) = (Arc::clone(&call.admin.store), parse(call.name())?);
    super::blocking(move || {
        let reading = store.read()?;
        let revision = reading.get::<Revision>(&number(wanted))?;
        let revision = revision.ok_or_else(|| Problem::not_found(format!("Revision {wanted} is not kept.")))?;
        let differences = reading.get(&number(wanted))?.map(|Differences(differences)| differences);
        let FileDifferences(file_differences) = reading.get(&number(wanted))?.unwrap_or_default();
        Ok(Json(ShownRevision { revision, differences, file_differences }))
    })
    .await
}

async fn rollback(call: Call<How>) -> Result<Json<Outcome>, Problem> {
    let to = parse(call.name())?;
    let order = Order::of(&call, format!("roll back to revision {to}"));
    order.carry_out(move |state| way_back(state, to)).await.map(Json)
}

fn way_back(state: &State, to: u64) -> Result<Vec<Change>, Problem> {
    let then = state.resources.store.read()?.since(to).map_err(|error| match error {
        NoWayBack::Unknown(number) => Problem::not_found(format!("Revision {number} is not kept.")),
        NoWayBack::Forgotten(number) => {
            Problem::conflict("forgotten", format!("What changed since revision {number} is not kept any more: see admin.keep.revisions."))
        }
        NoWayBack::Store(error) => error.into(),
    })?;
    then.into_iter().map(|((kind, name), value)| change(kind, name, value.as_ref())).collect()
}

fn change(kind: Kind, name: String, value: Option<&serde_json::Value>) -> Result<Change, Problem> {
    let Some(value) = value else { return Ok(Change::Delete(kind, name)) };
    let unreadable = |error| Problem::conflict("unreadable", format!("The {} {name:?} of then cannot be read now: {error}.", kind.noun()));
    Item::from_json(kind, value).map(Change::Put).map_err(unreadable)
}

fn parse(text: &str) -> Result<u64, Problem> {
    text.parse().map_err(|_| Problem::not_found(format!("{text:?} is not the number of a revision.")))
}
