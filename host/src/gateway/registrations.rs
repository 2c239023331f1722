//! Registrations over a restart: who had registered when the process ended is taken to be there still, for the time that
//! each had given itself, and has to renew as before. Written in the background, so that a heartbeat waits for no disk; what
//! registered within the last second before a crash registers again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::store::registrations::{Kept, Registration};
use crate::store::{Store, StoreError};
use crate::upstream::Upstream;
use crate::upstream::discovery::{Source, Target};
use crate::upstream::endpoint::Origin;

/// The time between two looks at what is to be written.
const ROUND: Duration = Duration::from_secs(1);

/// Takes up what was registered, before anything is served.
pub fn restore<'a>(store: &Store, upstreams: impl Iterator<Item = &'a Arc<Upstream>>) {
    let kept: HashMap<String, Kept> = match store.read().and_then(|reading| reading.all()) {
        Ok(kept) => kept.into_iter().collect(),
        Err(error) => return tracing::error!(%error, "registrations cannot be read; endpoints have to register again"),
    };
    let now = Instant::now();
    for upstream in upstreams {
        if let Some((discovered, Kept(kept))) = upstream.discovered.as_ref().zip(kept.get(&*upstream.name)) {
            kept.iter().for_each(|registration| take_up(discovered.source(), registration, now));
            discovered.source().settle(now);
            upstream.rediscover();
        }
    }
}

fn take_up(source: &Source, kept: &Registration, now: Instant) {
    let Some(origin) = Origin::parse(&kept.url).filter(|_| source.registrations().is_some()) else { return };
    let target = Target::registered(origin, kept.addresses.clone(), kept.weight);
    // More than there is room for was never kept.
    let _ = source.register(&kept.id, target, Duration::from_millis(kept.ttl_ms), now);
}

/// Writes what changes, for as long as the runtime lives.
pub async fn keep(store: Arc<Store>, upstreams: impl Fn() -> Vec<Arc<Upstream>>) {
    let mut written: HashMap<Arc<str>, u64> = HashMap::new();
    loop {
        tokio::time::sleep(ROUND).await;
        let (store, upstreams) = (Arc::clone(&store), upstreams());
        let round = tokio::task::spawn_blocking(move || {
            let done = write(&store, &upstreams, &mut written);
            (written, done)
        });
        let Ok((after, done)) = round.await else { return };
        written = after;
        if let Err(error) = done {
            tracing::error!(%error, "registrations are not kept");
        }
    }
}

/// Writes all there is, before the process ends.
pub fn leave(store: &Store, upstreams: &[Arc<Upstream>]) {
    if let Err(error) = write(store, upstreams, &mut HashMap::new()) {
        tracing::error!(%error, "registrations are not kept");
    }
}

fn write(store: &Store, upstreams: &[Arc<Upstream>], written: &mut HashMap<Arc<str>, u64>) -> Result<(), StoreError> {
    let registering = upstreams.iter().filter_map(|upstream| Some((upstream, upstream.discovered.as_ref()?.registrations()?)));
    let now: HashMap<Arc<str>, u64> = registering.clone().map(|(upstream, found)| (Arc::clone(&upstream.name), found.version())).collect();
    if now == *written || written.is_empty() && now.values().all(|version| *version == 0) {
        return Ok(());
    }
    store.write(|writing| {
        for gone in written.keys().filter(|name| !now.contains_key(*name)) {
            writing.delete::<Kept>(gone)?;
        }
        for (upstream, found) in registering.filter(|(upstream, _)| now.get(&upstream.name) != written.get(&upstream.name)) {
            let list = found.list(Instant::now()).into_iter().map(|listed| Registration {
                id: listed.id.into(),
                url: listed.target.origin.url(),
                addresses: listed.target.addresses,
                weight: listed.target.weight,
                ttl_ms: listed.ttl.as_millis() as u64,
            });
            writing.put(&upstream.name, &Kept(list.collect()))?;
        }
        Ok::<_, StoreError>(())
    })?;
    *written = now;
    Ok(())
}
