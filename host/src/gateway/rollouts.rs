//! Versions of plugins in the life of the gateway: remembered before the first snapshot, adopted with each one, judged
//! every second.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::admin::{DATA, failed};
use super::{Gateway, Settings, StartError};
use crate::snapshot::{Builder, Snapshot};
use crate::store::{Store, StoreError};

/// How often candidates are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Takes up the versions that a store remembers. None where there is no store yet.
pub fn remember(settings: &Settings, builder: &Builder) -> Result<Option<Arc<Store>>, StartError> {
    let usual = || Store::exists(Path::new(DATA)).then(|| PathBuf::from(DATA));
    let Some(folder) = settings.data.clone().or_else(usual) else { return Ok(None) };
    let broken = |error: StoreError| failed(format!("data folder {}", folder.display()), error);
    let store = Store::open(&folder).map(Arc::new).map_err(broken)?;
    builder.rollouts.remember(Arc::clone(&store)).map_err(broken)?;
    Ok(Some(store))
}

impl Gateway {
    /// Takes the seats of a snapshot that is about to serve.
    pub(super) fn adopt(&self, snapshot: &Snapshot) {
        let unsettled = self.builder.rollouts.adopt(snapshot);
        if unsettled.is_empty() {
            return;
        }
        let builder = Arc::clone(&self.builder);
        tokio::task::spawn_blocking(move || {
            for plugin in unsettled {
                if let Err(error) = builder.rollouts.settle(&builder.loader, &plugin) {
                    tracing::error!(plugin, %error, "plugin versions not settled");
                }
            }
        });
    }

    pub(super) fn spawn_judge(&self) {
        let builder = Arc::clone(&self.builder);
        tokio::spawn(async move {
            let mut looks = tokio::time::interval(LOOK);
            looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                looks.tick().await;
                if builder.rollouts.is_trying() {
                    let builder = Arc::clone(&builder);
                    let _ = tokio::task::spawn_blocking(move || builder.rollouts.judge(&builder.loader)).await;
                }
            }
        });
    }
}
