//! Plugins: their versions, and what is rolled out to whom.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, Method, StatusCode};
use hyper::body::{Body as _, Incoming};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;

use crate::config::rules;
use crate::plugin::inspect::MAX_BYTES;
use crate::plugin::{Grants, builtin};
use crate::rollout::record::Terms;
use crate::rollout::signature::{self, Signed};
use crate::rollout::view::{PluginView, Summary};
use crate::rollout::{RolloutError, Upload, Uploaded};

use super::change::{Wait, in_turn};
use super::content::{Content, Created, Described, Json, NoBody, NoContent, read_whole};
use super::operation::{Call, Operation};
use super::problem::{Invalid, Problem};
use super::scope::Scope;
use super::{Admin, blocking};

/// The header with the Ed25519 signature of an upload, in Base64.
pub const SIGNATURE: &str = "x-gatehouse-signature";

/// All plugins.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Plugins {
    /// By name.
    plugins: Vec<Summary>,
}

/// A component, as it is in its file.
pub struct Component(Bytes);

/// What there is to plugins.
pub fn operations() -> Vec<Operation> {
    let plugin = Some(Scope::Plugin);
    vec![
        Operation::get("/v1/plugins", Scope::Read, "All plugins with what serves.", list),
        Operation::get("/v1/plugins/{name}", Scope::Read, "A plugin with its versions, and how a candidate fares.", show),
        Operation::new(
            Method::POST,
            "/v1/plugins/{name}/versions",
            plugin,
            "Takes a component as a new version: checked, compiled, configured, and ready to be rolled out.",
            upload,
        )
        .limit(MAX_BYTES as u64),
        Operation::new(
            Method::DELETE,
            "/v1/plugins/{name}",
            plugin,
            "Deletes a plugin with all its versions, if the configuration neither declares it nor has a route that uses it.",
            remove,
        ),
        Operation::new(
            Method::DELETE,
            "/v1/plugins/{name}/versions/{version}",
            plugin,
            "Deletes a version that neither serves nor served before nor is tried; of a plugin that the configuration does not name, any.",
            delete,
        ),
        Operation::new(
            Method::PUT,
            "/v1/plugins/{name}/rollout",
            plugin,
            "Tries a version on a share of the callers, or on copies of requests; at weight 100 it becomes the stable one.",
            roll_out,
        ),
        Operation::new(Method::DELETE, "/v1/plugins/{name}/rollout", plugin, "Withdraws the candidate.", withdraw),
        Operation::new(
            Method::POST,
            "/v1/plugins/{name}/rollback",
            plugin,
            "Goes back: withdraws the candidate, or makes the version before the stable one stable again.",
            roll_back,
        ),
    ]
}

async fn list(call: Call) -> Result<Json<Plugins>, Problem> {
    Ok(Json(Plugins { plugins: call.admin.builder.rollouts.list() }))
}

async fn show(call: Call) -> Result<Json<PluginView>, Problem> {
    Ok(Json(call.admin.builder.rollouts.view(call.name())?))
}

async fn upload(call: Call<Wait, Component>) -> Result<Created<Uploaded>, Problem> {
    let name = call.name().to_owned();
    named(&name)?;
    let signature = call.headers.get(SIGNATURE).map(|value| value.to_str().unwrap_or_default().to_owned());
    let by = call.by();
    let (asked, admin, bytes) = (Arc::clone(&call.admin), call.admin, call.body.0);
    let uploaded = blocking(move || {
        let builder = &admin.builder;
        let key = admin.current.load().signatures.check(&name, &bytes, signature.as_deref())?;
        let signed = Signed { by: key.map(|key| key.to_string()), signature: signature.filter(|signature| signature::is_one(signature)) };
        let grants = grants(&admin, &name);
        let upload = Upload { plugin: &name, bytes: &bytes, signed, grants: grants.as_ref(), by: &by };
        Ok(Created(builder.rollouts.upload(&builder.loader, upload)?))
    });
    let uploaded = uploaded.await?;
    call.query.for_workers(&asked).await;
    Ok(uploaded)
}

/// What a plugin may call; None where the configuration says nothing of it.
fn grants(admin: &Admin, plugin: &str) -> Option<Grants> {
    let declared = admin.current.load().grants.get(plugin).cloned();
    declared.or_else(|| builtin::find(plugin).map(|_| Grants::all()))
}

async fn remove(call: Call<Wait>) -> Result<NoContent, Problem> {
    let (name, by, builder) = (call.name().to_owned(), call.by(), Arc::clone(&call.admin.builder));
    in_turn(&call.admin, move |state| {
        state.refuse_named(&name)?;
        Ok(builder.rollouts.remove(&builder.loader, &name, &by)?)
    })
    .await?;
    call.query.for_workers(&call.admin).await;
    Ok(NoContent)
}

async fn delete(call: Call<Wait>) -> Result<NoContent, Problem> {
    let (name, version, by) = (call.name().to_owned(), call.parameter(1).to_owned(), call.by());
    let version = version.parse().map_err(|_| Problem::not_found(format!("{version:?} is not the number of a version.")))?;
    let builder = Arc::clone(&call.admin.builder);
    in_turn(&call.admin, move |state| {
        let is_named = state.refuse_named(&name).is_err();
        builder.rollouts.delete(&builder.loader, &name, version, is_named, &by).map_err(|error| match error {
            RolloutError::UnknownVersion { .. } => Problem::not_found(sentence(&error)),
            error => error.into(),
        })
    })
    .await?;
    call.query.for_workers(&call.admin).await;
    Ok(NoContent)
}

async fn roll_out(call: Call<Wait, Json<Terms>>) -> Result<Json<PluginView>, Problem> {
    let (name, terms) = (call.name().to_owned(), call.body.0.clone());
    changed(call, move |admin, by| admin.builder.rollouts.roll_out(&admin.builder.loader, &name, terms, by)).await
}

async fn withdraw(call: Call<Wait, NoBody>) -> Result<Json<PluginView>, Problem> {
    let name = call.name().to_owned();
    changed(call, move |admin, by| admin.builder.rollouts.withdraw(&admin.builder.loader, &name, by)).await
}

async fn roll_back(call: Call<Wait, NoBody>) -> Result<Json<PluginView>, Problem> {
    let name = call.name().to_owned();
    changed(call, move |admin, by| admin.builder.rollouts.roll_back(&admin.builder.loader, &name, by)).await
}

/// Makes a change and shows what it made.
async fn changed<B>(
    call: Call<Wait, B>,
    change: impl FnOnce(&Admin, &str) -> Result<(), RolloutError> + Send + 'static,
) -> Result<Json<PluginView>, Problem> {
    let (by, name) = (call.by(), call.name().to_owned());
    let admin = Arc::clone(&call.admin);
    let view = blocking(move || {
        change(&admin, &by)?;
        Ok(Json(admin.builder.rollouts.view(&name)?))
    });
    let view = view.await?;
    call.query.for_workers(&call.admin).await;
    Ok(view)
}

fn named(name: &str) -> Result<(), Problem> {
    rules::name(name).map_err(|want| {
        let error = Invalid { path: "name".into(), file: None, code: "value".into(), got: name.to_owned(), want, hint: None };
        Problem::invalid("The name is not one that a plugin can have.", vec![error])
    })
}

// === impl Component ===

impl Content for Component {
    fn describe(generator: &mut SchemaGenerator) -> Option<Described> {
        let _ = generator;
        Some(("application/wasm", schemars::json_schema!({ "type": "string", "format": "binary" })))
    }

    async fn read(headers: &HeaderMap, body: Incoming, limit: u64) -> Result<Self, Problem> {
        plain(headers)?;
        // One that says that it is too large is not read at all.
        if body.size_hint().lower() > limit {
            return Err(Problem::too_large(limit));
        }
        read_whole(body, limit).await.map(Component)
    }
}

/// What is packed may be larger than it looks.
fn plain(headers: &HeaderMap) -> Result<(), Problem> {
    let unsupported = |detail: &str| Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return unsupported("The component has to come as it is, without a content-encoding.");
    }
    let kind = headers.get(CONTENT_TYPE).map(|kind| kind.to_str().unwrap_or_default());
    match kind {
        None | Some("application/wasm" | "application/octet-stream") => Ok(()),
        Some(_) => unsupported("The body has to be application/wasm."),
    }
}

impl From<RolloutError> for Problem {
    fn from(error: RolloutError) -> Self {
        match &error {
            RolloutError::UnknownPlugin(_) => Problem::not_found(sentence(&error)),
            RolloutError::UnknownVersion { version, .. } => wrong("version", version, "the number of a version", &error),
            RolloutError::Weight(weight) => wrong("weight", weight, "0 to 100", &error),
            RolloutError::Component(_) | RolloutError::Undeclared { .. } | RolloutError::Signature(_) | RolloutError::Unsigned { .. } => {
                Problem::invalid(sentence(&error), Vec::new())
            }
            RolloutError::Configured { config, refusal } => {
                wrong("config", config, &format!("a configuration that it takes, but {refusal}"), &error)
            }
            RolloutError::HasPart(_) => Problem::conflict("in_use", sentence(&error)),
            RolloutError::Stable(_) => Problem::conflict("already_stable", sentence(&error)),
            RolloutError::NothingBefore(_) => Problem::conflict("nothing_before", sentence(&error)),
            RolloutError::NoCandidate(_) => Problem::conflict("no_candidate", sentence(&error)),
            RolloutError::FileChanged(_) => Problem::conflict("file_changed", sentence(&error)),
            RolloutError::NoStore => Problem::unavailable(sentence(&error)),
            RolloutError::Module { .. } | RolloutError::Store(_) => Problem::internal(sentence(&error)),
        }
    }
}

fn wrong(path: &str, got: &dyn ToString, want: &str, error: &RolloutError) -> Problem {
    let invalid = Invalid { path: path.into(), file: None, code: "value".into(), got: got.to_string(), want: want.into(), hint: None };
    Problem::invalid(sentence(error), vec![invalid])
}

/// Errors are lower case and have no full stop; details are sentences.
fn sentence(error: &RolloutError) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}
