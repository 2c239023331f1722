//! A component becomes a version: compiled, its imports held against the plugin's grants, configured with every
//! configuration that is in use, kept, numbered. Nothing of this touches requests.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use crate::plugin::load::{Artifact, UsageSpec};
use crate::plugin::{BodyMode, Grants, Isolation, Limits, Loader, Needs, Refusal};

use super::record::{Source, Version, now};
use super::signature::Signed;
use super::{RolloutError, Rollouts, Seat};

/// A version that is ready to be rolled out.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Uploaded {
    /// The version.
    #[serde(flatten)]
    pub version: Version,
    /// What it asks to see, with a configuration that is in use, or else with an empty one; none if it takes no empty one.
    pub needs: Option<Needed>,
    /// The configurations in use that it was tried with.
    pub configurations: usize,
}

/// A component that comes in.
pub struct Upload<'a> {
    /// The plugin that it is a version of.
    pub plugin: &'a str,
    /// The component.
    pub bytes: &'a [u8],
    /// Its signature.
    pub signed: Signed,
    /// What the plugin may call; None where no configuration declares it, so that nobody gave it anything.
    pub grants: Option<&'a Grants>,
    /// Who brings it.
    pub by: &'a str,
}

/// What a plugin asks to see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Needed {
    /// The phases it is called in: `request`, `response`.
    pub phases: Vec<&'static str>,
    /// Headers of requests.
    pub request_headers: Vec<String>,
    /// Headers of responses.
    pub response_headers: Vec<String>,
    /// How it gets request bodies: `none`, `streamed`, or whole up to so many bytes.
    pub request_body: String,
    /// How it gets response bodies.
    pub response_body: String,
    /// Whether it is shown the client.
    pub client: bool,
}

impl Rollouts {
    /// Takes a component as a version of a plugin. The same component again is the version it was before. Blocks for as
    /// long as compiling takes.
    pub fn upload(&self, loader: &Loader, upload: Upload<'_>) -> Result<Uploaded, RolloutError> {
        self.store()?;
        let artifact = loader.artifact(upload.bytes).map_err(RolloutError::Component)?;
        let taken = self.take(loader, &artifact, upload);
        taken.inspect_err(|_| self.forget(loader, artifact.digest))
    }

    fn take(&self, loader: &Loader, artifact: &Arc<Artifact>, upload: Upload<'_>) -> Result<Uploaded, RolloutError> {
        let Upload { plugin, bytes, signed, grants, by } = upload;
        if grants.is_none() {
            check_undeclared(plugin, artifact)?;
        }
        let seats = self.seats_of(plugin);
        let needs = match &*seats {
            // Where nobody said which, they are those of its kind.
            [] => alone(
                loader,
                plugin,
                artifact,
                grants.filter(|grants| **grants != Grants::none()).cloned().unwrap_or_else(|| Grants::of(artifact.kind)),
            )?,
            seats => Some(configured(loader, artifact, seats)?),
        };
        let version = self.add(loader, plugin, version(artifact, signed), bytes, by)?;
        Ok(Uploaded { version, needs, configurations: seats.len() })
    }

    fn seats_of(&self, plugin: &str) -> Vec<Arc<Seat>> {
        self.plugins.lock().get(plugin).map(|managed| managed.seats.clone()).unwrap_or_default()
    }
}

/// Nobody gave the plugin any grants, so that its component must not need one.
fn check_undeclared(plugin: &str, artifact: &Artifact) -> Result<(), RolloutError> {
    let missing = artifact.missing(&Grants::none());
    if missing.is_empty() {
        return Ok(());
    }
    let written = missing.into_iter().map(|grant| if grant == "http" { "http: [UPSTREAM]" } else { grant });
    Err(RolloutError::Undeclared { plugin: plugin.to_owned(), grants: written.collect::<Vec<_>>().join(", ") })
}

fn version(artifact: &Artifact, signed: Signed) -> Version {
    Version {
        version: 0,
        sha256: artifact.digest.into(),
        size: artifact.size as u64,
        imports: artifact.imports.clone(),
        source: Source::Upload,
        signed_by: signed.by,
        signature: signed.signature,
        created: now(),
    }
}

/// Configures it with everything that is in use, so that no route can be surprised by it.
fn configured(loader: &Loader, artifact: &Arc<Artifact>, seats: &[Arc<Seat>]) -> Result<Needed, RolloutError> {
    let mut needs = None;
    for seat in seats {
        let (is, was) = (artifact.kind, seat.now().stable.artifact.kind);
        if !is.fits_where(was) {
            return Err(RolloutError::Component(Refusal::OtherKind { is: is.describe(), was: was.describe() }));
        }
        let refused = |refusal| RolloutError::Configured { config: seat.spec.config.to_string(), refusal };
        let usage = loader.usage(artifact, &seat.spec.of(artifact.digest, false)).map_err(refused)?;
        needs.get_or_insert_with(|| Needed::from(&usage.needs));
    }
    Ok(needs.unwrap_or_else(|| Needed::from(&Needs::default())))
}

/// Nobody uses it yet: it has to be a plugin, and may say what an empty configuration makes it need.
fn alone(loader: &Loader, plugin: &str, artifact: &Arc<Artifact>, grants: Grants) -> Result<Option<Needed>, RolloutError> {
    loader.link(artifact, &grants).map_err(RolloutError::Component)?;
    match loader.usage(artifact, &spec(plugin, artifact, grants)) {
        Ok(usage) => Ok(Some(Needed::from(&usage.needs))),
        Err(Refusal::Config(_)) => Ok(None),
        Err(refusal) => Err(RolloutError::Component(refusal)),
    }
}

/// As a shadow, so that what it may do when it is configured has no effect.
fn spec(plugin: &str, artifact: &Artifact, grants: Grants) -> UsageSpec {
    UsageSpec {
        plugin: plugin.into(),
        digest: artifact.digest,
        config: "{}".into(),
        isolation: Isolation::Reuse,
        limits: Arc::new(Limits::of(artifact.kind)),
        grants: Arc::new(grants),
        shadow: true,
    }
}

impl From<&Needs> for Needed {
    fn from(needs: &Needs) -> Self {
        let phases = [("request", needs.request), ("response", needs.response)];
        let names = |names: &[http::HeaderName], all: bool| {
            let all = all.then(|| "*".to_owned());
            names.iter().map(ToString::to_string).chain(all).collect()
        };
        Self {
            phases: phases.into_iter().filter_map(|(phase, wanted)| wanted.then_some(phase)).collect(),
            request_headers: names(&needs.request_headers, needs.all_request_headers),
            response_headers: names(&needs.response_headers, needs.all_response_headers),
            request_body: body(needs.request_body),
            response_body: body(needs.response_body),
            client: needs.client,
        }
    }
}

fn body(mode: BodyMode) -> String {
    match mode {
        BodyMode::None => "none".into(),
        BodyMode::Streamed => "streamed".into(),
        BodyMode::Buffered(up_to) => format!("buffered up to {up_to} bytes"),
    }
}
