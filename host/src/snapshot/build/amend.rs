//! From one snapshot to the next where little changed: a change of one route, upstream or client touches only that and
//! what hangs on it. What it comes to is what [`Builder::build`] would make of the whole document.

use std::collections::HashMap;
use std::sync::Arc;

use super::clients::{client_settings, finding};
use super::{Build, Builder, Schemas, at};
use crate::config::document;
use crate::config::{Finding, Loaded};
use crate::identity::Clients;
use crate::identity::client::ClientError;
use crate::rollout::{Seat, Standings};
use crate::route::Rule;
use crate::snapshot::plugins::Source;
use crate::snapshot::{Route, Seats, Snapshot};
use crate::upstream::Upstream;

/// The room between two routes that are built together.
pub(super) const GAP: u64 = 1 << 32;
/// After so many revisions, what is gone is looked for.
const TIDY: u64 = 256;
/// With more routes than this to be made anew, all may as well be.
const MOST_ROUTES: usize = 64;

/// What changes from one configuration to the next.
pub struct Amendment<'a> {
    /// Routes that are new, other than they were, or gone.
    pub routes: Vec<&'a str>,
    /// Such upstreams.
    pub upstreams: Vec<&'a str>,
    /// Such clients, as they were and as they are.
    pub clients: Vec<(Option<&'a document::Client>, Option<&'a document::Client>)>,
    /// Whether a route is one of those that come behind all others, in the order of their names.
    pub comes_last: Box<dyn Fn(&str) -> bool + 'a>,
}

/// The next snapshot.
pub struct Amended {
    /// It.
    pub snapshot: Snapshot,
    /// The seats in it that the one before it does not have.
    pub seats: Vec<Arc<Seat>>,
}

/// What is new of the routes.
struct NewRoutes {
    all: Vec<Arc<Route>>,
    /// Positions whose rules are out of force.
    gone: Vec<u64>,
    rules: Vec<(u64, Rule, Arc<Route>)>,
}

impl Builder {
    /// The snapshot after `current`. `loaded` has what changes and is still there, what that refers to, and every route
    /// that refers to an upstream that changes; the rest it may lack. Blocks. None where too much changes, or there is no
    /// room: then [`Builder::build`] is the way.
    ///
    /// # Errors
    /// Everything that keeps it from being built, at its place in `loaded`.
    pub fn amend(
        &self,
        loaded: &Loaded,
        current: &Snapshot,
        amendment: &Amendment<'_>,
        revision: u64,
    ) -> Option<Result<Amended, Vec<Finding>>> {
        let mut build = Build::new(self, loaded, Schemas::OnRefusal);
        build.seats = current.seats.clone();
        let snapshot = build.amended(current, amendment, revision)?;
        Some(if build.findings.is_empty() { Ok(Amended { snapshot, seats: build.new_seats }) } else { Err(build.findings) })
    }
}

impl Build<'_> {
    fn amended(&mut self, current: &Snapshot, amendment: &Amendment<'_>, revision: u64) -> Option<Snapshot> {
        let names = self.touched_routes(amendment);
        if names.len() > MOST_ROUTES {
            return None;
        }
        let upstreams = self.amended_upstreams(current, &amendment.upstreams);
        let (plugins, standings) = self.touched_plugins(current);
        let routes = self.amended_routes(current, &names, amendment, (&upstreams, &plugins))?;
        Some(Snapshot {
            revision,
            router: current.router.amend(&routes.gone, routes.rules),
            allows_upgrades: routes.all.iter().any(|route| !route.upgrades.is_empty()),
            routes: routes.all,
            clients: self.amended_clients(current, amendment),
            upstreams,
            standings,
            seats: self.live_seats(revision),
            ..current.clone()
        })
    }

    /// The routes that change, and those whose upstream does.
    fn touched_routes(&self, amendment: &Amendment<'_>) -> Vec<String> {
        let hangs_on_it = |route: &&document::Route| route.named_upstreams().any(|name| amendment.upstreams.contains(&name));
        let hanging = self.document.routes.iter().filter(hangs_on_it).map(|route| route.name.as_str());
        let mut names: Vec<String> = hanging.chain(amendment.routes.iter().copied()).map(Into::into).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn amended_upstreams(&mut self, current: &Snapshot, names: &[&str]) -> Upstreams {
        if names.is_empty() {
            return Arc::clone(&current.upstreams);
        }
        let mut upstreams = HashMap::clone(&current.upstreams);
        for name in names {
            upstreams.remove(*name);
        }
        for (place, configured) in self.document.upstreams.iter().enumerate().filter(|(_, one)| names.contains(&one.name.as_str())) {
            let upstream = Arc::new(self.upstream(configured, at("upstreams", place)));
            upstreams.insert(Arc::clone(&upstream.name), upstream);
        }
        Arc::new(upstreams)
    }

    /// All seats; now and then without those that are gone.
    fn live_seats(&self, revision: u64) -> Seats {
        let mut seats = self.seats.clone();
        if revision.is_multiple_of(TIDY) {
            seats.retain(|_, seat| seat.strong_count() > 0);
        }
        seats
    }

    /// The plugins of the routes that change.
    fn touched_plugins(&mut self, current: &Snapshot) -> (HashMap<String, Source>, Standings) {
        let (plugins, mut standings) = self.plugins(true);
        for (name, (_, declared)) in current.standings.iter().filter(|(name, _)| !plugins.contains_key(*name)) {
            let now = self.builder.rollouts.standing(name, declared.as_ref().map(|declared| declared.digest));
            standings.insert(name.clone(), (now, declared.clone()));
        }
        (plugins, standings)
    }

    fn amended_routes(
        &mut self,
        current: &Snapshot,
        names: &[String],
        amendment: &Amendment<'_>,
        (upstreams, plugins): (&Upstreams, &HashMap<String, Source>),
    ) -> Option<NewRoutes> {
        let mut routes = NewRoutes { all: current.routes.clone(), gone: Vec::new(), rules: Vec::new() };
        let document = self.document;
        for name in names {
            let known = routes.all.iter().position(|route| *route.name == **name);
            routes.gone.extend(known.map(|index| routes.all[index].position));
            let Some((place, configured)) = document.routes.iter().enumerate().find(|(_, route)| route.name == *name) else {
                known.map(|index| routes.all.remove(index));
                continue;
            };
            let index = known.unwrap_or_else(|| routes.index_of(name, &*amendment.comes_last));
            let position = match known {
                Some(index) => routes.all[index].position,
                None => routes.between(index)?,
            };
            let route = Arc::new(self.route(configured, position, at("routes", place), upstreams, plugins));
            routes.rules.extend(self.rules(configured, &route, at("routes", place)));
            match known {
                Some(index) => routes.all[index] = route,
                None => routes.all.insert(index, route),
            }
        }
        Some(routes)
    }

    fn amended_clients(&mut self, current: &Snapshot, amendment: &Amendment<'_>) -> Arc<Clients> {
        let mut clients = Arc::clone(&current.clients);
        for (before, after) in &amendment.clients {
            match clients.amend(before.map(client_settings).as_ref(), after.map(client_settings)) {
                Ok(amended) => clients = Arc::new(amended),
                Err(errors) => {
                    let findings: Vec<_> = errors.iter().map(|error| self.client_finding(error, *after)).collect();
                    self.findings.extend(findings);
                }
            }
        }
        clients
    }

    /// What is wrong with a client, at its place in the document.
    fn client_finding(&self, error: &ClientError, client: Option<&document::Client>) -> Finding {
        let named = |one: &document::Client| client.is_some_and(|client| client.name == one.name);
        finding(&error.at(self.document.clients.iter().position(named).unwrap_or_default()))
    }
}

type Upstreams = Arc<HashMap<Arc<str>, Arc<Upstream>>>;

// === impl NewRoutes ===

impl NewRoutes {
    /// Where a route that is new belongs.
    fn index_of(&self, name: &str, comes_last: &dyn Fn(&str) -> bool) -> usize {
        self.all.partition_point(|route| !comes_last(&route.name) || *route.name < *name)
    }

    /// A position between the two routes around an index. None if there is no room.
    fn between(&self, index: usize) -> Option<u64> {
        let before = index.checked_sub(1).map_or(0, |index| self.all[index].position);
        let after = self.all.get(index).map_or(before + 2 * GAP, |route| route.position);
        let middle = before + (after - before) / 2;
        (middle > before).then_some(middle)
    }
}
