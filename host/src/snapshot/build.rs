//! From a document to a snapshot: everything is resolved, loaded, compiled and configured here, off the request path,
//! and either all of it stands or the snapshot is not made. What did not change since the last one is taken over.

mod amend;
mod clients;
mod endpoints;
mod explain;
mod rules;
mod telemetry;
mod traffic;
mod transport;
mod upstreams;

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Instant;

use crate::chain::{Chain, Step};
use crate::config::document::{self, Document};
use crate::config::{Code, ConfigSchema, Finding, KeyPath, Loaded, Sources, Stock};
use crate::identity::credentials::{self, TokenSource, TokenSources};
use crate::identity::issuer::Secret;
use crate::identity::{Introspection, Issuers, KeySource, Refresh, Settings, address, introspection};
use crate::limit::Table;
use crate::plugin::compile::Sha256Digest;
use crate::plugin::load::{Artifact, UsageSpec};
use crate::plugin::{Loader, Refusal, Usage, builtin};
use crate::registry::Registries;
use crate::rollout::signature::Signatures;
use crate::rollout::{Candidate, Lineup, Rollouts, Seat, Standings};
use crate::route::{Router, Rule};
use crate::server::forwarded::Pseudonym;
use crate::server::tls::{ClientAuth, Tls, TlsError};
use crate::server::{self, Listener, head_guard};
use crate::telemetry::Metrics;
use crate::telemetry::traces::sampler::Sampler;
use crate::upstream::circuit::Rules;
use crate::upstream::discovery::Discovery;
use crate::upstream::{Balancer, Endpoints, Split, Upstream};

use super::plugins::{self, Source};
use super::{Component, Drain, Route, Seats, Snapshot};

pub use amend::{Amended, Amendment};
pub use explain::ExplainedStep;
pub use rules::{Misfit, route_rules};

/// Makes snapshots, with what outlives them.
pub struct Builder {
    /// Loads components.
    pub loader: Loader,
    /// Knows which versions take their turns.
    pub rollouts: Arc<Rollouts>,
    /// Pulls components from registries.
    pub registries: Arc<Registries>,
    /// Keeps endpoints.
    pub endpoints: Arc<Endpoints>,
    /// Keeps what discovery finds.
    pub discovery: Discovery,
    /// Keeps the gateway's own tokens.
    pub tokens: TokenSources,
    /// Counts.
    pub metrics: Metrics,
    /// Token buckets.
    pub buckets: Arc<Table>,
}

/// One attempt.
struct Build<'a> {
    builder: &'a Builder,
    document: &'a Document,
    sources: &'a Sources,
    /// Versions in use so far, by plugin and configuration.
    before: HashMap<(Arc<str>, Arc<str>), (Arc<Usage>, Option<Arc<Usage>>)>,
    /// When configurations are held against the schemas of their plugins.
    schemas: Schemas,
    /// Of the components that were asked so far.
    known_schemas: HashMap<Sha256Digest, Option<Arc<ConfigSchema>>>,
    /// Steps that agree on everything share a seat.
    seats: Seats,
    /// Those among them that were made in this attempt.
    new_seats: Vec<Arc<Seat>>,
    findings: Vec<Finding>,
}

/// When a configuration is held against the schema of its plugin.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Schemas {
    /// Before the plugin is asked: a check that finds everything.
    Always,
    /// To say where it is wrong once the plugin has refused it.
    OnRefusal,
}

impl Builder {
    /// The plugins that need no entry in a document now.
    pub fn stock(&self) -> Stock {
        let uploaded = self.rollouts.serving().into_iter().filter(|name| builtin::find(name).is_none()).collect();
        Stock { uploaded: Some(uploaded), ..crate::cli::stock() }
    }

    /// Builds a snapshot, or says everything that keeps it from being built. Blocks.
    pub fn build(&self, loaded: &Loaded, previous: Option<&Snapshot>, revision: u64) -> Result<Snapshot, Vec<Finding>> {
        let mut build = Build::new(self, loaded, Schemas::OnRefusal);
        build.before = previous.map(versions).unwrap_or_default();
        let snapshot = build.snapshot(previous, revision);
        match build.findings.is_empty() {
            true => Ok(snapshot),
            false => Err(build.findings),
        }
    }

    /// Everything that keeps a snapshot from being built, or that a plugin's schema says is wrong. Blocks.
    pub fn review(&self, loaded: &Loaded) -> Vec<Finding> {
        let mut build = Build::new(self, loaded, Schemas::Always);
        build.snapshot(None, 1);
        build.findings
    }
}

/// The versions that a snapshot's chains use, each with the one it can fall back to.
fn versions(snapshot: &Snapshot) -> HashMap<(Arc<str>, Arc<str>), (Arc<Usage>, Option<Arc<Usage>>)> {
    let lineups = snapshot.routes.iter().flat_map(|route| route.seats()).map(|seat| seat.now());
    lineups.map(|Lineup { stable, previous, .. }| (stable.key(), (stable, previous))).collect()
}

impl<'a> Build<'a> {
    fn new(builder: &'a Builder, loaded: &'a Loaded, schemas: Schemas) -> Self {
        Build {
            builder,
            document: &loaded.document,
            sources: &loaded.sources,
            before: HashMap::new(),
            schemas,
            known_schemas: HashMap::new(),
            seats: Seats::new(),
            new_seats: Vec::new(),
            findings: Vec::new(),
        }
    }

    fn snapshot(&mut self, previous: Option<&Snapshot>, revision: u64) -> Snapshot {
        let upstreams = self.upstreams();
        let (plugins, standings) = self.plugins(self.schemas == Schemas::OnRefusal);
        let routes = self.routes(&upstreams, &plugins);
        let began = Instant::now();
        let router = self.router(&routes);
        Snapshot {
            revision,
            router,
            router_build: began.elapsed(),
            standings,
            seats: self.seats.clone(),
            grants: Arc::new(plugins::declared_grants(self.document)),
            signatures: Signatures::new(&self.document.plugin_signatures),
            allows_upgrades: routes.iter().any(|route| !route.upgrades.is_empty()),
            routes,
            listeners: self.listeners(),
            admin_tls: self.admin_tls(),
            upstreams: Arc::new(upstreams),
            issuers: self.issuers(previous),
            introspection: self.introspection(previous),
            clients: self.clients(previous),
            plugin_times: Sampler::new(self.document.access_log.plugin_times.ratio()),
            traces: self.document.telemetry.traces.as_ref().and_then(telemetry::traces),
            series: self.document.telemetry.metrics.series as usize,
            drain: Drain { ready_delay: self.document.drain.ready_delay.into(), deadline: self.document.drain.deadline.into() },
        }
    }

    fn plugins(&mut self, unknown_is_wrong: bool) -> (HashMap<String, Source>, Standings) {
        let loading = plugins::Loading { document: self.document, sources: self.sources, builder: self.builder, unknown_is_wrong };
        loading.load(&mut self.findings)
    }

    fn found(&mut self, path: KeyPath, code: Code, got: impl Into<String>, want: impl Into<String>) {
        self.findings.push(Finding::new(path, code, got, want));
    }

    // === upstreams ===

    fn upstreams(&mut self) -> HashMap<Arc<str>, Arc<Upstream>> {
        let mut upstreams = HashMap::new();
        for (place, configured) in self.document.upstreams.iter().enumerate() {
            let upstream = self.upstream(configured, at("upstreams", place));
            upstreams.insert(Arc::clone(&upstream.name), Arc::new(upstream));
        }
        upstreams
    }

    fn upstream(&mut self, configured: &document::Upstream, path: KeyPath) -> Upstream {
        let siblings = self.builder.endpoints.siblings(&configured.name);
        let endpoints = self.endpoints(configured, &siblings, &path);
        let discovered = self.discovered(configured, &endpoints);
        let balance = configured.balance.clone().unwrap_or_default();
        let health = configured.health.clone().unwrap_or_default();
        let breaker = configured.circuit_breaker.clone().unwrap_or_default();
        let retry = configured.retry.clone().unwrap_or_default();
        let transport = self.transport(configured, &path);
        let upstream = Upstream {
            name: configured.name.as_str().into(),
            balancer: Balancer::new(upstreams::balance(&balance), siblings, endpoints),
            discovered,
            outlier: upstreams::outlier(&health.outlier.unwrap_or_default()),
            check: health.active.as_ref().map(|active| Arc::new(upstreams::check(active, &transport))),
            breaker: Some(upstreams::breaker(&breaker)).filter(Rules::may_open),
            limits: upstreams::limits(&breaker),
            transport,
            timeouts: upstreams::timeouts(&configured.timeouts, retry.per_try_timeout),
            retry: upstreams::retry(&retry),
            credentials: self.credentials(configured, path),
            metrics: self.builder.metrics.upstream(&configured.name),
        };
        // What is known already is there from the first request on.
        upstream.rediscover();
        upstream
    }

    fn credentials(&mut self, configured: &document::Upstream, path: KeyPath) -> Option<Arc<TokenSource>> {
        let configured = &configured.auth.as_ref()?.client_credentials;
        let path = path.key("auth").key("client_credentials");
        let client_secret = match self.secret(&configured.client_secret) {
            Ok(secret) => secret,
            Err((got, want)) => {
                self.found(path.key("client_secret"), Code::Value, got, want);
                return None;
            }
        };
        let settings = credentials::Settings {
            endpoint: self.token_endpoint(configured),
            client_id: configured.client_id.clone(),
            client_secret,
            scopes: configured.scopes.clone(),
            audience: configured.audience.clone(),
        };
        let source = self.builder.tokens.get(settings);
        let key = if configured.token_url.is_some() { "token_url" } else { "issuer" };
        let got = configured.token_url.as_deref().or(configured.issuer.as_deref()).unwrap_or_default();
        source.map_err(|error| self.found(path.key(key), Code::Value, got, format!("an address to ask at, but {error}"))).ok()
    }

    /// References were checked with the document.
    fn token_endpoint(&self, configured: &document::ClientCredentials) -> address::Source {
        let named = |name: &String| self.document.issuers.iter().find(|issuer| issuer.name == *name);
        match (&configured.token_url, configured.issuer.as_ref().and_then(named)) {
            (None, Some(issuer)) => address::Source::Issuer(issuer.issuer.clone()),
            (url, _) => address::Source::Url(url.clone().unwrap_or_default()),
        }
    }

    // === routes ===

    fn routes(&mut self, upstreams: &HashMap<Arc<str>, Arc<Upstream>>, plugins: &HashMap<String, Source>) -> Vec<Arc<Route>> {
        let configured = self.document.routes.iter().enumerate();
        configured
            .map(|(place, route)| {
                let position = amend::GAP * (place as u64 + 1);
                Arc::new(self.route(route, position, at("routes", place), upstreams, plugins))
            })
            .collect()
    }

    fn route(
        &mut self,
        configured: &document::Route,
        position: u64,
        path: KeyPath,
        upstreams: &HashMap<Arc<str>, Arc<Upstream>>,
        plugins: &HashMap<String, Source>,
    ) -> Route {
        let steps = configured.chain.iter().enumerate();
        let steps =
            steps.filter_map(|(place, step)| self.step(step, configured, place, path.clone().key("chain").index(place), plugins)).collect();
        Route {
            name: configured.name.as_str().into(),
            position,
            pattern: pattern(configured).into(),
            chain: Chain { steps },
            upstream: split(configured, upstreams),
            component: self.component(configured, path.clone(), plugins).map(Box::new),
            redirect: self.redirect(configured, &path),
            rewrite: self.rewrite(configured, &path),
            mirrors: traffic::mirrors(configured, upstreams),
            max_body: configured.max_body.map(|size| size.get()),
            upgrades: configured.upgrades.iter().map(|protocol| protocol.as_str().into()).collect(),
            timeout: configured.timeouts.request.map(Into::into),
            metrics: self.builder.metrics.route(&configured.name),
        }
    }

    /// None where the plugin could not be loaded, which was found already.
    fn step(
        &mut self,
        configured: &document::Step,
        route: &document::Route,
        place: usize,
        path: KeyPath,
        plugins: &HashMap<String, Source>,
    ) -> Option<Step> {
        let source = plugins.get(&configured.plugin)?;
        if !source.artifact.kind.is_step() {
            let want = "a plugin that can be a step, but it is ";
            self.found(path.key("plugin"), Code::Plugin, &configured.plugin, format!("{want}{}", source.artifact.kind.describe()));
            return None;
        }
        if source.env.is_some() && !configured.config.is_null() {
            let want = "nothing: a component of wasi:http is told by `env` in `plugins`";
            self.found(path.key("config"), Code::Plugin, configured.config.to_string(), want);
            return None;
        }
        let spec = spec(source, configured);
        let usage = self.usage(source, &spec, configured, path)?;
        let seat = self.seat(source, spec, &usage);
        let name = configured.name.as_deref().unwrap_or(&configured.plugin);
        Some(Step {
            name: name.into(),
            previous: seat.now().previous,
            on_error: configured.on_error.map_or(source.on_error, plugins::on_error),
            route: route.name.as_str().into(),
            upstream: route.upstream.as_deref().map(Into::into),
            scope: self.builder.buckets.scope(&format!("{}\0{place}\0{}", route.name, configured.plugin)),
            seat,
            usage,
        })
    }

    /// None where the route has none, or it could not be loaded, which was found already.
    fn component(&mut self, route: &document::Route, path: KeyPath, plugins: &HashMap<String, Source>) -> Option<Component> {
        let name = route.component.as_ref()?;
        let source = plugins.get(name)?;
        if !source.artifact.kind.is_end() {
            let want = "a component that answers requests, but it is ";
            self.found(path.key("component"), Code::Plugin, name, format!("{want}{}", source.artifact.kind.describe()));
            return None;
        }
        let step = document::Step { plugin: name.clone(), ..document::Step::default() };
        let spec = spec(source, &step);
        let loaded = self.builder.loader.usage(&source.artifact, &spec);
        let refused = |refusal: Refusal| format!("a component that can be used, but {refusal}");
        let usage = loaded.map_err(|refusal| self.found(path.key("component"), Code::Plugin, name, refused(refusal))).ok()?;
        let seat = self.seat(source, spec, &usage);
        Some(Component { usage, seat })
    }

    fn seat(&mut self, source: &Source, spec: UsageSpec, stable: &Arc<Usage>) -> Arc<Seat> {
        if let Some(seat) = self.seats.get(&spec).and_then(Weak::upgrade) {
            return seat;
        }
        let previous = source.previous.as_ref().and_then(|artifact| self.other(artifact, &spec, false)).or_else(|| self.previous(stable));
        let candidate = source.candidate.as_ref().and_then(|(artifact, share, part)| {
            let usage = self.other(artifact, &spec, part.is_shadow())?;
            Some(Candidate { usage, share: *share, part: part.clone() })
        });
        let seat = Seat::new(spec.clone(), Lineup { stable: Arc::clone(stable), previous, candidate });
        self.seats.insert(spec, Arc::downgrade(&seat));
        self.new_seats.push(Arc::clone(&seat));
        seat
    }

    /// Another version with the same configuration. One that does not take it has no part here.
    fn other(&self, artifact: &Arc<Artifact>, spec: &UsageSpec, shadow: bool) -> Option<Arc<Usage>> {
        let usage = self.builder.loader.usage(artifact, &spec.of(artifact.digest, shadow));
        usage.inspect_err(|error| tracing::warn!(plugin = %spec.plugin, version = artifact.digest.short(), %error, "version left out")).ok()
    }

    /// None where the plugin or its schema does not take the configuration, which is found here.
    fn usage(&mut self, source: &Source, spec: &UsageSpec, configured: &document::Step, path: KeyPath) -> Option<Arc<Usage>> {
        // A schema that came with the component is law; one that the plugin has to be asked for explains its refusals.
        if (self.schemas == Schemas::Always || source.artifact.has_schema()) && self.misfits(source, spec, configured, &path) {
            return None;
        }
        match self.builder.loader.usage(&source.artifact, spec) {
            Ok(usage) => Some(usage),
            Err(Refusal::Config(_)) if self.schemas == Schemas::OnRefusal && self.misfits(source, spec, configured, &path) => None,
            Err(refusal) => {
                self.findings.push(refused(refusal, configured, path));
                None
            }
        }
    }

    /// Finds what of a configuration does not fit the plugin's schema. Whether there is anything.
    fn misfits(&mut self, source: &Source, spec: &UsageSpec, configured: &document::Step, path: &KeyPath) -> bool {
        let Some(schema) = self.schema(source, spec) else { return false };
        let misfits = schema.review(&configured.config, path.clone().key("config"));
        let any = !misfits.is_empty();
        self.findings.extend(misfits);
        any
    }

    /// Schemas help to say more; a plugin whose schema cannot be had still speaks for itself.
    fn schema(&mut self, source: &Source, spec: &UsageSpec) -> Option<Arc<ConfigSchema>> {
        if let Some(known) = self.known_schemas.get(&spec.digest) {
            return known.clone();
        }
        let text = self.builder.loader.config_schema(&source.artifact, spec);
        let text = text.inspect_err(|error| tracing::warn!(plugin = %spec.plugin, %error, "no schema of its configuration")).ok().flatten();
        let schema = text.and_then(|text| {
            let parsed = ConfigSchema::parse(&text);
            parsed.inspect_err(|error| tracing::warn!(plugin = %spec.plugin, %error, "no schema of its configuration")).ok()
        });
        let schema = schema.map(Arc::new);
        self.known_schemas.insert(spec.digest, schema.clone());
        schema
    }

    /// The version that was in use before this one, for `on_error: previous`.
    fn previous(&self, usage: &Arc<Usage>) -> Option<Arc<Usage>> {
        let (before, its_previous) = self.before.get(&usage.key())?;
        match before.artifact.digest == usage.artifact.digest {
            true => its_previous.clone(),
            false => Some(Arc::clone(before)),
        }
    }

    fn router(&mut self, routes: &[Arc<Route>]) -> Router<Arc<Route>> {
        let mut rules = Vec::new();
        for (place, (configured, route)) in self.document.routes.iter().zip(routes).enumerate() {
            rules.extend(self.rules(configured, route, at("routes", place)));
        }
        Router::at(rules)
    }

    /// What leads to a route; nothing where a condition cannot be, which is found here.
    fn rules(&mut self, configured: &document::Route, route: &Arc<Route>, path: KeyPath) -> Vec<(u64, Rule, Arc<Route>)> {
        match route_rules(configured) {
            Ok(rules) => rules.into_iter().map(|rule| (route.position, rule, Arc::clone(route))).collect(),
            Err(misfits) => {
                self.findings.extend(misfits.into_iter().map(|misfit| condition(misfit, path.clone())));
                Vec::new()
            }
        }
    }

    // === listeners ===

    fn listeners(&mut self) -> HashMap<Arc<str>, Arc<Listener>> {
        let mut listeners = HashMap::new();
        for (place, configured) in self.document.listeners.iter().enumerate() {
            if let Some(listener) = self.listener(configured, at("listeners", place)) {
                listeners.insert(Arc::clone(&listener.name), Arc::new(listener));
            }
        }
        listeners
    }

    fn listener(&mut self, configured: &document::Listener, path: KeyPath) -> Option<Listener> {
        let pseudonym = match Pseudonym::new(&configured.via) {
            Ok(pseudonym) => pseudonym,
            Err(error) => {
                self.found(path.key("via"), Code::Value, &configured.via, error.to_string());
                return None;
            }
        };
        let tls = match &configured.tls {
            None => None,
            Some(tls) => Some(self.tls(tls, configured.http2, path.key("tls"))?),
        };
        let (limits, times) = (&configured.limits, &configured.timeouts);
        Some(Listener {
            name: configured.name.as_str().into(),
            tls,
            certificates: configured.tls.iter().flat_map(|tls| self.expiries(tls)).collect(),
            http2: configured.http2,
            trusted_proxies: configured.trusted_proxies.iter().map(|cidr| cidr.0).collect(),
            proxy_protocol: configured.proxy_protocol,
            pseudonym,
            heads: head_guard::Limits {
                head: limits.header_bytes.as_len(),
                headers: limits.headers as usize,
                head_time: times.header.into(),
                idle_time: times.idle.into(),
                ..head_guard::Limits::default()
            },
            max_body: limits.body.get(),
            body_stall: times.body.into(),
        })
    }

    fn tls(&mut self, configured: &document::Tls, http2: bool, path: KeyPath) -> Option<Tls> {
        let files = configured.certificates.iter().map(|pair| (self.sources.resolve(&pair.cert), self.sources.resolve(&pair.key)));
        let client_auth = configured.client_auth.as_ref().map(|client_auth| ClientAuth {
            ca: self.sources.resolve(&client_auth.ca),
            required: client_auth.mode == document::ClientAuthMode::Required,
        });
        let settings = server::tls::TlsSettings { certificates: files.collect(), client_auth, http2 };
        Tls::new(&settings).map_err(|error| self.no_tls(&error, path)).ok()
    }

    fn no_tls(&mut self, error: &TlsError, path: KeyPath) {
        let (key, got) = match error {
            TlsError::Certificate(_) | TlsError::None => ("certificates", "certificates"),
            TlsError::ClientAuth(_) => ("client_auth", "authorities"),
        };
        self.found(path.key(key), Code::Value, got, format!("PEM files that can be used, but {error}"));
    }

    /// HTTP/1 alone: the admin API has no use for more.
    fn admin_tls(&mut self) -> Option<Arc<Tls>> {
        let tls = self.document.admin.as_ref()?.tls.as_ref()?;
        self.tls(tls, false, KeyPath::default().key("admin").key("tls")).map(Arc::new)
    }

    fn expiries(&self, tls: &document::Tls) -> Vec<(String, i64)> {
        let certificates = tls.certificates.iter();
        certificates
            .filter_map(|pair| Some((pair.cert.display().to_string(), server::tls::not_after(&self.sources.resolve(&pair.cert))?)))
            .collect()
    }

    // === identity ===

    fn issuers(&mut self, previous: Option<&Snapshot>) -> Arc<Issuers> {
        let (mut settings, mut places) = (Vec::new(), Vec::new());
        for (place, issuer) in self.document.issuers.iter().enumerate().filter(|(_, issuer)| issuer.signs()) {
            match self.key_source(issuer) {
                Ok(keys) => {
                    settings.push(issuer_settings(issuer, keys));
                    places.push(place);
                }
                Err((key, got, want)) => self.found(at("issuers", place).key(key), Code::Value, got, want),
            }
        }
        Issuers::build(settings, previous.map(|snapshot| &*snapshot.issuers)).map(Arc::new).unwrap_or_else(|errors| {
            for (index, error) in errors {
                self.found(at("issuers", places[index]).key(error.key()), Code::Value, with_causes(&error), "an issuer that can be used");
            }
            Arc::new(Issuers::build(Vec::new(), None).unwrap_or_else(|_| unreachable!("no issuer has no fault")))
        })
    }

    fn key_source(&self, issuer: &document::Issuer) -> Result<KeySource, (&'static str, String, String)> {
        if let Some(secret) = &issuer.secret {
            return self.secret(secret).map(KeySource::Secret).map_err(|(got, want)| ("secret", got, want));
        }
        match issuer.jwks.as_ref().map(|jwks| (&jwks.url, &jwks.file)) {
            Some((Some(url), _)) => Ok(KeySource::Url(url.clone())),
            Some((None, Some(file))) => Ok(KeySource::File(self.sources.resolve(file))),
            Some((None, None)) | None => Ok(KeySource::Discovery),
        }
    }

    fn introspection(&mut self, previous: Option<&Snapshot>) -> Arc<Introspection> {
        let mut introspection = Introspection::default();
        for (place, issuer) in self.document.issuers.iter().enumerate() {
            let Some(configured) = &issuer.introspection else { continue };
            let path = at("issuers", place).key("introspection");
            let secret = match self.secret(&configured.client_secret) {
                Ok(secret) => secret,
                Err((got, want)) => {
                    self.found(path.key("client_secret"), Code::Value, got, want);
                    continue;
                }
            };
            let settings = introspection_settings(issuer, configured, secret);
            if let Err(error) = introspection.add(settings, previous.map(|snapshot| &*snapshot.introspection)) {
                let got = configured.url.as_deref().unwrap_or("no url");
                self.found(path.key("url"), Code::Value, got, format!("an address to ask at, but {error}"));
            }
        }
        Arc::new(introspection)
    }

    fn secret(&self, secret: &document::Secret) -> Result<Secret, (String, String)> {
        read_secret(secret, self.sources)
    }
}

/// What a secret of the document stands for; without it, what was found instead and what is wanted. Blocks.
pub fn read_secret(secret: &document::Secret, sources: &Sources) -> Result<Secret, (String, String)> {
    if let Some(name) = &secret.env {
        let value = std::env::var(name).map_err(|_| (name.clone(), "the name of an environment variable that is set".to_owned()))?;
        return Ok(Secret(value.into_bytes()));
    }
    let file = secret.file.as_ref().ok_or_else(|| ("neither file nor env".to_owned(), "one of them".to_owned()))?;
    let file = sources.resolve(file);
    let bytes = std::fs::read(&file).map_err(|error| (file.display().to_string(), format!("a file that can be read: {error}")))?;
    Ok(Secret(bytes.trim_ascii_end().to_vec()))
}

fn at(section: &str, place: usize) -> KeyPath {
    KeyPath::default().key(section).index(place)
}

fn condition(misfit: Misfit, route: KeyPath) -> Finding {
    Finding::new(route.join(&misfit.path), Code::Value, misfit.got, misfit.want).maybe_hint(misfit.hint)
}

fn refused(refusal: Refusal, step: &document::Step, path: KeyPath) -> Finding {
    match refusal {
        Refusal::Config(message) => unfit(&message, step, path.key("config")),
        other => Finding::new(path.key("plugin"), Code::Plugin, step.plugin.as_str(), format!("a plugin that can be used, but {other}")),
    }
}

/// What a plugin says of its configuration. Where it begins with a place (`parts[1].timeout: got 3s, want …`), at that place.
fn unfit(message: &str, step: &document::Step, config: KeyPath) -> Finding {
    let named = message.split_once(": ").and_then(|(place, reason)| Some((value_at(&step.config, place)?, reason)));
    let ((further, value), reason) = named.unwrap_or(((KeyPath::default(), &step.config), message));
    let (kind, path) = if further == KeyPath::default() { ("configuration", config) } else { ("value", config.join(&further)) };
    Finding::new(path, Code::Plugin, value.to_string(), format!("a {kind} that {} takes: {reason}", step.plugin))
}

/// The value at a place such as `parts[1].timeout`, and the way there. None if there is none.
fn value_at<'a>(config: &'a serde_json::Value, place: &str) -> Option<(KeyPath, &'a serde_json::Value)> {
    place.split('.').try_fold((KeyPath::default(), config), |(path, value), step| {
        let (key, indices) = step.split_at(step.find('[').unwrap_or(step.len()));
        let inner = (path.key(key), value.get(key)?);
        indices.split_terminator(']').try_fold(inner, |(path, value), index| {
            let index: usize = index.strip_prefix('[')?.parse().ok()?;
            Some((path.index(index), value.get(index)?))
        })
    })
}

/// The path of a route with one, else its name.
fn pattern(route: &document::Route) -> &str {
    let path = match &*route.matches {
        [only] => only.path.as_ref(),
        _ => None,
    };
    let text = path.and_then(|path| path.exact.as_ref().or(path.prefix.as_ref()).or(path.regex.as_ref()));
    text.unwrap_or(&route.name)
}

/// What a step makes of a plugin.
fn spec(source: &Source, step: &document::Step) -> UsageSpec {
    UsageSpec {
        plugin: step.plugin.as_str().into(),
        digest: source.artifact.digest,
        config: source.env.clone().unwrap_or_else(|| config_text(&step.config).into()),
        isolation: source.isolation,
        limits: Arc::clone(&source.limits),
        grants: Arc::clone(&source.grants),
        shadow: false,
    }
}

/// A step without a configuration has an empty one.
fn config_text(config: &serde_json::Value) -> String {
    match config {
        serde_json::Value::Null => "{}".into(),
        config => config.to_string(),
    }
}

/// References were checked with the document.
fn split(configured: &document::Route, upstreams: &HashMap<Arc<str>, Arc<Upstream>>) -> Option<Split> {
    let find = |name: &str| upstreams.get(name).cloned();
    if let Some(name) = &configured.upstream {
        return Some(Split::new(vec![(find(name)?, 1)]));
    }
    let weighted: Vec<_> = configured.upstreams.iter().filter_map(|one| Some((find(&one.name)?, one.weight))).collect();
    (!weighted.is_empty()).then(|| Split::new(weighted))
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn issuer_settings(issuer: &document::Issuer, keys: KeySource) -> Settings {
    Settings {
        name: issuer.name.clone(),
        issuer: issuer.issuer.clone(),
        audiences: issuer.audiences.clone(),
        algorithms: issuer.algorithms.iter().map(|algorithm| format!("{algorithm:?}")).collect(),
        keys,
        leeway: issuer.leeway.into(),
        refresh: issuer.jwks.as_ref().map_or_else(Refresh::default, refresh),
    }
}

fn refresh(jwks: &document::Jwks) -> Refresh {
    Refresh { ttl: jwks.ttl.into(), floor: jwks.refetch_floor.into() }
}

fn introspection_settings(issuer: &document::Issuer, configured: &document::Introspection, secret: Secret) -> introspection::Settings {
    introspection::Settings {
        name: issuer.name.clone(),
        issuer: issuer.issuer.clone(),
        audiences: issuer.audiences.clone(),
        leeway: issuer.leeway.into(),
        endpoint: configured.url.clone().map_or_else(|| address::Source::Issuer(issuer.issuer.clone()), address::Source::Url),
        client_id: configured.client_id.clone(),
        client_secret: secret,
        timeout: configured.timeout.into(),
        cache: configured.cache.into(),
        negative_cache: configured.negative_cache.into(),
        allow_stale: configured.allow_stale,
    }
}
