//! The first configuration of a process: that of the files, or where they cannot be used, the last one that could.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::admin::{DATA, failed};
use super::prepare::{Parts, Prepared, Refusal};
use super::registries::Cause;
use super::resources::Resources;
use super::{ConfigSource, Settings, StartError, memory, record};
use crate::cli::stock;
use crate::config::{Declared, Made, Problems};
use crate::snapshot::Builder;
use crate::store::last_good::LastGood;
use crate::store::{Store, StoreError};

/// What a process begins with.
pub struct First {
    /// What serves.
    pub prepared: Prepared,
    /// What is remembered; None where nothing is.
    pub resources: Option<Arc<Resources>>,
    /// Why the files are not what serves; None if they are.
    pub refused: Option<Problems>,
}

/// Finds the first configuration. What serves is in the store once this returns, if there is a store.
pub fn first(settings: &Settings, builder: &Builder) -> Result<First, StartError> {
    let mut resources = settings.data.as_deref().map(|folder| open(folder, builder)).transpose()?;
    let none = Arc::<Made>::default();
    let read = settings.config.read(&resources.as_ref().map_or(none, |resources| resources.made()), &builder.stock());
    if resources.is_none() && wants_store(settings, &read) {
        resources = Some(open(Path::new(DATA), builder)?);
    }
    let Some(resources) = resources else {
        let parts = Parts { config: &settings.config, made: &Arc::default(), keep: false, cause: Cause::Files };
        let prepared = read.map_err(|problems| ("invalid", problems)).and_then(|declared| parts.build(declared, builder, None, 1));
        let prepared = prepared.map_err(|(_, problems)| StartError::Config(problems))?;
        return Ok(First { prepared, resources: None, refused: None });
    };
    remembered(settings, builder, read, Arc::new(resources))
}

/// Takes up what a folder remembers: what the admin API made, and versions of plugins.
fn open(folder: &Path, builder: &Builder) -> Result<Resources, StartError> {
    let broken = |error: StoreError| failed(format!("data folder {}", folder.display()), error);
    let store = Store::open(folder).map(Arc::new).map_err(broken)?;
    builder.rollouts.remember(Arc::clone(&store)).map_err(broken)?;
    Resources::open(store).map_err(broken)
}

/// The admin API has to remember; and files that cannot be used may have been remembered in the usual place.
fn wants_store(settings: &Settings, read: &Result<Declared, Problems>) -> bool {
    let declared = read.as_ref().is_ok_and(|declared| declared.admin().is_some());
    settings.admin.is_some() || declared || read.is_err() && Store::exists(&PathBuf::from(DATA))
}

fn remembered(
    settings: &Settings,
    builder: &Builder,
    read: Result<Declared, Problems>,
    resources: Arc<Resources>,
) -> Result<First, StartError> {
    let broken = |error: &dyn ToString| failed("store".into(), error.to_string());
    let last = resources.store.read().and_then(|reading| reading.last_revision()).map_err(|error| broken(&error))?;
    let made = resources.made();
    let parts = Parts { config: &settings.config, made: &made, keep: true, cause: Cause::Files };
    let number = |digest| record::next_number(last.as_ref(), digest);
    let build = |declared: Declared| {
        let revision = number(declared.digest());
        parts.build(declared, builder, None, revision)
    };
    let (mut prepared, refused) = match read.map_err(|problems| ("invalid", problems)).and_then(build) {
        Ok(prepared) => (prepared, None),
        Err((_, problems)) => {
            let Some(prepared) = last_good(&settings.config, &resources, build) else { return Err(StartError::Config(problems)) };
            (prepared, Some(problems))
        }
    };
    match &refused {
        None => record::applied(&resources, &settings.config.name(), &mut prepared, last.as_ref()),
        // It is remembered already, and its files are not what they were.
        Some(_) => {
            resources.store.keeping().set(prepared.document.admin.as_ref().map(|admin| admin.keep).unwrap_or_default());
            resources.applied(prepared.declared.as_ref());
        }
    }
    memory::give_back();
    Ok(First { prepared, resources: Some(resources), refused })
}

/// What the files declared when they were last applied, if they are these files, and if it can still be served.
fn last_good(config: &ConfigSource, resources: &Resources, build: impl Fn(Declared) -> Result<Prepared, Refusal>) -> Option<Prepared> {
    let kept =
        resources.store.last_good().inspect_err(|error| tracing::error!(%error, "the last good configuration cannot be read")).ok()?;
    let LastGood { sources, .. } = kept.filter(|kept| kept.config == config.name())?;
    let declared = Declared::of_sources(sources, &resources.made(), &stock()).map_err(|problems| ("invalid", problems));
    let refused = |(_, problems): &Refusal| tracing::error!("the last good configuration cannot be served either: {problems}");
    declared.and_then(build).inspect_err(refused).ok()
}
