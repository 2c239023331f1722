//! The short way from one configuration to the next: only what a few changes have to do with is checked and built. What
//! is wrong is left to the long way, which sees all there is and can say so.

use std::sync::Arc;

use super::apply::State;
use crate::config::document;
use crate::config::{Change, Item, Kind, Made, Problems};
use crate::snapshot::{Amended, Amendment, Builder, Snapshot};

/// More changes than this at once are no small matter.
const FEW: usize = 32;

/// What is to come.
pub struct Next<'a> {
    /// What there is.
    pub state: &'a State,
    /// What changes.
    pub changes: &'a [Change],
    /// What the admin API will have made.
    pub made: &'a Made,
}

impl Next<'_> {
    /// The snapshot after `current`, and what has no effect or a risk in what was looked at. None where the long way has to
    /// be taken. Blocks.
    pub fn amend(&self, builder: &Builder, current: &Snapshot) -> Option<(Amended, Problems)> {
        if self.changes.len() > FEW || !self.changes.iter().all(|change| self.is_local(change)) {
            return None;
        }
        let near = Arc::new(self.made.near(self.changes));
        let loaded = self.state.declared.with(&near, &builder.stock()).ok()?;
        let amended = builder.amend(&loaded, current, &self.amendment(), self.state.revision + 1)?.ok()?;
        Some((amended, loaded.warnings))
    }

    /// Whether everything that a change has to do with is found by [`Made::near`].
    fn is_local(&self, change: &Change) -> bool {
        // What a file declares by the same name is in force, before the change and after it.
        let is_shadowed = self.state.declared.find(change.kind(), change.name()).is_some();
        !is_shadowed
            && match change {
                Change::Put(item) => item.kind() != Kind::Issuers,
                // Who still needs it may be anywhere.
                Change::Delete(kind, _) => matches!(kind, Kind::Routes | Kind::Clients),
            }
    }

    fn amendment(&self) -> Amendment<'_> {
        let names = |kind| self.changes.iter().filter(move |change| change.kind() == kind).map(Change::name);
        Amendment {
            routes: names(Kind::Routes).collect(),
            upstreams: names(Kind::Upstreams).collect(),
            clients: names(Kind::Clients).map(|name| (client(&self.state.made, name), client(self.made, name))).collect(),
            comes_last: Box::new(|name| self.state.declared.find(Kind::Routes, name).is_none()),
        }
    }
}

fn client<'a>(made: &'a Made, name: &str) -> Option<&'a document::Client> {
    match made.get(Kind::Clients, name)? {
        Item::Client(client) => Some(client),
        _ => None,
    }
}
