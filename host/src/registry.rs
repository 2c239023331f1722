//! Components from OCI registries: what each reference stands for at the moment, pulled off the request path and kept on
//! disk. How one is pulled is in [`pull`]; a [`Registries`] knows what serves, what is offered, and what was refused.
//!
//! A reference that a snapshot is built with gives its component by [`Registries::components`]. A tag that moved offers
//! another one: whoever builds snapshots tries it, and then says [`Registries::settle`] or [`Registries::withdraw`].

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::plugin::compile::Sha256Digest;

mod artifact;
pub mod gauges;
pub mod keep;
mod kept;
mod layout;
mod pull;
mod push;

pub use artifact::{Artifact, Credentials};
pub use kept::Kept;
pub use pull::PullError;
pub use push::push;

/// The largest component that is taken: what may be uploaded, too.
const LARGEST: usize = 32 << 20;
/// How long a first pull may take, where nothing can serve before it is done.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same where a kept copy can.
const HASTE: Duration = Duration::from_secs(10);

/// The artifacts that configurations name.
pub struct Registries {
    entries: Mutex<HashMap<Artifact, Entry>>,
    /// Where copies are kept; None for nowhere.
    kept: Option<Kept>,
    /// Whether anything is pulled. A check of files pulls nothing.
    pulls: bool,
    /// Rings when there is something new to look after.
    attended: Notify,
    /// Rings when something is offered.
    offered: Notify,
}

/// One artifact of a configuration.
#[derive(Default)]
struct Entry {
    /// What was applied last, in this life or the one before.
    serving: Option<Pulled>,
    /// What was pulled since and not applied yet.
    offer: Option<Pulled>,
    /// Whether the offer was tried and kept out.
    is_refused: bool,
    /// What the attempt under way is built with.
    tried: Option<Pulled>,
    /// Why the last look at the registry came to nothing.
    failure: Option<String>,
    /// By [`Outcome`].
    outcomes: [u64; Outcome::ALL.len()],
    last_success: Option<SystemTime>,
    /// When the registry is to be asked again; None for never.
    due: Option<Instant>,
}

/// An artifact as it was pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pulled {
    /// The digest of its manifest: `sha256:…`.
    manifest: String,
    /// The digest of its component.
    component: Sha256Digest,
    copy: Copied,
    /// The signature of the component that the manifest brings.
    signature: Option<String>,
}

/// A component that a reference stands for.
pub struct Component {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The reference with the digest of the manifest.
    pub pinned: Arc<str>,
    /// Where it can be read again.
    pub copy: Copied,
    /// Its signature, in Base64, where it has one.
    pub signature: Option<String>,
}

/// Where the copy of a component is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Copied {
    /// In a file.
    Disk(PathBuf),
    /// Where no file could be written.
    Memory(Arc<[u8]>),
}

/// Why there is no component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Absent {
    /// Nobody pulled it, and nobody does here.
    Unpulled,
    /// It cannot be pulled.
    Failed(String),
}

/// What a look at a registry came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Another artifact than before.
    Pulled,
    /// The same as before.
    Unchanged,
    /// Nothing.
    Failed,
}

// === impl Registries ===

impl Registries {
    /// Artifacts that are pulled and kept.
    pub fn new(kept: Option<Kept>) -> Self {
        Self { entries: Mutex::default(), kept, pulls: true, attended: Notify::new(), offered: Notify::new() }
    }

    /// What is kept already, and nothing else.
    pub fn offline(kept: Option<Kept>) -> Self {
        Self { pulls: false, ..Self::new(kept) }
    }

    /// The component of each artifact, pulled now if it has to be. Blocks.
    pub fn components(&self, wanted: &[Artifact]) -> Vec<Result<Component, Absent>> {
        let missing = self.attend(wanted);
        if self.pulls && !missing.is_empty() {
            thread::scope(|scope| scope.spawn(|| self.pull_all(missing)).join()).expect("a pull does not panic");
        }
        if !wanted.is_empty() {
            self.attended.notify_one();
        }
        wanted.iter().map(|artifact| self.choose(artifact)).collect()
    }

    /// Resolves when a registry offers another component than serves.
    pub async fn offered(&self) {
        loop {
            self.offered.notified().await;
            // It may have been taken meanwhile, by whoever pulled it or had another reason to build.
            if self.entries.lock().values().any(|entry| entry.offer.is_some() && !entry.is_refused) {
                return;
            }
        }
    }

    /// What was built last serves: it is what a start without the registry falls back to. Artifacts that it did not
    /// need are forgotten. Blocks on the disk.
    pub fn settle(&self) {
        let mut entries = self.entries.lock();
        entries.retain(|_, entry| entry.tried.is_some());
        let mut applied = Vec::new();
        for (artifact, entry) in entries.iter_mut() {
            let tried = entry.tried.take().expect("only those that have one were retained");
            if entry.offer.as_ref() == Some(&tried) {
                entry.offer = None;
            }
            if entry.serving.as_ref() != Some(&tried) {
                applied.push((artifact.reference.clone(), tried.clone()));
                entry.serving = Some(tried);
            }
        }
        let used: Vec<String> = entries.keys().map(|artifact| artifact.reference.clone()).collect();
        drop(entries);
        if let Some(kept) = self.kept.as_ref().filter(|_| !applied.is_empty()) {
            applied.iter().for_each(|(reference, pulled)| kept.note(reference, pulled));
            kept.tidy(&used);
        }
    }

    /// What was built last does not serve. Whether it would be built with something else now: an offer that was tried
    /// is kept out until the tag moves on, or [`Registries::offer_again`].
    pub fn withdraw(&self) -> bool {
        let mut differs = false;
        for (artifact, entry) in self.entries.lock().iter_mut() {
            let tried = entry.tried.take();
            if tried.is_some() && tried == entry.offer && !entry.is_refused {
                entry.is_refused = true;
                differs |= entry.serving.is_some();
                tracing::error!(reference = artifact.reference, "what was pulled is not applied, the last good one stays");
            }
        }
        differs
    }

    /// Offers that were refused are tried again: something else has changed.
    pub fn offer_again(&self) {
        self.entries.lock().values_mut().for_each(|entry| entry.is_refused = false);
    }

    /// Knows these artifacts from now on. Gives back those that have to be pulled first, with what is kept of them.
    fn attend(&self, wanted: &[Artifact]) -> Vec<(Artifact, bool)> {
        // What an attempt before this one tried is of no interest any more.
        self.entries.lock().values_mut().for_each(|entry| entry.tried = None);
        let mut missing = Vec::new();
        for artifact in wanted {
            let is_new = !self.entries.lock().contains_key(artifact);
            let serving = if is_new { self.remembered(artifact) } else { None };
            let chosen = {
                let mut entries = self.entries.lock();
                let entry = entries.entry(artifact.clone()).or_default();
                entry.serving = serving.or(entry.serving.take());
                entry.chosen().cloned()
            };
            let has_copy = chosen.is_some_and(|pulled| pulled.bytes().is_some());
            if !has_copy || (is_new && !artifact.is_pinned()) {
                missing.push((artifact.clone(), has_copy));
            }
        }
        missing
    }

    fn remembered(&self, artifact: &Artifact) -> Option<Pulled> {
        self.kept.as_ref().and_then(|kept| kept.remembered(artifact))
    }

    fn pull_all(&self, missing: Vec<(Artifact, bool)>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => return missing.iter().for_each(|(artifact, _)| self.learn(artifact, Err(PullError::Machine(error.to_string())))),
        };
        runtime.block_on(async {
            let mut pulls = JoinSet::new();
            for (artifact, has_copy) in missing {
                let known = self.known(&artifact).filter(|_| has_copy);
                let patience = if has_copy { HASTE } else { PATIENCE };
                pulls.spawn(async move { (pull::within(patience, &artifact, known.as_deref()).await, artifact) });
            }
            while let Some(Ok((result, artifact))) = pulls.join_next().await {
                self.learn(&artifact, result.map(|found| found.map(|found| self.put_away(found))));
            }
        });
    }

    /// The manifest that a look at the registry is compared with.
    fn known(&self, artifact: &Artifact) -> Option<String> {
        let entries = self.entries.lock();
        let entry = entries.get(artifact)?;
        entry.offer.as_ref().or(entry.serving.as_ref()).map(|pulled| pulled.manifest.clone())
    }

    /// Keeps a component on disk, or in memory where that is not possible. Blocks.
    fn put_away(&self, found: pull::Found) -> Pulled {
        let pull::Found { manifest, bytes, signature } = found;
        let component = Sha256Digest::of(&bytes);
        let written = self.kept.as_ref().and_then(|kept| kept.write(component, &bytes));
        let copy = written.map_or_else(|| Copied::Memory(bytes.into()), Copied::Disk);
        Pulled { manifest, component, copy, signature }
    }

    /// Takes in what a look at the registry came to: something else, the same as before, or nothing.
    fn learn(&self, artifact: &Artifact, result: Result<Option<Pulled>, PullError>) {
        let mut entries = self.entries.lock();
        // Nobody may want it any more.
        let Some(entry) = entries.get_mut(artifact) else { return };
        let outcome = match result {
            Ok(found) => entry.found(artifact, found),
            Err(error) => entry.failed(artifact, &error),
        };
        entry.outcomes[outcome as usize] += 1;
        let is_had = entry.chosen().is_some();
        entry.due = (!artifact.is_pinned() || !is_had).then(|| Instant::now() + artifact.refresh);
        if entry.offer.is_some() && outcome == Outcome::Pulled {
            self.offered.notify_one();
        }
    }

    fn choose(&self, artifact: &Artifact) -> Result<Component, Absent> {
        let (chosen, failure) = match self.entries.lock().get(artifact) {
            Some(entry) => (entry.chosen().cloned(), entry.failure.clone()),
            None => (None, None),
        };
        // The disk is read with nothing held up.
        let bytes = chosen.as_ref().and_then(Pulled::bytes);
        let (Some(pulled), Some(bytes)) = (chosen, bytes) else { return Err(failure.map_or(Absent::Unpulled, Absent::Failed)) };
        let (pinned, copy, signature) = (artifact.pinned(&pulled.manifest), pulled.copy.clone(), pulled.signature.clone());
        if let Some(entry) = self.entries.lock().get_mut(artifact) {
            entry.tried = Some(pulled);
        }
        Ok(Component { bytes, pinned, copy, signature })
    }
}

// === impl Pulled ===

impl Pulled {
    /// The component, if the copy is there and whole.
    fn bytes(&self) -> Option<Vec<u8>> {
        match &self.copy {
            Copied::Memory(bytes) => Some(bytes.to_vec()),
            Copied::Disk(path) => kept::read(path, self.component),
        }
    }
}

// === impl Entry ===

impl Entry {
    /// What a snapshot would be built with now. A refused offer is still better than nothing: it says what is wrong.
    fn chosen(&self) -> Option<&Pulled> {
        let offer = self.offer.as_ref();
        offer.filter(|_| !self.is_refused).or(self.serving.as_ref()).or(offer)
    }

    fn found(&mut self, artifact: &Artifact, found: Option<Pulled>) -> Outcome {
        if self.failure.take().is_some() {
            tracing::info!(reference = artifact.reference, "the registry answers again");
        }
        self.last_success = Some(SystemTime::now());
        let Some(pulled) = found else { return Outcome::Unchanged };
        tracing::info!(reference = artifact.reference, manifest = pulled.manifest, sha256 = %pulled.component, "pulled");
        self.is_refused = false;
        // A tag can go back to what serves.
        let serves_already = self.serving.as_ref().is_some_and(|serving| *serving == pulled);
        self.offer = (!serves_already).then_some(pulled);
        Outcome::Pulled
    }

    fn failed(&mut self, artifact: &Artifact, error: &PullError) -> Outcome {
        let failure = error.to_string();
        // A registry that is away for a day says so once.
        if self.failure.as_ref() != Some(&failure) {
            let serves = if self.chosen().is_some() { "the copy that is kept serves" } else { "there is no copy of it" };
            tracing::warn!(reference = artifact.reference, error = failure, "nothing pulled, {serves}");
        }
        self.failure = Some(failure);
        Outcome::Failed
    }
}

// === impl Outcome ===

impl Outcome {
    /// All of them, in their order.
    pub const ALL: [Outcome; 3] = [Outcome::Pulled, Outcome::Unchanged, Outcome::Failed];

    /// Its word in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Pulled => "pulled",
            Outcome::Unchanged => "unchanged",
            Outcome::Failed => "failed",
        }
    }
}

#[cfg(test)]
mod tests;
