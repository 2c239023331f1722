//! What the gateway does with versions by itself, every second: a candidate that misbehaves is withdrawn, a version that was
//! just made the stable one and faults makes room for the one before it.

use std::collections::HashSet;
use std::iter;
use std::sync::Arc;

use crate::plugin::Loader;

use super::change::{Deed, Urgency, choose};
use super::comparison::Counts;
use super::record::{Outcome, now};
use super::{Managed, RolloutError, Rollouts};

/// What the gateway does with a version by itself.
#[derive(Debug)]
enum Sentence {
    /// The candidate goes.
    Withdraw(u64, String),
    /// The version before the watched one is stable again.
    GoBack(u64, String),
    /// The watched one needs no watching any more.
    Trust(u64),
}

impl Rollouts {
    /// Looks at all candidates and withdraws those that have to go. To be called every second.
    pub fn judge(&self, loader: &Loader) {
        self.part();
        for (plugin, sentence) in self.sentences() {
            let carried_out = match &sentence {
                Sentence::Withdraw(version, reason) => self.abort(loader, &plugin, *version, reason),
                Sentence::GoBack(version, reason) => self.go_back(loader, &plugin, *version, reason),
                Sentence::Trust(version) => self.trust(loader, &plugin, *version),
            };
            if let Err(error) = carried_out {
                tracing::error!(plugin, ?sentence, %error, "not done, or not remembered");
            }
        }
    }

    fn abort(&self, loader: &Loader, plugin: &str, version: u64, reason: &str) -> Result<(), RolloutError> {
        tracing::warn!(plugin, version, reason, "plugin version withdrawn");
        let deed = Deed { by: "gatehouse", action: format!("withdraw version {version} of plugin {plugin}: {reason}") };
        self.change(loader, plugin, Urgency::High, Some(deed), |record, _| {
            if record.candidate.take_if(|terms| terms.version == version).is_some() {
                record.end(version, Outcome::Aborted, reason, now());
            }
            Ok(())
        })
    }

    /// Makes the version before a watched one the stable one again. Where that cannot be, the watch is over all the same:
    /// it would come to this every second.
    fn go_back(&self, loader: &Loader, plugin: &str, version: u64, reason: &str) -> Result<(), RolloutError> {
        tracing::warn!(plugin, version, reason, "plugin version goes back");
        let deed = Deed { by: "gatehouse", action: format!("roll back version {version} of plugin {plugin}: {reason}") };
        let gone = self.change(loader, plugin, Urgency::High, Some(deed), |record, declared| {
            if record.watched.take_if(|terms| terms.version == version).is_none() {
                return Ok(());
            }
            let previous = record.previous.take().ok_or_else(|| RolloutError::NothingBefore(plugin.to_owned()))?;
            choose(record, previous, declared);
            record.end(version, Outcome::Aborted, format!("{reason}; version {previous} serves again"), now());
            Ok(())
        });
        gone.inspect_err(|_| drop(self.trust(loader, plugin, version)))
    }

    /// Ends the watch over a version.
    fn trust(&self, loader: &Loader, plugin: &str, version: u64) -> Result<(), RolloutError> {
        self.change(loader, plugin, Urgency::High, None, |record, _| {
            record.watched.take_if(|terms| terms.version == version);
            Ok(())
        })
    }

    /// Whether there is anything to do every second.
    pub fn is_busy(&self) -> bool {
        self.plugins.lock().values().any(|managed| managed.record.candidate.is_some() || managed.record.watched.is_some())
            || !self.left.lock().is_empty()
    }

    fn sentences(&self) -> Vec<(String, Sentence)> {
        let mut plugins = self.plugins.lock();
        let judged = plugins.iter_mut().flat_map(|(plugin, managed)| {
            let sentences = [managed.judge(), managed.judge_watched()];
            sentences.into_iter().flatten().map(|sentence| (plugin.clone(), sentence))
        });
        judged.collect()
    }

    /// Parts with usages that left their seats and that no request holds any more. Those that came back are let be.
    fn part(&self) {
        let seated: HashSet<u64> = self.plugins.lock().values().flat_map(Managed::seated).collect();
        let mut left = std::mem::take(&mut *self.left.lock());
        left.retain(|usage| Arc::strong_count(usage) > 1 && !seated.contains(&usage.serial));
        self.left.lock().extend(left);
    }
}

impl Managed {
    /// What is to become of the version that is watched; None where it is watched on.
    fn judge_watched(&mut self) -> Option<Sentence> {
        let terms = self.record.watched.clone()?;
        self.look_at_watched();
        let faults = self.watch.faults(&terms.abort_if).map(|reason| Sentence::GoBack(terms.version, reason));
        faults.or_else(|| self.watch.is_over(&terms.abort_if).then_some(Sentence::Trust(terms.version)))
    }

    pub(super) fn look_at_watched(&mut self) {
        if self.record.watched.is_some() {
            let lineups: Vec<_> = self.seats.iter().map(|seat| seat.now()).collect();
            self.watch.look(iter::empty(), lineups.iter().map(|lineup| &lineup.stable), Counts::default());
        }
    }

    fn judge(&mut self) -> Option<Sentence> {
        let terms = self.record.candidate.as_ref()?;
        let lineups: Vec<_> = self.seats.iter().map(|seat| seat.now()).collect();
        let candidates = lineups.iter().filter_map(|lineup| lineup.candidate.as_ref()).map(|candidate| &candidate.usage);
        let compared = self.comparison.as_ref().map(|comparison| comparison.counts()).unwrap_or_default();
        self.trial.look(lineups.iter().map(|lineup| &lineup.stable), candidates, compared);
        self.trial.verdict(&terms.abort_if).map(|reason| Sentence::Withdraw(terms.version, reason))
    }
}
