//! The background task that looks at registries: at tags again and again, and at what could not be pulled.

use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;
use tokio::time::sleep_until;

use super::{Artifact, PATIENCE, Registries, pull};

/// Looks whenever something is due. Without artifacts it sleeps.
pub async fn keep(registries: Arc<Registries>) {
    loop {
        let next = registries.next_due();
        let due = async {
            match next {
                Some(due) => sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => look(&registries, Instant::now()).await,
            () = registries.attended.notified() => {}
        }
    }
}

async fn look(registries: &Arc<Registries>, now: Instant) {
    let mut looks = JoinSet::new();
    for artifact in registries.due(now) {
        looks.spawn(look_at(Arc::clone(registries), artifact));
    }
    while looks.join_next().await.is_some() {}
}

async fn look_at(registries: Arc<Registries>, artifact: Artifact) {
    let known = registries.known(&artifact);
    let result = pull::within(PATIENCE, &artifact, known.as_deref()).await;
    // Components are written, and nothing else should wait for the disk.
    let taken_in = tokio::task::spawn_blocking(move || {
        let result = result.map(|found| found.map(|found| registries.put_away(found)));
        registries.learn(&artifact, result);
    });
    let _ = taken_in.await;
}

impl Registries {
    fn next_due(&self) -> Option<Instant> {
        self.entries.lock().values().filter_map(|entry| entry.due).min()
    }

    fn due(&self, now: Instant) -> Vec<Artifact> {
        let entries = self.entries.lock();
        let due = entries.iter().filter(|(_, entry)| entry.due.is_some_and(|due| due <= now));
        due.map(|(artifact, _)| artifact.clone()).collect()
    }
}
