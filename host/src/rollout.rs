//! Versions of plugins on a live gateway: who gets which, how they compare, and which one goes back by itself.
//!
//! [`Rollouts`] knows every plugin's versions and seats. A snapshot is built with what stands at that moment
//! ([`Standing`]) and its seats are adopted when it serves; from then on a change of versions touches seats only.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::plugin::Usage;
use crate::plugin::compile::Sha256Digest;
use crate::registry::Copied;
use crate::snapshot::Snapshot;
use crate::store::{Store, StoreError};

mod change;
pub mod comparison;
mod error;
pub mod gauges;
mod judge;
pub(crate) mod modules;
pub mod record;
mod seat;
pub mod signature;
mod trial;
pub mod upload;
mod versions;
pub mod view;

pub use error::RolloutError;
pub use seat::{Candidate, Lineup, Part, Seat, Share, Turn};
pub use upload::{Needed, Upload, Uploaded};

use comparison::Comparison;
use record::{Outcome, Record, Source, Terms};
use signature::Signatures;
use trial::Trial;

/// All plugins that have versions or serve.
#[derive(Default)]
pub struct Rollouts {
    plugins: Mutex<BTreeMap<String, Managed>>,
    /// One change of versions at a time.
    changes: Mutex<()>,
    /// Usages that left their seats, until no request holds them: their end is not on a worker.
    left: Mutex<Vec<Arc<Usage>>>,
    /// Where versions are remembered; without it there are none but those that the configuration declares.
    store: OnceLock<Arc<Store>>,
    /// Who has to sign what, as the configuration that serves says.
    signatures: ArcSwap<Signatures>,
}

/// One plugin.
#[derive(Default)]
struct Managed {
    record: Record,
    /// Moves with every change of the record.
    generation: u64,
    declared: Option<Declared>,
    seats: Vec<Arc<Seat>>,
    /// Moves with every change of the seats.
    seating: u64,
    trial: Trial,
    /// The stable version's, while it is watched.
    watch: Trial,
    comparison: Option<Arc<Comparison>>,
    /// How many rollouts ended how since the gateway started.
    outcomes: BTreeMap<Outcome, u64>,
}

/// The component that the configuration declares for a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// Its digest.
    pub digest: Sha256Digest,
    /// Where it is.
    pub origin: Origin,
    /// The signature that lies beside it.
    pub signature: Option<String>,
}

/// Where a component of the configuration is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In the gateway.
    BuiltIn,
    /// In a file.
    File(std::path::PathBuf),
    /// In a registry.
    Registry {
        /// Its reference, with the digest of the manifest that it stands for.
        reference: Arc<str>,
        /// Where the copy of it is.
        copy: Copied,
    },
}

/// What stands for one plugin at a moment: what a snapshot is built with.
#[derive(Clone, Default)]
pub struct Standing {
    /// The component that serves, if it is not the declared one.
    pub stable: Option<Sha256Digest>,
    /// The component that served before.
    pub previous: Option<Sha256Digest>,
    /// The component that is being tried, on whom, and how.
    pub candidate: Option<(Sha256Digest, Share, Part)>,
    generation: u64,
}

/// What a snapshot was built with, by plugin.
pub type Standings = HashMap<String, (Standing, Option<Declared>)>;

impl Rollouts {
    /// Takes up what a store remembers. To be called once, before the first snapshot is built.
    pub fn remember(&self, store: Arc<Store>) -> Result<(), StoreError> {
        let mut plugins = self.plugins.lock();
        for (name, record) in store.read()?.all::<Record>()? {
            let comparison = comparison(&record, None);
            plugins.insert(name, Managed { record, comparison, ..Managed::default() });
        }
        modules::tidy(&store, plugins.values().map(|managed| &managed.record));
        // Called twice, the first store stays.
        let _ = self.store.set(store);
        Ok(())
    }

    /// What stands for a plugin whose configuration declares this component.
    pub fn standing(&self, name: &str, declared: Option<Sha256Digest>) -> Standing {
        let plugins = self.plugins.lock();
        let Some(managed) = plugins.get(name) else { return Standing::default() };
        let Managed { record, comparison, generation, .. } = managed;
        Standing {
            stable: chosen(record, declared).and_then(|version| record.digest(version)),
            previous: record.previous.and_then(|version| record.digest(version)),
            candidate: record.candidate.as_ref().and_then(|terms| trying(record, terms, comparison.as_ref())),
            generation: *generation,
        }
    }

    /// The plugins of which a version serves though no configuration declares one.
    pub fn serving(&self) -> Vec<String> {
        let plugins = self.plugins.lock();
        plugins.iter().filter(|(_, managed)| chosen(&managed.record, None).is_some()).map(|(name, _)| name.clone()).collect()
    }

    /// The bytes of a version.
    pub fn component(&self, digest: Sha256Digest) -> Result<Vec<u8>, RolloutError> {
        modules::read(self.store()?, digest)
    }

    /// Says no where a component that was chosen before may not serve as this plugin, as these policies have it.
    pub fn check_signed(&self, signatures: &Signatures, plugin: &str, digest: Sha256Digest) -> Result<(), RolloutError> {
        let version = self.plugins.lock().get(plugin).and_then(|managed| managed.record.with(digest.into()).cloned());
        version.map_or(Ok(()), |version| signatures.check_version(plugin, &version, || self.component(digest)))
    }

    /// Takes the seats of a snapshot that is about to serve. Gives back the plugins whose seats have to be settled
    /// anew, because something changed while it was built.
    pub fn adopt(&self, snapshot: &Snapshot) -> Vec<String> {
        self.signatures.store(Arc::new(snapshot.signatures.clone()));
        let mut seats = seats(snapshot);
        let mut plugins = self.plugins.lock();
        for name in snapshot.standings.keys() {
            plugins.entry(name.clone()).or_default();
        }
        let mut unsettled = Vec::new();
        for (name, managed) in plugins.iter_mut() {
            let built_with = snapshot.standings.get(name);
            managed.seats = seats.remove(name.as_str()).unwrap_or_default();
            managed.seating += 1;
            managed.declared = built_with.and_then(|(_, declared)| declared.clone());
            managed.seats.iter().for_each(|seat| watch(&seat.now(), &managed.record));
            let is_stale = built_with.is_some_and(|(standing, _)| standing.generation != managed.generation);
            if managed.supersede() || is_stale {
                unsettled.push(name.clone());
            }
        }
        plugins.retain(|name, managed| !managed.record.versions.is_empty() || snapshot.standings.contains_key(name));
        unsettled
    }

    /// Takes the seats that a snapshot has beside those of the one before it. Otherwise like [`Rollouts::adopt`], which
    /// also lets go of those that it has no more.
    pub fn adopt_new(&self, seats: &[Arc<Seat>], standings: &Standings) -> Vec<String> {
        let mut plugins = self.plugins.lock();
        let mut unsettled = Vec::new();
        for seat in seats {
            let managed = plugins.entry(seat.spec.plugin.to_string()).or_default();
            let built_with = standings.get(&*seat.spec.plugin);
            managed.seats.push(Arc::clone(seat));
            managed.seating += 1;
            managed.declared = built_with.and_then(|(_, declared)| declared.clone());
            watch(&seat.now(), &managed.record);
            if built_with.is_some_and(|(standing, _)| standing.generation != managed.generation) {
                unsettled.push(seat.spec.plugin.to_string());
            }
        }
        unsettled.dedup();
        unsettled
    }

    /// Lets go of seats that nothing but this holds: no step of a snapshot that serves points there.
    pub fn let_go(&self) {
        for managed in self.plugins.lock().values_mut() {
            let before = managed.seats.len();
            managed.seats.retain(|seat| Arc::strong_count(seat) > 1);
            managed.seating += u64::from(managed.seats.len() != before);
        }
    }

    fn store(&self) -> Result<&Arc<Store>, RolloutError> {
        self.store.get().ok_or(RolloutError::NoStore)
    }
}

impl Managed {
    /// Drops a choice that was made over another component than is declared now. Whether there was one.
    fn supersede(&mut self) -> bool {
        let declared = self.declared.as_ref().map(|declared| declared.digest);
        let Some(choice) = self.record.choice.as_ref().filter(|_| declared.is_some()) else { return false };
        if choice.over.map(|over| over.0) == declared.map(|declared| declared.0) {
            return false;
        }
        let version = choice.version;
        self.record.choice = None;
        self.record.previous = None;
        self.record.watched = None;
        *self.outcomes.entry(Outcome::Superseded).or_default() += 1;
        self.record.end(version, Outcome::Superseded, "the configuration declares another component since", record::now());
        true
    }
}

/// The version that serves in place of the declared one.
fn chosen(record: &Record, declared: Option<Sha256Digest>) -> Option<u64> {
    let choice = record.choice.as_ref()?;
    let over = choice.over.map(|over| over.0);
    (declared.is_none() || over == declared.map(|declared| declared.0)).then_some(choice.version)
}

/// The version that serves, if it has a number.
fn stable(record: &Record, declared: Option<Sha256Digest>) -> Option<u64> {
    let declared_number = || record.with(declared?.into()).map(|version| version.version);
    chosen(record, declared).or_else(declared_number)
}

fn trying(record: &Record, terms: &Terms, comparison: Option<&Arc<Comparison>>) -> Option<(Sha256Digest, Share, Part)> {
    let digest = record.digest(terms.version)?;
    let salt = u64::from_le_bytes(digest.0[..8].try_into().expect("a digest is longer"));
    let part = match (terms.shadow, comparison) {
        (true, Some(comparison)) => Part::Shadows(Arc::clone(comparison)),
        (true, None) => return None,
        (false, _) => Part::Serves,
    };
    Some((digest, Share::new(terms.weight / 100.0, salt), part))
}

/// The counts of a shadow: those it has, or new ones.
fn comparison(record: &Record, known: Option<Arc<Comparison>>) -> Option<Arc<Comparison>> {
    let shadows = record.candidate.as_ref().is_some_and(|terms| terms.shadow);
    shadows.then(|| known.unwrap_or_default())
}

/// Counts calls while versions are compared or watched, and only then.
fn watch(lineup: &Lineup, record: &Record) {
    let counts = lineup.candidate.is_some() || record.watched.is_some();
    lineup.usages().for_each(|usage| usage.tally.count_calls(counts));
}

/// The seats of a snapshot, by plugin.
fn seats(snapshot: &Snapshot) -> HashMap<&str, Vec<Arc<Seat>>> {
    let mut seats: HashMap<&str, Vec<Arc<Seat>>> = HashMap::new();
    for (spec, seat) in &snapshot.seats {
        if let Some(seat) = seat.upgrade() {
            seats.entry(&spec.plugin).or_default().push(seat);
        }
    }
    seats
}

impl Declared {
    /// Its reference in a registry, if that is where it is.
    pub fn reference(&self) -> Option<String> {
        match &self.origin {
            Origin::Registry { reference, .. } => Some(reference.as_ref().to_owned()),
            Origin::BuiltIn | Origin::File(_) => None,
        }
    }
}

impl From<&Origin> for Source {
    fn from(origin: &Origin) -> Self {
        match origin {
            Origin::BuiltIn => Source::BuiltIn,
            Origin::File(_) => Source::File,
            Origin::Registry { .. } => Source::Registry,
        }
    }
}
