//! `/v1/audit`: who changed what, and whether the log of it is as it was written.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::content::Json;
use super::operation::{Call, Operation};
use super::problem::Problem;
use super::revisions::Backwards;
use super::scope::Scope;
use crate::store::audit::{Entry, Verdict};

/// A page of the log, the newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AuditLog {
    /// The entries.
    items: Vec<Entry>,
    /// Where the next page begins; null if this is the last.
    next: Option<u64>,
}

/// What the API does with the log.
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/v1/audit", Scope::Admin, "Who changed what, the newest first.", list),
        Operation::get("/v1/audit/check", Scope::Admin, "Whether every entry of the log fits the one before.", check),
    ]
}

async fn list(call: Call<Backwards>) -> Result<Json<AuditLog>, Problem> {
    let (store, page) = (Arc::clone(&call.admin.store), call.query);
    let limit = page.limit()?;
    super::blocking(move || {
        let mut items = store.read()?.page_back::<Entry>(page.before().as_deref(), limit + 1)?;
        let next = (items.len() > limit).then(|| items.pop()).flatten().and_then(|_| items.last().map(|(_, last)| last.deed.sequence));
        Ok(Json(AuditLog { items: items.into_iter().map(|(_, entry)| entry).collect(), next }))
    })
    .await
}

async fn check(call: Call) -> Result<Json<Verdict>, Problem> {
    let store = Arc::clone(&call.admin.store);
    super::blocking(move || Ok(Json(store.read()?.check_audit()?))).await
}
