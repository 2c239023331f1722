//! Versions of plugins in the life of the gateway: adopted with each snapshot, judged every second.

use std::sync::Arc;
use std::time::Duration;

use super::Gateway;
use crate::rollout::Seat;
use crate::snapshot::Snapshot;

/// How often candidates are looked at.
const LOOK: Duration = Duration::from_secs(1);

impl Gateway {
    /// Takes the seats of a snapshot that is about to serve.
    pub(super) fn adopt(&self, snapshot: &Snapshot) {
        self.settle_versions(self.builder.rollouts.adopt(snapshot));
    }

    /// Takes the seats that a snapshot which is about to serve has beside those of the last one.
    pub(super) fn adopt_new(&self, snapshot: &Snapshot, seats: &[Arc<Seat>]) {
        self.settle_versions(self.builder.rollouts.adopt_new(seats, &snapshot.standings));
    }

    fn settle_versions(&self, unsettled: Vec<String>) {
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
                if builder.rollouts.is_busy() {
                    let builder = Arc::clone(&builder);
                    let _ = tokio::task::spawn_blocking(move || builder.rollouts.judge(&builder.loader)).await;
                }
            }
        });
    }
}
