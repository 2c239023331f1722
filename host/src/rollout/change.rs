//! Changes of versions: rolled out, withdrawn, gone back. Each is made durable, then all seats of the plugin are set;
//! requests that began go on with the version they began with. Blocks; none of it is on a request's path.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::text::Sha256;
use crate::plugin::compile::Sha256Digest;
use crate::plugin::{Loader, Usage};
use crate::store::StoreError;

use super::record::{Choice, Outcome, Record, Terms, Version, now};
use super::seat::{Lineup, Seat};
use super::trial::Trial;
use super::{Declared, Managed, RolloutError, Rollouts, comparison, modules, stable, watch};

/// Seats of a plugin up to which instances are made ahead.
const MOST_WARM: usize = 16;

/// Whether a change may be made even where it cannot be remembered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// It is not made then.
    None,
    /// It is: clients are better off with it.
    High,
}

/// Who does what, for the audit log.
pub(super) struct Deed<'a> {
    pub(super) by: &'a str,
    pub(super) action: String,
}

/// One plugin's state when a change of it began.
struct Before {
    generation: u64,
    seating: u64,
    record: Record,
    declared: Option<Declared>,
    seats: Vec<Arc<Seat>>,
}

impl Rollouts {
    /// Tries a version on a share of the callers or on copies of requests; with all callers it becomes the stable one.
    pub fn roll_out(&self, loader: &Loader, plugin: &str, terms: Terms, by: &str) -> Result<(), RolloutError> {
        if !(0.0..=100.0).contains(&terms.weight) {
            return Err(RolloutError::Weight(terms.weight));
        }
        let deed = Deed { by, action: format!("roll out version {} of plugin {plugin}: {}", terms.version, told(&terms)) };
        self.change(loader, plugin, Urgency::None, Some(deed), |record, declared| {
            let version = terms.version;
            record.version(version).ok_or_else(|| RolloutError::UnknownVersion { plugin: plugin.to_owned(), version })?;
            let serving = stable(record, declared);
            match (terms.shadow || terms.weight < 100.0, serving == Some(version)) {
                (true, true) => return Err(RolloutError::Stable(version)),
                (true, false) => record.candidate = Some(Terms { since: Some(now()), ..terms.clone() }),
                (false, _) => promote(record, &terms, declared),
            }
            Ok(())
        })
    }

    /// Withdraws the candidate.
    pub fn withdraw(&self, loader: &Loader, plugin: &str, by: &str) -> Result<(), RolloutError> {
        let deed = Deed { by, action: format!("withdraw the candidate of plugin {plugin}") };
        self.change(loader, plugin, Urgency::High, Some(deed), |record, _| {
            let terms = record.candidate.take().ok_or_else(|| RolloutError::NoCandidate(plugin.to_owned()))?;
            record.end(terms.version, Outcome::Withdrawn, format!("withdrawn by {by}"), now());
            Ok(())
        })
    }

    /// Goes back: withdraws the candidate, or makes the version before the stable one stable again.
    pub fn roll_back(&self, loader: &Loader, plugin: &str, by: &str) -> Result<(), RolloutError> {
        let deed = Deed { by, action: format!("roll back plugin {plugin}") };
        self.change(loader, plugin, Urgency::High, Some(deed), |record, declared| {
            if let Some(terms) = record.candidate.take() {
                record.end(terms.version, Outcome::RolledBack, format!("rolled back by {by}"), now());
                return Ok(());
            }
            let previous = record.previous.take().ok_or_else(|| RolloutError::NothingBefore(plugin.to_owned()))?;
            let left = stable(record, declared).unwrap_or_default();
            choose(record, previous, declared);
            record.end(left, Outcome::RolledBack, format!("rolled back to version {previous} by {by}"), now());
            Ok(())
        })
    }

    /// Takes away a version that has no part. Where the configuration does not name the plugin, any version.
    pub fn delete(&self, loader: &Loader, plugin: &str, version: u64, is_named: bool, by: &str) -> Result<(), RolloutError> {
        let deed = Deed { by, action: format!("delete version {version} of plugin {plugin}") };
        self.change(loader, plugin, Urgency::None, Some(deed), |record, declared| {
            let unknown = || RolloutError::UnknownVersion { plugin: plugin.to_owned(), version };
            let sha256 = record.version(version).ok_or_else(unknown)?.sha256;
            let candidate = record.candidate.as_ref().map(|terms| terms.version);
            let parts = [stable(record, declared), record.previous, candidate];
            if parts.contains(&Some(version)) && is_named || declared.map(Sha256::from) == Some(sha256) {
                return Err(RolloutError::HasPart(version));
            }
            record.delete(version);
            Ok(())
        })?;
        let mut plugins = self.plugins.lock();
        // Its record stays, so that no number comes again.
        if !is_named && plugins.get(plugin).is_some_and(|managed| managed.record.versions.is_empty()) {
            plugins.remove(plugin);
        }
        Ok(())
    }

    /// Takes a plugin away with all its versions. Nothing must use it, nor come to use it meanwhile.
    pub fn remove(&self, loader: &Loader, plugin: &str, by: &str) -> Result<(), RolloutError> {
        let _one = self.changes.lock();
        let before = self.before(plugin)?;
        let action = format!("delete plugin {plugin}");
        self.store()?.write(|writing| -> Result<(), StoreError> {
            writing.delete::<Record>(plugin)?;
            writing.audit(by, &action, None, None)
        })?;
        let mut plugins = self.plugins.lock();
        plugins.remove(plugin);
        let idle = idle(&before.record, &plugins);
        drop(plugins);
        idle.iter().for_each(|digest| modules::remove(self.store.get(), *digest));
        idle.into_iter().for_each(|digest| self.forget(loader, digest));
        loader.forget_store(plugin);
        loader.sweep();
        Ok(())
    }

    /// Sets the seats of a plugin anew, as its versions stand.
    pub fn settle(&self, loader: &Loader, plugin: &str) -> Result<(), RolloutError> {
        self.change(loader, plugin, Urgency::High, None, |_, _| Ok(()))
    }

    /// Adds a version and gives it a number, or finds the one that has this component. The first version of a plugin
    /// that nothing else is declared for serves at once.
    pub(super) fn add(&self, loader: &Loader, plugin: &str, version: Version, bytes: &[u8], by: &str) -> Result<Version, RolloutError> {
        let sha256 = version.sha256;
        self.plugins.lock().entry(plugin.to_owned()).or_default();
        let deed = Deed { by, action: format!("upload {sha256} as a version of plugin {plugin}") };
        self.change(loader, plugin, Urgency::None, Some(deed), |record, declared| {
            // Within the change, so that none before it takes the file away as one that no version needs.
            modules::write(self.store()?, Sha256Digest(sha256.0), bytes)?;
            if record.with(sha256).is_none() {
                let number = record.add(version.clone(), declared.map(Sha256::from));
                if stable(record, declared).is_none() {
                    choose(record, number, declared);
                }
            } else if let Some(signature) = &version.signature {
                record.sign(sha256, signature, version.signed_by.as_deref());
            }
            Ok(())
        })?;
        let plugins = self.plugins.lock();
        let added = plugins.get(plugin).and_then(|managed| managed.record.with(sha256)).cloned();
        added.ok_or_else(|| RolloutError::UnknownPlugin(plugin.to_owned()))
    }

    pub(super) fn change(
        &self,
        loader: &Loader,
        plugin: &str,
        urgency: Urgency,
        deed: Option<Deed<'_>>,
        act: impl Fn(&mut Record, Option<Sha256Digest>) -> Result<(), RolloutError>,
    ) -> Result<(), RolloutError> {
        let _one = self.changes.lock();
        loop {
            let before = self.before(plugin)?;
            let mut record = before.record.clone();
            let digest = before.declared.as_ref().map(|declared| declared.digest);
            match (self.number_declared(loader, plugin, &mut record, before.declared.as_ref()), urgency) {
                (Err(error), Urgency::None) => return Err(error),
                (Err(error), Urgency::High) => tracing::warn!(plugin, %error, "the declared component has no number yet"),
                (Ok(()), _) => {}
            }
            act(&mut record, digest)?;
            let kept_terms = record.candidate == before.record.candidate;
            let known = self.plugins.lock().get(plugin).and_then(|managed| managed.comparison.clone()).filter(|_| kept_terms);
            let comparison = comparison(&record, known);
            // The last version of a plugin that nobody uses may go.
            let serves_nobody = before.seats.is_empty() && digest.is_none() && stable(&record, digest).is_none();
            let lineups = if serves_nobody {
                Vec::new()
            } else {
                let versions = self.versions(loader, plugin, &record, digest, comparison.as_ref())?;
                before.seats.iter().map(|seat| versions.lineup(loader, seat)).collect::<Result<_, _>>()?
            };
            warm(loader, &before.seats, &lineups);
            let deed = deed.as_ref().filter(|_| record != before.record);
            let kept = match (self.keep(plugin, &record, deed), urgency) {
                (Err(error), Urgency::None) => return Err(error),
                (kept, _) => kept,
            };
            let mut plugins = self.plugins.lock();
            let managed = plugins.entry(plugin.to_owned()).or_default();
            if managed.is_after(&before) {
                continue;
            }
            managed.comparison = comparison;
            let left = managed.set(record, &before.seats, lineups, kept_terms);
            self.left.lock().extend(left);
            let idle = idle(&before.record, &plugins);
            drop(plugins);
            // What is remembered may need them yet.
            if kept.is_ok() {
                idle.iter().for_each(|digest| modules::remove(self.store.get(), *digest));
                idle.into_iter().for_each(|digest| self.forget(loader, digest));
            }
            loader.sweep();
            return kept;
        }
    }

    /// Removes what was compiled of a component, unless a plugin has it.
    pub(super) fn forget(&self, loader: &Loader, digest: Sha256Digest) {
        let has = |managed: &Managed| {
            managed.record.with(digest.into()).is_some() || managed.declared.as_ref().is_some_and(|declared| declared.digest == digest)
        };
        if !self.plugins.lock().values().any(has) {
            loader.forget(digest);
        }
    }

    fn before(&self, plugin: &str) -> Result<Before, RolloutError> {
        let plugins = self.plugins.lock();
        let managed = plugins.get(plugin).ok_or_else(|| RolloutError::UnknownPlugin(plugin.to_owned()))?;
        Ok(Before {
            generation: managed.generation,
            seating: managed.seating,
            record: managed.record.clone(),
            declared: managed.declared.clone(),
            seats: managed.seats.clone(),
        })
    }

    fn keep(&self, plugin: &str, record: &Record, deed: Option<&Deed<'_>>) -> Result<(), RolloutError> {
        self.store()?.write(|writing| {
            writing.put(plugin, record)?;
            deed.map_or(Ok(()), |deed| Ok(writing.audit(deed.by, &deed.action, None, None)?))
        })
    }
}

impl Managed {
    fn is_after(&self, before: &Before) -> bool {
        (self.generation, self.seating) != (before.generation, before.seating)
    }

    fn set(&mut self, record: Record, seats: &[Arc<Seat>], lineups: Vec<Lineup>, kept_terms: bool) -> Vec<Arc<Usage>> {
        if let Some(ended) = record.ended.last().filter(|ended| Some(*ended) != self.record.ended.last()) {
            *self.outcomes.entry(ended.outcome).or_default() += 1;
        }
        let kept_watch = record.watched == self.record.watched;
        self.record = record;
        self.generation += 1;
        if !kept_terms {
            self.trial = Trial::default();
        }
        let mut left = Vec::new();
        for (seat, lineup) in seats.iter().zip(lineups) {
            watch(&lineup, &self.record);
            left.extend(seat.now().usages().cloned());
            seat.set(lineup);
        }
        if !kept_watch {
            self.watch = Trial::default();
            self.look_at_watched();
        }
        left.sort_unstable_by_key(|usage| usage.serial);
        left.dedup_by_key(|usage| usage.serial);
        left
    }

    /// The usages on its seats, by serial number.
    pub(super) fn seated(&self) -> Vec<u64> {
        self.seats.iter().flat_map(|seat| seat.now().usages().map(|usage| usage.serial).collect::<Vec<_>>()).collect()
    }
}

/// Makes instances of usages that are new on their seats, ahead of requests. Where there are many seats, each has few.
fn warm(loader: &Loader, seats: &[Arc<Seat>], lineups: &[Lineup]) {
    if seats.len() > MOST_WARM {
        return;
    }
    for (seat, lineup) in seats.iter().zip(lineups) {
        let known: Vec<u64> = seat.now().usages().map(|usage| usage.serial).collect();
        lineup.usages().filter(|usage| !known.contains(&usage.serial)).for_each(|usage| loader.warm(usage));
    }
}

/// Components of versions that were there before and are not any more, of this plugin or another.
fn idle(before: &Record, plugins: &BTreeMap<String, Managed>) -> Vec<Sha256Digest> {
    let used = |digest: Sha256| plugins.values().any(|managed| managed.record.with(digest).is_some());
    before.versions.iter().filter(|version| !used(version.sha256)).map(|version| Sha256Digest(version.sha256.0)).collect()
}

fn told(terms: &Terms) -> String {
    let to = if terms.shadow { "as a shadow of" } else { "to" };
    format!("{to} {}%", terms.weight)
}

fn promote(record: &mut Record, terms: &Terms, declared: Option<Sha256Digest>) {
    let (version, before) = (terms.version, stable(record, declared));
    record.candidate = None;
    if before == Some(version) {
        return;
    }
    record.previous = before;
    choose(record, version, declared);
    // Without a version before it there is nothing to go back to.
    record.watched = before.map(|_| Terms { since: Some(now()), ..terms.clone() });
    let before = before.map_or_else(|| "nothing".to_owned(), |before| format!("version {before}"));
    record.end(version, Outcome::Promoted, format!("in place of {before}"), now());
}

/// Makes a version the stable one. The one that is declared anyway needs no choice.
pub(super) fn choose(record: &mut Record, version: u64, declared: Option<Sha256Digest>) {
    let over = declared.map(Sha256::from);
    let is_declared = over.is_some() && record.version(version).map(|version| version.sha256) == over;
    record.watched = None;
    record.choice = (!is_declared).then_some(Choice { version, over });
}
