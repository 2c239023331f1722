//! Components from registries in the life of the gateway: what is offered is tried with a reload, and left out where
//! that fails, so that neither a bad push nor a registry that is away keeps anything else from being applied.

use std::sync::Arc;

use super::prepare::Refusal;
use super::{Gateway, Settings};
use crate::registry::gauges::RegistryGauges;
use crate::registry::{Kept, Registries};
use crate::snapshot::Builder;
use crate::telemetry::Metrics;

/// What a configuration is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Files are new, or have changed, or somebody says so.
    Files,
    /// A registry offers another component.
    Registry,
}

/// Keeps copies in the data folder, or where nobody named one beside the compiled plugins.
pub fn start(settings: &Settings, metrics: &Metrics) -> Arc<Registries> {
    let folder = settings.data.as_deref().or(settings.cache.as_deref());
    let registries = Arc::new(Registries::new(folder.map(Kept::within)));
    metrics.publish(Box::new(RegistryGauges::new(Arc::clone(&registries))));
    registries
}

// === impl Cause ===

impl Cause {
    /// Takes back what registries offer after a refusal. Goes on where something else can be built then, and there is a
    /// reason to: that is for files only, since what serves already needs no building.
    pub fn withdraw(self, builder: &Builder, refusal: Refusal) -> Result<(), Refusal> {
        let (reason, problems) = &refusal;
        if !builder.registries.withdraw() || self == Cause::Registry {
            return Err(refusal);
        }
        builder.metrics.config_rejected(reason);
        tracing::error!("tried again with what served before: {problems}");
        Ok(())
    }

    /// Before a build: files that changed may go with an offer that was refused.
    pub fn begin(self, registries: &Registries) {
        if self == Cause::Files {
            registries.offer_again();
        }
    }
}

impl Gateway {
    /// What registries gave serves now. The notes of it are written, and nothing else waits for the disk.
    pub(super) async fn settle_registries(&self) {
        let registries = Arc::clone(&self.builder.registries);
        let _ = tokio::task::spawn_blocking(move || registries.settle()).await;
    }
}
