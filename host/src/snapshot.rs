//! A snapshot: one configuration as the request path sees it, immutable and swapped whole. Building one from a
//! document is in [`build`], the only place that knows both sides.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::chain::Chain;
use crate::identity::{Clients, Introspection, Issuers};
use crate::plugin::load::UsageSpec;
use crate::plugin::{Grants, Usage};
use crate::rollout::signature::Signatures;
use crate::rollout::{Seat, Standings};
use crate::route::Router;
use crate::server::Listener;
use crate::server::mirror::Mirror;
use crate::server::redirect::Redirect;
use crate::server::rewrite::Rewrite;
use crate::server::tls::Tls;
use crate::telemetry::metrics::RouteHandle;
use crate::telemetry::traces::{self, sampler::Sampler};
use crate::upstream::{Split, Upstream};

pub mod build;
pub mod plugins;

pub use build::{Amended, Amendment, Builder};

/// One configuration, ready to serve. Copies share its parts.
#[derive(Clone)]
pub struct Snapshot {
    /// Its number; each applied one is higher.
    pub revision: u64,
    /// Finds the route of a request.
    pub router: Router<Arc<Route>>,
    /// How long it took to build.
    pub router_build: Duration,
    /// All routes, in the order of the configuration, which is that of their positions.
    pub routes: Vec<Arc<Route>>,
    /// Listeners by name.
    pub listeners: HashMap<Arc<str>, Arc<Listener>>,
    /// TLS of the admin listener, where it has it.
    pub admin_tls: Option<Arc<Tls>>,
    /// Upstreams by name.
    pub upstreams: Arc<HashMap<Arc<str>, Arc<Upstream>>>,
    /// Who signs tokens.
    pub issuers: Arc<Issuers>,
    /// Who is asked about tokens.
    pub introspection: Arc<Introspection>,
    /// Who holds keys.
    pub clients: Arc<Clients>,
    /// How the gateway goes away.
    pub drain: Drain,
    /// Which requests tell the access log how long each plugin took.
    pub plugin_times: Sampler,
    /// How many series of routes, upstreams and plugins metrics may show.
    pub series: usize,
    /// How the gateway traces; None if it does not.
    pub traces: Option<traces::Settings>,
    /// Which plugins have to be signed.
    pub signatures: Signatures,
    /// What the plugins that it declares may call.
    pub grants: Arc<HashMap<String, Grants>>,
    /// What stood for its plugins when it was built.
    pub standings: Standings,
    /// Where versions of plugins take their turns: held by the steps that point there.
    pub seats: Seats,
    /// Whether any route allows an upgrade.
    pub allows_upgrades: bool,
}

/// Seats by what is the same for all versions there. Those that no step points at any more are gone.
pub type Seats = imbl::HashMap<UsageSpec, Weak<Seat>>;

/// How the gateway goes away.
#[derive(Debug, Clone, Copy)]
pub struct Drain {
    /// How long new connections are still accepted after readiness went off.
    pub ready_delay: Duration,
    /// How long requests under way may take after that.
    pub deadline: Duration,
}

/// A route.
pub struct Route {
    /// Its name.
    pub name: Arc<str>,
    /// Its place in the order of the configuration. There is room between two, for those that come later.
    pub position: u64,
    /// The paths it is for, as traces name it; its name where there are several.
    pub pattern: Arc<str>,
    /// Its plugins.
    pub chain: Chain,
    /// Where its requests go; None if its chain always answers, or sends clients elsewhere.
    pub upstream: Option<Split>,
    /// The component that its requests go to instead of an upstream.
    pub component: Option<Box<Component>>,
    /// Where clients are sent instead.
    pub redirect: Option<Box<Redirect>>,
    /// What the upstream is asked for instead.
    pub rewrite: Option<Box<Rewrite>>,
    /// Where copies of its requests go.
    pub mirrors: Box<[Mirror]>,
    /// The largest request body, where the route has a limit of its own.
    pub max_body: Option<u64>,
    /// Protocols that its requests may switch to.
    pub upgrades: Box<[Box<str>]>,
    /// The longest time to the head of a response, where the route has one of its own.
    pub timeout: Option<Duration>,
    /// The right to count its requests.
    pub metrics: RouteHandle,
}

/// A component at the end of a route: it answers where elsewhere an upstream does.
pub struct Component {
    /// The component that the route was built with.
    pub usage: Arc<Usage>,
    /// Where other versions of it take their turns.
    pub seat: Arc<Seat>,
}

impl Snapshot {
    /// The plugins in use, each once, with the versions kept to fall back to.
    pub fn usages(&self) -> Vec<Arc<Usage>> {
        let seats = self.routes.iter().flat_map(|route| route.seats());
        let mut usages: Vec<_> = seats.flat_map(|seat| seat.now().usages().cloned().collect::<Vec<_>>()).collect();
        usages.sort_by_key(|usage| usage.serial);
        usages.dedup_by_key(|usage| usage.serial);
        usages
    }
}

impl Route {
    /// Where versions of its plugins take their turns.
    pub fn seats(&self) -> impl Iterator<Item = &Arc<Seat>> {
        let steps = self.chain.steps.iter().map(|step| &step.seat);
        steps.chain(self.component.iter().map(|component| &component.seat))
    }
}
