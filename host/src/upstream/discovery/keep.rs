//! The background of discovery: one task for the whole process that hands upstreams what their sources have found. Changes
//! that come close together are handed over together.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::upstream::Upstream;

use super::Discovery;

/// How long changes wait for others. A thousand endpoints that register at once are then a few changes, not a thousand.
const TOGETHER: Duration = Duration::from_millis(50);
/// The longest that they wait.
const LONGEST: Duration = Duration::from_secs(1);
/// How late a registration may expire, or the next priority take over.
const ROUND: Duration = Duration::from_millis(200);

/// How long the first answer of a source is waited for, before its upstreams are used without.
const FIRST_ANSWER: Duration = Duration::from_secs(2);

impl Discovery {
    /// Has all sources in use find out what there is, and gives these upstreams what they have found within 2 s: before a
    /// configuration serves, so that it begins with endpoints. To be called on the main thread's runtime.
    pub async fn settle(&self, upstreams: Vec<Arc<Upstream>>) {
        self.attend(&Handle::current());
        self.first_answers(FIRST_ANSWER).await;
        rediscover(due(upstreams, Instant::now())).await;
    }
}

/// Keeps the endpoints of the upstreams of the moment, for as long as the runtime lives.
pub async fn keep(bell: Arc<Notify>, upstreams: impl Fn() -> Vec<Arc<Upstream>>) {
    let mut together = TOGETHER;
    loop {
        tokio::select! {
            () = bell.notified() => tokio::time::sleep(together).await,
            () = tokio::time::sleep(ROUND) => {}
        }
        let took = rediscover(due(upstreams(), Instant::now())).await;
        // A ring of a thousand endpoints is half a million points to sort: constant change may keep a core busy for a tenth
        // of its time, not for all of it.
        together = took.saturating_mul(9).clamp(TOGETHER, LONGEST);
    }
}

async fn rediscover(due: Vec<Arc<Upstream>>) -> Duration {
    let began = Instant::now();
    if !due.is_empty() {
        let _ = tokio::task::spawn_blocking(move || due.iter().for_each(|upstream| upstream.rediscover())).await;
    }
    began.elapsed()
}

fn due(mut upstreams: Vec<Arc<Upstream>>, now: Instant) -> Vec<Arc<Upstream>> {
    upstreams.retain(|upstream| upstream.discovered.as_ref().is_some_and(|discovered| discovered.is_due(now)));
    upstreams
}
